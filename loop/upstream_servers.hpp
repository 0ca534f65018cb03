/// The name servers behind the one that runs on this machine itself.
#pragma once

#include <string_view>
#include <vector>

#include "net/address.hpp"

namespace loop {

inline constexpr std::size_t kMostUpstreamServers = 3;

/// Those that a text of resolv.conf(5)'s form names, in its order, kMostUpstreamServers at most; none of this machine's own
/// (loopback), and none that need an interface named.
std::vector<net::IpAddress> upstream_servers(std::string_view text);
/// Those that systemd-resolved or NetworkManager leave in /run for such as ask past them; none without either.
std::vector<net::IpAddress> upstream_servers();

}  // namespace loop
