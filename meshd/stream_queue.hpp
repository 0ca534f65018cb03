/// What waits to be written to one connection that carries datagrams: bounded, so that nothing waits long behind a far end
/// or a line that is slow. Voice and control go first and are never dropped for bulk's sake. Passive, control thread only.
#pragma once

#include <deque>

#include "mesh/codel.hpp"
#include "net/bytes.hpp"

namespace meshd {

class StreamQueue {
public:
    static constexpr std::size_t kUrgentBytes = 64 << 10;  ///< beyond that the oldest is dropped: it is too late by then
    static constexpr std::size_t kBulkBytes = 384 << 10;   ///< likewise
    /// Bulk waits no longer than this for long (CoDel, whose own target is for queues that something empties evenly).
    static constexpr net::Duration kBulkTarget = std::chrono::milliseconds(20);

    /// `datagram` is of a size that discovery::append_datagram() takes.
    void push(net::ByteView datagram, bool bulk, net::Steady now);
    /// What to write next, as it goes on the stream: some `most_bytes`, or one datagram. Empty if nothing waits.
    net::Bytes take(std::size_t most_bytes, net::Steady now);
    std::size_t bytes() const { return urgent_bytes_ + bulk_bytes_; }

    std::uint64_t dropped_urgent() const { return dropped_urgent_; }
    std::uint64_t dropped_bulk() const { return dropped_bulk_; }

private:
    struct Waiting {
        net::Bytes bytes;
        net::Steady since;
    };
    static net::Bytes pop(std::deque<Waiting>& queue, std::size_t& bytes);

    std::deque<Waiting> urgent_, bulk_;
    std::size_t urgent_bytes_ = 0, bulk_bytes_ = 0;
    std::uint64_t dropped_urgent_ = 0, dropped_bulk_ = 0;
    mesh::Codel codel_{kBulkTarget};
};

}  // namespace meshd
