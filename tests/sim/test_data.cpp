// What carries data in whole meshes: messages of type 5.
#include <catch2/catch.hpp>

#include "mesh/protocol.hpp"
#include "tests/sim/world.hpp"

using namespace std::chrono_literals;
using sim::Host;
using sim::World;

namespace {

/// Three offices, of which each computes AES or does not.
struct Offices {
    Offices(std::uint64_t seed, bool aes_in_munich) : world(seed) {
        world.defaults.aes = true;
        trento = &world.found("trento", "192.0.2.1");
        world.defaults.aes = aes_in_munich;
        munich = &world.join("munich", "192.0.2.2", *trento);
        world.defaults.aes = true;
        london = &world.join("london", "192.0.2.3", *trento);
        world.tap = [this](const auto& from, const auto& to, auto bytes) { see(from.address, to.address, bytes); };
    }
    /// Counts messages by type.
    void see(const net::IpAddress& from, const net::IpAddress& to, net::ByteView bytes) {
        if (bytes.size() < mesh::kMinDataBytes) return;
        const auto type = std::to_integer<int>(bytes[0]);
        auto& flow = flows[{from, to}];
        if (type == 1 || type == 2) flow.claimed.insert(net::Reader(bytes.subspan(4)).u32le());
        if (type != 4 && type != 5) return;
        ++flow.count[type];
        flow.indices[type].insert(net::Reader(bytes.subspan(4)).u32le());
    }
    struct Flow {
        std::map<int, std::size_t> count;
        std::map<int, std::set<std::uint32_t>> indices;
        std::set<std::uint32_t> claimed;  ///< of the sender, in handshakes
    };
    Flow& flow(const Host& from, const Host& to) { return flows[{from.address, to.address}]; }

    World world;
    Host *trento, *munich, *london;
    std::map<std::pair<net::IpAddress, net::IpAddress>, Flow> flows;
};

net::IpAddress overlay(Host& host) {
    for (const auto& address : host.node().self().says.addresses) {
        if (address.is_v4()) return address;
    }
    return {};
}

std::uint64_t dropped(Host& host, mesh::Drop reason) { return host.node().wireguard().drops().get(reason); }

void send_number(Host& from, Host& to, std::uint64_t number) {
    net::Writer payload;
    payload.u64be(number);
    from.send_overlay(overlay(to), 1000, 7, payload.take());
}

/// Numbers that came, each once.
std::set<std::uint64_t> numbers(const Host& host) {
    std::set<std::uint64_t> out;
    for (const auto& inner : host.inner) {
        const bool is_new = out.insert(net::Reader(inner.payload).u64be()).second;
        CHECK(is_new);
    }
    return out;
}

}  // namespace

TEST_CASE("data between members that compute AES is of type 5, over loss, disorder and renewed sessions") {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        CAPTURE(seed);
        Offices offices(seed, true);
        auto& world = offices.world;
        auto &trento = *offices.trento, &london = *offices.london;
        world.weather = {30ms, 60ms, 0.05};
        REQUIRE(world.run_until([&] { return world.full_mesh(); }, 30s));
        world.run_for(5s);
        offices.flows.clear();
        constexpr std::uint64_t kCount = 10 * 60 * 20;
        for (std::uint64_t i = 0; i < kCount; ++i) {
            send_number(trento, london, i);
            send_number(london, trento, i);
            world.run_for(50ms);
        }
        for (auto* const host : {&trento, &london}) {
            CHECK(numbers(*host).size() > kCount * 9 / 10);
            CHECK(dropped(*host, mesh::Drop::not_authentic) == 0);
            CHECK(dropped(*host, mesh::Drop::replayed) == 0);
        }
        for (auto* const flow : {&offices.flow(trento, london), &offices.flow(london, trento)}) {
            CHECK(flow->count[5] > 30 * flow->count[4]);
            CHECK(flow->indices[5].size() >= 5);  // a session lasts two minutes
        }
    }
}

TEST_CASE("data to and from a member that computes no AES is of type 4") {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        CAPTURE(seed);
        Offices offices(seed, false);
        auto& world = offices.world;
        world.weather = {30ms, 60ms, 0.05};
        REQUIRE(world.run_until([&] { return world.full_mesh(); }, 30s));
        world.run_for(5min);
        for (auto* const other : {offices.trento, offices.london}) {
            for (auto* const flow : {&offices.flow(*other, *offices.munich), &offices.flow(*offices.munich, *other)}) {
                CHECK(flow->count[4] > 0);
                CHECK(flow->count[5] == 0);
            }
        }
        CHECK(offices.flow(*offices.trento, *offices.london).count[5] > 0);
    }
}

TEST_CASE("a member that comes back without AES is sent type 5 no more, whatever it said before and arrives late") {
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        CAPTURE(seed);
        Offices offices(seed, true);
        auto& world = offices.world;
        auto &munich = *offices.munich, &trento = *offices.trento;
        REQUIRE(world.run_until([&] { return world.full_mesh(); }, 10s));
        world.weather = {10ms, 1s, 0};
        // Hellos are on their way, some of them slow, when it restarts.
        trento.node().wireguard().rekey(munich.node().self().says.tunnel_key, world.now());
        world.run_for(1500ms);
        munich.crash();
        munich.settings.aes = false;
        offices.flows.clear();
        munich.start();
        REQUIRE(world.run_until([&] { return world.full_mesh(); }, 30s));
        for (std::uint64_t i = 0; i < 200; ++i) {
            send_number(trento, munich, i);
            send_number(munich, trento, i);
            world.run_for(50ms);
        }
        world.run_for(2s);
        CHECK(numbers(munich).size() > 150);
        CHECK(numbers(trento).size() > 150);
        CHECK(offices.flow(munich, trento).count[5] == 0);
        // In a session with what it was before, until trento knows; in one with what it is now, never.
        for (const auto index : offices.flow(trento, munich).indices[5]) {
            CHECK_FALSE(offices.flow(munich, trento).claimed.contains(index));
        }
    }
}
