#include "net/packet.hpp"

namespace net {

std::optional<IpHeader> parse_ip(ByteView packet) {
    if (packet.empty()) return std::nullopt;
    IpHeader out;
    switch (std::to_integer<unsigned>(packet[0]) >> 4) {
        case 4: {
            if (packet.size() < 20) return std::nullopt;
            const std::size_t header = (std::to_integer<std::size_t>(packet[0]) & 0xf) * 4;
            out.total_bytes = Reader(packet.subspan(2)).u16be();
            if (header < 20 || out.total_bytes < header || out.total_bytes > packet.size()) return std::nullopt;
            out.traffic_class = std::to_integer<std::uint8_t>(packet[1]);
            out.protocol = std::to_integer<std::uint8_t>(packet[9]);
            out.source = IpAddress::from_bytes(packet.subspan(12, 4));
            out.destination = IpAddress::from_bytes(packet.subspan(16, 4));
            return out;
        }
        case 6: {
            if (packet.size() < 40) return std::nullopt;
            out.total_bytes = std::size_t{40} + Reader(packet.subspan(4)).u16be();
            if (out.total_bytes > packet.size()) return std::nullopt;
            out.traffic_class = static_cast<std::uint8_t>(Reader(packet).u16be() >> 4 & 0xff);
            out.protocol = std::to_integer<std::uint8_t>(packet[6]);
            out.source = IpAddress::from_bytes(packet.subspan(8, 16));
            out.destination = IpAddress::from_bytes(packet.subspan(24, 16));
            return out;
        }
        default: return std::nullopt;
    }
}

std::optional<Transport> find_transport(ByteView packet) {
    const auto header = parse_ip(packet);
    if (!header) return std::nullopt;
    const auto whole = packet.first(header->total_bytes);
    Transport out;
    out.protocol = header->protocol;
    if (header->source.is_v4()) {
        out.at = (std::to_integer<std::size_t>(whole[0]) & 0xf) * 4;
        const auto word = Reader(whole.subspan(6)).u16be();  // RFC 791 section 3.1: flags and fragment offset
        out.fragment = (word & 0x3fff) != 0;
        out.first = (word & 0x1fff) == 0;
        return out;
    }
    // RFC 8200 section 4: each says which is next, and its own length in units of 8 bytes beyond the first 8.
    constexpr std::uint8_t kHopByHop = 0, kRouting = 43, kFragment = 44, kDestinationOptions = 60;
    out.at = 40;
    while (out.protocol == kHopByHop || out.protocol == kRouting || out.protocol == kDestinationOptions ||
           out.protocol == kFragment) {
        if (whole.size() - out.at < 8) return std::nullopt;
        const auto here = whole.subspan(out.at);
        const bool is_fragment = out.protocol == kFragment;
        const std::size_t size = is_fragment ? 8 : 8 + std::to_integer<std::size_t>(here[1]) * 8;
        if (is_fragment) {
            out.fragment = true;
            out.first = (Reader(here.subspan(2)).u16be() & 0xfff8) == 0;
        }
        if (size > here.size()) return std::nullopt;
        out.protocol = std::to_integer<std::uint8_t>(here[0]);
        out.at += size;
        if (!out.first) break;
    }
    return out;
}

std::uint8_t traffic_class_of(ByteView packet) {
    if (std::to_integer<unsigned>(packet[0]) >> 4 == 4) return std::to_integer<std::uint8_t>(packet[1]);
    return static_cast<std::uint8_t>(Reader(packet).u16be() >> 4 & 0xff);
}

void set_ecn(MutableBytes packet, Ecn ecn) {
    const auto bits = static_cast<unsigned>(ecn);
    if (std::to_integer<unsigned>(packet[0]) >> 4 == 6) {
        packet[1] = (packet[1] & std::byte{0xcf}) | static_cast<std::byte>(bits << 4);
        return;
    }
    const auto old_word = Reader(packet).u16be();
    packet[1] = (packet[1] & std::byte{0xfc}) | static_cast<std::byte>(bits);
    // RFC 1624: HC' = ~(~HC + ~m + m')
    std::uint32_t sum = static_cast<std::uint16_t>(~Reader(packet.subspan(10)).u16be());
    sum += static_cast<std::uint16_t>(~old_word);
    sum += Reader(packet).u16be();
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    const auto checksum = static_cast<std::uint16_t>(~sum);
    packet[10] = static_cast<std::byte>(checksum >> 8);
    packet[11] = static_cast<std::byte>(checksum & 0xff);
}

bool mark_congested(MutableBytes packet) {
    if (ecn_of(traffic_class_of(packet)) == Ecn::not_ect) return false;
    set_ecn(packet, Ecn::ce);
    return true;
}

}  // namespace net
