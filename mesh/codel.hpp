/// CoDel (RFC 8289): which packets a queue must lose so that what waits in it, waits for a short time. It looks at how long
/// packets have waited, not at how many there are: a burst may wait, a queue that stays may not.
#pragma once

#include <cstddef>

#include "net/time.hpp"

namespace mesh {

/// The law alone: the queue is the caller's, who tells of each packet that he takes out of it.
class Codel {
public:
    static constexpr net::Duration kTarget = std::chrono::milliseconds(5);      ///< RFC 8289 section 4.4
    static constexpr net::Duration kInterval = std::chrono::milliseconds(100);  ///< RFC 8289 section 4.3
    static constexpr std::size_t kLargePacketBytes = 1500;  ///< a queue of no more than that behind a packet is none

    /// Waiting for up to `target` is fine.
    explicit Codel(net::Duration target = kTarget) : target_(target) {}

    /// A packet was taken out that has waited for so long, and so much waits behind it. True: drop it, or mark it as having
    /// met congestion; either counts as done.
    [[nodiscard]] bool drops(net::Duration waited, std::size_t bytes_behind, net::Steady now);
    /// The queue was found empty.
    void found_empty();

    net::Duration target() const { return target_; }

private:
    bool too_long(net::Duration waited, std::size_t bytes_behind, net::Steady now);
    static net::Duration spacing(unsigned count);

    net::Duration target_;
    // RFC 8289 section 5.2's variables.
    net::Steady first_above_ = net::kNever;  ///< when waiting has been too long for an interval
    net::Steady drop_next_{};
    unsigned count_ = 0, last_count_ = 0;
    bool dropping_ = false;
};

}  // namespace mesh
