// 47 packets of 1420 bytes into a superpacket of 64 KiB: with checksums to verify, and with checksums that were left
// out. And packets that do not join, of as many flows.
#include <benchmark/benchmark.h>

#include "superpacket.hpp"
#include "tun/coalesce.hpp"

namespace {

struct Nowhere final : tun::PacketSink {
    void write(const tun::Offload& offload, std::span<const net::ByteView> pieces) override {
        benchmark::DoNotOptimize(offload.gso);
        benchmark::DoNotOptimize(pieces.data());
        ++packets;
    }
    std::size_t packets = 0;
};

std::vector<net::Bytes> segments(tun::Splitter::Checksums checksums) {
    const bench::Superpacket packet;
    std::vector<net::Bytes> out;
    auto splitter = tun::Splitter::open(packet.offload, packet.bytes, checksums);
    while (const auto segment = splitter->next()) {
        out.push_back(net::Writer().bytes(segment->header).bytes(segment->payload).take());
    }
    return out;
}

void coalesce(benchmark::State& state, tun::Splitter::Checksums checksums) {
    auto packets = segments(checksums);
    const net::Bytes first = net::copy(net::ByteView(packets[0]).first(bench::kHeaderBytes));
    tun::Coalescer coalescer({});
    Nowhere sink;
    for (auto _ : state) {
        std::copy(first.begin(), first.end(), packets[0].begin());  // its header was changed
        for (auto& packet : packets) coalescer.add(packet, checksums == tun::Splitter::Checksums::left, sink);
        coalescer.flush(sink);
    }
    if (sink.packets != static_cast<std::size_t>(state.iterations())) state.SkipWithError("they did not join");
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bench::Superpacket().bytes.size()));
}
BENCHMARK_CAPTURE(coalesce, verify, tun::Splitter::Checksums::complete);
BENCHMARK_CAPTURE(coalesce, left, tun::Splitter::Checksums::left);

void alone(benchmark::State& state) {
    auto packets = segments(tun::Splitter::Checksums::left);
    for (std::size_t i = 0; i < packets.size(); ++i) packets[i][20] = static_cast<std::byte>(i);
    tun::Coalescer coalescer({});
    Nowhere sink;
    for (auto _ : state) {
        for (auto& packet : packets) coalescer.add(packet, true, sink);
        coalescer.flush(sink);
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(packets.size()));
}
BENCHMARK(alone);

}  // namespace

BENCHMARK_MAIN();
