/// Redundant audio (RFC 2198): earlier payloads beside the newest one, so that a lost packet's sound comes with a later
/// packet. All blocks are of the one codec that was negotiated beside it.
#pragma once

#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "net/bytes.hpp"

namespace voice::engine {

struct RedBlock {
    std::uint8_t payload_type = 0;
    std::uint32_t offset = 0;  ///< ticks that its timestamp lies before the packet's own; zero for the newest
    net::ByteView payload;     ///< borrowed from what was parsed
};

inline constexpr std::size_t kMaxRedBlocks = 8;        ///< with the newest; more are refused
inline constexpr std::uint32_t kMaxRedOffset = 0x3fff;  ///< 14 bits: 341 ms at 48 kHz
inline constexpr std::size_t kMaxRedBytes = 0x3ff;      ///< of a redundant block, 10 bits

/// The blocks of a payload of type "red", oldest first as sent, the newest last. Nullopt where lengths do not add up.
std::optional<std::vector<RedBlock>> parse_red(net::ByteView payload);

/// Keeps what was sent and repeats it. Bounded in depth (so many packets back) and in size (bytes of a whole payload): a
/// block that would not fit is left out, the newest never.
class RedSender {
public:
    RedSender(std::uint8_t payload_type, std::size_t max_payload_bytes) : payload_type_(payload_type), max_payload_bytes_(max_payload_bytes) {}

    /// How many packets before each are repeated, by how far back they lie: {1, 2} the last two, {2, 4} with a packet
    /// between. At most kMaxRedBlocks - 1, each at most kMaxBack. None: payloads still go out as RFC 2198 blocks.
    void set_offsets(std::span<const unsigned> packets_back);
    /// The payload to send now, of type "red", with `newest` at its end. Empty redundant ones are never sent.
    net::Bytes wrap(net::ByteView newest, std::uint32_t timestamp);

    static constexpr unsigned kMaxBack = 15;

private:
    struct Sent {
        std::uint32_t timestamp;
        net::Bytes payload;
    };
    std::uint8_t payload_type_;
    std::size_t max_payload_bytes_;
    std::vector<unsigned> back_;  ///< furthest first
    std::deque<Sent> sent_;       ///< newest first
};

}  // namespace voice::engine
