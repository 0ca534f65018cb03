// What carries data in whole meshes: messages of type 5, and the shaper of a slow uplink.
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

namespace {

/// Half a minute of a call beside twice as much bulk as a line of 1 Mbit/s takes, whose modem keeps 128 KiB.
struct SlowLine {
    explicit SlowLine(bool shaped) : offices(1, true) {
        constexpr std::uint64_t kRate = 125'000;
        auto& world = offices.world;
        auto &trento = *offices.trento, &london = *offices.london;
        REQUIRE(world.run_until([&] { return world.full_mesh(); }, 10s));
        world.run_for(5s);
        world.lines[trento.address] = {.rate_bytes_per_s = kRate, .buffer_bytes = 128 * 1024};
        if (shaped) trento.shape(kRate * 95 / 100);
        const auto begin = world.now().steady;
        const net::Bytes bulk(1200);
        for (int i = 0; i < 30 * 100; ++i) {
            for (int k = 0; k < 2; ++k) trento.send_overlay(overlay(london), 1, 9, bulk);
            if (i % 2 == 0) {
                sent.push_back(world.now().steady);
                net::Writer payload;
                payload.u64be(sent.size() - 1).zeros(164);
                trento.send_overlay(overlay(london), 1, 8, payload.take(), 46 << 2);
            }
            world.run_for(10ms);
        }
        const auto span = world.now().steady - begin;
        world.run_for(5s);
        std::size_t bytes = 0;
        for (const auto& inner : london.inner) {
            if (inner.to_port == 8) {
                ++heard;
                most = std::max(most, inner.at - sent[net::Reader(inner.payload).u64be()] - world.weather.delay);
            } else {
                bytes += inner.payload.size();
            }
        }
        bulk_bytes_per_s = static_cast<double>(bytes) / std::chrono::duration<double>(span).count();
        uplink_full = dropped(trento, mesh::Drop::uplink_full);
        up = trento.peers_up();
    }
    Offices offices;
    std::vector<net::Steady> sent;  ///< of voice
    std::size_t heard = 0;
    net::Duration most{};  ///< that a packet of voice waited
    double bulk_bytes_per_s = 0;
    std::uint64_t uplink_full = 0;
    std::size_t up = 0;
};

}  // namespace

TEST_CASE("beside bulk that a line of 1 Mbit/s cannot take, voice waits for three large packets at most, and bulk is dropped") {
    const SlowLine line(true);
    CHECK(line.heard == line.sent.size());
    CHECK(line.most < 40ms);
    CHECK(line.uplink_full > 1000);
    CHECK(line.bulk_bytes_per_s > 80'000);
    CHECK(line.up == 2);
    // The same without: what the shaper is for.
    const SlowLine plain(false);
    CHECK(plain.uplink_full == 0);
    CHECK(plain.most > 500ms);
    CHECK(plain.up == 2);  // slow is not dead
}

TEST_CASE("a host behind an office that marks its bulk as voice does not fill the modem in front of a call") {
    Offices offices(1, true);
    constexpr std::uint64_t kMegabit = 125'000;
    auto& world = offices.world;
    auto &trento = *offices.trento, &london = *offices.london;
    REQUIRE(world.run_until([&] { return world.full_mesh(); }, 10s));
    world.run_for(5s);
    world.lines[trento.address] = {.rate_bytes_per_s = kMegabit, .buffer_bytes = 128 * 1024};
    trento.shape(kMegabit * 95 / 100);
    constexpr std::uint8_t kVoice = 46 << 2;
    const net::Bytes bulk(1200);
    std::vector<net::Steady> sent;
    for (int i = 0; i < 15 * 100; ++i) {
        for (int k = 0; k < 2; ++k) trento.send_overlay(overlay(london), 1, 9, bulk, kVoice);
        if (i % 2 == 0) {
            sent.push_back(world.now().steady);
            net::Writer payload;
            payload.u64be(sent.size() - 1).zeros(164);
            trento.send_overlay(overlay(london), 1, 8, payload.take(), kVoice);
        }
        world.run_for(10ms);
    }
    world.run_for(5s);
    std::size_t heard = 0, bulk_bytes = 0;
    net::Duration most{};
    for (const auto& inner : london.inner) {
        if (inner.to_port == 8) {
            ++heard;
            most = std::max(most, inner.at - sent[net::Reader(inner.payload).u64be()] - world.weather.delay);
        } else {
            bulk_bytes += inner.payload.size();
        }
    }
    CHECK(heard == sent.size());
    CHECK(most < 80ms);  // more than half a second where all of it passes for voice
    CHECK(bulk_bytes > 15 * 80'000);
    CHECK(dropped(trento, mesh::Drop::uplink_full) > 500);
    CHECK(trento.peers_up() == 2);
}
