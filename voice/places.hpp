/// The places outside that calls of ours have gone to. What they send is heard for as long as they are here.
#pragma once

#include <map>
#include <string>

#include "net/address.hpp"
#include "net/time.hpp"

namespace voice {

class Places {
public:
    static constexpr auto kKeep = std::chrono::hours(24);  ///< since the last that was sent there or came from there
    static constexpr std::size_t kMax = 2048;              ///< beyond it the one that was quiet longest goes

    /// `tls_name`: what a certificate must show there, where TLS is spoken; empty: as before.
    void add(const net::Endpoint& place, net::Now now, std::string_view tls_name = {});
    /// Renews a place that is known.
    void heard(const net::Endpoint& place, net::Now now);
    bool contains(const net::Endpoint& place) const { return known_.contains(place); }
    bool contains(const net::IpAddress& address) const;  ///< on any port
    /// Empty: none is known.
    std::string tls_name(const net::Endpoint& place) const;
    void tick(net::Now now);

private:
    struct Known {
        net::Steady until;
        std::string tls_name;
    };
    std::map<net::Endpoint, Known> known_;
    net::Steady next_sweep_{};
};

}  // namespace voice
