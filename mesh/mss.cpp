#include "mesh/mss.hpp"

#include "net/checksum.hpp"

namespace mesh {
namespace {

// RFC 9293 section 3.1.
constexpr std::size_t kTcpBytes = 20, kFlagsAt = 13, kChecksumAt = 16;
constexpr std::byte kSyn{0x02};
constexpr std::uint8_t kEndOfOptions = 0, kNoOperation = 1, kMss = 2, kMssBytes = 4;
constexpr std::size_t kIp4Bytes = 20, kIp6Bytes = 40;

void store(net::MutableBytes at, std::uint16_t value) {
    at[0] = static_cast<std::byte>(value >> 8);
    at[1] = static_cast<std::byte>(value & 0xff);
}

std::uint16_t load(net::ByteView at) { return net::Reader(at).u16be(); }

std::uint16_t swapped(std::uint16_t value) { return static_cast<std::uint16_t>(value << 8 | value >> 8); }

/// Where the MSS itself stands in the TCP header; 0 if it has none, or its options are no options.
std::size_t find_mss(net::ByteView tcp) {
    for (std::size_t at = kTcpBytes; at < tcp.size();) {
        const auto kind = std::to_integer<std::uint8_t>(tcp[at]);
        if (kind == kEndOfOptions) return 0;
        if (kind == kNoOperation) {
            ++at;
            continue;
        }
        if (tcp.size() - at < 2) return 0;
        const auto size = std::to_integer<std::size_t>(tcp[at + 1]);
        if (size < 2 || size > tcp.size() - at) return 0;
        if (kind == kMss) return size == kMssBytes ? at + 2 : 0;
        at += size;
    }
    return 0;
}

}  // namespace

bool clamp_mss(net::MutableBytes packet, std::size_t mtu_bytes, bool checksum_left) {
    if (packet.empty()) return false;
    // Most packets are told here by a byte or two.
    const bool v6 = std::to_integer<unsigned>(packet[0]) >> 4 == 6;
    constexpr std::size_t kPlain4 = 0x45, kPlain6At = 6, kPlain4At = 9;
    if (!v6 && (packet.size() <= kPlain4At || packet[kPlain4At] != std::byte{kTcp})) return false;
    const bool plain = v6 ? packet.size() > kPlain6At && packet[kPlain6At] == std::byte{kTcp} : packet[0] == std::byte{kPlain4};
    const std::size_t usual_flags_at = (v6 ? kIp6Bytes : kIp4Bytes) + kFlagsAt;
    if (plain && (packet.size() <= usual_flags_at || (packet[usual_flags_at] & kSyn) == std::byte{})) return false;

    const auto transport = net::find_transport(packet);
    if (!transport || transport->protocol != kTcp || transport->fragment) return false;
    const auto total_bytes = net::parse_ip(packet)->total_bytes;
    const auto segment = packet.first(total_bytes).subspan(transport->at);
    if (segment.size() < kTcpBytes || (segment[kFlagsAt] & kSyn) == std::byte{}) return false;
    const std::size_t header_bytes = (std::to_integer<std::size_t>(segment[12]) >> 4) * 4;
    if (header_bytes < kTcpBytes || header_bytes > segment.size()) return false;

    const auto at = find_mss(segment.first(header_bytes));
    const auto around = (v6 ? kIp6Bytes : kIp4Bytes) + kTcpBytes;
    if (at == 0 || mtu_bytes <= around) return false;
    const auto old_mss = load(segment.subspan(at));
    const auto mss = mtu_bytes - around;
    if (old_mss <= mss) return false;
    store(segment.subspan(at), static_cast<std::uint16_t>(mss));
    if (checksum_left) return true;
    // RFC 1624: HC' = ~(~HC + ~m + m'). At an odd place the two bytes lie in two words, which swaps them in the sum.
    auto from = old_mss, to = static_cast<std::uint16_t>(mss);
    if (at % 2 != 0) {
        from = swapped(from);
        to = swapped(to);
    }
    std::uint64_t sum = static_cast<std::uint16_t>(~load(segment.subspan(kChecksumAt)));
    sum += static_cast<std::uint16_t>(~from);
    sum += to;
    store(segment.subspan(kChecksumAt), net::checksum_finish(sum));
    return true;
}

}  // namespace mesh
