#include "net/fill_checksum.hpp"

#include "net/checksum.hpp"
#include "net/packet.hpp"

namespace net {

bool fill_checksum(MutableBytes packet) {
    constexpr std::uint8_t kTcp = 6, kUdp = 17;
    constexpr std::size_t kTcpBytes = 20, kTcpChecksumAt = 16, kUdpBytes = 8, kUdpChecksumAt = 6;
    const auto transport = find_transport(packet);
    if (!transport || transport->fragment) return false;
    const bool tcp = transport->protocol == kTcp;
    if (!tcp && transport->protocol != kUdp) return false;
    const auto header = parse_ip(packet);
    const auto segment = packet.first(header->total_bytes).subspan(transport->at);
    if (segment.size() < (tcp ? kTcpBytes : kUdpBytes)) return false;

    const auto field = segment.subspan(tcp ? kTcpChecksumAt : kUdpChecksumAt, 2);
    field[0] = field[1] = std::byte{0};
    const auto addresses = header->source.is_v4() ? packet.subspan(12, 8) : packet.subspan(8, 32);
    auto sum = checksum_finish(checksum_add(segment, checksum_pseudo_header(addresses, transport->protocol, segment.size())));
    if (!tcp && sum == 0) sum = 0xffff;  // zero means that there is none (RFC 768)
    field[0] = static_cast<std::byte>(sum >> 8);
    field[1] = static_cast<std::byte>(sum & 0xff);
    return true;
}

}  // namespace net
