#include "tun/addressing.hpp"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/errno.h>
#include <sys/socket.h>

#include <algorithm>
#include <set>

#include "tun/netlink.hpp"

// reconcile(): ask the kernel what is there, add what is wanted and not there, take away what is ours and not wanted.
// New addresses come before old ones go: with its last IPv4 address a device would lose all its routes. Addresses come
// before routes, so that the kernel finds a source address for a route as soon as it stands.

namespace tun {
namespace {

/// A host address as a device has it.
struct Held {
    net::IpAddress address;
    unsigned prefix_length = 0;
};

RouteAddress to_netlink_address(int device, const net::IpAddress& address, unsigned prefix_length) {
    RouteAddress out(rtnl_addr_alloc());
    rtnl_addr_set_ifindex(out.get(), device);
    // The prefix must be in place before the address is set, which takes it over.
    auto local = to_netlink(net::Prefix::host(address));
    nl_addr_set_prefixlen(local.get(), static_cast<int>(prefix_length));
    rtnl_addr_set_local(out.get(), local.get());
    if (address.is_v6()) rtnl_addr_set_flags(out.get(), IFA_F_NODAD);
    return out;
}

Route to_netlink_route(int device, const net::Prefix& prefix) {
    Route out(rtnl_route_alloc());
    const auto destination = to_netlink(prefix);
    rtnl_route_set_family(out.get(), prefix.address().is_v6() ? AF_INET6 : AF_INET);
    rtnl_route_set_dst(out.get(), destination.get());
    rtnl_route_set_table(out.get(), RT_TABLE_MAIN);
    rtnl_route_set_scope(out.get(), prefix.address().is_v6() ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK);
    rtnl_route_set_type(out.get(), RTN_UNICAST);
    rtnl_route_set_protocol(out.get(), kRouteProtocol);
    rtnl_route_set_priority(out.get(), kRouteMetric);
    auto* const hop = rtnl_route_nh_alloc();
    rtnl_route_nh_set_ifindex(hop, device);
    rtnl_route_add_nexthop(out.get(), hop);  // takes the hop over
    return out;
}

net::Result<std::vector<Held>> held_addresses(nl_sock* socket, int device) {
    nl_cache* raw = nullptr;
    if (const int code = rtnl_addr_alloc_cache(socket, &raw); code < 0) {
        return tl::unexpected(netlink_error("list this machine's addresses", code));
    }
    const Cache cache(raw);
    std::vector<Held> held;
    for_each<rtnl_addr>(cache, [&](rtnl_addr* entry) {
        const auto* const local = rtnl_addr_get_local(entry);
        if (rtnl_addr_get_ifindex(entry) != device || local == nullptr) return;
        const auto address = address_of(local);
        if (address.is_none() || address.is_link_local()) return;
        held.push_back({address, static_cast<unsigned>(rtnl_addr_get_prefixlen(entry))});
    });
    return held;
}

net::Result<std::set<net::Prefix>> held_routes(nl_sock* socket, int device) {
    nl_cache* raw = nullptr;
    if (const int code = rtnl_route_alloc_cache(socket, AF_UNSPEC, 0, &raw); code < 0) {
        return tl::unexpected(netlink_error("list this machine's routes", code));
    }
    const Cache cache(raw);
    std::set<net::Prefix> held;
    for_each<rtnl_route>(cache, [&](rtnl_route* entry) {
        if (rtnl_route_get_protocol(entry) != kRouteProtocol || rtnl_route_get_nnexthops(entry) != 1 ||
            rtnl_route_get_table(entry) != RT_TABLE_MAIN) {
            return;
        }
        if (rtnl_route_nh_get_ifindex(rtnl_route_nexthop_n(entry, 0)) != device) return;
        const auto* const destination = rtnl_route_get_dst(entry);
        const auto address = address_of(destination);
        if (!address.is_none()) held.insert({address, nl_addr_get_prefixlen(destination)});
    });
    return held;
}

/// Counts a change, or keeps the reason why the kernel refused it. What is already as asked is no failure.
void note(Outcome& outcome, unsigned& counter, const std::string& what, int code) {
    if (code >= 0) {
        ++counter;
    } else if (code != -NLE_EXIST && code != -NLE_OBJ_NOTFOUND && code != -NLE_NOADDR) {
        outcome.refused.push_back(netlink_error(what, code));
    }
}

void reconcile_addresses(nl_sock* socket, int device, const std::vector<Held>& held,
                         const std::vector<net::IpAddress>& wanted, Outcome& outcome) {
    const auto stays = [&](const Held& entry) {
        return entry.prefix_length == entry.address.bits() && std::ranges::count(wanted, entry.address) > 0;
    };
    for (const auto& address : wanted) {
        const auto there = [&](const Held& entry) { return entry.address == address && stays(entry); };
        if (std::ranges::any_of(held, there)) continue;
        const auto added = to_netlink_address(device, address, address.bits());
        note(outcome, outcome.added, "add the address " + address.text(),
             rtnl_addr_add(socket, added.get(), NLM_F_CREATE | NLM_F_EXCL));
    }
    for (const auto& entry : held) {
        if (stays(entry)) continue;
        const auto gone = to_netlink_address(device, entry.address, entry.prefix_length);
        note(outcome, outcome.removed, "remove the address " + entry.address.text(),
             rtnl_addr_delete(socket, gone.get(), 0));
    }
}

void reconcile_routes(nl_sock* socket, int device, const std::set<net::Prefix>& held,
                      const std::set<net::Prefix>& wanted, Outcome& outcome) {
    for (const auto& prefix : held) {
        if (wanted.contains(prefix)) continue;
        const auto gone = to_netlink_route(device, prefix);
        note(outcome, outcome.removed, "remove the route to " + prefix.text(),
             rtnl_route_delete(socket, gone.get(), 0));
    }
    for (const auto& prefix : wanted) {
        if (held.contains(prefix)) continue;
        const auto added = to_netlink_route(device, prefix);
        note(outcome, outcome.added, "add a route to " + prefix.text(),
             rtnl_route_add(socket, added.get(), NLM_F_CREATE | NLM_F_EXCL));
    }
}

}  // namespace

void Addressing::Close::operator()(nl_sock* socket) const { nl_socket_free(socket); }

net::Result<Addressing> Addressing::open(int device_index) {
    auto socket = open_netlink();
    if (!socket) return tl::unexpected(socket.error());
    return Addressing(socket->release(), device_index);
}

net::Result<Outcome> Addressing::reconcile(const Wanted& wanted) {
    const auto addresses = held_addresses(socket_.get(), device_);
    if (!addresses) return tl::unexpected(addresses.error());
    const auto attached = attached_networks(device_);
    if (!attached) return tl::unexpected(attached.error());

    Outcome outcome;
    std::set<net::Prefix> routes;
    for (const auto& prefix : wanted.routes) {
        if (std::ranges::any_of(*attached, [&](const net::Prefix& network) { return network.contains(prefix); })) {
            outcome.attached.push_back(prefix);
        } else {
            routes.insert(prefix);
        }
    }
    reconcile_addresses(socket_.get(), device_, *addresses, wanted.addresses, outcome);
    // Listed only now: with the last address the kernel has taken routes away.
    const auto held = held_routes(socket_.get(), device_);
    if (!held) return tl::unexpected(held.error());
    reconcile_routes(socket_.get(), device_, *held, routes, outcome);
    return outcome;
}

net::Result<std::vector<Network>> networks(int except_index) {
    const auto socket = open_netlink();
    if (!socket) return tl::unexpected(socket.error());
    nl_cache* raw = nullptr;
    if (const int code = rtnl_link_alloc_cache(socket->get(), AF_UNSPEC, &raw); code < 0) {
        return tl::unexpected(netlink_error("list this machine's interfaces", code));
    }
    const Cache links(raw);
    if (const int code = rtnl_addr_alloc_cache(socket->get(), &raw); code < 0) {
        return tl::unexpected(netlink_error("list this machine's addresses", code));
    }
    const Cache addresses(raw);
    if (const int code = rtnl_route_alloc_cache(socket->get(), AF_INET6, 0, &raw); code < 0) {
        return tl::unexpected(netlink_error("list this machine's routes", code));
    }
    const Cache routes(raw);

    std::set<Network> networks;
    const auto add = [&](int index, const net::IpAddress& address, unsigned length) {
        if (index == except_index || address.is_none() || address.is_loopback() || address.is_link_local()) return;
        if (address.is_multicast() || length == 0 || length >= address.bits()) return;
        const Link link(rtnl_link_get(links.get(), index));
        if (!link) return;
        const auto flags = rtnl_link_get_flags(link.get());
        const bool up = (flags & IFF_UP) != 0;
        networks.insert({{address, length}, up, up && (flags & IFF_RUNNING) != 0});
    };
    for_each<rtnl_addr>(addresses, [&](rtnl_addr* entry) {
        if (rtnl_addr_get_local(entry) == nullptr) return;
        add(rtnl_addr_get_ifindex(entry), address_of(rtnl_addr_get_local(entry)), static_cast<unsigned>(rtnl_addr_get_prefixlen(entry)));
    });
    // An address by DHCPv6 is a single one, or the prefix is told of apart from it (RFC 4861 section 6.3.4).
    for_each<rtnl_route>(routes, [&](rtnl_route* entry) {
        const auto protocol = rtnl_route_get_protocol(entry);
        if (protocol != RTPROT_KERNEL && protocol != RTPROT_RA) return;
        if (rtnl_route_get_table(entry) != RT_TABLE_MAIN || rtnl_route_get_type(entry) != RTN_UNICAST) return;
        if (rtnl_route_get_nnexthops(entry) != 1) return;
        auto* const hop = rtnl_route_nexthop_n(entry, 0);
        const auto* const destination = rtnl_route_get_dst(entry);
        if (rtnl_route_nh_get_gateway(hop) != nullptr) return;
        add(rtnl_route_nh_get_ifindex(hop), address_of(destination), nl_addr_get_prefixlen(destination));
    });
    return std::vector(networks.begin(), networks.end());
}

net::Result<std::vector<net::Prefix>> attached_networks(int except_index) {
    const auto all = networks(except_index);
    if (!all) return tl::unexpected(all.error());
    std::set<net::Prefix> attached;
    for (const auto& network : *all) {
        if (network.up) attached.insert(network.prefix);
    }
    return std::vector(attached.begin(), attached.end());
}

}  // namespace tun
