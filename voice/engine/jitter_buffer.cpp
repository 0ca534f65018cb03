#include "voice/engine/jitter_buffer.hpp"

#include <algorithm>
#include <cmath>

namespace voice::engine {
namespace {

using std::chrono::milliseconds;

constexpr auto kShortenFrom = milliseconds(4);
constexpr net::Duration kLengthenBelow = milliseconds(3);
constexpr net::Duration kFarAbove = milliseconds(40);
constexpr double kLike = 0.6, kLikeEnough = 0.2;  // where little, where much is to be gained
constexpr double kQuiet_db = -50;
constexpr unsigned kMostSuspicion = 32, kTooSuspicious = 12, kTrusted = 4;
constexpr std::size_t kKeptOfPayload = 4;
constexpr double kMostNoise_db = -40, kNoNoise_db = -99;
constexpr std::int64_t kNowhere = INT64_MIN / 4;

}  // namespace

JitterBuffer::JitterBuffer(Decoder& decoder, unsigned clock_hz, unsigned rate_hz)
    : decoder_(decoder), clock_hz_(clock_hz), rate_hz_(rate_hz), ticks_per_sample_(clock_hz / rate_hz), scale_(rate_hz), history_(rate_hz / 40) {
    clear();
}

std::int64_t JitterBuffer::ticks_in(net::ByteView payload) const {
    const auto samples = decoder_.samples_in(payload);
    return samples ? ticks(*samples) : 0;
}

void JitterBuffer::clear() {
    packets_.clear();
    target_ = {};
    state_ = State::waiting;
    next_ = kNowhere;
    held_ = 0;
    held_ready_ = 0;
    silence_ = false;
    pause_at_.reset();
}

void JitterBuffer::insert(const Source::Place& place, net::ByteView payload, net::Steady now) {
    if (place.anew) clear();
    const auto length = ticks_in(payload);
    if (length == 0) {
        ++figures_.garbage;
        suspicion_ = std::min(suspicion_ + 4, kMostSuspicion);
        return;
    }
    store(place.ticks, {net::copy(payload), length, place.sequence, false}, now);
    // What it holds of the one before may be all that comes of that.
    const auto repaired = ticks(decoder_.repairs(payload));
    const auto before = place.ticks - repaired;
    if (repaired != 0 && state_ == State::playing && before >= next_ && !packets_.contains(before)) {
        target_.arrived(now.time_since_epoch() - net::Duration(before * 1'000'000'000 / clock_hz_), net::Duration(repaired * 1'000'000'000 / clock_hz_), true, now);
    }
}

void JitterBuffer::insert_copy(const Source::Place& place, std::uint32_t back_ticks, net::ByteView payload, net::Steady now) {
    const auto length = ticks_in(payload);
    const auto at = place.ticks - std::int64_t{back_ticks};
    if (length == 0 || place.anew || !place.by_timestamp || state_ == State::waiting || at < next_) return;
    store(at, {net::copy(payload), length, place.sequence - 1, true}, now);
}

void JitterBuffer::store(std::int64_t at, Stored stored, net::Steady now) {
    if (packets_.contains(at)) return;
    const net::Duration length(stored.ticks * 1'000'000'000 / clock_hz_);
    target_.arrived(now.time_since_epoch() - net::Duration(at * 1'000'000'000 / clock_hz_), length, stored.copy, now);
    if (at + stored.ticks / 2 < next_) {
        if (!stored.copy) ++figures_.late;
        return;
    }
    packets_.emplace(at, std::move(stored));
    // Too much, or too far ahead: the oldest go, and time leaps forward to the first that stays.
    const auto most = static_cast<std::int64_t>(clock_hz_) * kMostHeld.count() / 1'000'000'000;
    while (packets_.size() > kMostPackets || packets_.rbegin()->first - packets_.begin()->first > most) {
        packets_.erase(packets_.begin());
        ++figures_.discarded;
    }
    if (state_ == State::playing && packets_.rbegin()->first - next_ > most) next_ = packets_.begin()->first;
}

net::Duration JitterBuffer::lag(std::int64_t at, net::Steady now) const {
    return now.time_since_epoch() - net::Duration(at * 1'000'000'000 / clock_hz_) - target_.fastest();
}

net::Duration JitterBuffer::lag_of_next_sample(net::Steady now) const {
    return lag(next_ - ticks(ready_.size() - std::min(ready_.size(), held_ready_)), now);
}

bool JitterBuffer::contiguous(const Packets::const_iterator& at) const {
    return at != packets_.end() && std::abs(at->first - next_) < at->second.ticks / 2;
}

void JitterBuffer::drop_late() {
    while (!packets_.empty() && packets_.begin()->first + packets_.begin()->second.ticks / 2 <= next_) {
        if (!packets_.begin()->second.copy) ++figures_.late;
        packets_.erase(packets_.begin());
    }
}

void JitterBuffer::pause(const Source::Place& place, double noise_db) {
    // One that was overtaken; but none from the far future stands in the way of others.
    if (pause_at_ && place.ticks < *pause_at_ && *pause_at_ - place.ticks < static_cast<std::int64_t>(clock_hz_)) return;
    pause_at_ = place.ticks;
    noise_db_ = noise_db;
    if (state_ == State::playing && next_ >= place.ticks) silence_ = true;
}

/// Not louder than what is hardly heard, whatever level was told.
void JitterBuffer::fill_with_noise(std::size_t samples) {
    const double peak = 32768 * std::sqrt(3.0) * std::pow(10, std::min(noise_db_, kMostNoise_db) / 20);
    for (std::size_t i = 0; i < samples; ++i) {
        noise_ = noise_ * 1664525 + 1013904223;
        ready_.push_back(static_cast<std::int16_t>(std::lround(peak * (static_cast<double>(noise_ >> 8) / 0x800000 - 1))));
    }
}

/// 10 ms that no packet is there for. `holds`: time stands still meanwhile.
void JitterBuffer::fill(bool counts, bool holds) {
    const std::size_t samples = rate_hz_ / 100;
    // What a decoder makes up after garbage is as loud.
    if (suspicion_ > kTooSuspicious) ready_.resize(ready_.size() + samples);
    else if (silence_ && noise_db_ > kNoNoise_db) fill_with_noise(samples);
    else decoder_.conceal(samples, ready_);
    if (counts) figures_.concealed += samples;
    if (holds) {
        held_ += ticks(samples);
        held_ready_ += samples;
    } else {
        next_ += ticks(samples);
    }
}

void JitterBuffer::decode(Packets::iterator at) {
    const auto& stored = at->second;
    const bool strange = decoder_.differs(last_payload_, stored.payload);
    suspicion_ = strange ? std::min(suspicion_ + 4, kMostSuspicion) : suspicion_ - std::min(suspicion_, 1U);
    last_payload_.assign(stored.payload.begin(), stored.payload.begin() + static_cast<std::ptrdiff_t>(std::min(stored.payload.size(), kKeptOfPayload)));
    const auto before = ready_.size();
    if (suspicion_ == kTooSuspicious) decoder_.reset();
    bool good = decoder_.decode(stored.payload, ready_);
    if (suspicion_ > kTooSuspicious || (!good && suspicion_ > kTrusted)) {
        std::fill(ready_.begin() + static_cast<std::ptrdiff_t>(before), ready_.end(), std::int16_t{});
        good = false;
    }
    if (!good) {
        ++figures_.garbage;
        figures_.concealed += ready_.size() - before;
    }
    if (stored.copy) figures_.repaired += ready_.size() - before;
    const bool already = silence_;
    next_ = at->first + stored.ticks;
    silence_ = pause_at_ && at->first < *pause_at_ && next_ >= *pause_at_;
    if (!silence_) {
        noise_db_ = pause_at_ && next_ < *pause_at_ ? noise_db_ : -100;
        silence_ = decoder_.is_silence(stored.payload, already);
    }
    last_sequence_ = stored.sequence;
    held_ = 0;
    packets_.erase(at);
}

/// Something is missing, and a later packet is there.
void JitterBuffer::fill_gap(std::int64_t gap, const Stored& next) {
    const auto holds = ticks(decoder_.repairs(next.payload));
    if (holds != 0 && gap <= holds && suspicion_ <= kTooSuspicious) {
        const auto before = ready_.size();
        decoder_.decode_repair(next.payload, ready_);
        figures_.repaired += ready_.size() - before;
        next_ += gap;
    } else {
        fill(true, false);
    }
}

/// Adds something to ready_.
void JitterBuffer::step(std::size_t wanted, net::Steady now) {
    if (state_ == State::playing) drop_late();
    const auto first = packets_.begin();
    if (state_ == State::waiting) {
        if (packets_.empty() || lag(first->first, now) < target_.floor()) {
            if (silence_) fill(false, true);
            else ready_.resize(std::max(ready_.size(), wanted));
            return;
        }
        state_ = State::playing;
        silence_ = false;
        smooth_lag_ = fetch_lag_ = figures_.delay = lag(first->first, now);
        slack_ = 0;
        decode(first);
        return;
    }
    if (packets_.empty()) {
        fill(!silence_, true);
        if (held_ * net::Duration(std::chrono::seconds(1)).count() / clock_hz_ >= kMostHeld.count()) state_ = State::waiting;
        return;
    }
    if (contiguous(first)) return decode(first);
    const auto gap = first->first - next_;
    if (silence_ || (!first->second.copy && first->second.sequence == last_sequence_ + 1)) {
        if (lag(first->first, now) >= target_.floor()) return decode(first);
        return fill(false, true);
    }
    next_ += std::min(held_, gap);  // what was taken for late is lost: it has been concealed already
    held_ = 0;
    if (contiguous(first)) return decode(first);
    fill_gap(first->first - next_, first->second);
}

/// Sound is taken from packets in frames of 10 ms. So a packet must be there when the frame in which it begins is asked
/// for: what counts is the lag at that time. What is left of earlier packets then is slack: without it, that packet would
/// be asked for no earlier.
void JitterBuffer::note_fetch(net::Steady now) {
    fetch_lag_ = lag(next_, now);
    smooth_lag_ += (fetch_lag_ - smooth_lag_) / 4;
    slack_ = ready_.size();
}

void JitterBuffer::adjust(std::size_t wanted, net::Steady now) {
    const auto lag = lag_of_next_sample(now);
    figures_.delay += (lag - figures_.delay) / 8;
    figures_.target = target_.floor();
    since_scaling_ += wanted;
    if (held_ != 0) return;
    const auto frame = net::Duration(static_cast<std::int64_t>(wanted) * 1'000'000'000 / rate_hz_);
    const auto above = std::min(fetch_lag_, smooth_lag_) - target_.ceiling(), below = target_.floor() - std::max(fetch_lag_, smooth_lag_);
    // Whole frames that packets are early, and the slack.
    const auto most = (above > frame ? static_cast<std::size_t>(above / frame) * wanted : 0) + slack_;
    const bool far = above > kFarAbove;
    if (most >= rate_hz_ * kShortenFrom.count() / 1000 && since_scaling_ >= rate_hz_ * (far ? 20 : 60) / 1000) {
        while (ready_.size() < rate_hz_ * 30 / 1000 && contiguous(packets_.begin())) decode(packets_.begin());
        if (ready_.size() <= wanted) return;
        const bool quiet = level_db(ready_) < kQuiet_db;
        const auto spare = contiguous(packets_.begin()) ? ready_.size() : ready_.size() - wanted;
        const auto taken = scale_.shorten(ready_, std::min(spare, most), quiet ? -1 : far ? kLikeEnough : kLike);
        figures_.shortened += taken;
        scaled(taken, -1);
    } else if (below > kLengthenBelow && since_scaling_ >= rate_hz_ * 60 / 1000) {
        const bool quiet = level_db(ready_) < kQuiet_db;
        const auto added = scale_.lengthen(history_, ready_, quiet ? -1 : kLike);
        figures_.lengthened += added;
        scaled(added, 1);
    }
}

/// The lags are measured anew at the next fetch; until then there is nothing more to do.
void JitterBuffer::scaled(std::size_t samples, int sign) {
    if (samples == 0) return;
    const net::Duration time(static_cast<std::int64_t>(samples) * 1'000'000'000 / rate_hz_);
    smooth_lag_ += sign * time;
    fetch_lag_ += sign * time;
    slack_ = 0;
    since_scaling_ = 0;
}

void JitterBuffer::play(std::span<std::int16_t> out, net::Steady now) {
    if (state_ == State::playing && ready_.size() < out.size() && held_ == 0) note_fetch(now);
    while (ready_.size() < out.size()) step(out.size(), now);
    if (state_ == State::playing) {
        adjust(out.size(), now);
        while (ready_.size() < out.size()) step(out.size(), now);
        if (!silence_) figures_.played += out.size();
    }
    std::copy_n(ready_.begin(), out.size(), out.begin());
    const auto end = ready_.begin() + static_cast<std::ptrdiff_t>(out.size());
    const auto kept = std::min(out.size(), history_.size());
    std::rotate(history_.begin(), history_.begin() + static_cast<std::ptrdiff_t>(kept), history_.end());
    std::copy(end - static_cast<std::ptrdiff_t>(kept), end, history_.end() - static_cast<std::ptrdiff_t>(kept));
    ready_.erase(ready_.begin(), end);
    held_ready_ = std::min(held_ready_, ready_.size());
    figures_.depth = net::Duration(static_cast<std::int64_t>(ready_.size()) * 1'000'000'000 / rate_hz_);
    if (!packets_.empty() && state_ == State::playing) {
        figures_.depth += net::Duration(std::max<std::int64_t>(0, packets_.rbegin()->first + packets_.rbegin()->second.ticks - next_) * 1'000'000'000 / clock_hz_);
    }
}

}  // namespace voice::engine
