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
