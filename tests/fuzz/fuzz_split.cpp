// What a TUN device could say: ten bytes of virtio_net_hdr, a byte that chooses, a packet that may disagree with them.
#include <cstdlib>

#include "net/packet.hpp"
#include "tun/split.hpp"

namespace {

void expect(bool holds) {
    if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto input = std::as_bytes(std::span(data, size));
    const auto offload = tun::Offload::read(input);
    if (!offload || size <= tun::Offload::kBytes) return 0;
    net::Bytes header(tun::Offload::kBytes);
    offload->write(header);
    expect(tun::Offload::read(header) == offload);

    const bool left = (data[tun::Offload::kBytes] & 1) != 0;
    const auto packet = input.subspan(tun::Offload::kBytes + 1);
    const auto checksums = left ? tun::Splitter::Checksums::left : tun::Splitter::Checksums::complete;
    auto splitter = tun::Splitter::open(*offload, packet, checksums);
    if (!splitter) return 0;
    expect(left || !splitter->checksums_left());
    std::size_t count = 0, payload = 0, largest = 0, header_bytes = 0;
    while (const auto segment = splitter->next()) {
        ++count;
        const auto whole = net::Writer().bytes(segment->header).bytes(segment->payload).take();
        largest = std::max(largest, whole.size());
        payload += segment->payload.size();
        header_bytes = segment->header.size();
        if (offload->gso == tun::Gso::none) continue;
        const auto parsed = net::parse_ip(whole);
        expect(parsed && parsed->total_bytes == whole.size());
        expect(segment->payload.size() <= offload->segment_bytes);
    }
    expect(count == splitter->segments());
    expect(count >= 1 && largest == splitter->largest_bytes());
    expect(header_bytes + payload <= packet.size());
    return 0;
}
