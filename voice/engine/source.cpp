#include "voice/engine/source.hpp"

#include <bit>
#include <cstdlib>

namespace voice::engine {
namespace {

constexpr int kLeap = 1000;
// What the network holds up comes late, but nothing comes early.
constexpr auto kTimeLate = std::chrono::seconds(3), kTimeEarly = std::chrono::seconds(1);
constexpr auto kSourceSilent = std::chrono::milliseconds(100);
constexpr unsigned kNewSourceRepeats = 2;  // beside the first
constexpr unsigned kLeapsInARow = 4;       // without any order among them
constexpr int kLies = 12;                  // of the last 16

}  // namespace

Source::Place Source::begin(const RtpHeader& header, net::Steady now) {
    if (started_) ++restarts_;
    const Place place{0, header.sequence, started_, !by_sequence_};
    started_ = true;
    last_ = header;
    last_ticks_ = 0;
    last_sequence_ = header.sequence;
    heard_ = now;
    repeats_ = leaps_ = 0;
    lied_ = 0;
    return place;
}

/// Three in a row of it, and the one that we follow has stopped.
bool Source::another_source(const RtpHeader& header, net::Steady now) {
    const bool follows = candidate_.ssrc == header.ssrc && sequence_distance(candidate_.sequence, header.sequence) == 1;
    repeats_ = follows ? repeats_ + 1 : 0;
    candidate_ = header;
    return repeats_ >= kNewSourceRepeats && now - heard_ >= kSourceSilent;
}

bool Source::leaps(const RtpHeader& header, net::Steady now) const {
    if (std::abs(sequence_distance(last_.sequence, header.sequence)) > kLeap) return true;
    if (by_sequence_) return false;
    const net::Duration told(timestamp_distance(last_.timestamp, header.timestamp) * 1'000'000'000 / clock_hz_);
    const auto off = told - (now - heard_);
    return off > kTimeEarly || off < -kTimeLate;
}

bool Source::lies(const RtpHeader& header, std::int64_t length_ticks) {
    if (by_sequence_ || length_ticks == 0 || header.marker || sequence_distance(last_.sequence, header.sequence) != 1) return false;
    const bool lie = timestamp_distance(last_.timestamp, header.timestamp) != length_ticks;
    lied_ = static_cast<std::uint16_t>(lied_ << 1 | (lie ? 1 : 0));
    return std::popcount(lied_) >= kLies;
}

std::optional<Source::Place> Source::place(const RtpHeader& header, std::int64_t length_ticks, net::Steady now) {
    if (!started_) return begin(header, now);
    if (header.ssrc != last_.ssrc) {
        if (another_source(header, now)) {
            by_sequence_ = false;
            return begin(header, now);
        }
        ++refused_;
        return std::nullopt;
    }
    if (leaps(header, now)) {
        // RFC 3550 A.1: believed once the next one follows it; timestamps without any order are not used any more.
        const bool follows = leaps_ > 0 && sequence_distance(candidate_.sequence, header.sequence) == 1;
        const auto step = timestamp_distance(candidate_.timestamp, header.timestamp);
        candidate_ = header;
        ++leaps_;
        if (follows && step >= 0 && step <= static_cast<std::int64_t>(clock_hz_)) return begin(header, now);
        if (follows && leaps_ >= kLeapsInARow) {
            by_sequence_ = true;
            return begin(header, now);
        }
        ++refused_;
        return std::nullopt;
    }
    leaps_ = 0;
    if (lies(header, length_ticks)) {
        by_sequence_ = true;
        return begin(header, now);
    }
    const auto ahead = sequence_distance(last_.sequence, header.sequence);
    const auto ticks = by_sequence_ ? ahead * length_ticks : timestamp_distance(last_.timestamp, header.timestamp);
    const Place place{last_ticks_ + ticks, last_sequence_ + ahead, false, !by_sequence_};
    if (ahead > 0) {
        last_ = header;
        last_ticks_ = place.ticks;
        last_sequence_ = place.sequence;
        heard_ = now;
    }
    return place;
}

std::optional<Source::Place> Source::beside(const RtpHeader& header, net::Steady now) {
    if (!started_) return begin(header, now);
    const auto ahead = sequence_distance(last_.sequence, header.sequence);
    if (header.ssrc != last_.ssrc || std::abs(ahead) > kLeap) {
        ++refused_;
        return std::nullopt;
    }
    const Place place{last_ticks_ + (by_sequence_ ? 0 : timestamp_distance(last_.timestamp, header.timestamp)), last_sequence_ + ahead, false, !by_sequence_};
    if (ahead > 0) {
        last_.sequence = header.sequence;
        last_sequence_ = place.sequence;
    }
    return place;
}

}  // namespace voice::engine
