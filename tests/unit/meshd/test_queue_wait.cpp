#include <catch2/catch.hpp>

#include "meshd/queue_wait.hpp"
#include "net/packet.hpp"

using namespace std::chrono_literals;
using meshd::LongestWait;
using meshd::QueueWait;

namespace {

constexpr auto kReason = mesh::Drop::waited_in_device;

net::Bytes packet(std::size_t bytes, std::uint8_t traffic_class = 0, bool v6 = false) {
    net::Writer out;
    if (v6) {
        out.u32be(6U << 28 | std::uint32_t{traffic_class} << 20).u16be(static_cast<std::uint16_t>(bytes - 40)).u8(17).u8(64);
    } else {
        out.u8(0x45).u8(traffic_class).u16be(static_cast<std::uint16_t>(bytes)).u32be(0).u8(64).u8(17).u16be(0);
    }
    while (out.size() < bytes) out.u8(1);
    return out.take();
}

/// A queue that a packet is taken from every millisecond; each has waited for 50 ms.
struct Long {
    /// How many of them are dropped; `sent` is the last that was kept.
    std::uint64_t dropped_of(int packets, net::ByteView bytes, std::size_t behind = 100'000) {
        const auto before = drops.get(kReason);
        std::uint64_t dropped = 0;
        for (int i = 0; i < packets; ++i, now += 1ms) {
            auto one = net::copy(bytes);
            if (wait.keeps(one, 50ms, behind, now, drops)) {
                if (one != net::copy(bytes)) ++marked;
            } else {
                ++dropped;
            }
        }
        CHECK(drops.get(kReason) - before == dropped);
        return dropped;
    }
    explicit Long(mesh::Lane lane = mesh::Lane::bulk) : wait(lane, kReason) {}
    QueueWait wait;
    mesh::DropCounters drops;
    net::Steady now{1h};
    int marked = 0;
};

}  // namespace

TEST_CASE("bulk that waits for long is dropped at times, and counted") {
    Long queue;
    CHECK(queue.dropped_of(100, packet(1400)) == 0);
    const auto dropped = queue.dropped_of(1000, packet(1400));
    CHECK(dropped > 10);
    CHECK(dropped < 100);
}

TEST_CASE("what knows marks is marked instead, in IPv4 and IPv6") {
    const bool v6 = GENERATE(false, true);
    Long queue;
    CHECK(queue.dropped_of(1000, packet(1400, 2, v6)) == 0);
    CHECK(queue.marked > 10);
    CHECK(queue.marked < 100);
}

TEST_CASE("voice is never dropped: neither in its lane nor where it shares bulk's") {
    CHECK(Long(mesh::Lane::voice).dropped_of(1000, packet(1400)) == 0);
    const auto ef = static_cast<std::uint8_t>(46 << 2);
    CHECK(Long().dropped_of(1000, packet(200, ef)) == 0);
}

TEST_CASE("a small packet among large ones is let pass, and the next large one goes for it") {
    Long queue;
    queue.dropped_of(100, packet(60'000));
    CHECK(queue.dropped_of(10, packet(84)) == 0);
    CHECK(queue.dropped_of(1, packet(60'000)) == 1);
    Long small;  // where all are small, they are what fills the queue
    CHECK(small.dropped_of(1000, packet(84)) > 10);
}

TEST_CASE("the last large packet of a queue is kept, and an empty one owes nothing") {
    Long queue;
    CHECK(queue.dropped_of(1000, packet(1400), 1500) == 0);
    queue.dropped_of(100, packet(60'000));
    CHECK(queue.dropped_of(5, packet(84)) == 0);  // one is due
    CHECK(queue.dropped_of(1, packet(60'000), 1500) == 0);
    queue.wait.found_empty();
    CHECK(queue.dropped_of(100, packet(60'000)) == 0);
}

TEST_CASE("what is no IP packet is for others to drop") {
    CHECK(Long().dropped_of(1000, net::Bytes(3)) == 0);
    CHECK(Long().dropped_of(1000, net::Bytes()) == 0);
}

TEST_CASE("the longest wait of a second is told until the next one has passed") {
    LongestWait longest;
    const net::Steady second{1000s};
    CHECK(longest.get(second) == 0us);
    longest.note(3ms, second);
    longest.note(7ms, second + 10ms);
    longest.note(-1ms, second + 20ms);
    CHECK(longest.get(second + 30ms) == 7ms);
    longest.note(1ms, second + 1s);
    CHECK(longest.get(second + 1999ms) == 7ms);
    CHECK(longest.get(second + 2s) == 1ms);
    CHECK(longest.get(second + 3s) == 0us);
    longest.note(10000h, second + 4s);
    CHECK(longest.get(second + 4s) == std::chrono::microseconds(0xffff'ffff));
}
