/// Owners for libnl's objects, and its errors as ours. Internal to this folder.
#pragma once

#include <netlink/cache.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/route.h>

#include <memory>

#include "net/address.hpp"
#include "net/result.hpp"

namespace tun {

template <class T, void (*release)(T*)>
struct Release {
    void operator()(T* object) const { release(object); }
};
using Socket = std::unique_ptr<nl_sock, Release<nl_sock, nl_socket_free>>;
using Cache = std::unique_ptr<nl_cache, Release<nl_cache, nl_cache_free>>;
using NlAddress = std::unique_ptr<nl_addr, Release<nl_addr, nl_addr_put>>;
using Link = std::unique_ptr<rtnl_link, Release<rtnl_link, rtnl_link_put>>;
using RouteAddress = std::unique_ptr<rtnl_addr, Release<rtnl_addr, rtnl_addr_put>>;
using Route = std::unique_ptr<rtnl_route, Release<rtnl_route, rtnl_route_put>>;

net::Result<Socket> open_netlink();

/// `code` is what a function of libnl returned: "cannot WHAT: WHY", with what to do about it.
net::Error netlink_error(const std::string& what, int code);

NlAddress to_netlink(const net::Prefix& prefix);
/// None for families other than IPv4 and IPv6; a default route (no bytes) is 0.0.0.0/0 or ::/0.
net::IpAddress address_of(const nl_addr* address);

/// Calls `visit(object)` for each object of a cache.
template <class T, class Visit>
void for_each(const Cache& cache, const Visit& visit) {
    for (auto* object = nl_cache_get_first(cache.get()); object != nullptr; object = nl_cache_get_next(object)) {
        visit(reinterpret_cast<T*>(object));
    }
}

}  // namespace tun
