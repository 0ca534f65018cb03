/// Tells when this machine's links, addresses or routes change, so that the daemon finds out at once that it has moved.
#pragma once

#include <memory>

#include "net/result.hpp"

struct nl_sock;

namespace tun {

struct NetworkChange {
    bool links = false;      ///< an interface came, went, or lost or gained its carrier
    bool addresses = false;
    bool routes = false;     ///< other than those of our protocol number (kRouteProtocol)
    /// Somebody has taken a rule away, or an address or a route of ours, or our device is up again: what is ours is to be
    /// looked at. Our own removals count, too.
    bool ours = false;
    bool any() const { return links || addresses || routes; }  ///< news of the network around us
};

class NetworkWatch {
public:
    /// `own_index`: our own device, which is up, and whose changes are no news of the network; 0 for none.
    static net::Result<NetworkWatch> open(int own_index);

    int fd() const;  ///< readable when there is news
    /// Takes all news. If some were lost, everything counts as changed.
    NetworkChange take();

private:
    struct Close {
        void operator()(nl_sock* socket) const;
    };
    NetworkWatch(nl_sock* socket, int own_index) : socket_(socket), own_(own_index) {}

    std::unique_ptr<nl_sock, Close> socket_;
    int own_ = 0;
    bool own_is_down_ = false;
};

}  // namespace tun
