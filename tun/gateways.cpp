#include "tun/gateways.hpp"

#include <linux/rtnetlink.h>
#include <netlink/errno.h>
#include <sys/socket.h>

#include <optional>

#include "tun/addressing.hpp"
#include "tun/netlink.hpp"

namespace tun {
namespace {

struct Found {
    std::uint32_t metric = 0;
    Gateway gateway;
};

/// The first next hop that is one, if the route is a default route that the kernel would take.
std::optional<Found> read(rtnl_route* route, int except_index) {
    const auto* const destination = rtnl_route_get_dst(route);
    if (rtnl_route_get_table(route) != RT_TABLE_MAIN || rtnl_route_get_type(route) != RTN_UNICAST ||
        rtnl_route_get_protocol(route) == kRouteProtocol || destination == nullptr || nl_addr_get_prefixlen(destination) != 0) {
        return std::nullopt;
    }
    for (int i = 0; i < rtnl_route_get_nnexthops(route); ++i) {
        auto* const hop = rtnl_route_nexthop_n(route, i);
        const auto* const via = rtnl_route_nh_get_gateway(hop);
        const int index = rtnl_route_nh_get_ifindex(hop);
        if (via == nullptr || index == except_index || (rtnl_route_nh_get_flags(hop) & (RTNH_F_DEAD | RTNH_F_LINKDOWN)) != 0) continue;
        return Found{rtnl_route_get_priority(route), {address_of(via), static_cast<std::uint32_t>(index)}};
    }
    return std::nullopt;
}

}  // namespace

net::Result<std::vector<Gateway>> default_gateways(int except_index) {
    const auto socket = open_netlink();
    if (!socket) return tl::unexpected(socket.error());
    std::vector<Gateway> out;
    for (const int family : {AF_INET, AF_INET6}) {
        nl_cache* raw = nullptr;
        if (const int code = rtnl_route_alloc_cache(socket->get(), family, 0, &raw); code < 0) {
            return tl::unexpected(netlink_error("list this machine's routes", code));
        }
        const Cache routes(raw);
        std::optional<Found> best;
        for_each<rtnl_route>(routes, [&](rtnl_route* route) {
            const auto found = read(route, except_index);
            if (found && !found->gateway.address.is_none() && (!best || found->metric < best->metric)) best = found;
        });
        if (best) out.push_back(best->gateway);
    }
    return out;
}

}  // namespace tun
