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
    bool any() const { return links || addresses || routes; }
};

class NetworkWatch {
public:
    /// `ignored_index`: our own device, whose changes are not news; 0 for none.
    static net::Result<NetworkWatch> open(int ignored_index);

    int fd() const;  ///< readable when there is news
    /// Takes all news. If some were lost, everything counts as changed.
    NetworkChange take();

private:
    struct Close {
        void operator()(nl_sock* socket) const;
    };
    NetworkWatch(nl_sock* socket, int ignored_index) : socket_(socket), ignored_(ignored_index) {}

    std::unique_ptr<nl_sock, Close> socket_;
    int ignored_ = 0;
};

}  // namespace tun
