/// One RTP packet (RFC 3550 5.1) as a view, and as bytes to send.
#pragma once

#include <optional>

#include "net/bytes.hpp"

namespace voice::engine {

/// What voice needs at most: 120 ms of Opus at its highest rate, with redundancy. Larger packets are refused.
inline constexpr std::size_t kMaxRtpBytes = 1500;

struct RtpHeader {
    std::uint8_t payload_type = 0;
    bool marker = false;
    std::uint16_t sequence = 0;
    std::uint32_t timestamp = 0;
    std::uint32_t ssrc = 0;
};

struct RtpPacket {
    RtpHeader header;
    net::ByteView payload;  ///< without padding; borrowed from what was parsed

    /// Nullopt where the packet is no RTP: wrong version, longer than kMaxRtpBytes, shorter than its own contributing
    /// sources, extension and padding say, or of a payload type that RFC 5761 4 keeps for RTCP.
    static std::optional<RtpPacket> parse(net::ByteView packet);
};

/// Header without contributing sources or extension, then the payload.
net::Bytes build_rtp(const RtpHeader& header, net::ByteView payload);

/// How far `to` lies after `from` (before: negative) by the shorter way round.
inline int sequence_distance(std::uint16_t from, std::uint16_t to) {
    return static_cast<std::int16_t>(static_cast<std::uint16_t>(to - from));
}
inline std::int64_t timestamp_distance(std::uint32_t from, std::uint32_t to) { return static_cast<std::int32_t>(to - from); }

}  // namespace voice::engine
