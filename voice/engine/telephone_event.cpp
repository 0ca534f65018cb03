#include "voice/engine/telephone_event.hpp"

#include <algorithm>
#include <string_view>

namespace voice::engine {
namespace {

constexpr std::string_view kKeys = "0123456789*#ABCD";
constexpr unsigned kEndRepeats = 2;  // RFC 4733 2.5.1.4: the end is sent three times
constexpr std::size_t kRemembered = 8;

}  // namespace

std::optional<TelephoneEvent> TelephoneEvent::parse(net::ByteView payload) {
    net::Reader reader(payload);
    TelephoneEvent out;
    out.event = reader.u8();
    const unsigned flags = reader.u8();
    out.end = (flags & 0x80U) != 0;
    out.volume = flags & 0x3fU;
    out.duration = reader.u16be();
    return reader.ok() ? std::optional(out) : std::nullopt;
}

net::Bytes TelephoneEvent::bytes() const {
    net::Writer out;
    out.u8(event).u8(static_cast<std::uint8_t>((end ? 0x80 : 0) | (volume & 0x3f))).u16be(duration);
    return out.take();
}

std::optional<std::uint8_t> event_of_key(char key) {
    const char upper = key >= 'a' && key <= 'd' ? static_cast<char>(key - 'a' + 'A') : key;
    const auto at = kKeys.find(upper);
    return at == std::string_view::npos ? std::nullopt : std::optional(static_cast<std::uint8_t>(at));
}

std::optional<char> key_of_event(std::uint8_t event) { return event < kKeys.size() ? std::optional(kKeys[event]) : std::nullopt; }

std::optional<char> KeyReceiver::receive(const RtpHeader& header, net::ByteView payload) {
    const auto event = TelephoneEvent::parse(payload);
    if (!event) return std::nullopt;
    const auto key = key_of_event(event->event);
    if (!key || std::find(told_.begin(), told_.end(), header.timestamp) != told_.end()) return std::nullopt;
    told_.push_back(header.timestamp);
    if (told_.size() > kRemembered) told_.pop_front();
    return key;
}

bool KeySender::press(char key, net::Duration length) {
    const auto event = event_of_key(key);
    if (!event || waiting_.size() >= kMostWaiting) return false;
    const auto ms = std::clamp<std::int64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(length).count(), 40, 1000);
    waiting_.push_back({*event, static_cast<std::uint32_t>(ms * clock_hz_ / 1000)});
    return true;
}

std::optional<KeySender::Packet> KeySender::next(std::uint32_t timestamp, std::uint32_t ticks) {
    bool marker = false;
    switch (state_) {
    case State::pause:
        if (timestamp_distance(pause_until_, timestamp) < 0) return std::nullopt;
        state_ = State::idle;
        [[fallthrough]];
    case State::idle:
        if (waiting_.empty()) return std::nullopt;
        key_ = waiting_.front();
        waiting_.pop_front();
        began_ = timestamp;
        marker = true;
        state_ = State::pressed;
        [[fallthrough]];
    case State::pressed: {
        const auto lasted = timestamp - began_ + ticks;
        const bool over = lasted >= key_.ticks;
        if (over) {
            state_ = State::ending;
            ended_ticks_ = lasted;
            repeats_ = 0;
        }
        return Packet{TelephoneEvent{key_.event, over, 10, static_cast<std::uint16_t>(std::min(lasted, 0xffffU))}.bytes(), began_, marker};
    }
    case State::ending:
        if (++repeats_ == kEndRepeats) {
            state_ = State::pause;
            pause_until_ = timestamp + ticks + clock_hz_ * 40 / 1000;
        }
        return Packet{TelephoneEvent{key_.event, true, 10, static_cast<std::uint16_t>(std::min(ended_ticks_, 0xffffU))}.bytes(), began_, false};
    }
    return std::nullopt;
}

}  // namespace voice::engine
