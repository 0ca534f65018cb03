// Bytes that are summed in a second: a header, a packet, a superpacket.
#include <benchmark/benchmark.h>

#include "net/checksum.hpp"

namespace {

void sum(benchmark::State& state) {
    const net::Bytes bytes(static_cast<std::size_t>(state.range(0)) + 1, std::byte{0x5a});
    const auto unaligned = net::ByteView(bytes).subspan(1);
    for (auto _ : state) benchmark::DoNotOptimize(net::checksum_add(unaligned));
    state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(sum)->Arg(20)->Arg(160)->Arg(1420)->Arg(65495);

}  // namespace

BENCHMARK_MAIN();
