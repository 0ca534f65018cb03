#include "loop/socket_address.hpp"

#include <cstring>

namespace loop {

SocketAddress to_socket_address(const net::Endpoint& endpoint) {
    SocketAddress out;
    const auto bytes = endpoint.address.bytes();
    if (endpoint.address.is_v4()) {
        auto* const in = reinterpret_cast<sockaddr_in*>(&out.storage);
        in->sin_family = AF_INET;
        in->sin_port = htons(endpoint.port);
        std::memcpy(&in->sin_addr, bytes.data(), 4);
        out.length = sizeof *in;
    } else if (endpoint.address.is_v6()) {
        auto* const in = reinterpret_cast<sockaddr_in6*>(&out.storage);
        in->sin6_family = AF_INET6;
        in->sin6_port = htons(endpoint.port);
        in->sin6_scope_id = endpoint.scope;
        std::memcpy(&in->sin6_addr, bytes.data(), 16);
        out.length = sizeof *in;
    }
    return out;
}

net::IpAddress to_address(const in_addr& address) {
    return net::IpAddress::from_bytes(std::as_bytes(std::span(&address, 1)));
}

net::IpAddress to_address(const in6_addr& address) {
    return net::IpAddress::from_bytes(std::as_bytes(std::span(&address, 1)));
}

net::Endpoint to_endpoint(const sockaddr* address) {
    if (address->sa_family == AF_INET) {
        const auto* const in = reinterpret_cast<const sockaddr_in*>(address);
        return {to_address(in->sin_addr), ntohs(in->sin_port), 0};
    }
    if (address->sa_family == AF_INET6) {
        const auto* const in = reinterpret_cast<const sockaddr_in6*>(address);
        net::Endpoint endpoint{to_address(in->sin6_addr), ntohs(in->sin6_port), 0};
        if (endpoint.address.is_link_local()) endpoint.scope = in->sin6_scope_id;
        return endpoint;
    }
    return {};
}

net::Endpoint local_endpoint(int fd) {
    SocketAddress address;
    if (::getsockname(fd, address.get(), &address.length) != 0) return {};
    return to_endpoint(address.get());
}

net::Endpoint remote_endpoint(int fd) {
    SocketAddress address;
    if (::getpeername(fd, address.get(), &address.length) != 0) return {};
    return to_endpoint(address.get());
}

int family_of(const net::IpAddress& address) { return address.is_v6() ? AF_INET6 : AF_INET; }

}  // namespace loop
