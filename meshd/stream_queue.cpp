#include "meshd/stream_queue.hpp"

#include "discovery/datagram_stream.hpp"

namespace meshd {

net::Bytes StreamQueue::pop(std::deque<Waiting>& queue, std::size_t& bytes) {
    auto first = std::move(queue.front().bytes);
    queue.pop_front();
    bytes -= first.size();
    return first;
}

void StreamQueue::push(net::ByteView datagram, bool bulk, net::Steady now) {
    auto& queue = bulk ? bulk_ : urgent_;
    auto& bytes = bulk ? bulk_bytes_ : urgent_bytes_;
    queue.push_back({net::copy(datagram), now});
    bytes += datagram.size();
    while (bytes > (bulk ? kBulkBytes : kUrgentBytes)) {
        (void)pop(queue, bytes);
        ++(bulk ? dropped_bulk_ : dropped_urgent_);
    }
}

net::Bytes StreamQueue::take(std::size_t most_bytes, net::Steady now) {
    net::Bytes out;
    while (!urgent_.empty() && (out.empty() || out.size() + urgent_.front().bytes.size() <= most_bytes)) {
        discovery::append_datagram(out, pop(urgent_, urgent_bytes_));
    }
    while (!bulk_.empty() && (out.empty() || out.size() + bulk_.front().bytes.size() <= most_bytes)) {
        const auto waited = now - bulk_.front().since;
        const auto datagram = pop(bulk_, bulk_bytes_);
        if (codel_.drops(waited, bulk_bytes_, now)) {
            ++dropped_bulk_;
        } else {
            discovery::append_datagram(out, datagram);
        }
    }
    if (bulk_.empty()) codel_.found_empty();
    return out;
}

}  // namespace meshd
