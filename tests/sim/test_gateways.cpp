// Two gateways that offer one subnet: who has its route, and how soon the other takes it over.
#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/sim/world.hpp"

using namespace std::chrono_literals;
using sim::Host;
using sim::World;

namespace {

const auto kSubnet = *net::Prefix::parse("192.168.9.0/24");
const auto kBehind = *net::IpAddress::parse("192.168.9.7");

/// Munich and london both route kSubnet; trento sends there.
struct Gateways {
    explicit Gateways(std::uint64_t seed, mesh::NodeSettings defaults = {}) : world(seed) {
        world.defaults = std::move(defaults);
        trento = &world.found("trento", "192.0.2.1");
        munich = &world.join("munich", "192.0.2.2", *trento, {kSubnet});
        london = &world.join("london", "192.0.2.3", *trento, {kSubnet});
        REQUIRE(world.run_until([&] { return world.full_mesh() && world.same_rosters(); }, 10s));
        world.run_for(10s);
    }
    /// Who has the route at `from`; null if nobody.
    Host* owner(Host& from) {
        const auto table = from.node().table();
        const auto* peer = table->route(kBehind);
        for (auto* host : world.hosts()) {
            if (peer != nullptr && host->disk.identity && mesh::public_key(host->disk.identity->tunnel_secret) == peer->key) return host;
        }
        return nullptr;
    }
    Host& other(Host& one) { return &one == munich ? *london : *munich; }
    /// How long from now until the route at trento leads to `to`; a minute if it never does.
    net::Duration moves_to(Host& to) {
        const auto began = world.now().steady;
        const bool moved = world.run_until([&] { return owner(*trento) == &to; }, 1min);
        return moved ? world.now().steady - began : net::Duration(1min);
    }

    World world;
    Host *trento, *munich, *london;
};

template <class Event>
std::size_t count(const Host& host) {
    return static_cast<std::size_t>(std::count_if(host.events.begin(), host.events.end(),
                                                  [](const auto& event) { return std::holds_alternative<Event>(event); }));
}

}  // namespace

TEST_CASE("a gateway that dies is replaced by the other in under three seconds, and does not take the route back") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        CAPTURE(seed);
        Gateways gateways(seed);
        auto& world = gateways.world;
        world.weather.loss = seed % 2 == 0 ? 0 : 0.1;
        world.run_for(1min + std::chrono::milliseconds(37 * seed));  // nothing is sent but what the nodes say
        auto* first = gateways.owner(*gateways.trento);
        REQUIRE(first != nullptr);
        first->crash();
        CHECK(gateways.moves_to(gateways.other(*first)) < 3s);
        first->start();
        REQUIRE(world.run_until([&] { return world.full_mesh(); }, 20s));
        world.run_for(10s);
        CHECK(gateways.owner(*gateways.trento) == &gateways.other(*first));
        gateways.other(*first).crash();
        CHECK(gateways.moves_to(*first) < 3s);
    }
}

TEST_CASE("a gateway that is cut off is replaced in under three seconds, also over a slow line") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        CAPTURE(seed);
        Gateways gateways(seed);
        auto& world = gateways.world;
        world.weather = {100ms, 20ms, 0};
        world.run_for(1min + std::chrono::milliseconds(41 * seed));
        auto& first = *gateways.owner(*gateways.trento);
        auto& second = gateways.other(first);
        world.partition({{gateways.trento->address, second.address}, {first.address}});
        CHECK(gateways.moves_to(second) < 3s);
    }
}

TEST_CASE("a gateway that leaves is replaced at once, and so is one that withdraws its offer") {
    for (const bool leaves : {false, true}) {
        CAPTURE(leaves);
        Gateways gateways(31);
        auto& world = gateways.world;
        auto& first = *gateways.owner(*gateways.trento);
        if (leaves) {
            first.stop();
        } else {
            first.node().set_phones({1, 2, 3}, world.now());  // its record has changed just now
            world.run_for(100ms);
            first.node().set_offered({}, world.now());
        }
        CHECK(gateways.moves_to(gateways.other(first)) < 300ms);
    }
}

TEST_CASE("lost packets move no route and bring no gateway down") {
    for (const double loss : {0.05, 0.3}) {
        for (std::uint64_t seed = 1; seed <= 5; ++seed) {
            CAPTURE(seed, loss);
            Gateways gateways(seed);
            auto& world = gateways.world;
            world.weather = {20ms, 20ms, loss};
            world.run_for(20min);
            CHECK(count<mesh::OwnerChanged>(*gateways.trento) == 0);
            CHECK(count<mesh::PeerDown>(*gateways.trento) == 0);
            CHECK(gateways.owner(*gateways.trento) != nullptr);
        }
    }
}

TEST_CASE("all who come later choose the gateway with the lowest key") {
    Gateways gateways(41);
    auto& world = gateways.world;
    const auto& lowest = std::min(gateways.munich, gateways.london,
                                  [](Host* a, Host* b) { return a->node().key() < b->node().key(); });
    for (const auto* const name : {"paris", "oslo", "rome"}) {
        auto& host = world.join(name, "192.0.2." + std::to_string(10 + world.hosts().size()), *gateways.trento);
        REQUIRE(world.run_until([&] { return world.full_mesh(); }, 10s));
        CHECK(gateways.owner(host) == lowest);
    }
}

TEST_CASE("in a mesh too large for tunnels to all, those to the gateways stay up") {
    mesh::NodeSettings settings;
    settings.full_mesh = 2;
    Gateways gateways(43, settings);
    auto& world = gateways.world;
    for (int i = 0; i < 20; ++i) world.join("host" + std::to_string(i), "192.0.2." + std::to_string(20 + i), *gateways.trento);
    world.run_for(1min);
    for (auto* host : world.hosts()) {
        for (auto* gateway : {gateways.munich, gateways.london}) {
            if (host != gateway) CHECK(host->node().is_up(gateway->node().key()));
        }
    }
    auto& first = *gateways.owner(*gateways.trento);
    first.crash();
    CHECK(gateways.moves_to(gateways.other(first)) < 3s);
}
