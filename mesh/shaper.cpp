#include "mesh/shaper.hpp"

#include <algorithm>

#include "net/packet.hpp"

namespace mesh {

namespace {

constexpr std::size_t kLargePacketBytes = Codel::kLargePacketBytes;
constexpr auto kSecond = std::chrono::nanoseconds(std::chrono::seconds(1)).count();

// A packet must be able to leave without another's debt, and a thread that wakes every millisecond keep up.
constexpr std::int64_t kLeastCredit = 2 * kLargePacketBytes;
constexpr std::int64_t kCreditPerSecond = 1000;

// Voice alone may be more than the uplink takes; bulk must not pay for that for ever. What it sends itself it pays for.
constexpr std::int64_t kDebtPerSecond = 20;

// So much of its share voice may send at once: every call's packet, and a message of signalling.
constexpr net::Duration kVoiceBurst = std::chrono::milliseconds(50);
constexpr std::size_t kVoiceBurstBytes = 4 * kLargePacketBytes;
// A packet needs room for so many of its size. By that large ones, which are no voice, leave room for small ones.
constexpr std::uint64_t kVoiceRoomFor = 3;
constexpr std::size_t kTunnelBytes = 32 + 40 + 8;  // WireGuard's and the underlay's headers

constexpr std::uint64_t kLeastRate = 1000, kMostRate = 8'000'000'000;  // the latter times a second in ns fits in 63 bits

constexpr std::size_t kLeastQueueBytes = 64 * 1024;
constexpr std::size_t kMostQueueBytes = 4 * 1024 * 1024;

net::Duration time_of(std::uint64_t bytes, std::uint64_t rate) {
    return std::chrono::nanoseconds(static_cast<std::int64_t>(bytes * static_cast<std::uint64_t>(kSecond) / rate));
}

}  // namespace

Uplink::Uplink(std::uint64_t rate_bytes_per_s)
    : rate_(std::clamp(rate_bytes_per_s, kLeastRate, kMostRate)),
      most_(std::max(kLeastCredit, static_cast<std::int64_t>(rate_) / kCreditPerSecond)),
      credit_(most_) {}

void Uplink::refill(net::Steady now) {
    if (filled_ == net::Steady::min()) filled_ = now;
    if (now <= filled_) return;
    const auto rate = static_cast<std::int64_t>(rate_);
    const auto passed = std::min<net::Duration>(now - filled_, std::chrono::seconds(1));
    const auto gained = passed.count() * rate / kSecond;
    credit_ += gained;
    if (credit_ >= most_) {
        credit_ = most_;
        filled_ = now;
    } else {  // time that has not made a whole byte yet is kept: we may be asked every microsecond
        filled_ = now - passed + std::chrono::nanoseconds((gained * kSecond + rate - 1) / rate);
    }
}

void Uplink::spend(std::size_t bytes, net::Steady now) {
    const std::lock_guard lock(mutex_);
    refill(now);
    const auto most_debt = std::max(kLeastCredit, static_cast<std::int64_t>(rate_) / kDebtPerSecond);
    credit_ = std::max(credit_ - static_cast<std::int64_t>(bytes), -most_debt);
}

net::Steady Uplink::open_at(net::Steady now) {
    const std::lock_guard lock(mutex_);
    refill(now);
    if (credit_ > 0) return now;
    return now + time_of(static_cast<std::uint64_t>(1 - credit_), rate_);
}

bool Uplink::admits_voice(std::size_t bytes, net::Steady now) {
    const auto share = std::max<std::uint64_t>(rate_ * kVoiceSharePercent / 100, 1);
    const auto burst = std::max(kVoiceBurst, time_of(kVoiceBurstBytes, share));
    const std::lock_guard lock(mutex_);
    const auto from = std::max(voice_full_at_, now);
    if (from - now + time_of(kVoiceRoomFor * (bytes + kTunnelBytes), share) > burst) {
        over_share_.fetch_add(1, std::memory_order_relaxed);
        return false;
    }
    voice_full_at_ = from + time_of(bytes + kTunnelBytes, share);
    return true;
}

Shaper::Shaper(std::uint64_t rate_bytes_per_s)
    : codel_(std::max(Codel::kTarget, time_of(2 * kLargePacketBytes, std::max(rate_bytes_per_s, kLeastRate)))),
      most_bytes_(std::clamp<std::size_t>(rate_bytes_per_s / 2, kLeastQueueBytes, kMostQueueBytes)) {}

bool Shaper::push(Packet packet) {
    if (bytes_ + packet.bytes.size() > most_bytes_) return false;
    bytes_ += packet.bytes.size();
    packets_.push_back(std::move(packet));
    return true;
}

std::optional<Shaper::Packet> Shaper::pop(net::Steady now, std::uint64_t& dropped) {
    while (!packets_.empty()) {
        auto packet = std::move(packets_.front());
        packets_.pop_front();
        bytes_ -= packet.bytes.size();
        if (!codel_.drops(now - packet.since, bytes_, now) || net::mark_congested(packet.bytes)) return packet;
        ++dropped;
    }
    codel_.found_empty();
    return std::nullopt;
}

}  // namespace mesh
