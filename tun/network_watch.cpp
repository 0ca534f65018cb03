#include "tun/network_watch.hpp"

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/errno.h>
#include <netlink/msg.h>

#include "tun/addressing.hpp"
#include "tun/netlink.hpp"

namespace tun {
namespace {

constexpr int kReceiveBufferBytes = 256 * 1024;

struct Reading {
    NetworkChange change;
    int own = 0;
    bool own_is_down = false;
};

/// The interface that a route leads out of; 0 if it says none.
int device_of(nlmsghdr* header) {
    const auto* const attribute = nlmsg_find_attr(header, sizeof(rtmsg), RTA_OIF);
    return attribute == nullptr ? 0 : static_cast<int>(nla_get_u32(attribute));
}

void read_link(const ifinfomsg& link, Reading& reading) {
    if (link.ifi_index != reading.own) {
        reading.change.links = true;
        return;
    }
    const bool was_down = reading.own_is_down;
    reading.own_is_down = (link.ifi_flags & IFF_UP) == 0;
    if (was_down && !reading.own_is_down) reading.change.ours = true;
}

int read_one(nl_msg* message, void* argument) {
    auto& reading = *static_cast<Reading*>(argument);
    auto* const header = nlmsg_hdr(message);
    switch (header->nlmsg_type) {
        case RTM_NEWLINK:
        case RTM_DELLINK:
            if (nlmsg_valid_hdr(header, sizeof(ifinfomsg))) read_link(*static_cast<const ifinfomsg*>(nlmsg_data(header)), reading);
            break;
        case RTM_NEWADDR:
        case RTM_DELADDR:
            if (!nlmsg_valid_hdr(header, sizeof(ifaddrmsg))) break;
            if (static_cast<int>(static_cast<const ifaddrmsg*>(nlmsg_data(header))->ifa_index) != reading.own) {
                reading.change.addresses = true;
            } else if (header->nlmsg_type == RTM_DELADDR) {
                reading.change.ours = true;
            }
            break;
        case RTM_NEWROUTE:
        case RTM_DELROUTE:
            if (!nlmsg_valid_hdr(header, sizeof(rtmsg))) break;
            if (static_cast<const rtmsg*>(nlmsg_data(header))->rtm_protocol == kRouteProtocol) {
                if (header->nlmsg_type == RTM_DELROUTE) reading.change.ours = true;
            } else if (reading.own == 0 || device_of(header) != reading.own) {
                reading.change.routes = true;
            }
            break;
        case RTM_DELRULE: reading.change.ours = true; break;
        default:
            break;
    }
    return NL_OK;
}

}  // namespace

void NetworkWatch::Close::operator()(nl_sock* socket) const { nl_socket_free(socket); }

net::Result<NetworkWatch> NetworkWatch::open(int own_index) {
    auto socket = open_netlink();
    if (!socket) return tl::unexpected(socket.error());
    nl_socket_disable_seq_check(socket->get());
    nl_socket_set_buffer_size(socket->get(), kReceiveBufferBytes, 0);
    int code = nl_socket_set_nonblocking(socket->get());
    if (code >= 0) {
        code = nl_socket_add_memberships(socket->get(), RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
                                         RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE,
                                         RTNLGRP_NONE);
    }
    if (code < 0) return tl::unexpected(netlink_error("watch this machine's network", code));
    return NetworkWatch(socket->release(), own_index);
}

int NetworkWatch::fd() const { return nl_socket_get_fd(socket_.get()); }

NetworkChange NetworkWatch::take() {
    Reading reading{.change = {}, .own = own_, .own_is_down = own_is_down_};
    const std::unique_ptr<nl_cb, Release<nl_cb, nl_cb_put>> callbacks(nl_cb_alloc(NL_CB_DEFAULT));
    nl_cb_set(callbacks.get(), NL_CB_VALID, NL_CB_CUSTOM, read_one, &reading);
    nl_cb_set(callbacks.get(), NL_CB_SEQ_CHECK, NL_CB_CUSTOM, [](nl_msg*, void*) { return static_cast<int>(NL_OK); },
              nullptr);
    for (;;) {
        const int code = nl_recvmsgs(socket_.get(), callbacks.get());
        if (code == -NLE_NOMEM) {  // ENOBUFS: the kernel had to drop some
            reading.change = {.links = true, .addresses = true, .routes = true, .ours = true};
        } else if (code < 0) {
            own_is_down_ = reading.own_is_down;
            return reading.change;
        }
    }
}

}  // namespace tun
