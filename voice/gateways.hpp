/// Whom the trunks of this office are spoken to by: a call that comes from there is theirs, and believed to be.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "net/address.hpp"

namespace voice {

struct Gateways {
    struct Server {
        std::string trunk;
        std::string tls_name;  ///< what its certificate must show
    };
    std::map<net::Endpoint, Server> servers;                       ///< as their names lead there now
    std::vector<std::pair<net::Prefix, std::string>> networks;     ///< and their trunks' names

    /// The trunk's name; empty: a gateway of none. Where phones may be, a server counts by its port, too.
    std::string trunk_at(const net::Endpoint& remote, bool phones_there) const {
        if (const auto server = servers.find(remote); server != servers.end()) return server->second.trunk;
        for (const auto& [network, trunk] : networks) {
            if (network.contains(remote.address.unmapped())) return trunk;
        }
        const auto same = servers.lower_bound({remote.address, 0, 0});
        const bool known = same != servers.end() && same->first.address == remote.address;
        return known && !phones_there ? same->second.trunk : std::string();
    }
};

}  // namespace voice
