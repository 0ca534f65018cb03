#include "tun/exit_routing.hpp"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <sys/socket.h>

#include <algorithm>
#include <cassert>
#include <string>

#include "tun/addressing.hpp"
#include "tun/netlink.hpp"

// libnl 3.7 knows no suppress_prefixlength and no inverted rules, so these messages are put together here.

namespace tun {
namespace {

constexpr std::array kFamilies{AF_INET, AF_INET6};
constexpr int kMostLeftovers = 64;  // of earlier processes, of one kind
constexpr unsigned kClaim = 0xff000000, kClaimMask = 0xff000000;  // in the metric of what is unreachable

using Message = std::unique_ptr<nl_msg, Release<nl_msg, nlmsg_free>>;

unsigned table_of(unsigned number) { return kExitTable + 2 * number; }

/// The first or second rule of the header's picture (`line` 0 or 1).
Message rule(int type, int flags, int family, unsigned number, unsigned line, Mark mark) {
    Message out(nlmsg_alloc_simple(type, flags));
    fib_rule_hdr header{};
    header.family = static_cast<std::uint8_t>(family);
    header.action = FR_ACT_TO_TBL;
    header.table = RT_TABLE_UNSPEC;  // stands in the attribute, which has room for it
    if (line == 1) header.flags = FIB_RULE_INVERT;
    nlmsg_append(out.get(), &header, sizeof header, NLMSG_ALIGNTO);
    nla_put_u32(out.get(), FRA_PRIORITY, kExitPriority + 2 * number + line);
    nla_put_u32(out.get(), FRA_TABLE, line == 0 ? unsigned{RT_TABLE_MAIN} : table_of(number));
    nla_put_u8(out.get(), FRA_PROTOCOL, kRouteProtocol);
    if (line == 0) {
        nla_put_u32(out.get(), FRA_SUPPRESS_PREFIXLEN, 0);
    } else if (mark.value != 0) {
        nla_put_u32(out.get(), FRA_FWMARK, mark.value);
        nla_put_u32(out.get(), FRA_FWMASK, mark.mask);
    }
    return out;
}

/// A default route in our table. `type`: RTN_UNICAST into `device`, RTN_UNREACHABLE with its number as a claim,
/// RTN_UNSPEC for any (to delete).
Message default_route(int message, int flags, int family, unsigned number, int type, int device) {
    Message out(nlmsg_alloc_simple(message, flags));
    rtmsg header{};
    header.rtm_family = static_cast<std::uint8_t>(family);
    header.rtm_table = RT_TABLE_UNSPEC;
    header.rtm_protocol = kRouteProtocol;
    const bool any = type == RTN_UNSPEC;
    header.rtm_scope = any ? RT_SCOPE_NOWHERE : type == RTN_UNICAST && family == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
    header.rtm_type = static_cast<std::uint8_t>(type);
    nlmsg_append(out.get(), &header, sizeof header, NLMSG_ALIGNTO);
    nla_put_u32(out.get(), RTA_TABLE, table_of(number));
    const auto index = static_cast<std::uint32_t>(device);
    if (type == RTN_UNICAST) nla_put_u32(out.get(), RTA_OIF, index);
    if (type == RTN_UNREACHABLE) nla_put_u32(out.get(), RTA_PRIORITY, kClaim | (index & ~kClaimMask));
    return out;
}

bool is_absent(int code) {
    return code == -NLE_OBJ_NOTFOUND || code == -NLE_NODEV || code == -NLE_NOADDR || kernel_lacks_family(code);
}

/// Sends it, and takes it over: 0 or libnl's code.
int ask(nl_sock* socket, Message message) { return std::min(nl_send_sync(socket, message.release()), 0); }

}  // namespace

bool kernel_lacks_family(int code) { return code == -NLE_AF_NOSUPPORT || code == -NLE_OPNOTSUPP; }

void ExitRouting::Close::operator()(nl_sock* socket) const { nl_socket_free(socket); }

net::Result<ExitRouting> ExitRouting::open(int device_index, Mark mark) {
    auto socket = open_netlink();
    if (!socket) return tl::unexpected(socket.error());
    return ExitRouting(socket->release(), device_index, mark);
}

/// By another device that is there: another meshd's, which lives.
net::Result<std::array<bool, kMostExits>> ExitRouting::taken() const {
    nl_cache* raw = nullptr;
    if (const int code = rtnl_route_alloc_cache(socket_.get(), AF_INET, 0, &raw); code < 0) {
        return tl::unexpected(netlink_error("list this machine's routes", code));
    }
    const Cache cache(raw);
    std::array<bool, kMostExits> out{};
    for_each<rtnl_route>(cache, [&](rtnl_route* entry) {
        const auto table = rtnl_route_get_table(entry), metric = rtnl_route_get_priority(entry);
        if (rtnl_route_get_type(entry) != RTN_UNREACHABLE || rtnl_route_get_protocol(entry) != kRouteProtocol) return;
        if (table < kExitTable || (table - kExitTable) % 2 != 0 || (metric & kClaimMask) != kClaim) return;
        const auto number = (table - kExitTable) / 2;
        const auto index = metric & ~kClaimMask;
        std::array<char, IF_NAMESIZE> name{};
        if (number >= kMostExits || index == static_cast<unsigned>(device_)) return;
        if (::if_indextoname(index, name.data()) != nullptr) out[number] = true;
    });
    return out;
}

net::Result<ExitRouting::Held> ExitRouting::add() {
    if (!number_) {
        const auto others = taken();
        if (!others) return tl::unexpected(others.error());
        const auto free = std::find(others->begin(), others->end(), false);
        if (free == others->end()) {
            return net::fail("cannot route what goes to the Internet into the mesh: " + std::to_string(kMostExits) +
                             " other meshds on this machine do, and there are numbers for no more of them (ip rule shows "
                             "them): end one of them");
        }
        number_ = static_cast<unsigned>(free - others->begin());
    }
    auto held = hold();
    if (!held) (void)remove();
    return held;
}

net::Result<ExitRouting::Held> ExitRouting::hold() {
    assert(number_);
    Held held;
    std::optional<net::Error> open;
    const auto put = [&](Message message) {
        const int code = ask(socket_.get(), std::move(message));
        held.put += code == 0 ? 1U : 0U;
        return code == -NLE_EXIST ? 0 : code;
    };
    constexpr int kFlags = NLM_F_CREATE | NLM_F_EXCL;
    for (const int family : kFamilies) {
        // The routes first: a rule that leads to an empty table leads on to the next.
        int code = put(default_route(RTM_NEWROUTE, kFlags, family, *number_, RTN_UNREACHABLE, device_));
        if (family == AF_INET6 && kernel_lacks_family(code)) continue;
        const int way = put(default_route(RTM_NEWROUTE, kFlags, family, *number_, RTN_UNICAST, device_));
        if (way < 0) {
            const std::string version = family == AF_INET ? "IPv4" : "IPv6";
            held.closed.push_back(netlink_error("route " + version + " to the Internet into the mesh, so it goes nowhere", way));
        }
        for (unsigned line = 0; line < 2; ++line) {
            const int of_rule = put(rule(RTM_NEWRULE, kFlags, family, *number_, line, mark_));
            if (code == 0) code = of_rule;
        }
        if (code < 0 && !open) open = netlink_error("route what goes to the Internet into the mesh", code);
    }
    if (open) return tl::unexpected(*open);
    return held;
}

net::Result<void> ExitRouting::remove() {
    const auto others = taken();
    if (!others) return tl::unexpected(others.error());
    net::Result<void> out;
    const auto take_all = [&](const char* what, const auto& message) {
        for (int i = 0; i < kMostLeftovers; ++i) {
            const int code = ask(socket_.get(), message());
            if (code < 0 && !is_absent(code)) out = tl::unexpected(netlink_error(what, code));
            if (code < 0) break;
        }
    };
    for (unsigned number = 0; number < kMostExits; ++number) {
        if ((*others)[number]) continue;
        for (const int family : kFamilies) {
            for (unsigned line = 0; line < 2; ++line) {
                // Whatever mark it has: it may be an older version's.
                take_all("remove the rules of the way through the mesh",
                         [&] { return rule(RTM_DELRULE, 0, family, number, line, {0, 0}); });
            }
            take_all("remove the default route through the mesh",
                     [&] { return default_route(RTM_DELROUTE, 0, family, number, RTN_UNSPEC, 0); });
        }
    }
    number_.reset();
    return out;
}

}  // namespace tun
