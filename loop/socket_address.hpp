/// net::Endpoint as the kernel's sockaddr and back.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "net/address.hpp"

namespace loop {

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t length = sizeof storage;

    sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

SocketAddress to_socket_address(const net::Endpoint& endpoint);
/// None for other families than IPv4 and IPv6.
net::Endpoint to_endpoint(const sockaddr* address);

net::IpAddress to_address(const in_addr& address);
net::IpAddress to_address(const in6_addr& address);

/// The socket's own address, or its peer's; none if it has none.
net::Endpoint local_endpoint(int fd);
net::Endpoint remote_endpoint(int fd);

/// AF_INET or AF_INET6.
int family_of(const net::IpAddress& address);

}  // namespace loop
