/// Where members were reached last time, newest first: the first thing to try after a start without network or names.
/// Passive; the daemon loads and saves it as values.
#pragma once

#include <map>
#include <vector>

#include "net/address.hpp"
#include "net/secret.hpp"
#include "net/time.hpp"

namespace discovery {

struct GoodEndpoint {
    net::NodeKey node;
    net::Endpoint endpoint;
    net::Wall last_good;
    bool operator==(const GoodEndpoint&) const = default;
};

class EndpointCache {
public:
    static constexpr std::size_t kEndpointsPerNode = 4;
    static constexpr std::size_t kNodes = 4096;

    /// A session with `node` stands over `endpoint`. Of too many, the ones longest ago are forgotten. Link-local
    /// endpoints are not kept: their interface's number may mean another one next time.
    void good(const net::NodeKey& node, const net::Endpoint& endpoint, net::Wall when);
    void forget(const net::NodeKey& node);

    /// Newest first; empty if none is known.
    std::vector<net::Endpoint> endpoints(const net::NodeKey& node) const;

    /// Everything, to be saved, newest first.
    std::vector<GoodEndpoint> entries() const;
    /// Adds what was saved, in any order.
    void load(const std::vector<GoodEndpoint>& entries);
    /// True once after something has changed that is worth saving: a new endpoint, or a new order.
    bool take_changed();

private:
    struct Seen {
        net::Endpoint endpoint;
        net::Wall last_good;
    };
    std::map<net::NodeKey, std::vector<Seen>> nodes_;  ///< each newest first
    bool changed_ = false;
};

}  // namespace discovery
