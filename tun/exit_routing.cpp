#include "tun/exit_routing.hpp"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <sys/socket.h>

#include <array>

#include "tun/addressing.hpp"
#include "tun/netlink.hpp"

// libnl 3.7 knows no suppress_prefixlength and no inverted rules, so these messages are put together here.

namespace tun {
namespace {

constexpr std::array kFamilies{AF_INET, AF_INET6};
constexpr int kMostLeftovers = 64;  // of earlier processes, of one kind

using Message = std::unique_ptr<nl_msg, Release<nl_msg, nlmsg_free>>;

/// Rule number 0 or 1 of the header's picture.
Message rule(int type, int flags, int family, int number, unsigned mark) {
    Message out(nlmsg_alloc_simple(type, flags));
    fib_rule_hdr header{};
    header.family = static_cast<std::uint8_t>(family);
    header.action = FR_ACT_TO_TBL;
    header.table = RT_TABLE_UNSPEC;  // stands in the attribute, which has room for it
    if (number == 1) header.flags = FIB_RULE_INVERT;
    nlmsg_append(out.get(), &header, sizeof header, NLMSG_ALIGNTO);
    nla_put_u32(out.get(), FRA_PRIORITY, kExitPriority + static_cast<unsigned>(number));
    nla_put_u32(out.get(), FRA_TABLE, number == 0 ? unsigned{RT_TABLE_MAIN} : kExitTable);
    nla_put_u8(out.get(), FRA_PROTOCOL, kRouteProtocol);
    if (number == 0) {
        nla_put_u32(out.get(), FRA_SUPPRESS_PREFIXLEN, 0);
    } else if (mark != 0) {
        nla_put_u32(out.get(), FRA_FWMARK, mark);
        nla_put_u32(out.get(), FRA_FWMASK, 0xffffffff);
    }
    return out;
}

Message route(int type, int flags, int family, int device) {
    Message out(nlmsg_alloc_simple(type, flags));
    rtmsg header{};
    header.rtm_family = static_cast<std::uint8_t>(family);
    header.rtm_table = RT_TABLE_UNSPEC;
    header.rtm_protocol = kRouteProtocol;
    header.rtm_scope = family == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
    header.rtm_type = RTN_UNICAST;
    nlmsg_append(out.get(), &header, sizeof header, NLMSG_ALIGNTO);
    nla_put_u32(out.get(), RTA_TABLE, kExitTable);
    nla_put_u32(out.get(), RTA_OIF, static_cast<std::uint32_t>(device));
    return out;
}

bool is_absent(int code) { return code == -NLE_OBJ_NOTFOUND || code == -NLE_AF_NOSUPPORT || code == -NLE_NODEV; }

}  // namespace

void ExitRouting::Close::operator()(nl_sock* socket) const { nl_socket_free(socket); }

net::Result<ExitRouting> ExitRouting::open(int device_index, unsigned mark) {
    auto socket = open_netlink();
    if (!socket) return tl::unexpected(socket.error());
    return ExitRouting(socket->release(), device_index, mark);
}

net::Result<void> ExitRouting::add() {
    if (const auto removed = remove(); !removed) return removed;
    const auto send = [this](Message message) { return nl_send_sync(socket_.get(), message.release()); };  // takes it over
    bool any = false;
    for (const int family : kFamilies) {
        // The route first: a rule that leads to an empty table leads on to the next.
        int code = send(route(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, family, device_));
        for (int number = 0; number < 2 && code >= 0; ++number) {
            code = send(rule(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, family, number, mark_));
        }
        any |= code >= 0;
        const bool no_ipv6 = family == AF_INET6 && any;  // switched off in this kernel, or on the device
        if (code < 0 && !no_ipv6) {
            (void)remove();
            return tl::unexpected(netlink_error("route what goes to the Internet into the mesh", code));
        }
    }
    return {};
}

net::Result<void> ExitRouting::remove() {
    net::Result<void> out;
    for (const int family : kFamilies) {
        for (int number = 0; number < 2; ++number) {
            for (int i = 0; i < kMostLeftovers; ++i) {
                // Whatever mark it has: it may be an older version's.
                const int code = nl_send_sync(socket_.get(), rule(RTM_DELRULE, 0, family, number, 0).release());
                if (code < 0 && !is_absent(code)) out = tl::unexpected(netlink_error("remove the rules of the way through the mesh", code));
                if (code < 0) break;
            }
        }
        const int code = nl_send_sync(socket_.get(), route(RTM_DELROUTE, 0, family, device_).release());
        if (code < 0 && !is_absent(code)) {
            out = tl::unexpected(netlink_error("remove the default route through the mesh", code));
        }
    }
    return out;
}

}  // namespace tun
