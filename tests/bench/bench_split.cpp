// A superpacket of 64 KiB into 47 packets of 1420 bytes, each copied to where it would be encrypted; and what a packet
// that needs nothing costs.
#include <benchmark/benchmark.h>

#include "superpacket.hpp"

namespace {

void split(benchmark::State& state, tun::Splitter::Checksums checksums, bool copied) {
    const bench::Superpacket packet;
    net::Bytes out(bench::kHeaderBytes + bench::kSegmentBytes);
    for (auto _ : state) {
        auto splitter = tun::Splitter::open(packet.offload, packet.bytes, checksums);
        while (const auto segment = splitter->next()) {
            if (copied) {
                std::copy(segment->header.begin(), segment->header.end(), out.begin());
                std::copy(segment->payload.begin(), segment->payload.end(),
                          out.begin() + static_cast<std::ptrdiff_t>(segment->header.size()));
            }
            benchmark::DoNotOptimize(out.data());
            benchmark::ClobberMemory();
        }
    }
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(packet.bytes.size()));
}
BENCHMARK_CAPTURE(split, complete, tun::Splitter::Checksums::complete, false);
BENCHMARK_CAPTURE(split, complete_and_copy, tun::Splitter::Checksums::complete, true);
BENCHMARK_CAPTURE(split, left, tun::Splitter::Checksums::left, false);
BENCHMARK_CAPTURE(split, left_and_copy, tun::Splitter::Checksums::left, true);

void pass_on(benchmark::State& state) {
    const net::Bytes packet(200, std::byte{0x45});
    for (auto _ : state) {
        auto splitter = tun::Splitter::open({}, packet, tun::Splitter::Checksums::left);
        while (const auto segment = splitter->next()) benchmark::DoNotOptimize(segment->header.data());
    }
}
BENCHMARK(pass_on);

}  // namespace

BENCHMARK_MAIN();
