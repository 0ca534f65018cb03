/// The way to the Internet through the mesh: default routes into the device in a table of our own, and two rules for each
/// IP version that lead there all but what has a way without a default route, and the underlay's own packets.
///
///   27904  from all                            lookup main suppress_prefixlength 0   the LAN, the mesh, any longer route
///   27905  from all not fwmark MARK/MASK       lookup 27904:  default dev DEVICE
///                                                             unreachable default metric 0xff000000 + DEVICE's number
///   32766  from all                            lookup main                           what bears MARK
///
/// While the device is down, or gone after a crash, the route into it is, too: then nothing passes, rather than all of it
/// beside the mesh, until the next start takes the rest away or puts the route back. By the second route a second meshd
/// on this machine sees whose the table is, and takes the next numbers (27906 and 27907, and so on).
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "net/result.hpp"

struct nl_sock;

namespace tun {

inline constexpr unsigned kExitTable = 0x6d00, kExitPriority = 0x6d00;  ///< of the first on a machine, and the one behind it
inline constexpr unsigned kMostExits = 4;                               ///< on one machine

/// SO_MARK of what must not go there: those of its bits that `mask` has.
struct Mark {
    unsigned value = 0;
    unsigned mask = 0xffffffff;
};

class ExitRouting {
public:
    struct Held {
        unsigned put = 0;                ///< rules and routes that were not there before
        std::vector<net::Error> closed;  ///< why nothing passes by one IP version; nothing of it goes beside the mesh either
    };

    static net::Result<ExitRouting> open(int device_index, Mark mark);

    /// All of it, by the first numbers that no other device's are; what a crashed process has left there is used. An IP
    /// version that this machine does not have is left out. On an error nothing is left of it.
    net::Result<Held> add();
    /// After add(): puts back what somebody has taken away. On an error all was put back that can be, and some traffic may
    /// go beside the mesh.
    net::Result<Held> hold();
    /// Removes all of it, this process's or a crashed one's. Nothing to remove is no failure.
    net::Result<void> remove();

private:
    struct Close {
        void operator()(nl_sock* socket) const;
    };
    ExitRouting(nl_sock* socket, int device_index, Mark mark) : socket_(socket), device_(device_index), mark_(mark) {}
    net::Result<std::array<bool, kMostExits>> taken() const;

    std::unique_ptr<nl_sock, Close> socket_;
    int device_ = 0;
    Mark mark_;
    std::optional<unsigned> number_;  ///< 0 to kMostExits - 1: whose table and priorities are ours; none: before add()
};

/// Whether the kernel refused an IPv6 rule or route because it has no IPv6 at all; `code` is libnl's. No packet can leave
/// by it then.
bool kernel_lacks_family(int code);

}  // namespace tun
