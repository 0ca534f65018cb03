#include "tun/probe.hpp"

#include <unistd.h>

#include <cerrno>

#include "tun/headers.hpp"

namespace tun {
namespace {

constexpr std::uint32_t kLoopback = 0x7f000001;

/// Two segments of one byte, from and to this machine itself, without a hop to live: were it ever taken in, it would be
/// dropped at once, as no other device than the loopback may bring it.
net::Bytes make_probe(Gso gso, bool v6) {
    const bool tcp = gso != Gso::udp;
    const std::size_t ip_bytes = v6 ? 40 : 20, transport_bytes = tcp ? kMinTcpBytes : kUdpBytes;
    const std::size_t header_bytes = ip_bytes + transport_bytes, size = header_bytes + 2;
    net::Bytes packet(size);
    if (v6) {
        packet[0] = std::byte{0x60};
        store16(packet, 4, size - ip_bytes);
        packet[6] = static_cast<std::byte>(tcp ? kTcp : kUdp);
        packet[8 + 15] = packet[24 + 15] = std::byte{1};  // ::1
    } else {
        packet[0] = std::byte{0x45};
        packet[9] = static_cast<std::byte>(tcp ? kTcp : kUdp);
        store16(packet, 2, size);
        store32(packet, 12, kLoopback);
        store32(packet, 16, kLoopback);
        store16(packet, 10, net::checksum_finish(net::checksum_add(net::ByteView(packet).first(ip_bytes))));
    }
    if (tcp) {
        packet[ip_bytes + 12] = std::byte{kMinTcpBytes / 4 << 4};
    } else {
        store16(packet, ip_bytes + 4, size - ip_bytes);
    }
    const auto headers = find_headers(packet);
    Offload offload;
    offload.gso = gso;
    offload.needs_checksum = true;
    offload.segment_bytes = 1;
    offload.header_bytes = static_cast<std::uint16_t>(header_bytes);
    offload.checksum_start = static_cast<std::uint16_t>(ip_bytes);
    offload.checksum_offset = static_cast<std::uint16_t>(headers->checksum_offset());
    const auto sum = headers->pseudo_header(packet, size - ip_bytes);
    store16(packet, ip_bytes + headers->checksum_offset(), net::checksum_fold(sum));

    net::Bytes out(Offload::kBytes);
    offload.write(out);
    out.insert(out.end(), packet.begin(), packet.end());
    return out;
}

}  // namespace

bool takes_superpackets(int queue_fd, Gso gso, bool v6) {
    const auto probe = make_probe(gso, v6 || gso == Gso::tcp6);
    // EIO: all was well but that the device is down. Kernels before 5.1 throw it away without a word.
    return ::write(queue_fd, probe.data(), probe.size()) >= 0 || errno == EIO;
}

}  // namespace tun
