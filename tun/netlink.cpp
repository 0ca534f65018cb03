#include "tun/netlink.hpp"

#include <netlink/errno.h>
#include <sys/socket.h>

namespace tun {

net::Result<Socket> open_netlink() {
    Socket socket(nl_socket_alloc());
    if (!socket) return net::fail("out of memory");
    if (const int code = nl_connect(socket.get(), NETLINK_ROUTE); code < 0) {
        return tl::unexpected(netlink_error("talk to the kernel about the network", code));
    }
    return socket;
}

net::Error netlink_error(const std::string& what, int code) {
    std::string message = "cannot " + what + ": " + nl_geterror(code);
    if (code == -NLE_PERM) message += "; run meshd as root or give it CAP_NET_ADMIN";
    return {message};
}

NlAddress to_netlink(const net::Prefix& prefix) {
    const auto bytes = prefix.address().bytes();
    NlAddress out(nl_addr_build(prefix.address().is_v6() ? AF_INET6 : AF_INET, bytes.data(), bytes.size()));
    nl_addr_set_prefixlen(out.get(), static_cast<int>(prefix.length()));
    return out;
}

net::IpAddress address_of(const nl_addr* address) {
    const int family = nl_addr_get_family(address);
    const std::size_t size = nl_addr_get_len(address);
    if (family != AF_INET && family != AF_INET6) return {};
    if (size == 0) return net::IpAddress::from_bytes(net::Bytes(family == AF_INET ? 4 : 16));
    return net::IpAddress::from_bytes({static_cast<const std::byte*>(nl_addr_get_binary_addr(address)), size});
}

}  // namespace tun
