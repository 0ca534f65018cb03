#include "tun/headers.hpp"

namespace tun {
namespace {

constexpr std::size_t kMinIp4Bytes = 20;  // RFC 791 section 3.1
constexpr std::size_t kIp6Bytes = 40;     // RFC 8200 section 3
constexpr std::uint16_t kMoreFragmentsOrOffset = 0x3fff;
constexpr std::uint8_t kHopByHop = 0, kRouting = 43, kFragment = 44, kDestinationOptions = 60;

bool find_ip4(net::ByteView packet, Headers& out) {
    if (packet.size() < kMinIp4Bytes) return false;
    out.ip_bytes = std::size_t{load8(packet, 0)} % 16 * 4;
    out.total_bytes = load16(packet, 2);
    out.plain = out.ip_bytes == kMinIp4Bytes;
    out.fragment = (load16(packet, 6) & kMoreFragmentsOrOffset) != 0;
    out.protocol = load8(packet, 9);
    return out.ip_bytes >= kMinIp4Bytes && out.total_bytes >= out.ip_bytes && out.total_bytes <= packet.size();
}

bool find_ip6(net::ByteView packet, Headers& out) {
    if (packet.size() < kIp6Bytes) return false;
    out.v6 = true;
    out.ip_bytes = kIp6Bytes;
    out.total_bytes = kIp6Bytes + load16(packet, 4);
    out.protocol = load8(packet, 6);
    if (out.total_bytes > packet.size()) return false;
    out.plain = true;
    // RFC 8200 section 4: each says which is next, and its own length in units of 8 bytes beyond the first 8.
    while (out.protocol == kHopByHop || out.protocol == kRouting || out.protocol == kDestinationOptions ||
           out.protocol == kFragment) {
        out.plain = false;
        if (out.transport_bytes() < 8) return false;
        const bool fragment = out.protocol == kFragment;
        out.fragment = out.fragment || fragment;
        out.protocol = load8(packet, out.ip_bytes);
        out.ip_bytes += fragment ? 8 : 8 + std::size_t{load8(packet, out.ip_bytes + 1)} * 8;
        if (out.ip_bytes > out.total_bytes) return false;
        if (fragment) return true;  // what follows may be the middle of anything
    }
    return true;
}

/// Up to the payload; 0 if the transport header is cut short or disagrees with the IP header.
std::size_t header_bytes(net::ByteView packet, const Headers& headers) {
    const auto transport = packet.subspan(headers.ip_bytes, headers.transport_bytes());
    switch (headers.protocol) {
        case kTcp: {
            if (transport.size() < kMinTcpBytes) return 0;
            const std::size_t size = std::size_t{load8(transport, 12)} / 16 * 4;
            return size >= kMinTcpBytes && size <= transport.size() ? headers.ip_bytes + size : 0;
        }
        case kUdp:
            return transport.size() >= kUdpBytes && load16(transport, 4) == transport.size()
                       ? headers.ip_bytes + kUdpBytes
                       : 0;
        default:
            return 0;
    }
}

}  // namespace

std::optional<Headers> find_headers(net::ByteView packet) {
    if (packet.empty()) return std::nullopt;
    Headers out;
    switch (load8(packet, 0) >> 4) {
        case 4:
            if (!find_ip4(packet, out)) return std::nullopt;
            break;
        case 6:
            if (!find_ip6(packet, out)) return std::nullopt;
            break;
        default:
            return std::nullopt;
    }
    if (!out.fragment) out.header_bytes = header_bytes(packet, out);
    return out;
}

}  // namespace tun
