#include <catch2/catch.hpp>

#include "discovery/datagram_stream.hpp"
#include "meshd/stream_queue.hpp"

using namespace std::chrono_literals;

namespace {

constexpr net::Steady kBegin{1h};

net::Bytes filled(std::uint8_t mark, std::size_t size = 1000) { return net::Bytes(size, std::byte{mark}); }

/// The first byte of each datagram in what goes on the stream.
std::vector<unsigned> marks(const net::Bytes& wire) {
    discovery::DatagramFramer framer(false);
    framer.feed(wire);
    std::vector<unsigned> out;
    while (const auto one = framer.next()) out.push_back(std::to_integer<unsigned>(one->front()));
    CHECK(framer.kept_bytes() == 0);
    return out;
}

}  // namespace

TEST_CASE("voice and control leave a stream's queue before bulk, each in order") {
    meshd::StreamQueue queue;
    queue.push(filled(1), true, kBegin);
    queue.push(filled(2), true, kBegin);
    queue.push(filled(3), false, kBegin);
    queue.push(filled(4), false, kBegin);
    CHECK(queue.bytes() == 4000);
    CHECK(marks(queue.take(100000, kBegin)) == std::vector<unsigned>{3, 4, 1, 2});
    CHECK(queue.take(100000, kBegin).empty());
    CHECK(queue.bytes() == 0);
}

TEST_CASE("a write takes about as much as it may, and one datagram at least") {
    meshd::StreamQueue queue;
    for (std::uint8_t i = 0; i < 10; ++i) queue.push(filled(i), true, kBegin);
    CHECK(marks(queue.take(3100, kBegin)) == std::vector<unsigned>{0, 1, 2});
    CHECK(marks(queue.take(10, kBegin)) == std::vector<unsigned>{3});
}

TEST_CASE("of too much bulk the oldest is dropped, and no voice") {
    meshd::StreamQueue queue;
    queue.push(filled(200), false, kBegin);
    const std::size_t most = meshd::StreamQueue::kBulkBytes / 1000;
    for (std::size_t i = 0; i < most + 5; ++i) queue.push(filled(static_cast<std::uint8_t>(i % 100)), true, kBegin);
    CHECK(queue.dropped_bulk() == 5);
    CHECK(queue.dropped_urgent() == 0);
    CHECK(queue.bytes() <= meshd::StreamQueue::kBulkBytes + 1000);
    CHECK(marks(queue.take(2100, kBegin)) == std::vector<unsigned>{200, 5});
    for (int i = 0; i < 100; ++i) queue.push(filled(201), false, kBegin);
    CHECK(queue.dropped_urgent() == 100 - meshd::StreamQueue::kUrgentBytes / 1000);
}

TEST_CASE("bulk that waits for long is thinned out, and a burst is not") {
    meshd::StreamQueue queue;
    for (int i = 0; i < 100; ++i) queue.push(filled(1), true, kBegin);
    while (queue.bytes() != 0) (void)queue.take(16000, kBegin + 5ms);
    CHECK(queue.dropped_bulk() == 0);
    auto now = kBegin;
    for (int i = 0; i < 3000; ++i) {  // twice as much comes as leaves
        queue.push(filled(1), true, now);
        queue.push(filled(1), true, now);
        queue.push(filled(2, 100), false, now);
        (void)queue.take(1200, now);
        now += 1ms;
    }
    CHECK(queue.dropped_bulk() > 20);
    CHECK(queue.dropped_urgent() == 0);
}
