/// A network of the test's own: this process moves into a fresh namespace, which goes with it.
#pragma once

#include <arpa/inet.h>
#include <net/if.h>
#include <net/route.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <cstring>
#include <string>

#include "tun/coalesce.hpp"

namespace test {

/// Sets flags of an interface (IFF_UP), or clears them all.
inline void set_flags(const std::string& interface, short flags) {
    const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ifreq request{};
    std::memcpy(request.ifr_name, interface.c_str(), interface.size());
    request.ifr_flags = flags;
    REQUIRE(::ioctl(socket, SIOCSIFFLAGS, &request) == 0);
    ::close(socket);
}

/// An IPv4 address with its netmask, as ifconfig would set it.
inline void set_address(const std::string& interface, const char* address, const char* netmask) {
    const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    for (const auto& [call, text] : {std::pair{SIOCSIFADDR, address}, std::pair{SIOCSIFNETMASK, netmask}}) {
        ifreq request{};
        std::memcpy(request.ifr_name, interface.c_str(), interface.size());
        sockaddr_in value{};
        value.sin_family = AF_INET;
        REQUIRE(::inet_pton(AF_INET, text, &value.sin_addr) == 1);
        std::memcpy(&request.ifr_addr, &value, sizeof value);
        REQUIRE(::ioctl(socket, call, &request) == 0);
    }
    ::close(socket);
}

/// A route as `route add -net` would make it: not of our protocol number.
inline void add_route(const char* destination, const char* netmask, std::string device) {
    const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    rtentry route{};
    for (const auto& [field, text] : {std::pair{&route.rt_dst, destination}, std::pair{&route.rt_genmask, netmask}}) {
        sockaddr_in value{};
        value.sin_family = AF_INET;
        REQUIRE(::inet_pton(AF_INET, text, &value.sin_addr) == 1);
        std::memcpy(field, &value, sizeof value);
    }
    route.rt_dev = device.data();
    route.rt_flags = RTF_UP;
    REQUIRE(::ioctl(socket, SIOCADDRT, &route) == 0);
    ::close(socket);
}

inline bool readable(int fd) {
    pollfd entry{fd, POLLIN, 0};
    return ::poll(&entry, 1, 5000) == 1;
}

inline void write(tun::PacketSink& sink, const tun::Offload& offload, net::ByteView packet) {
    sink.write(offload, {&packet, 1});
}

/// False, and said, where this machine does not let us.
inline bool enter_own_network() {
    if (::unshare(CLONE_NEWNET) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
        WARN("SKIPPED: no network namespace can be made here");
        return false;
    }
    if (::access("/dev/net/tun", R_OK | W_OK) != 0) {
        WARN("SKIPPED: /dev/net/tun cannot be opened here");
        return false;
    }
    set_flags("lo", IFF_UP);
    return true;
}

}  // namespace test
