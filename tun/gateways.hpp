/// Where this machine's default routes lead to.
#pragma once

#include <cstdint>
#include <vector>

#include "net/address.hpp"
#include "net/result.hpp"

namespace tun {

struct Gateway {
    net::IpAddress address;       ///< the next hop; of IPv6 mostly a link-local one
    std::uint32_t interface = 0;  ///< its index
    auto operator<=>(const Gateway&) const = default;
};

/// The next hop of the default route of each family, IPv4 first: of the one that is used, as its metric is the lowest. Routes
/// without a next hop, ours, and those by `except_index` do not count.
net::Result<std::vector<Gateway>> default_gateways(int except_index);

}  // namespace tun
