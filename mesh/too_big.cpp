#include "mesh/too_big.hpp"

#include <algorithm>

#include "net/checksum.hpp"

namespace mesh {
namespace {

constexpr std::uint8_t kIcmpV4 = 1, kIcmpV6 = 58;
constexpr std::uint8_t kUnreachable = 3, kFragmentationNeeded = 4;  // RFC 792
constexpr std::uint8_t kPacketTooBig = 2, kFirstInformational = 128;  // RFC 4443
constexpr std::uint8_t kHops = 64;
constexpr std::size_t kIp4Bytes = 20, kIp6Bytes = 40, kIcmpHeadBytes = 8;
constexpr std::size_t kMost4Bytes = 576;   // of the answer, RFC 1812 section 4.3.2.3
constexpr std::size_t kMost6Bytes = 1280;  // RFC 4443 section 2.4 (c)
constexpr std::size_t kLeastMtu6 = 1280;   // RFC 8200 section 5

bool dont_fragment(net::ByteView packet) { return (packet[6] & std::byte{0x40}) != std::byte{}; }

/// One machine's address, as far as can be told.
bool is_single(const net::IpAddress& address) {
    const auto bytes = address.bytes();
    const auto first = std::to_integer<unsigned>(bytes[0]);
    if (address.is_v6()) {
        return first != 0xff && std::any_of(bytes.begin(), bytes.end(), [](std::byte b) { return b != std::byte{}; });
    }
    return first != 0 && first != 127 && first < 224;
}

bool is_icmp_error(net::ByteView packet, const net::Transport& transport, bool v6) {
    if (transport.protocol != (v6 ? kIcmpV6 : kIcmpV4)) return false;
    const auto message = packet.subspan(transport.at);
    if (message.empty()) return true;
    const auto type = std::to_integer<std::uint8_t>(message[0]);
    // RFC 1122 section 3.2.2: unreachable, source quench, redirect, time exceeded, parameter problem.
    return v6 ? type < kFirstInformational : type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

void store(net::Bytes& bytes, std::size_t at, std::uint16_t value) {
    bytes[at] = static_cast<std::byte>(value >> 8);
    bytes[at + 1] = static_cast<std::byte>(value & 0xff);
}

net::Bytes reply4(const net::IpHeader& header, net::ByteView packet, std::size_t mtu_bytes) {
    const auto quoted = packet.first(std::min(packet.size(), kMost4Bytes - kIp4Bytes - kIcmpHeadBytes));
    net::Writer out;
    out.u8(0x45).u8(0).u16be(static_cast<std::uint16_t>(kIp4Bytes + kIcmpHeadBytes + quoted.size())).u32be(0);
    out.u8(kHops).u8(kIcmpV4).u16be(0).bytes(header.destination.bytes()).bytes(header.source.bytes());
    out.u8(kUnreachable).u8(kFragmentationNeeded).u16be(0).u16be(0).u16be(static_cast<std::uint16_t>(mtu_bytes));
    auto reply = out.bytes(quoted).take();
    const net::ByteView all(reply);
    store(reply, 10, net::checksum_finish(net::checksum_add(all.first(kIp4Bytes))));
    store(reply, kIp4Bytes + 2, net::checksum_finish(net::checksum_add(all.subspan(kIp4Bytes))));
    return reply;
}

net::Bytes reply6(const net::IpHeader& header, net::ByteView packet, std::size_t mtu_bytes) {
    const auto quoted = packet.first(std::min(packet.size(), kMost6Bytes - kIp6Bytes - kIcmpHeadBytes));
    const auto icmp_bytes = kIcmpHeadBytes + quoted.size();
    net::Writer out;
    out.u32be(0x60000000).u16be(static_cast<std::uint16_t>(icmp_bytes)).u8(kIcmpV6).u8(kHops);
    out.bytes(header.destination.bytes()).bytes(header.source.bytes());
    out.u8(kPacketTooBig).u8(0).u16be(0).u32be(static_cast<std::uint32_t>(std::max(mtu_bytes, kLeastMtu6)));
    auto reply = out.bytes(quoted).take();
    const net::ByteView all(reply);
    const auto pseudo = net::checksum_pseudo_header(all.subspan(8, 32), kIcmpV6, icmp_bytes);
    store(reply, kIp6Bytes + 2, net::checksum_finish(net::checksum_add(all.subspan(kIp6Bytes), pseudo)));
    return reply;
}

}  // namespace

bool is_too_big(net::ByteView packet, std::size_t largest_bytes, std::size_t mtu_bytes) {
    if (std::to_integer<unsigned>(packet[0]) >> 4 == 6) return largest_bytes > std::max(mtu_bytes, kLeastMtu6);
    return largest_bytes > mtu_bytes && dont_fragment(packet);
}

net::Bytes TooBigReplies::reply(net::ByteView packet, std::size_t mtu_bytes, net::Steady now) {
    const auto header = net::parse_ip(packet);
    const auto transport = net::find_transport(packet);
    if (!header || !transport || !transport->first) return {};
    const auto whole = packet.first(header->total_bytes);
    const bool v6 = header->source.is_v6();
    if (!is_single(header->source) || !is_single(header->destination) || is_icmp_error(whole, *transport, v6)) return {};
    const auto full_at = std::max(full_at_, now) + kEvery;
    if (full_at - now > kBurst * kEvery) return {};
    full_at_ = full_at;
    return v6 ? reply6(*header, whole, mtu_bytes) : reply4(*header, whole, mtu_bytes);
}

}  // namespace mesh
