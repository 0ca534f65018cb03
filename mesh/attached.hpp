/// Networks that are directly attached to this machine, and what they leave of a route through the mesh: traffic of an
/// office's own LAN stays on that LAN, whoever else routes it.
///
///   attached 192.168.1.0/24   route 192.168.1.0/24 or 192.168.1.128/25   the route is not used
///                             route 192.168.0.0/16                       used, for all but 192.168.1.0/24
#pragma once

#include <span>
#include <vector>

#include "net/address.hpp"

namespace mesh {

/// Whether a network that equals or contains `route` is attached: then nothing of the route is used.
bool attached_covers(std::span<const net::Prefix> attached, const net::Prefix& route);
bool any_contains(std::span<const net::Prefix> prefixes, const net::IpAddress& address);
/// The route as the fewest prefixes that touch no attached network.
std::vector<net::Prefix> without_attached(const net::Prefix& route, std::span<const net::Prefix> attached);

/// Whether this machine, whose endpoints are `own`, has an address of that one's family; true if it has none at all, and for
/// loopback and virtual endpoints.
bool has_family_of(std::span<const net::Endpoint> own, const net::Endpoint& endpoint);

}  // namespace mesh
