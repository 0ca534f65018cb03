#include <catch2/catch.hpp>

#include "tests/sim/world.hpp"

using namespace std::chrono_literals;
using sim::Host;
using sim::World;

namespace {

/// Three offices in one mesh, all tunnels up.
struct Offices {
    explicit Offices(std::uint64_t seed) : world(seed) {
        trento = &world.found("trento", "192.0.2.1", {*net::Prefix::parse("192.168.1.0/24")});
        munich = &world.join("munich", "192.0.2.2", *trento, {*net::Prefix::parse("192.168.2.0/24")});
        london = &world.join("london", "192.0.2.3", *trento, {*net::Prefix::parse("192.168.3.0/24")});
    }
    World world;
    Host *trento, *munich, *london;
};

net::IpAddress overlay(Host& host, bool v6 = false) {
    for (const auto& address : host.node().self().says.addresses) {
        if (address.is_v6() == v6) return address;
    }
    return {};
}

/// Whether an inner packet from one host reaches the other within `limit`.
bool carries(World& world, Host& from, Host& to, bool v6 = false, net::Duration limit = 10s) {
    to.inner.clear();
    const auto end = world.now().steady + limit;
    while (world.now().steady < end) {
        from.send_overlay(overlay(to, v6), 1000, 7, net::as_bytes("hello"));
        if (world.run_until([&] { return !to.inner.empty(); }, 250ms)) {
            return to.inner.front().from == overlay(from, v6) && net::as_text(to.inner.front().payload) == "hello";
        }
    }
    return false;
}

}  // namespace

TEST_CASE("three offices that joined by invitation form a full mesh within five seconds") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        CAPTURE(seed);
        Offices offices(seed);
        auto& world = offices.world;
        REQUIRE(world.run_until([&] { return world.full_mesh() && world.same_rosters(); }, 5s));
        for (auto* from : world.hosts()) {
            for (auto* to : world.hosts()) {
                if (from == to) continue;
                CHECK(carries(world, *from, *to, false));
                CHECK(carries(world, *from, *to, true));
            }
        }
    }
}

TEST_CASE("sessions are renewed for hours without a packet lost on a clean network") {
    Offices offices(7);
    auto& world = offices.world;
    REQUIRE(world.run_until([&] { return world.full_mesh(); }, 5s));
    for (int minute = 0; minute < 180; ++minute) {
        CAPTURE(minute);
        world.run_for(1min);
        offices.london->inner.clear();
        offices.trento->send_overlay(overlay(*offices.london), 1, 7, net::as_bytes("tick"));
        REQUIRE(world.run_until([&] { return !offices.london->inner.empty(); }, 100ms));
    }
}

TEST_CASE("a mesh comes up and stays at 30 % loss and 200 ms of delay") {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        CAPTURE(seed);
        Offices offices(seed);
        auto& world = offices.world;
        world.weather = {200ms, 20ms, 0.3};
        world.run_for(5min);
        CHECK(carries(world, *offices.munich, *offices.london, false, 20s));
        CHECK(carries(world, *offices.london, *offices.trento, true, 20s));
    }
}

TEST_CASE("after a partition the parts agree again, whatever changed on either side") {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        CAPTURE(seed);
        Offices offices(seed);
        auto& world = offices.world;
        REQUIRE(world.run_until([&] { return world.full_mesh(); }, 5s));
        world.partition({{offices.trento->address}, {offices.munich->address, offices.london->address}});
        world.run_for(10min);
        CHECK(carries(world, *offices.munich, *offices.london));
        mesh::UserRequest user;
        user.aor = "bob@acme.example";
        user.nodes = {"munich"};
        REQUIRE(offices.trento->node().put_user(user, world.now()));
        world.run_for(1min);
        CHECK_FALSE(world.same_rosters());
        world.heal();
        CHECK(world.run_until([&] { return world.full_mesh() && world.same_rosters(); }, 20s));
        CHECK(offices.london->node().view().users.contains("bob@acme.example"));
    }
}

TEST_CASE("a node that was away learns who came and who went") {
    Offices offices(3);
    auto& world = offices.world;
    REQUIRE(world.run_until([&] { return world.full_mesh(); }, 5s));
    offices.london->crash();
    world.join("laptop", "192.0.2.4", *offices.trento);
    REQUIRE(offices.trento->node().revoke("munich", world.now()));
    world.run_for(1min);
    offices.london->start();
    const auto settled = [&] {
        const auto& view = offices.london->node().view();
        return view.by_name("laptop") != nullptr && view.by_name("munich") == nullptr && offices.london->peers_up() == 2;
    };
    CHECK(world.run_until(settled, 10s));
    CHECK_FALSE(carries(world, *offices.munich, *offices.london, false, 3s));
}

TEST_CASE("a crashed node comes back with its roster and its sessions") {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        CAPTURE(seed);
        Offices offices(seed);
        auto& world = offices.world;
        REQUIRE(world.run_until([&] { return world.full_mesh() && world.same_rosters(); }, 5s));
        const auto before = offices.munich->node().view();
        offices.munich->crash();
        world.run_for(3s);
        offices.munich->start();
        CHECK(offices.munich->node().view().members.size() == before.members.size());
        CHECK(world.run_until([&] { return world.full_mesh(); }, 5s));
        CHECK(carries(world, *offices.trento, *offices.munich, false, 5s));
    }
}

TEST_CASE("a clock that steps back locks nobody out") {
    Offices offices(11);
    auto& world = offices.world;
    REQUIRE(world.run_until([&] { return world.full_mesh(); }, 5s));
    offices.munich->crash();
    offices.munich->clock_offset = -std::chrono::hours(24 * 365);
    offices.munich->start();
    CHECK(world.run_until([&] { return world.full_mesh(); }, 10s));
    CHECK(carries(world, *offices.munich, *offices.trento));
}

TEST_CASE("a revoked member is out everywhere at once, and stays out over a restart") {
    Offices offices(5);
    auto& world = offices.world;
    REQUIRE(world.run_until([&] { return world.full_mesh() && world.same_rosters(); }, 5s));
    REQUIRE(offices.trento->node().revoke("london", world.now()));
    CHECK(world.run_until([&] { return offices.trento->peers_up() == 1 && offices.munich->peers_up() == 1; }, 2s));
    CHECK_FALSE(carries(world, *offices.london, *offices.munich, false, 3s));
    offices.munich->crash();
    offices.munich->start();
    world.run_for(30s);
    CHECK(offices.munich->node().view().by_name("london") == nullptr);
    CHECK_FALSE(carries(world, *offices.london, *offices.munich, false, 3s));
}

TEST_CASE("a token admits one newcomer, and says why it refuses the next") {
    World world(9);
    auto& trento = world.found("trento", "192.0.2.1");
    mesh::InviteRequest request;
    request.name = "munich";
    request.valid = 1h;
    const auto token = trento.node().invite(request, world.now());
    REQUIRE(token);
    world.run_for(100ms);
    CHECK(world.join_with(world.add_host("munich", "192.0.2.2"), token->text()) == std::nullopt);
    const auto used = world.join_with(world.add_host("thief", "192.0.2.9"), token->text());
    REQUIRE(used);
    CHECK(used->find("used") != std::string::npos);

    request.name = "london";
    const auto late = trento.node().invite(request, world.now());
    world.run_for(2h);
    const auto expired = world.join_with(world.add_host("london", "192.0.2.3"), late->text());
    REQUIRE(expired);
    CHECK(expired->find("expired") != std::string::npos);
    CHECK(trento.node().view().members.size() == 2);
}

TEST_CASE("any member carries a newcomer to the admin") {
    World world(13);
    auto& trento = world.found("trento", "192.0.2.1");
    auto& munich = world.join("munich", "192.0.2.2", trento);
    REQUIRE(world.run_until([&] { return world.full_mesh(); }, 5s));
    mesh::InviteRequest request;
    request.name = "london";
    auto token = trento.node().invite(request, world.now());
    REQUIRE(token);
    world.run_for(1s);
    token->contacts = {{munich.node().self().says.tunnel_key, {munich.address, 51820}}};
    // Only munich can be reached from where the newcomer is.
    auto& london = world.add_host("london", "192.0.2.3");
    world.partition({{trento.address, munich.address}, {munich.address, london.address}});
    CHECK(world.join_with(london, token->text()) == std::nullopt);
    CHECK(trento.node().view().by_name("london") != nullptr);
}

TEST_CASE("two members that find each other on a LAN need no bootstrap address") {
    Offices offices(17);
    auto& world = offices.world;
    REQUIRE(world.run_until([&] { return world.full_mesh() && world.same_rosters(); }, 5s));
    auto &munich = *offices.munich, &london = *offices.london;
    munich.crash();
    london.crash();
    munich.disk.endpoints.clear();
    london.disk.endpoints.clear();
    // They wake up with no uplink, at addresses that nobody has told anybody, and mDNS names only the node.
    world.unplug(offices.trento->address);
    munich.start();
    london.start();
    munich.node().add_candidate(london.node().key(), {london.address, 51820}, mesh::Source::mdns, world.now());
    CHECK(world.run_until([&] { return munich.peers_up() == 1 && london.peers_up() == 1; }, 2s));
}

TEST_CASE("a run is exact by its seed") {
    const auto trace = [](std::uint64_t seed) {
        Offices offices(seed);
        offices.world.weather = {20ms, 10ms, 0.1};
        offices.world.run_for(10min);
        std::string out;
        for (auto* host : offices.world.hosts()) {
            for (const auto& peer : host->node().peers(offices.world.now())) {
                out += std::to_string(peer.rx_bytes) + "/" + std::to_string(peer.tx_bytes) + " ";
            }
        }
        return out;
    };
    CHECK(trace(42) == trace(42));
    CHECK(trace(42) != trace(43));
}

namespace {

std::size_t mtu(World& world, Host& from, Host& to) {
    for (const auto& peer : from.node().peers(world.now())) {
        if (peer.key == to.node().key()) return peer.mtu_bytes;
    }
    return 0;
}

}  // namespace

TEST_CASE("each path's MTU is found, a hotel's and a black hole's, and the others' stay as they are") {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        for (const bool silent : {false, true}) {
            CAPTURE(seed, silent);
            Offices offices(seed);
            auto& world = offices.world;
            world.lines[offices.munich->address] = {1124, silent};
            world.weather.loss = 0.02;
            REQUIRE(world.run_until([&] { return world.full_mesh(); }, 10s));
            world.run_for(30s);
            CHECK(mtu(world, *offices.trento, *offices.munich) == 1064);
            CHECK(mtu(world, *offices.munich, *offices.trento) == 1064);
            CHECK(mtu(world, *offices.munich, *offices.london) == 1064);
            CHECK(mtu(world, *offices.trento, *offices.london) == 1420);
        }
    }
}

TEST_CASE("a path in use that becomes a black hole for large packets is noticed within half a minute") {
    Offices offices(21);
    auto& world = offices.world;
    REQUIRE(world.run_until([&] { return world.full_mesh(); }, 5s));
    world.run_for(5s);
    REQUIRE(mtu(world, *offices.trento, *offices.munich) == 1420);
    world.lines[offices.munich->address] = {1000, true};
    const net::Bytes payload(1000);
    for (int second = 0; second < 30; ++second) {
        offices.trento->send_overlay(overlay(*offices.munich), 1, 7, payload);
        world.run_for(1s);
    }
    CHECK(mtu(world, *offices.trento, *offices.munich) == 940);
    CHECK(offices.trento->peers_up() == 2);
}

TEST_CASE("a mesh over lines of 576 bytes comes up, and knows their size") {
    Offices offices(22);
    auto& world = offices.world;
    for (auto* host : world.hosts()) world.lines[host->address] = {576, true};
    REQUIRE(world.run_until([&] { return world.full_mesh() && world.same_rosters(); }, 10s));
    world.run_for(15s);
    CHECK(mtu(world, *offices.trento, *offices.munich) == 516);
    CHECK(carries(world, *offices.trento, *offices.london, true));
}
