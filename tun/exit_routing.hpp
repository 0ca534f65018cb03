/// The way to the Internet through the mesh: default routes into the device in a table of our own, and two rules for each
/// IP version that lead there all but what has a way without a default route, and the underlay's own packets.
///
///   27904  from all                        lookup main suppress_prefixlength 0   the LAN, the mesh, any longer route
///   27905  from all not fwmark MARK        lookup 27904
///   32766  from all                        lookup main                           what bears MARK
///
/// The routes go with the device; rules do not, so those of a crashed process are removed at the next start.
#pragma once

#include <memory>

#include "net/result.hpp"

struct nl_sock;

namespace tun {

inline constexpr unsigned kExitTable = 0x6d00, kExitPriority = 0x6d00;  ///< and the one behind it

class ExitRouting {
public:
    /// `mark`: SO_MARK of what must not go there.
    static net::Result<ExitRouting> open(int device_index, unsigned mark);

    /// All of it; what is there already is put in order. An IP version that this machine does not have is left out.
    net::Result<void> add();
    /// Removes all of it, this process's or a crashed one's. Nothing to remove is no failure.
    net::Result<void> remove();

private:
    struct Close {
        void operator()(nl_sock* socket) const;
    };
    ExitRouting(nl_sock* socket, int device_index, unsigned mark) : socket_(socket), device_(device_index), mark_(mark) {}

    std::unique_ptr<nl_sock, Close> socket_;
    int device_ = 0;
    unsigned mark_ = 0;
};

}  // namespace tun
