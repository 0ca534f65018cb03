/// What a member's packet may be for once it is here. Whoever sends is bound by his routes alone, which he may ignore; so
/// the receiver looks, too, and no gateway or exit can be made one to what it does not offer.
#pragma once

#include "mesh/routes.hpp"

namespace mesh {

/// Immutable. Nothing by default: no multicast, as the mesh routes none.
class Destinations {
public:
    struct Offer {
        std::vector<net::Prefix> own;      ///< this node's addresses, the subnets that it offers, what it passes on to
        bool exit = false;                 ///< and the Internet, but for
        std::vector<net::Prefix> inside;   ///< the mesh, its members' subnets, networks of this machine,
        std::vector<net::IpAddress> here;  ///< though not these addresses of this machine itself, as far as they are public
    };

    Destinations() = default;
    explicit Destinations(const Offer& offer);

    bool take(const net::IpAddress& destination) const { return table_.find(destination) == kTaken; }

private:
    static constexpr RouteTable::Slot kTaken = 1, kLeft = 0;
    RouteTable table_;
};

/// Whether the Internet routes an address: a unicast one, that no RFC sets apart for other networks or for none. Those of
/// documentation count as public.
bool is_public(const net::IpAddress& address);

}  // namespace mesh
