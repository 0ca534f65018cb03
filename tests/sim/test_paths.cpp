// Which way members reach each other by, behind NATs: punched, relayed, and what happens when a way dies.
#include <catch2/catch.hpp>

#include "tests/sim/world.hpp"

using namespace std::chrono_literals;
using mesh::Rank;
using sim::Host;
using sim::Network;
using sim::Place;
using sim::PortAssignment;
using sim::World;

namespace {

net::IpAddress address(std::string_view text) { return net::IpAddress::parse(text).value(); }

net::IpAddress overlay(Host& host) {
    for (const auto& one : host.node().self().says.addresses)
        if (one.is_v4()) return one;
    return {};
}

std::optional<mesh::PeerReport> report(World& world, Host& from, Host& to) {
    for (auto& peer : from.node().peers(world.now()))
        if (peer.key == to.node().key()) return peer;
    return std::nullopt;
}

std::optional<Rank> rank(World& world, Host& from, Host& to) {
    const auto peer = report(world, from, to);
    return peer && peer->state == mesh::PeerState::session ? peer->rank : std::nullopt;
}

bool direct(World& world, Host& from, Host& to) {
    const auto by = rank(world, from, to);
    return by && mesh::is_direct(*by);
}

/// An open member that passes on, another one, and two laptops behind boxes of their own.
struct Travellers {
    Travellers(std::uint64_t seed, sim::NatSettings left_box, sim::NatSettings right_box) : world(seed) {
        relay = &world.found("trento", "198.51.100.1");
        request_relay("spare", "198.51.100.2", spare);
        left_box.outside = address("203.0.113.1");
        right_box.outside = address("203.0.113.2");
        left_lan = world.network().add_lan({"left", left_box, {}});
        right_lan = world.network().add_lan({"right", right_box, {}});
        left = &world.join("left", Place{left_lan, {address("192.168.1.10")}}, *relay);
        right = &world.join("right", Place{right_lan, {address("192.168.1.10")}}, *relay);
    }
    void request_relay(const char* name, const char* at, Host*& host) { host = &world.join(name, at, *relay); }

    /// The longest time in which nothing of what one sends every 20 ms has arrived at the other, either way, while `what`
    /// happens after a second.
    net::Duration longest_gap(const std::function<void()>& what, net::Duration then) {
        const auto begin = world.now().steady;
        bool done = false;
        struct Heard {
            Host* host;
            net::Steady last;
            std::size_t got = 0;
        };
        std::array<Heard, 2> heard{Heard{left, begin}, Heard{right, begin}};
        for (auto& one : heard) one.host->inner.clear();
        net::Duration longest{};
        while (world.now().steady < begin + 1s + then) {
            if (!done && world.now().steady >= begin + 1s) {
                what();
                done = true;
            }
            left->send_overlay(overlay(*right), 1000, 7, net::as_bytes("voice"));
            right->send_overlay(overlay(*left), 1000, 7, net::as_bytes("voice"));
            world.run_for(20ms);
            for (auto& one : heard) {
                for (; one.got < one.host->inner.size(); ++one.got) {
                    longest = std::max(longest, one.host->inner[one.got].at - one.last);
                    one.last = one.host->inner[one.got].at;
                }
            }
        }
        for (const auto& one : heard) longest = std::max(longest, world.now().steady - one.last);
        return longest;
    }

    World world;
    Host *relay = nullptr, *spare = nullptr, *left = nullptr, *right = nullptr;
    sim::LanId left_lan = 0, right_lan = 0;
};

const net::IpAddress kAny;

}  // namespace

TEST_CASE("two laptops behind port-restricted boxes are introduced by a third member, and then need nobody") {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        CAPTURE(seed);
        Travellers all(seed, sim::port_restricted(kAny), sim::port_restricted(kAny));
        auto& world = all.world;
        REQUIRE(world.run_until([&] { return world.full_mesh(); }, 10s));
        CHECK(world.run_until([&] { return direct(world, *all.left, *all.right) && direct(world, *all.right, *all.left); }, 10s));
        CHECK(rank(world, *all.left, *all.right) == Rank::punched);
        all.relay->crash();
        all.spare->crash();
        world.run_for(60s);
        CHECK(direct(world, *all.left, *all.right));
    }
}

TEST_CASE("two laptops behind symmetric boxes reach each other through a member that passes on") {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        CAPTURE(seed);
        Travellers all(seed, sim::symmetric(kAny, PortAssignment::random), sim::symmetric(kAny, PortAssignment::random));
        auto& world = all.world;
        REQUIRE(world.run_until([&] { return world.full_mesh() && world.same_rosters(); }, 10s));
        world.run_for(10s);
        CHECK(rank(world, *all.left, *all.right) == Rank::relay);
        CHECK(report(world, *all.left, *all.right)->relay);
        CHECK_FALSE(report(world, *all.left, *all.right)->endpoint);
        CHECK(all.left->node().network(world.now()).v4 == mesh::NatMapping::endpoint_dependent);
        all.right->inner.clear();
        for (int i = 0; i < 100; ++i) {
            all.left->send_overlay(overlay(*all.right), 1000, 7, net::Bytes(1200));
            world.run_for(10ms);
        }
        world.run_for(1s);
        CHECK(all.right->inner.size() == 100);
    }
}

TEST_CASE("a laptop behind a symmetric box and one whose box restricts ports find each other by guessing, and keep one socket") {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        CAPTURE(seed);
        const auto ports = seed % 2 == 0 ? PortAssignment::random : PortAssignment::sequential;
        Travellers all(seed, sim::symmetric(kAny, ports), sim::port_restricted(kAny));
        auto& world = all.world;
        REQUIRE(world.run_until([&] { return world.full_mesh() && world.same_rosters(); }, 10s));
        CHECK(rank(world, *all.left, *all.right) == Rank::relay);
        CHECK(world.run_until([&] { return direct(world, *all.left, *all.right) && direct(world, *all.right, *all.left); }, 60s));
        CHECK(rank(world, *all.left, *all.right) == Rank::punched);
        world.run_for(10s);
        CHECK(all.left->further_sockets() == 1);
        CHECK(all.right->further_sockets() == 0);
        all.relay->crash();
        all.spare->crash();
        CHECK(all.longest_gap([] {}, 120s) < 2s);
        CHECK(direct(world, *all.left, *all.right));
        // Nobody uses it any more, and it is closed.
        all.right->crash();
        world.run_for(3min);
        CHECK(all.left->further_sockets() == 0);
    }
}

TEST_CASE("two laptops behind symmetric boxes guess in vain, rarely, and close what they opened") {
    Travellers all(1, sim::symmetric(kAny, PortAssignment::random), sim::symmetric(kAny, PortAssignment::random));
    auto& world = all.world;
    REQUIRE(world.run_until([&] { return world.full_mesh() && world.same_rosters(); }, 10s));
    world.run_for(5min);
    CHECK(rank(world, *all.left, *all.right) == Rank::relay);
    CHECK(all.left->further_sockets() == 0);
    CHECK(all.right->further_sockets() == 0);
}

TEST_CASE("a relay that dies is replaced within two seconds while people talk") {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        CAPTURE(seed);
        Travellers all(seed, sim::symmetric(kAny, PortAssignment::random), sim::symmetric(kAny, PortAssignment::random));
        auto& world = all.world;
        REQUIRE(world.run_until([&] { return world.full_mesh() && world.same_rosters(); }, 10s));
        world.run_for(20s);
        const auto relay = report(world, *all.left, *all.right)->relay;
        REQUIRE(relay);
        auto& dying = all.relay->node().key() == *relay ? *all.relay : *all.spare;
        CHECK(all.longest_gap([&] { dying.crash(); }, 10s) < 2s);
    }
}

TEST_CASE("who moves to another network goes on talking within two seconds") {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        CAPTURE(seed);
        Travellers all(seed, sim::port_restricted(kAny), sim::port_restricted(kAny));
        auto& world = all.world;
        REQUIRE(world.run_until([&] { return world.full_mesh() && world.same_rosters(); }, 10s));
        REQUIRE(world.run_until([&] { return direct(world, *all.left, *all.right); }, 10s));
        const auto hotel = world.network().add_lan({"hotel", sim::port_restricted(address("203.0.113.7")), {}});
        CHECK(all.longest_gap([&] { world.move(*all.left, Place{hotel, {address("10.0.0.5")}}); }, 10s) < 2s);
        CHECK(world.run_until([&] { return direct(world, *all.left, *all.right) && direct(world, *all.right, *all.left); }, 20s));
    }
}

TEST_CASE("a laptop that comes home uses the LAN, and the NAT when it leaves") {
    Travellers all(3, sim::port_restricted(kAny), sim::port_restricted(kAny));
    auto& world = all.world;
    REQUIRE(world.run_until([&] { return direct(world, *all.left, *all.right); }, 20s));
    world.move(*all.right, Place{all.left_lan, {address("192.168.1.11")}});
    CHECK(world.run_until([&] { return rank(world, *all.left, *all.right) == Rank::lan && rank(world, *all.right, *all.left) == Rank::lan; }, 30s));
    world.move(*all.right, Place{all.right_lan, {address("192.168.1.10")}});
    CHECK(world.run_until([&] { return rank(world, *all.left, *all.right) == Rank::punched; }, 30s));
}
