// Decrypted packets, as any member may send them: a byte of settings, then packets, each behind its length (two bytes).
// Whatever they are, what is written, split again, are the same packets.
#include <algorithm>
#include <cstdlib>
#include <deque>

#include "tun/coalesce.hpp"
#include "tun/headers.hpp"
#include "tun/split.hpp"

namespace {

/// What of a packet must be the same afterwards: not the identification of what cannot be fragmented, not a checksum
/// that was left out, nothing behind the packet.
net::Bytes essence(net::Bytes packet, bool checksums_left) {
    const auto headers = tun::find_headers(packet);
    if (!headers) return packet;
    packet.resize(headers->total_bytes);
    if (!headers->v6 && packet[6] == std::byte{0x40} && packet[7] == std::byte{}) {
        tun::store16(packet, 4, 0);
        tun::store16(packet, 10, 0);
    }
    if (checksums_left && headers->has_checksum()) {
        tun::store16(packet, headers->ip_bytes + headers->checksum_offset(), 0);
    }
    return packet;
}

struct Sink final : tun::PacketSink {
    void write(const tun::Offload& offload, std::span<const net::ByteView> pieces) override {
        net::Writer whole;
        for (const auto& piece : pieces) whole.bytes(piece);
        auto splitter = tun::Splitter::open(offload, whole.view(), tun::Splitter::Checksums::complete);
        if (!splitter) std::abort();  // we must not write what we ourselves would not take
        while (const auto segment = splitter->next()) {
            out.push_back(net::Writer().bytes(segment->header).bytes(segment->payload).take());
        }
    }
    std::vector<net::Bytes> out;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    net::Reader input(std::as_bytes(std::span(data, size)));
    const unsigned choice = input.u8();
    const bool left = (choice & 1) != 0;
    tun::Coalescer coalescer({.tcp = (choice & 2) == 0,
                              .udp = (choice & 4) == 0,
                              .max_bytes = (choice & 8) == 0 ? 65535U : 3000U,
                              .max_groups = (choice & 16) == 0 ? 16U : 1U});
    std::deque<net::Bytes> kept;
    std::vector<net::Bytes> in;
    Sink sink;
    while (input.left() > 2) {
        const std::size_t length = input.u16be();
        kept.push_back(net::copy(input.bytes(std::min(length, input.left()))));
        in.push_back(essence(kept.back(), left));
        coalescer.add(kept.back(), left, sink);
    }
    coalescer.flush(sink);
    for (auto& packet : sink.out) packet = essence(std::move(packet), left);
    // Between flows the order may change.
    std::sort(in.begin(), in.end());
    std::sort(sink.out.begin(), sink.out.end());
    if (in != sink.out) std::abort();
    return 0;
}
