/// When the packets that wait in a queue of the device came there: how long each has waited is known when it is read. A
/// small program in the kernel notes the time of each as it is put into the queue.
///
///   kernel: packet -> the program: notes[count++] = now -> the queue, or lost if that is full
///   reader: read() ----------------------------------------> Arrivals::taken(): its note
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <vector>

#include "net/result.hpp"
#include "net/time.hpp"

namespace tun {

/// Memory that the program writes and we read.
struct ArrivalNotes {
    static constexpr std::size_t kNotes = 1024;
    struct Note {
        std::atomic<std::uint64_t> steady_ns;
        std::atomic<std::uint64_t> bytes;  ///< `bytes` below, this packet's among them
    };
    std::atomic<std::uint64_t> count;  ///< packets that came, lost ones too; note `count % kNotes` is the next one's
    std::atomic<std::uint64_t> bytes;  ///< of them
    std::array<Note, kNotes> notes;
};

struct Arrival {
    net::Steady at;
    std::uint64_t bytes_behind = 0;  ///< of the packets that still wait
};

/// Follows one queue. The reader's thread's.
///
/// What is read is not numbered, so it is counted; what is lost to a full queue is noted, but never read. So the count is
/// put right when the queue is empty, and when more would wait than it holds: it was full then, and is counted right
/// from there on, while those that waited already seem to have come somewhat later than they did.
class Arrivals {
public:
    /// `most_waiting`: what the queue holds; kNotes / 2 at most.
    Arrivals(std::shared_ptr<const ArrivalNotes> notes, unsigned most_waiting);

    /// Before each reading of the queue.
    void before_reading();
    /// A packet was read. Nullopt if it is not known when it came.
    std::optional<Arrival> taken();
    /// None was there.
    void found_empty() { next_ = before_; }

private:
    std::shared_ptr<const ArrivalNotes> notes_;
    std::uint64_t most_waiting_;
    std::uint64_t before_ = 0;
    std::uint64_t next_ = 0;  ///< whose note is that of the next packet
};

/// Has the kernel note them from now on, for each queue of a device that is still down. `queue_fd` is one of its queues,
/// which hold `queue_packets` each. The error says what the kernel does not allow: it needs Linux 5.12, and
/// CAP_BPF or a kernel that lets everyone.
net::Result<std::vector<Arrivals>> note_arrivals(int queue_fd, std::size_t queues, unsigned queue_packets);

}  // namespace tun
