/// SIP messages out of a byte stream (RFC 3261 18.3) with the keep-alive of RFC 5626 3.5.1 between them.
#pragma once

#include "net/bytes.hpp"
#include "net/time.hpp"

namespace voice {

/// One per connection. Feed what arrives, then take messages until there are none.
class StreamFramer {
public:
    struct Limits {
        std::size_t max_header_bytes = 16384;
        std::size_t max_message_bytes = 65535;
        net::Duration max_message_time = std::chrono::seconds(30);  ///< from its first byte to its last
    };
    enum class State : std::uint8_t {
        between,  ///< no byte of a message yet
        inside,   ///< a message has begun
        broken,   ///< the stream cannot be trusted any more: close the connection
    };

    StreamFramer() = default;
    explicit StreamFramer(Limits limits) : limits_(limits) {}

    void feed(net::ByteView bytes, net::Now now);
    /// The next whole message, start line to body; nullopt if there is none yet.
    std::optional<net::Bytes> next(net::Now now);
    /// Double CRLF came that many times since last asked; answer each with one CRLF (`kPong`).
    unsigned take_pings();
    /// Single CRLF (answers to our own pings) since last asked.
    unsigned take_pongs();

    State state() const { return state_; }
    /// Static text, once broken: "no Content-Length", "bad Content-Length", "header too large",
    /// "message too large", "too slow".
    std::string_view why() const { return why_; }
    /// Once broken: the beginning of what broke it, max_header_bytes at most.
    std::string_view begun() const { return state_ == State::broken ? buffer_ : std::string_view(); }
    /// When a message that has begun must be complete: at it call expire().
    net::Steady deadline() const { return deadline_; }
    void expire(net::Now now, bool at_once = false);

    static constexpr std::string_view kPing = "\r\n\r\n";
    static constexpr std::string_view kPong = "\r\n";

private:
    void skip_keep_alive();
    void break_with(std::string_view why);

    Limits limits_;
    std::string buffer_;
    std::size_t scanned_ = 0;       ///< no end of header before here
    std::size_t message_bytes_ = 0; ///< of the message at the front, once its header is whole
    unsigned crlfs_ = 0;
    unsigned pings_ = 0;
    unsigned pongs_ = 0;
    State state_ = State::between;
    std::string_view why_;
    net::Steady deadline_ = net::kNever;
};

/// What whoever sent a request that broke this stream is told before it is closed: 513 where it was too large, 408 too slow,
/// else 400. Empty where silence is right: it was no request, or has not come far enough to be answered.
net::Bytes answer_to_broken(const StreamFramer& framer);

}  // namespace voice
