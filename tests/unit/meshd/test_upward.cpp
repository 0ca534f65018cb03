#include <catch2/catch.hpp>

#include "meshd/upward.hpp"

namespace {

net::TunnelKey member(std::uint8_t number) {
    std::array<std::byte, 32> bytes{};
    bytes[0] = std::byte{number};
    return *net::TunnelKey::from(bytes);
}

meshd::Upward::ControlFrame frame(std::uint8_t number) { return {member(number), net::Bytes(8), {}}; }

meshd::Upward::Packet packet(std::uint8_t number) { return {member(number), net::Bytes(20)}; }

constexpr std::size_t kFrames = 64;

}  // namespace

TEST_CASE("a member that floods the queue of control frames takes its share, and the others find room") {
    meshd::UpwardQueue queue(kFrames, 16, {});
    mesh::DropCounters drops;
    const auto share = meshd::UpwardQueue::share_of(kFrames);
    const bool again = GENERATE(false, true);
    if (again) {  // what has been taken is forgotten
        for (std::size_t i = 0; i < kFrames; ++i) queue.frame(frame(1), drops);
        (void)queue.take({});
    }
    const auto before = drops.get(mesh::Drop::control_queue_full);
    for (std::size_t i = 0; i < 10 * kFrames; ++i) queue.frame(frame(1), drops);
    CHECK(drops.get(mesh::Drop::control_queue_full) - before == 10 * kFrames - share);
    for (std::uint8_t other = 2; other < 8; ++other) {
        for (std::size_t i = 0; i < share; ++i) queue.frame(frame(other), drops);
    }
    CHECK(drops.get(mesh::Drop::control_queue_full) - before == 10 * kFrames - share);
    const auto upward = queue.take({});
    CHECK(upward.frames.size() == 7 * share);
    CHECK(std::count_if(upward.frames.begin(), upward.frames.end(),
                        [](const auto& one) { return one.peer == member(1); }) == static_cast<std::ptrdiff_t>(share));
}

TEST_CASE("all members together have no more frames than the queue takes, nor names") {
    meshd::UpwardQueue queue(kFrames, 16, {});
    mesh::DropCounters drops;
    for (int i = 0; i < 200; ++i) queue.frame(frame(static_cast<std::uint8_t>(i)), drops);
    CHECK(queue.take({}).frames.size() == kFrames);
    CHECK(drops.get(mesh::Drop::control_queue_full) == 200 - kFrames);
}

TEST_CASE("packets for a member that is gone leave room for those that wait for others") {
    const std::size_t most = GENERATE(as<std::size_t>(), kFrames, 2048);
    meshd::UpwardQueue queue(most, 16, {});
    mesh::DropCounters drops;
    const auto share = std::min(most / 8, mesh::WireGuard::kMaxStagedPackets);
    for (int turn = 0; turn < 2; ++turn) {  // what has been taken is forgotten
        const auto before = drops.get(mesh::Drop::control_queue_full);
        for (std::size_t i = 0; i < 2 * most; ++i) queue.packet(packet(1), drops);
        CHECK(drops.get(mesh::Drop::control_queue_full) - before == 2 * most - share);
        for (std::size_t i = 0; i < share; ++i) queue.packet(packet(2), drops);
        CHECK(queue.take({}).packets.size() == 2 * share);
        CHECK(drops.get(mesh::Drop::control_queue_full) - before == 2 * most - share);
    }
}

TEST_CASE("what is said to be too big wakes at most every 100 ms, and is kept once for each place") {
    using namespace std::chrono_literals;
    int wakes = 0;
    meshd::UpwardQueue queue(kFrames, 16, [&] { ++wakes; });
    net::Steady now{1h};
    const auto at = [](std::uint16_t port) { return net::Endpoint{net::IpAddress::v4(192, 0, 2, 1), port}; };
    for (int i = 0; i < 1000; ++i) {
        queue.too_big({at(1), i == 500 ? 1280U : 1400U}, now);
        if (i == 999) queue.too_big({at(2), 1300}, now);
        const auto told = queue.take(now).too_big;
        CHECK(told.size() == (i == 999 ? 2 : 1));
        now += 1ms;
    }
    CHECK(wakes == 10);
    queue.too_big({at(1), 1400}, now);
    queue.too_big({at(1), 1280}, now);
    queue.too_big({at(1), 1300}, now);
    const auto told = queue.take(now).too_big;
    REQUIRE(told.size() == 1);
    CHECK(told[0].underlay_bytes == 1280);
    for (std::uint16_t port = 1; port < 100; ++port) queue.too_big({at(port), 1300}, now);
    CHECK(queue.take(now).too_big.size() == 16);
}

TEST_CASE("what is carried for a member leaves room for its voice, and for others") {
    meshd::UpwardQueue queue(kFrames, 16, {});
    mesh::DropCounters drops;
    const auto share = meshd::UpwardQueue::carried_share_of(kFrames);
    const auto carried = [](std::uint8_t number, bool voice) {
        return meshd::Upward::Packet{member(number), net::Bytes(20), true, voice};
    };
    for (int turn = 0; turn < 2; ++turn) {  // what has been taken is forgotten
        for (std::size_t i = 0; i < 2 * kFrames; ++i) queue.packet(carried(1, false), drops);
        for (std::size_t i = 0; i < 2 * kFrames; ++i) queue.packet(carried(1, true), drops);
        queue.packet(carried(2, false), drops);
        queue.packet(packet(3), drops);
        const auto upward = queue.take({});
        CHECK(upward.packets.size() == share + 2);
        CHECK(upward.voice.size() == meshd::UpwardQueue::share_of(kFrames));
    }
    CHECK(drops.get(mesh::Drop::control_queue_full) == 2 * (4 * kFrames - share - meshd::UpwardQueue::share_of(kFrames)));
}
