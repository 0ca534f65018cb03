#include "mesh/subnet_map.hpp"

#include <algorithm>

#include "net/checksum.hpp"
#include "net/packet.hpp"

namespace mesh {
namespace {

using Checksum = SubnetMap::Checksum;

constexpr std::uint8_t kIcmp4 = 1, kTcp = 6, kUdp = 17, kDccp = 33, kIcmp6 = 58, kUdpLite = 136;
constexpr std::uint8_t kHopByHop = 0, kRouting = 43, kFragment = 44, kDestinationOptions = 60;
constexpr std::uint8_t kLooseSourceRoute = 131, kStrictSourceRoute = 137;  // RFC 791 section 3.1
constexpr std::size_t kIcmpBytes = 8;

enum class End : std::uint8_t { source, destination };

std::uint8_t load8(net::ByteView bytes, std::size_t at) { return std::to_integer<std::uint8_t>(bytes[at]); }
std::uint16_t load16(net::ByteView bytes, std::size_t at) { return net::Reader(bytes.subspan(at)).u16be(); }
void store16(net::MutableBytes bytes, std::size_t at, std::uint16_t value) {
    bytes[at] = static_cast<std::byte>(value >> 8);
    bytes[at + 1] = static_cast<std::byte>(value & 0xff);
}

/// What a packet's headers say, as far as its bytes go: one that is quoted may be cut off anywhere.
struct Layout {
    bool v6 = false;
    bool source_routed = false;  ///< its last destination is not the one in the header, which the checksums do not cover
    bool has_transport = false;  ///< the first fragment, or the whole: its transport header begins within the bytes
    std::uint8_t protocol = 0;
    std::size_t at = 0;  ///< of the transport header

    std::size_t address_at(End end) const { return (v6 ? 8U : 12U) + (end == End::source ? 0 : address_bytes()); }
    std::size_t address_bytes() const { return v6 ? 16 : 4; }
    bool is_icmp() const { return has_transport && protocol == (v6 ? kIcmp6 : kIcmp4); }
    /// Where the checksum that covers the addresses stands, in the transport header; 0: there is none.
    std::size_t checksum_offset() const {
        switch (protocol) {
            case kTcp: return 16;
            case kUdp:
            case kUdpLite:
            case kDccp: return 6;
            case kIcmp6: return v6 ? 2 : 0;
            default: return 0;
        }
    }
};

bool has_source_route(net::ByteView options) {
    for (std::size_t i = 0; i < options.size();) {
        const auto kind = load8(options, i);
        if (kind == kLooseSourceRoute || kind == kStrictSourceRoute) return true;
        if (kind == 0) return false;
        const std::size_t size = kind == 1 ? 1 : i + 1 < options.size() ? load8(options, i + 1) : 0;
        if (size == 0) return false;
        i += size;
    }
    return false;
}

Layout layout4(net::ByteView packet) {
    Layout out;
    out.protocol = load8(packet, 9);
    out.at = std::size_t{load8(packet, 0)} % 16 * 4;
    out.source_routed = out.at > 20 && has_source_route(packet.first(std::min(out.at, packet.size())).subspan(20));
    out.has_transport = (load16(packet, 6) & 0x1fff) == 0 && out.at >= 20 && out.at < packet.size();
    return out;
}

Layout layout6(net::ByteView packet) {
    Layout out;
    out.v6 = true;
    out.protocol = load8(packet, 6);
    out.at = 40;
    bool first = true;
    while (first && (out.protocol == kHopByHop || out.protocol == kRouting || out.protocol == kFragment ||
                     out.protocol == kDestinationOptions)) {
        if (packet.size() < out.at + 8) return out;
        const auto here = packet.subspan(out.at);
        const bool fragment = out.protocol == kFragment;
        if (fragment) first = (load16(here, 2) & 0xfff8) == 0;
        if (out.protocol == kRouting && load8(here, 3) != 0) out.source_routed = true;  // segments left
        out.protocol = load8(here, 0);
        out.at += fragment ? 8 : 8 + std::size_t{load8(here, 1)} * 8;
    }
    out.has_transport = first && out.at < packet.size();
    return out;
}

/// Nullopt if there is no fixed header.
std::optional<Layout> layout_of(net::ByteView packet) {
    if (packet.empty()) return std::nullopt;
    const auto version = load8(packet, 0) >> 4;
    if (version == 4 && packet.size() >= 20) return layout4(packet);
    if (version == 6 && packet.size() >= 40) return layout6(packet);
    return std::nullopt;
}

/// Writes over two bytes at an even place of what a checksum covers. Gives what to add to the sum, one's complement.
std::uint64_t change(net::MutableBytes bytes, std::size_t at, std::uint16_t value) {
    const auto before = static_cast<std::uint16_t>(~load16(bytes, at));
    store16(bytes, at, value);
    return std::uint64_t{before} + value;
}

/// HC' = ~(~HC + ~m + m'): RFC 1624, equation 3. `added`: ~m + m' of all that has changed.
std::uint16_t adjusted(std::uint16_t checksum, std::uint64_t added) {
    return net::checksum_finish(std::uint64_t{static_cast<std::uint16_t>(~checksum)} + added);
}

/// Gives what to add to a sum that covers the address.
std::uint64_t put_address(net::MutableBytes packet, const Layout& layout, End end, const net::IpAddress& address) {
    std::uint64_t added = 0;
    const auto bytes = address.bytes();
    for (std::size_t i = 0; i < bytes.size(); i += 2) added += change(packet, layout.address_at(end) + i, load16(bytes, i));
    return added;
}

net::IpAddress address_of(net::ByteView packet, const Layout& layout, End end) {
    return net::IpAddress::from_bytes(packet.subspan(layout.address_at(end), layout.address_bytes()));
}

/// The address with the same bits behind another prefix.
net::IpAddress moved(const net::IpAddress& address, const net::Prefix& to) {
    std::array<std::byte, 16> bytes{};
    const auto from = address.bytes(), prefix = to.address().bytes();
    for (std::size_t i = 0; i < from.size(); ++i) {
        const unsigned fixed = to.length() <= i * 8 ? 0 : std::min<unsigned>(8, to.length() - static_cast<unsigned>(i) * 8);
        const auto mask = static_cast<std::byte>(0xff00U >> fixed);
        bytes[i] = (prefix[i] & mask) | (from[i] & ~mask);
    }
    return net::IpAddress::from_bytes(net::ByteView(bytes).first(from.size()));
}

struct Translation {
    bool into_mesh;
    const std::vector<MappedSubnet>* subnets;
    /// Nullopt: it stays.
    std::optional<net::IpAddress> of(const net::IpAddress& address) const {
        for (const auto& subnet : *subnets) {
            const auto& from = into_mesh ? subnet.lan : subnet.as;
            if (from.contains(address)) return moved(address, into_mesh ? subnet.as : subnet.lan);
        }
        return std::nullopt;
    }
};

/// The packet that an ICMP error quotes. Gives what to add to the error's own sum.
std::uint64_t translate_quoted(net::MutableBytes quoted, End end, const Translation& translation) {
    const auto layout = layout_of(quoted);
    if (!layout) return 0;
    const auto to = translation.of(address_of(quoted, *layout, end));
    if (!to) return 0;
    const auto moved_by = put_address(quoted, *layout, end, *to);
    auto added = moved_by;
    if (!layout->v6) added += change(quoted, 10, adjusted(load16(quoted, 10), moved_by));
    const auto offset = layout->checksum_offset();
    const bool pseudo = layout->has_transport && offset != 0 && !layout->source_routed;
    if (!pseudo || quoted.size() < layout->at + offset + 2) return added;
    const auto old = load16(quoted, layout->at + offset);
    if (layout->protocol == kUdp && old == 0) return added;
    auto checksum = adjusted(old, moved_by);
    if (layout->protocol == kUdp && checksum == 0) checksum = 0xffff;
    return added + change(quoted, layout->at + offset, checksum);
}

bool is_error(net::ByteView icmp, bool v6) {
    const auto type = load8(icmp, 0);
    // RFC 4443 section 2.1; RFC 1122 section 3.2.2: unreachable, source quench, redirect, time exceeded, parameter problem.
    return v6 ? type < 128 : type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

/// `end`: of the packet itself. What it quotes went the other way.
bool translate(net::MutableBytes packet, End end, Checksum state, const Translation& translation) {
    const auto header = net::parse_ip(packet);
    const auto layout = layout_of(packet);
    if (!header || !layout) return true;
    packet = packet.first(header->total_bytes);
    const auto to = translation.of(end == End::source ? header->source : header->destination);
    const bool icmp = layout->is_icmp() && packet.size() > layout->at + kIcmpBytes;
    const bool quotes = icmp && is_error(packet.subspan(layout->at), layout->v6);
    if (!to && !quotes) return true;

    const auto offset = layout->has_transport ? layout->checksum_offset() : 0;
    const bool covered = offset != 0;
    if (to && (layout->source_routed || (covered && packet.size() < layout->at + offset + 2))) return false;
    std::uint64_t added = 0;
    if (to) {
        added = put_address(packet, *layout, end, *to);
        if (!layout->v6) store16(packet, 10, adjusted(load16(packet, 10), added));
    }
    if (quotes) {
        if (!layout->v6) added = 0;  // ICMP for IPv4 covers no addresses but those that it quotes
        const auto other = end == End::source ? End::destination : End::source;
        added += translate_quoted(packet.subspan(layout->at + kIcmpBytes), other, translation);
        if (added != 0) store16(packet, layout->at + 2, adjusted(load16(packet, layout->at + 2), added));
        return true;
    }
    if (!covered) return true;
    const auto at = layout->at + offset;
    const bool by_device = layout->protocol == kTcp || layout->protocol == kUdp;
    if (by_device && state == Checksum::left) return true;
    if (by_device && state == Checksum::partial) {
        store16(packet, at, net::checksum_fold(load16(packet, at) + added));
        return true;
    }
    const auto old = load16(packet, at);
    if (layout->protocol == kUdp && old == 0) return true;  // RFC 768: none was made
    const auto checksum = adjusted(old, added);
    store16(packet, at, layout->protocol == kUdp && checksum == 0 ? 0xffff : checksum);
    return true;
}

}  // namespace

bool SubnetMap::out_of_mesh(net::MutableBytes packet, Checksum checksum) const {
    return translate(packet, End::destination, checksum, {false, &subnets_});
}

bool SubnetMap::into_mesh(net::MutableBytes packet, Checksum checksum) const {
    return translate(packet, End::source, checksum, {true, &subnets_});
}

bool SubnetMap::is_ours(const net::IpAddress& address) const {
    return std::any_of(subnets_.begin(), subnets_.end(), [&](const auto& one) { return one.as.contains(address); });
}

}  // namespace mesh
