// What one packet costs: sealing and opening it under both ciphers, and looking up where it goes.
#include <benchmark/benchmark.h>

#include "mesh/data_path.hpp"
#include "net/random.hpp"

namespace {

using mesh::Cipher;

constexpr net::Steady kNow{std::chrono::hours(1)};

std::pair<std::unique_ptr<mesh::Session>, std::unique_ptr<mesh::Session>> sessions(Cipher cipher) {
    net::SeededRandom random(1);
    mesh::SessionKeys here, there;
    for (auto* const key : {&here.send, &here.receive, &here.aes_send, &here.aes_receive}) random.fill(key->fill());
    there.send = here.receive;
    there.receive = here.send;
    there.aes_send = here.aes_receive;
    there.aes_receive = here.aes_send;
    using Role = mesh::Session::Role;
    auto one = std::make_unique<mesh::Session>(here, Role::initiator, 1, 2, kNow);
    auto other = std::make_unique<mesh::Session>(there, Role::responder, 2, 1, kNow);
    if (cipher == Cipher::aes_256_gcm) one->allow_aes();
    return {std::move(one), std::move(other)};
}

void seal(benchmark::State& state, Cipher cipher) {
    const auto [one, other] = sessions(cipher);
    net::Bytes message(mesh::kMinDataBytes + static_cast<std::size_t>(state.range(0)));
    for (auto _ : state) {
        one->set_counter_for_test(1);
        benchmark::DoNotOptimize(one->seal(message, kNow, mesh::Lane::bulk));
    }
    state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK_CAPTURE(seal, chacha20_poly1305, Cipher::chacha20_poly1305)->Arg(64)->Arg(200)->Arg(1420);
BENCHMARK_CAPTURE(seal, aes_256_gcm, Cipher::aes_256_gcm)->Arg(64)->Arg(200)->Arg(1420);

void open_one(benchmark::State& state, Cipher cipher) {
    const auto [one, other] = sessions(cipher);
    net::Bytes message(mesh::kMinDataBytes + static_cast<std::size_t>(state.range(0)));
    if (!one->seal(message, kNow, mesh::Lane::bulk)) state.SkipWithError("not sealed");
    auto copy = message;
    for (auto _ : state) {
        std::copy(message.begin(), message.end(), copy.begin());
        benchmark::DoNotOptimize(other->open(copy, kNow, mesh::Lane::bulk));
    }
    state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK_CAPTURE(open_one, chacha20_poly1305, Cipher::chacha20_poly1305)->Arg(64)->Arg(200)->Arg(1420);
BENCHMARK_CAPTURE(open_one, aes_256_gcm, Cipher::aes_256_gcm)->Arg(64)->Arg(200)->Arg(1420);

void route(benchmark::State& state) {
    net::SeededRandom random(1);
    std::vector<mesh::RouteTable::Entry> entries;
    for (std::uint32_t i = 0; i < static_cast<std::uint32_t>(state.range(0)); ++i) {
        const auto address = net::IpAddress::v4(static_cast<std::uint32_t>(random.u64()));
        entries.push_back({net::Prefix(address, 16 + static_cast<unsigned>(random.below(17))), i});
    }
    const mesh::RouteTable table(entries);
    std::vector<net::IpAddress> asked;
    for (int i = 0; i < 1024; ++i) asked.push_back(net::IpAddress::v4(static_cast<std::uint32_t>(random.u64())));
    std::size_t at = 0;
    for (auto _ : state) benchmark::DoNotOptimize(table.find(asked[at++ % asked.size()]));
}
BENCHMARK(route)->Arg(10)->Arg(1000)->Arg(100000);

/// What a packet from a member may be for, at an office with as many subnets in its mesh; `exit`: that is one.
void destination(benchmark::State& state, bool exit) {
    net::SeededRandom random(1);
    const auto home = net::IpAddress::v4(10, 73, 1, 2), far = net::IpAddress::v4(1, 1, 1, 1);
    mesh::Destinations::Offer offer{.own = {net::Prefix::host(home), *net::Prefix::parse("192.168.1.0/24")}, .exit = exit, .inside = {}, .here = {}};
    for (std::int64_t i = 0; i < state.range(0); ++i) {
        offer.inside.emplace_back(net::IpAddress::v4(0x0a000000U | (static_cast<std::uint32_t>(random.u64()) & 0xffffffU)), 24);
    }
    const mesh::Destinations destinations(offer);
    std::size_t at = 0;
    for (auto _ : state) benchmark::DoNotOptimize(destinations.take(++at % 2 == 0 ? home : far));
}
BENCHMARK_CAPTURE(destination, office, false)->Arg(10)->Arg(1000);
BENCHMARK_CAPTURE(destination, exit, true)->Arg(10)->Arg(1000);

}  // namespace

BENCHMARK_MAIN();
