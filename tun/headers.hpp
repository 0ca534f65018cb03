/// Where the transport header of an IP packet is, and its fields. Internal to this folder.
#pragma once

#include <bit>

#include "net/checksum.hpp"

namespace tun {

constexpr std::uint8_t kTcp = 6;
constexpr std::uint8_t kUdp = 17;
constexpr std::size_t kMinTcpBytes = 20;  // RFC 9293 section 3.1
constexpr std::size_t kUdpBytes = 8;      // RFC 768
constexpr std::size_t kTcpChecksumAt = 16;
constexpr std::size_t kUdpChecksumAt = 6;
constexpr std::size_t kTcpFlagsAt = 13;
constexpr std::uint8_t kFin = 0x01, kSyn = 0x02, kRst = 0x04, kPsh = 0x08, kUrg = 0x20, kCwr = 0x80;

inline std::uint8_t load8(net::ByteView bytes, std::size_t at) {
    return std::to_integer<std::uint8_t>(bytes[at]);
}
inline std::uint16_t load16(net::ByteView bytes, std::size_t at) {
    std::uint16_t value;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    return std::endian::native == std::endian::little ? __builtin_bswap16(value) : value;
}
inline std::uint32_t load32(net::ByteView bytes, std::size_t at) {
    std::uint32_t value;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    return std::endian::native == std::endian::little ? __builtin_bswap32(value) : value;
}
inline void store16(net::MutableBytes bytes, std::size_t at, std::size_t value) {
    bytes[at] = static_cast<std::byte>(value >> 8 & 0xff);
    bytes[at + 1] = static_cast<std::byte>(value & 0xff);
}
inline void store32(net::MutableBytes bytes, std::size_t at, std::uint32_t value) {
    store16(bytes, at, value >> 16);
    store16(bytes, at + 2, value & 0xffff);
}

struct Headers {
    bool v6 = false;
    /// Nothing stands between the fixed IP header and the transport header: no IPv4 option, no IPv6 extension header.
    /// Only then are the header's own addresses those of the pseudo-header for certain (source routing, Mobile IPv6).
    bool plain = false;
    bool fragment = false;
    std::uint8_t protocol = 0;     ///< of the transport, or the extension header that we do not know
    std::size_t total_bytes = 0;   ///< as the IP header says; at most the bytes that were given
    std::size_t ip_bytes = 0;      ///< up to the transport header
    std::size_t header_bytes = 0;  ///< up to the payload, of whole TCP and UDP packets; 0 of all others

    std::size_t transport_bytes() const { return total_bytes - ip_bytes; }
    std::size_t checksum_offset() const { return protocol == kTcp ? kTcpChecksumAt : kUdpChecksumAt; }
    std::size_t addresses_at() const { return v6 ? 8 : 12; }
    std::size_t addresses_bytes() const { return v6 ? 32 : 8; }
    std::uint64_t pseudo_header(net::ByteView packet, std::size_t transport_bytes) const {
        return net::checksum_pseudo_header(packet.subspan(addresses_at(), addresses_bytes()), protocol,
                                           transport_bytes);
    }
    /// Anyone finds the transport checksum of this packet, and what it covers, from the packet alone.
    bool has_checksum() const { return plain && header_bytes != 0; }
};

/// Nullopt if it is no IP packet, or its headers are cut short. Bytes behind `total_bytes` are allowed.
std::optional<Headers> find_headers(net::ByteView packet);

}  // namespace tun
