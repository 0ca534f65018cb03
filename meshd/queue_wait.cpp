#include "meshd/queue_wait.hpp"

#include <algorithm>

#include "loop/clock.hpp"
#include "net/packet.hpp"

namespace meshd {
namespace {

// Packets that what is usual is the mean of.
constexpr double kUsualOf = 16;

constexpr std::size_t kClockBytes = 16 * 1024;

std::uint64_t second_of(net::Steady now) {
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count());
}

}  // namespace

void LongestWait::note(net::Duration waited, net::Steady now) {
    constexpr std::int64_t kMost = 0xffff'ffff;
    const auto us = std::clamp<std::int64_t>(std::chrono::duration_cast<std::chrono::microseconds>(waited).count(), 0, kMost);
    const auto noted = second_of(now) << 32 | static_cast<std::uint64_t>(us);
    const auto current = current_.load(std::memory_order_relaxed);
    if (noted <= current) return;
    if (current >> 32 != noted >> 32) before_.store(current, std::memory_order_relaxed);
    current_.store(noted, std::memory_order_relaxed);
}

std::chrono::microseconds LongestWait::get(net::Steady now) const {
    std::uint64_t longest = 0;
    for (const auto* const noted : {&current_, &before_}) {
        const auto value = noted->load(std::memory_order_relaxed);
        if ((value >> 32) + 1 >= second_of(now)) longest = std::max(longest, value & 0xffff'ffff);
    }
    return std::chrono::microseconds(longest);
}

void QueueWait::found_empty() {
    codel_.found_empty();
    due_ = false;
}

bool QueueWait::keeps(net::MutableBytes packet, net::Duration waited, std::size_t bytes_behind, net::Steady now,
                      mesh::DropCounters& drops) {
    longest_.note(waited, now);
    if (lane_ == mesh::Lane::voice) return true;
    if (codel_.drops(waited, bytes_behind, now)) due_ = true;
    usual_bytes_ += (static_cast<double>(packet.size()) - usual_bytes_) / kUsualOf;
    if (!due_ || bytes_behind <= mesh::Codel::kLargePacketBytes) return true;
    if (static_cast<double>(packet.size()) < usual_bytes_ / 2) return true;
    const auto header = net::parse_ip(packet);
    if (!header || net::is_voice(header->traffic_class)) return true;
    due_ = false;
    if (net::mark_congested(packet)) return true;
    drops.add(reason_);
    return false;
}

void TurnClock::worked(std::size_t bytes) {
    bytes_ += bytes;
    if (bytes_ < kClockBytes) return;
    bytes_ = 0;
    now_ = loop::read_clocks().steady;
}

}  // namespace meshd
