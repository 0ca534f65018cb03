#include "tun/probe.hpp"

#include <unistd.h>

#include <cerrno>

#include "tun/headers.hpp"

namespace tun {
namespace {

constexpr std::uint32_t kLoopback = 0x7f000001;

/// Two segments of one byte, from and to this machine itself, without a hop to live: were it ever taken in, it would be
/// dropped at once, as no other device than the loopback may bring it.
net::Bytes make_probe(Gso gso) {
    const auto protocol = gso == Gso::tcp4 ? kTcp : kUdp;
    const std::size_t header_bytes = 20 + (gso == Gso::tcp4 ? kMinTcpBytes : kUdpBytes), size = header_bytes + 2;
    net::Bytes packet(size);
    packet[0] = std::byte{0x45};
    packet[9] = static_cast<std::byte>(protocol);
    store16(packet, 2, size);
    store32(packet, 12, kLoopback);
    store32(packet, 16, kLoopback);
    store16(packet, 10, net::checksum_finish(net::checksum_add(net::ByteView(packet).first(20))));
    if (gso == Gso::tcp4) {
        packet[20 + 12] = std::byte{kMinTcpBytes / 4 << 4};
    } else {
        store16(packet, 20 + 4, size - 20);
    }
    const auto headers = find_headers(packet);
    Offload offload;
    offload.gso = gso;
    offload.needs_checksum = true;
    offload.segment_bytes = 1;
    offload.header_bytes = static_cast<std::uint16_t>(header_bytes);
    offload.checksum_start = 20;
    offload.checksum_offset = static_cast<std::uint16_t>(headers->checksum_offset());
    store16(packet, 20 + headers->checksum_offset(), net::checksum_fold(headers->pseudo_header(packet, size - 20)));

    net::Bytes out(Offload::kBytes);
    offload.write(out);
    out.insert(out.end(), packet.begin(), packet.end());
    return out;
}

}  // namespace

bool takes_superpackets(int queue_fd, Gso gso) {
    const auto probe = make_probe(gso);
    // EIO: all was well but that the device is down. Kernels before 5.1 throw it away without a word.
    return ::write(queue_fd, probe.data(), probe.size()) >= 0 || errno == EIO;
}

}  // namespace tun
