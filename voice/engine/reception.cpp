#include "voice/engine/reception.hpp"

#include <algorithm>
#include <cmath>

namespace voice::engine {

std::uint64_t Reception::expected() const { return begun_ ? before_ + static_cast<std::uint64_t>(highest_ - first_ + 1) : 0; }

void Reception::counted(const Source::Place& place) {
    if (!begun_ || place.anew) {
        before_ = expected();
        begun_ = true;
        first_ = highest_ = place.sequence;
    }
    highest_ = std::max(highest_, place.sequence);
    ++received_;
}

void Reception::received(const Source::Place& place, const RtpHeader& header, net::Steady now) {
    if (begun_ && !place.anew) {
        const auto elapsed = std::chrono::duration<double>(now - arrived_).count() * clock_hz_;
        const auto off = std::abs(elapsed - static_cast<double>(timestamp_distance(timestamp_, header.timestamp)));
        // A leap of the timestamp (silence, hold) is no jitter.
        if (off < clock_hz_) jitter_ += (off - jitter_) / 16;
    }
    counted(place);
    timestamp_ = header.timestamp;
    arrived_ = now;
}

void Reception::sender_report(const SenderInfo& info, net::Steady now) {
    sender_report_ = static_cast<std::uint32_t>(info.ntp >> 16);
    sender_reported_ = now;
}

ReceptionReport Reception::report(net::Steady now) {
    ReceptionReport out;
    const auto expected_now = expected();
    const auto expected_since = expected_now - expected_told_, received_since = received_ - received_told_;
    if (expected_since > received_since) out.fraction_lost = static_cast<std::uint8_t>(std::min<std::uint64_t>(255, (expected_since - received_since) * 256 / expected_since));
    expected_told_ = expected_now;
    received_told_ = received_;
    out.lost = static_cast<std::int32_t>(std::clamp<std::int64_t>(static_cast<std::int64_t>(expected_now) - static_cast<std::int64_t>(received_), -0x800000, 0x7fffff));
    out.highest_sequence = static_cast<std::uint32_t>(highest_);
    out.jitter_ticks = static_cast<std::uint32_t>(jitter_);
    if (sender_report_ != 0) {
        out.last_sender_report = sender_report_;
        out.delay_since = static_cast<std::uint32_t>(std::chrono::duration<double>(now - sender_reported_).count() * 65536);
    }
    return out;
}

}  // namespace voice::engine
