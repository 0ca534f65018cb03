/// WireGuard datagrams on a byte stream, inside TLS, where UDP is blocked. Passive, one thread's.
///
///   whoever opened the connection says once:  u8 version (1), u8 StreamRole, 16 bytes of its pair's id
///   then both sides, again and again:         u16be of bytes, a datagram
///
/// Two connections with one id are a pair: voice and control go by the one, bulk by the other, so that neither waits
/// behind the other's lost segments.
#pragma once

#include <array>

#include "net/bytes.hpp"

namespace discovery {

enum class StreamRole : std::uint8_t {
    first = 1,  ///< voice and control; bulk too, while there is no second
    bulk = 2,
};

/// Drawn at random by whoever opens the pair, and known to nobody else but the other end.
using StreamPairId = std::array<std::byte, 16>;

struct StreamPreamble {
    StreamRole role = StreamRole::first;
    StreamPairId pair{};

    static constexpr std::size_t kBytes = 18;
    net::Bytes encode() const;
    bool operator==(const StreamPreamble&) const = default;
};

/// What WireGuard sends least and we send most.
inline constexpr std::size_t kMinStreamDatagramBytes = 32;
inline constexpr std::size_t kMaxStreamDatagramBytes = 2048;

/// Appends it as it goes on the stream. `datagram` is of kMinStreamDatagramBytes to kMaxStreamDatagramBytes.
void append_datagram(net::Bytes& out, net::ByteView datagram);

class DatagramFramer {
public:
    enum class State : std::uint8_t {
        open,
        no_preamble,  ///< broken: what came is no preamble of a version that we know
        too_short,    ///< broken: a datagram that WireGuard has none of
        too_long,     ///< broken: a datagram beyond the bound
    };

    /// `begins_with_preamble`: of a connection that the other end has opened.
    explicit DatagramFramer(bool begins_with_preamble) : awaits_preamble_(begins_with_preamble) {}

    /// What came of the stream. Take all that next() has before: then no more is kept than a datagram. Nothing is taken once
    /// the stream is broken.
    void feed(net::ByteView bytes);
    /// Once: it has come.
    std::optional<StreamPreamble> preamble();
    /// The next datagram, whole, none before the preamble was taken; the caller's to change until feed().
    std::optional<net::MutableBytes> next();
    State state() const { return state_; }
    std::size_t kept_bytes() const { return kept_.size() - at_; }

private:
    bool awaits_preamble_;
    State state_ = State::open;
    net::Bytes kept_;
    std::size_t at_ = 0;  ///< so much of it has been taken
};

}  // namespace discovery
