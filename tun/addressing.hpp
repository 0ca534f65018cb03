/// The addresses on the device and the routes into it, kept as they are wanted with the fewest changes.
#pragma once

#include <memory>

#include "net/address.hpp"
#include "net/result.hpp"

struct nl_sock;

namespace tun {

/// rtm_protocol of our routes: in `ip route` they show as "proto 109". What bears it on our device is ours to remove.
inline constexpr unsigned kRouteProtocol = 0x6d;
/// The metric of our routes: any other route to the same prefix wins, such as one of a network just attached.
inline constexpr unsigned kRouteMetric = 0x6d00;

struct Wanted {
    std::vector<net::IpAddress> addresses;  ///< put on the device as /32 and /128
    std::vector<net::Prefix> routes;        ///< lead into the device
};

struct Outcome {
    unsigned added = 0;    ///< addresses and routes
    unsigned removed = 0;
    /// Routes left out, as a directly attached network covers them: its traffic must not detour through the mesh.
    std::vector<net::Prefix> attached;
    std::vector<net::Error> refused;  ///< what the kernel did not take; the rest was done
};

class Addressing {
public:
    static net::Result<Addressing> open(int device_index);

    /// Makes the device's addresses and our routes what is wanted: adds, removes, leaves the rest alone. Call it again
    /// when what is wanted changes, and when NetworkWatch tells of new or lost addresses.
    net::Result<Outcome> reconcile(const Wanted& wanted);
    /// Removes all that reconcile() has put, this process's or a crashed one's.
    net::Result<Outcome> clear() { return reconcile({}); }

private:
    struct Close {
        void operator()(nl_sock* socket) const;
    };
    Addressing(nl_sock* socket, int device_index) : socket_(socket), device_(device_index) {}

    std::unique_ptr<nl_sock, Close> socket_;
    int device_ = 0;
};

/// A network that an interface of this machine has an address in: not loopback, not link-local, no single address.
struct Network {
    net::Prefix prefix;
    bool up = false;       ///< the interface is: the kernel sends what is for this network there
    bool carries = false;  ///< and has a carrier, as far as the kernel can tell
    auto operator<=>(const Network&) const = default;
};
/// Those of all interfaces but `except_index`, and those that IPv6 routers say are on a link.
net::Result<std::vector<Network>> networks(int except_index);
/// Of those, the ones that are up.
net::Result<std::vector<net::Prefix>> attached_networks(int except_index);

}  // namespace tun
