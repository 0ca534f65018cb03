/// Keys pressed during a call, as RTP events (RFC 4733).
#pragma once

#include <deque>
#include <optional>

#include "net/bytes.hpp"
#include "net/time.hpp"
#include "voice/engine/rtp.hpp"

namespace voice::engine {

/// RFC 4733 2.3.
struct TelephoneEvent {
    std::uint8_t event = 0;
    bool end = false;
    std::uint8_t volume = 10;     ///< dB below 0 dBm0
    std::uint16_t duration = 0;   ///< ticks since its timestamp

    static std::optional<TelephoneEvent> parse(net::ByteView payload);
    net::Bytes bytes() const;
};

/// 0 to 15 for 0-9, *, #, A-D; nullopt for others.
std::optional<std::uint8_t> event_of_key(char key);
std::optional<char> key_of_event(std::uint8_t event);

/// Which keys were pressed: each event once, at its first packet that comes, whatever is lost, repeated or out of order.
class KeyReceiver {
public:
    std::optional<char> receive(const RtpHeader& header, net::ByteView payload);

private:
    std::deque<std::uint32_t> told_;  ///< timestamps of the last events
};

/// Sends keys one after the other. At most kMostWaiting wait; more are refused.
class KeySender {
public:
    static constexpr std::size_t kMostWaiting = 32;
    explicit KeySender(unsigned clock_hz) : clock_hz_(clock_hz) {}

    /// `length` is held to 40 to 1000 ms. False for an unknown key, or where too many wait.
    bool press(char key, net::Duration length);
    bool busy() const { return state_ != State::idle || !waiting_.empty(); }

    struct Packet {
        net::Bytes payload;
        std::uint32_t timestamp;  ///< of the event's beginning
        bool marker;
    };
    /// What to send in the place of the sound of [timestamp, timestamp + ticks); nullopt where sound is sent as usual.
    std::optional<Packet> next(std::uint32_t timestamp, std::uint32_t ticks);

private:
    /// idle -> pressed (updates until its length) -> ending (its end twice again) -> pause (40 ms) -> idle
    enum class State : std::uint8_t { idle, pressed, ending, pause };
    struct Key {
        std::uint8_t event;
        std::uint32_t ticks;
    };
    unsigned clock_hz_;
    std::deque<Key> waiting_;
    State state_ = State::idle;
    Key key_{};
    std::uint32_t began_ = 0, ended_ticks_ = 0;
    unsigned repeats_ = 0;
    std::uint32_t pause_until_ = 0;
};

}  // namespace voice::engine
