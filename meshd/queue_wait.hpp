/// How long packets wait in a queue of the kernel's before a lane takes them, and which of them must go so that bulk waits
/// for a short time there: the device's queue and the socket's buffer hold megabytes, which a slow processor works on for
/// seconds.
#pragma once

#include <atomic>

#include "mesh/codel.hpp"
#include "mesh/drops.hpp"
#include "mesh/session.hpp"
#include "net/bytes.hpp"

namespace meshd {

/// The longest of the waits of this second and the one before. One thread notes, any may ask.
class LongestWait {
public:
    void note(net::Duration waited, net::Steady now);
    std::chrono::microseconds get(net::Steady now) const;

private:
    // The second in the upper half, microseconds in the lower.
    std::atomic<std::uint64_t> current_{0}, before_{0};
};

/// One queue's; the thread's that reads it.
class QueueWait {
public:
    /// What is dropped is counted as `reason`. Nothing is dropped from a lane of voice.
    QueueWait(mesh::Lane lane, mesh::Drop reason) : lane_(lane), reason_(reason) {}

    /// A packet was taken after it has waited for so long, and so much waits behind it. False: drop it, that has been
    /// counted. It may have been marked as having met congestion (RFC 3168), which is done instead where its sender knows
    /// marks. What is no IP packet is for others to judge, and voice is let pass; so is what is much smaller than what is
    /// usual here, for the next that is not: a superpacket stands for dozens of packets, and a ping does not fill the queue.
    [[nodiscard]] bool keeps(net::MutableBytes packet, net::Duration waited, std::size_t bytes_behind, net::Steady now,
                             mesh::DropCounters& drops);
    void found_empty();

    const LongestWait& longest() const { return longest_; }  ///< any thread

private:
    const mesh::Lane lane_;
    const mesh::Drop reason_;
    mesh::Codel codel_;
    bool due_ = false;  ///< to drop one
    double usual_bytes_ = 0;
    LongestWait longest_;
};

/// The time within a turn, read again after as much work as a slow processor takes milliseconds for.
class TurnClock {
public:
    explicit TurnClock(net::Steady now) : now_(now) {}
    net::Steady now() const { return now_; }
    void worked(std::size_t bytes);

private:
    net::Steady now_;
    std::size_t bytes_ = 0;
};

}  // namespace meshd
