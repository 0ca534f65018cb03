#include "voice/engine/rtp.hpp"

namespace voice::engine {

std::optional<RtpPacket> RtpPacket::parse(net::ByteView packet) {
    if (packet.size() > kMaxRtpBytes) return std::nullopt;
    net::Reader reader(packet);
    const unsigned first = reader.u8(), second = reader.u8();
    RtpPacket out;
    out.header.marker = (second & 0x80U) != 0;
    out.header.payload_type = second & 0x7fU;
    out.header.sequence = reader.u16be();
    out.header.timestamp = reader.u32be();
    out.header.ssrc = reader.u32be();
    reader.bytes(4 * std::size_t{first & 0x0fU});
    if ((first & 0x10U) != 0) {  // RFC 3550 5.3.1
        reader.u16be();
        reader.bytes(4 * std::size_t{reader.u16be()});
    }
    if (!reader.ok() || first >> 6 != 2 || (out.header.payload_type >= 64 && out.header.payload_type < 96)) return std::nullopt;
    out.payload = reader.rest();
    if ((first & 0x20U) != 0) {
        const std::size_t padding = out.payload.empty() ? 0 : std::to_integer<std::size_t>(out.payload.back());
        if (padding == 0 || padding > out.payload.size()) return std::nullopt;
        out.payload = out.payload.first(out.payload.size() - padding);
    }
    return out;
}

net::Bytes build_rtp(const RtpHeader& header, net::ByteView payload) {
    net::Writer out;
    out.u8(0x80).u8(static_cast<std::uint8_t>(header.payload_type | (header.marker ? 0x80 : 0)));
    out.u16be(header.sequence).u32be(header.timestamp).u32be(header.ssrc).bytes(payload);
    return out.take();
}

}  // namespace voice::engine
