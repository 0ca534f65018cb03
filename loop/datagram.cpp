#include "loop/datagram.hpp"

#include <linux/errqueue.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "loop/socket_address.hpp"
#include "loop/underlay_mark.hpp"

namespace loop {
namespace {

bool set(int fd, int level, int option, int value) {
    return ::setsockopt(fd, level, option, &value, sizeof value) == 0;
}

net::Error trouble(const net::Endpoint& local, const char* what, int error) {
    std::string message = "cannot " + std::string(what) + " UDP " + local.text() + ": " + std::strerror(error);
    if (error == EADDRINUSE) message += "; another program has this port: choose another, or stop that program";
    if (error == EADDRNOTAVAIL) message += "; this machine has no such address";
    if (error == EAFNOSUPPORT) message += "; the kernel has this address family switched off";
    if (error == EACCES) message += "; ports below 1024 need CAP_NET_BIND_SERVICE";
    return {message};
}

/// Room for the ancillary data that our options ask for, aligned as the kernel wants it.
union Control {
    char bytes[256];
    cmsghdr align;
};

template <class T>
T content(const cmsghdr* header) {
    T value;
    std::memcpy(&value, CMSG_DATA(header), sizeof value);
    return value;
}

template <class T>
void append_control(msghdr& message, Control& control, int level, int type, const T& value) {
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(sizeof value);
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = level;
    header->cmsg_type = type;
    header->cmsg_len = CMSG_LEN(sizeof value);
    std::memcpy(CMSG_DATA(header), &value, sizeof value);
}

Undelivered::Reason reason_of(const sock_extended_err& error) {
    using Reason = Undelivered::Reason;
    switch (error.ee_errno) {
        case ECONNREFUSED: return Reason::port_unreachable;
        case EHOSTUNREACH: return Reason::host_unreachable;
        case ENETUNREACH: return Reason::network_unreachable;
        case EACCES: return Reason::prohibited;
        case EPERM: return Reason::prohibited;
        case EMSGSIZE: return Reason::too_big;
    }
    return Reason::other;
}

}  // namespace

const char* to_string(Undelivered::Reason reason) {
    switch (reason) {
        case Undelivered::Reason::port_unreachable: return "nobody listens there";
        case Undelivered::Reason::host_unreachable: return "host unreachable";
        case Undelivered::Reason::network_unreachable: return "network unreachable";
        case Undelivered::Reason::prohibited: return "prohibited on the way";
        case Undelivered::Reason::too_big: return "too big for the path";
        case Undelivered::Reason::other: break;
    }
    return "undeliverable";
}

net::Result<Datagram> Datagram::open(const net::Endpoint& local, const UdpOptions& options) {
    const bool v6 = local.address.is_v6();
    Datagram out;
    out.fd_ = FileDescriptor(::socket(family_of(local.address), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int fd = out.fd_.get();
    if (fd < 0) return tl::unexpected(trouble(local, "open", errno));

    bool ok = true;
    if (v6) {
        ok = set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) && set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) &&
             set(fd, IPPROTO_IPV6, IPV6_RECVERR, 1) && set(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
    } else {
        ok = set(fd, IPPROTO_IP, IP_PKTINFO, 1) && set(fd, IPPROTO_IP, IP_RECVERR, 1) &&
             set(fd, IPPROTO_IP, IP_RECVTOS, 1);
    }
    // Where fragments are allowed, IPv4 routers may make them too: a path that swallows "fragmentation needed" then
    // still carries large datagrams. Not IP_PMTUDISC_DONT: by that one is not told of it either (ip(7), udp_err()).
    // IPv6 stays at its default, IPV6_PMTUDISC_WANT: there no router makes fragments. What must cross a path of under
    // 1,360 bytes all the same (IPv6 packets of 1,280 inside, any to a peer whose path is not probed) is cut up by our
    // own kernel, by what routers have told it; with OMIT or INTERFACE it would ignore them, and tell us nothing of them
    // (udpv6_err()). Whoever forges that costs fragments and sends one by one for ten minutes, but no packet; and none of it
    // where the path is known (Sending::whole). Smaller pieces cannot be asked for: IPV6_MTU counts only for what
    // must be cut anyway.
    if (options.never_fragment) {
        ok = ok && (v6 ? set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO)
                       : set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO));
    } else if (!v6) {
        ok = ok && set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT);
    }
    ok = ok && set(fd, SOL_SOCKET, SO_SELECT_ERR_QUEUE, 1) && set(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
    if (options.reuse_port) ok = ok && set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (options.receive_buffer_bytes != 0) {
        // Above net.core.rmem_max, if we may (CAP_NET_ADMIN); else as much of it as there is.
        const auto bytes = static_cast<int>(options.receive_buffer_bytes);
        ok = ok && (set(fd, SOL_SOCKET, SO_RCVBUFFORCE, bytes) || set(fd, SOL_SOCKET, SO_RCVBUF, bytes));
    }
    if (options.send_buffer_bytes != 0) {
        ok = ok && set(fd, SOL_SOCKET, SO_SNDBUF, static_cast<int>(options.send_buffer_bytes));
    }
    mark_underlay(fd);
    if (options.mark != 0) ok = ok && set(fd, SOL_SOCKET, SO_MARK, static_cast<int>(options.mark));
    if (!ok) return tl::unexpected(trouble(local, "prepare", errno));

    // Without it they have not waited.
    if (options.receive_times) set(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
    if (options.receive_offload) out.set_receive_offload(true);  // or they come one by one

    const auto address = to_socket_address(local);
    if (::bind(fd, address.get(), address.length) != 0) return tl::unexpected(trouble(local, "bind", errno));
    out.local_ = local_endpoint(fd);
    if (options.dscp != 0) out.set_dscp(options.dscp);
    return out;
}

void Datagram::set_dscp(std::uint8_t dscp) {
    if (local_.address.is_v6()) {
        set(fd(), IPPROTO_IPV6, IPV6_TCLASS, dscp << 2);
    } else {
        set(fd(), IPPROTO_IP, IP_TOS, dscp << 2);
    }
}

bool Datagram::set_receive_offload(bool on) const { return set(fd(), IPPROTO_UDP, UDP_GRO, on ? 1 : 0); }

SendResult Datagram::send(const net::Endpoint& to, net::ByteView bytes, const net::IpAddress& source) const {
    auto address = to_socket_address(to);
    iovec piece{const_cast<std::byte*>(bytes.data()), bytes.size()};
    msghdr message{};
    message.msg_name = address.get();
    message.msg_namelen = address.length;
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    Control control{};
    if (source.is_v4() && to.address.is_v4()) {
        in_pktinfo info{};
        std::memcpy(&info.ipi_spec_dst, source.bytes().data(), 4);
        append_control(message, control, IPPROTO_IP, IP_PKTINFO, info);
    } else if (source.is_v6() && to.address.is_v6()) {
        in6_pktinfo info{};
        std::memcpy(&info.ipi6_addr, source.bytes().data(), 16);
        info.ipi6_ifindex = to.scope;
        append_control(message, control, IPPROTO_IPV6, IPV6_PKTINFO, info);
    }
    // The error of an earlier datagram (ICMP) may be handed to this call: it is cleared by that, so try once more.
    for (int attempt = 0; attempt < 2; ++attempt) {
        if (::sendmsg(fd(), &message, MSG_NOSIGNAL) >= 0) return SendResult::sent;
        if (errno == EAGAIN || errno == ENOBUFS) return SendResult::full;
    }
    switch (errno) {
        case EMSGSIZE: return SendResult::too_big;
        case ENETUNREACH:
        case EHOSTUNREACH:
        case ECONNREFUSED:
        case ENETDOWN:
        case ENODEV:
        case EADDRNOTAVAIL: return SendResult::unreachable;
        default: return SendResult::failed;
    }
}

SendResult Datagram::send_whole(const net::Endpoint& to, net::ByteView bytes) const {
    const bool v6 = local_.address.is_v6();
    const int level = v6 ? IPPROTO_IPV6 : IPPROTO_IP, option = v6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER;
    int usual = 0;
    socklen_t size = sizeof usual;
    if (::getsockopt(fd(), level, option, &usual, &size) != 0) return SendResult::failed;
    if (!set(fd(), level, option, v6 ? IPV6_PMTUDISC_PROBE : IP_PMTUDISC_PROBE)) return SendResult::failed;
    auto result = send(to, bytes);
    if (result == SendResult::too_big) {
        // What routers say may be forged, and as often as somebody likes; the interface says it again. Without RECVERR
        // the kernel gives a socket that is not connected no errors of earlier datagrams (ip(7)).
        const int receive_errors = v6 ? IPV6_RECVERR : IP_RECVERR;
        set(fd(), level, receive_errors, 0);
        result = send(to, bytes);
        set(fd(), level, receive_errors, 1);
    }
    set(fd(), level, option, usual);
    return result;
}

std::optional<Received> Datagram::receive(net::MutableBytes buffer) {
    constexpr int kAttempts = 16;  // each may take one pending ICMP error or one over-long datagram away
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
        SocketAddress from;
        Control control;
        iovec piece{buffer.data(), buffer.size()};
        msghdr message{};
        message.msg_name = from.get();
        message.msg_namelen = sizeof from.storage;
        message.msg_iov = &piece;
        message.msg_iovlen = 1;
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        const auto size = ::recvmsg(fd(), &message, 0);
        if (size < 0) {
            if (errno == EAGAIN) return std::nullopt;
            continue;
        }
        if ((message.msg_flags & MSG_TRUNC) != 0) {
            ++truncated_;
            continue;
        }
        Received out{.bytes = buffer.first(static_cast<std::size_t>(size)), .from = to_endpoint(from.get()), .to = {}};
        for (auto* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
            if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO) {
                const auto info = content<in_pktinfo>(header);
                out.to = to_address(info.ipi_addr);
                out.interface = static_cast<std::uint32_t>(info.ipi_ifindex);
            } else if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO) {
                const auto info = content<in6_pktinfo>(header);
                out.to = to_address(info.ipi6_addr);
                out.interface = info.ipi6_ifindex;
            } else if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_TOS) {
                out.dscp = content<std::uint8_t>(header) >> 2;
            } else if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_TCLASS) {
                out.dscp = static_cast<std::uint8_t>(content<int>(header) >> 2 & 0x3f);
            }
        }
        return out;
    }
    return std::nullopt;
}

std::size_t Datagram::next_bytes() const {
    int bytes = 0;
    return ::ioctl(fd(), FIONREAD, &bytes) == 0 && bytes > 0 ? static_cast<std::size_t>(bytes) : 0;
}

std::optional<Undelivered> Datagram::take_error() {
    for (;;) {
        SocketAddress to;
        Control control;
        std::byte start[64];
        iovec piece{start, sizeof start};
        msghdr message{};
        message.msg_name = to.get();
        message.msg_namelen = sizeof to.storage;
        message.msg_iov = &piece;
        message.msg_iovlen = 1;
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        if (::recvmsg(fd(), &message, MSG_ERRQUEUE) < 0) {
            if (errno == EINTR) continue;
            return std::nullopt;
        }
        for (auto* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
            const bool ours = (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_RECVERR) ||
                              (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_RECVERR);
            if (!ours) continue;
            const auto error = content<sock_extended_err>(header);
            Undelivered out{.reason = reason_of(error), .to = to_endpoint(to.get()), .reported_by = {}};
            if (error.ee_origin == SO_EE_ORIGIN_ICMP || error.ee_origin == SO_EE_ORIGIN_ICMP6) {
                struct {
                    sock_extended_err error;
                    sockaddr_storage reporter;
                } full{};
                std::memcpy(&full, CMSG_DATA(header), std::min(sizeof full, header->cmsg_len - CMSG_LEN(0)));
                out.reported_by = to_endpoint(reinterpret_cast<const sockaddr*>(&full.reporter)).address;
            }
            if (out.reason == Undelivered::Reason::too_big) out.mtu_bytes = error.ee_info;
            return out;
        }
    }
}

unsigned Datagram::receive_queue_percent() const {
    std::uint32_t memory[SK_MEMINFO_VARS] = {};
    socklen_t size = sizeof memory;
    if (::getsockopt(fd_.get(), SOL_SOCKET, SO_MEMINFO, memory, &size) != 0 || memory[SK_MEMINFO_RCVBUF] == 0) return 0;
    const std::uint64_t waiting = memory[SK_MEMINFO_RMEM_ALLOC];
    return static_cast<unsigned>(std::min<std::uint64_t>(100, waiting * 100 / memory[SK_MEMINFO_RCVBUF]));
}

}  // namespace loop
