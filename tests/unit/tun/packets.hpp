/// TCP and UDP packets field by field, and their bytes, checksums done the naive way.
#pragma once

#include "net/random.hpp"
#include "tun/coalesce.hpp"
#include "tun/split.hpp"

namespace test {

constexpr std::uint8_t kTcp = 6, kUdp = 17;
constexpr std::uint8_t kFin = 0x01, kSyn = 0x02, kRst = 0x04, kPsh = 0x08, kAck = 0x10, kUrg = 0x20, kEce = 0x40,
                       kCwr = 0x80;

/// An Internet checksum, complemented, a word at a time.
inline std::uint16_t slow_checksum(net::ByteView bytes, std::uint32_t sum = 0) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        sum += std::to_integer<std::uint32_t>(bytes[i]) << (i % 2 == 0 ? 8 : 0);
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return static_cast<std::uint16_t>(~sum);
}

inline void put16(net::Bytes& bytes, std::size_t at, std::size_t value) {
    bytes[at] = static_cast<std::byte>(value >> 8);
    bytes[at + 1] = static_cast<std::byte>(value & 0xff);
}

struct Packet {
    bool v6 = false;
    std::uint32_t source = 0x0a000001, destination = 0x0a000002;  // in IPv6 the last 32 bits
    std::uint8_t traffic_class = 0;
    std::uint8_t hops = 64;
    std::uint32_t flow_label = 0;
    std::uint16_t id = 0;
    std::uint16_t fragment = 0x4000;  // IPv4's flags and offset: DF
    net::Bytes ip_options;            // IPv4's, or a whole IPv6 destination options header but its first byte
    std::uint8_t protocol = kTcp;
    std::uint16_t source_port = 1000, destination_port = 2000;
    std::uint32_t sequence = 0, acknowledgement = 0;
    std::uint8_t flags = kAck;
    std::uint16_t window = 500, urgent = 0;
    net::Bytes tcp_options;
    net::Bytes payload;

    std::size_t ip_bytes() const { return (v6 ? 40 : 20) + ip_options.size() + (v6 && !ip_options.empty() ? 1 : 0); }
    std::size_t header_bytes() const { return ip_bytes() + (protocol == kTcp ? 20 + tcp_options.size() : 8); }

    net::Bytes addresses() const {
        net::Writer out;
        if (v6) out.u64be(0xfd00000000000000).u32be(0);
        out.u32be(source);
        if (v6) out.u64be(0xfd00000000000000).u32be(0);
        return out.u32be(destination).take();
    }
    net::Bytes transport() const {
        net::Writer out;
        out.u16be(source_port).u16be(destination_port);
        if (protocol == kTcp) {
            out.u32be(sequence).u32be(acknowledgement);
            out.u8(static_cast<std::uint8_t>((20 + tcp_options.size()) / 4 << 4))
                .u8(flags)
                .u16be(window)
                .u16be(0)
                .u16be(urgent);
            out.bytes(tcp_options);
        } else {
            out.u16be(static_cast<std::uint16_t>(8 + payload.size())).u16be(0);
        }
        return out.bytes(payload).take();
    }
    std::uint16_t pseudo_header(std::size_t transport_bytes) const {
        const auto words =
            net::Writer().bytes(addresses()).u32be(static_cast<std::uint32_t>(transport_bytes)).u32be(protocol).take();
        return static_cast<std::uint16_t>(~slow_checksum(words));
    }

    enum class Checksum { whole, pseudo_header };
    net::Bytes bytes(Checksum kind = Checksum::whole) const {
        auto inner = transport();
        const auto pseudo = pseudo_header(inner.size());
        auto checksum = slow_checksum(inner, pseudo);
        if (protocol == kUdp && checksum == 0) checksum = 0xffff;
        put16(inner, protocol == kTcp ? 16 : 6, kind == Checksum::whole ? checksum : pseudo);
        const auto total = static_cast<std::uint16_t>(ip_bytes() + inner.size());
        net::Writer out;
        if (v6) {
            out.u32be(0x60000000U | std::uint32_t{traffic_class} << 20 | flow_label);
            out.u16be(static_cast<std::uint16_t>(total - 40)).u8(ip_options.empty() ? protocol : 60).u8(hops);
            out.bytes(addresses());
            if (!ip_options.empty()) out.u8(protocol).bytes(ip_options);
            return out.bytes(inner).take();
        }
        out.u8(static_cast<std::uint8_t>(0x40 | ip_bytes() / 4))
            .u8(traffic_class)
            .u16be(total)
            .u16be(id)
            .u16be(fragment);
        out.u8(hops).u8(protocol).u16be(0).bytes(addresses()).bytes(ip_options);
        auto header = out.take();
        put16(header, 10, slow_checksum(header));
        return net::Writer().bytes(header).bytes(inner).take();
    }

    tun::Offload offload(std::size_t segment_bytes) const {
        tun::Offload out;
        out.gso = protocol == kUdp ? tun::Gso::udp : v6 ? tun::Gso::tcp6 : tun::Gso::tcp4;
        out.ecn = protocol == kTcp && (flags & kCwr) != 0;
        out.needs_checksum = true;
        out.segment_bytes = static_cast<std::uint16_t>(segment_bytes);
        out.header_bytes = static_cast<std::uint16_t>(header_bytes());
        out.checksum_start = static_cast<std::uint16_t>(ip_bytes());
        out.checksum_offset = protocol == kTcp ? 16 : 6;
        return out;
    }
};

/// What the packet is cut into: each a packet of its own, by the words of the RFCs.
inline std::vector<Packet> segments_of(const Packet& packet, std::size_t segment_bytes) {
    std::vector<Packet> out;
    for (std::size_t at = 0; at < packet.payload.size() || out.empty(); at += segment_bytes) {
        auto segment = packet;
        const auto size = std::min(segment_bytes, packet.payload.size() - at);
        segment.payload = net::copy(net::ByteView(packet.payload).subspan(at, size));
        segment.id = static_cast<std::uint16_t>(packet.id + out.size());
        segment.sequence += static_cast<std::uint32_t>(at);
        if (at > 0) segment.flags &= static_cast<std::uint8_t>(~kCwr);
        if (at + size < packet.payload.size()) segment.flags &= static_cast<std::uint8_t>(~(kFin | kPsh));
        out.push_back(std::move(segment));
    }
    return out;
}

inline net::Bytes random_bytes(net::Random& random, std::size_t size) {
    net::Bytes out(size);
    random.fill(out);
    return out;
}

/// Any TCP or UDP packet without payload.
inline Packet random_header(net::Random& random) {
    Packet out;
    out.v6 = random.below(2) == 0;
    out.protocol = random.below(3) == 0 ? kUdp : kTcp;
    out.traffic_class = static_cast<std::uint8_t>(random.below(4) == 0 ? random.below(256) : 0);
    out.hops = static_cast<std::uint8_t>(1 + random.below(255));
    out.flow_label = static_cast<std::uint32_t>(random.below(1 << 20));
    out.id = static_cast<std::uint16_t>(random.u64());
    out.fragment = random.below(3) == 0 ? 0 : 0x4000;
    out.source_port = static_cast<std::uint16_t>(random.u64());
    out.destination_port = static_cast<std::uint16_t>(random.u64());
    out.sequence = static_cast<std::uint32_t>(random.u64());
    if (random.below(4) == 0) out.sequence = static_cast<std::uint32_t>(0 - random.below(5000));  // about to wrap
    out.acknowledgement = static_cast<std::uint32_t>(random.u64());
    out.window = static_cast<std::uint16_t>(random.u64());
    out.tcp_options = random_bytes(random, random.below(3) == 0 ? 4 * random.below(11) : 12);
    return out;
}

using Packets = std::vector<net::Bytes>;

inline net::Bytes joined(std::span<const net::ByteView> pieces) {
    net::Writer out;
    for (const auto& piece : pieces) out.bytes(piece);
    return out.take();
}

/// Remembers what was written.
struct Memory final : tun::PacketSink {
    struct Written {
        tun::Offload offload;
        net::Bytes bytes;
        std::size_t pieces;
    };
    void write(const tun::Offload& offload, std::span<const net::ByteView> pieces) override {
        written.push_back({offload, joined(pieces), pieces.size()});
    }
    std::vector<Written> written;
};

/// All packets of one split, whole; none if it was refused.
inline std::vector<net::Bytes> split(const tun::Offload& offload, net::ByteView packet,
                                     tun::Splitter::Checksums checksums = tun::Splitter::Checksums::complete) {
    std::vector<net::Bytes> out;
    auto splitter = tun::Splitter::open(offload, packet, checksums);
    if (!splitter) return out;
    while (const auto segment = splitter->next()) {
        out.push_back(net::Writer().bytes(segment->header).bytes(segment->payload).take());
    }
    return out;
}

}  // namespace test
