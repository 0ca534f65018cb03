// How datagrams find their way between LANs, and whole nodes on them.
#include <catch2/catch.hpp>

#include "tests/sim/world.hpp"

using namespace std::chrono_literals;
using sim::Host;
using sim::Network;
using sim::Place;
using sim::World;
using Fate = sim::Network::Fate;

namespace {

net::IpAddress address(std::string_view text) { return net::IpAddress::parse(text).value(); }
Place place(sim::LanId lan, std::string_view one) { return {lan, {address(one)}}; }

/// Three homes behind NAT, two of them behind one carrier, all with the same addresses inside; and a server.
struct Homes {
    Homes() {
        auto carrier_box = sim::full_cone(address("203.0.113.9"));
        carrier = network.add_lan({"carrier", carrier_box, {}});
        alone = network.add_lan({"alone", sim::port_restricted(address("203.0.113.1")), {}});
        left = network.add_lan({"left", sim::full_cone(address("192.168.1.2")), {}}, carrier);
        right = network.add_lan({"right", sim::full_cone(address("192.168.1.3")), {}}, carrier);
        network.put(kServer, place(Network::kInternet, "198.51.100.1"));
        network.put(kAlone, place(alone, "192.168.1.2"));
        network.put(kLeft, place(left, "192.168.1.2"));
        network.put(kRight, place(right, "192.168.1.2"));
    }
    Network::Transit pass(sim::StationId from, const net::Endpoint& to) {
        auto transit = network.send(sim::Transport::udp, from, 51820, to, now);
        if (transit.fate == Fate::under_way) network.arrive(transit, now);
        return transit;
    }
    /// Where the server sees it.
    net::Endpoint seen(sim::StationId from) { return pass(from, server).from; }

    static constexpr sim::StationId kServer = 0, kAlone = 1, kLeft = 2, kRight = 3;
    const net::Endpoint server{address("198.51.100.1"), 51820};
    net::Steady now{1h};
    Network network{1};
    sim::LanId carrier = 0, alone = 0, left = 0, right = 0;
};

net::IpAddress overlay(Host& host) {
    for (const auto& one : host.node().self().says.addresses)
        if (one.is_v4()) return one;
    return {};
}

bool carries(World& world, Host& from, Host& to, net::Duration limit = 10s) {
    to.inner.clear();
    const auto end = world.now().steady + limit;
    while (world.now().steady < end) {
        from.send_overlay(overlay(to), 1000, 7, net::as_bytes("hello"));
        if (world.run_until([&] { return !to.inner.empty(); }, 250ms)) return true;
    }
    return false;
}

}  // namespace

TEST_CASE("an answer finds back through two boxes whose inside and outside have the same addresses") {
    Homes homes;
    const auto transit = homes.pass(Homes::kLeft, homes.server);
    CHECK(transit.fate == Fate::arrived);
    CHECK(transit.station == Homes::kServer);
    CHECK(transit.from.address == address("203.0.113.9"));
    const auto answer = homes.pass(Homes::kServer, transit.from);
    CHECK(answer.fate == Fate::arrived);
    CHECK(answer.station == Homes::kLeft);
    CHECK(answer.to == net::Endpoint{address("192.168.1.2"), 51820});
    CHECK(answer.crosses_internet);
}

TEST_CASE("homes behind one carrier reach each other by its outside only where it hairpins") {
    for (const bool hairpins : {true, false}) {
        CAPTURE(hairpins);
        Homes homes;
        const auto left_seen = homes.seen(Homes::kLeft), right_seen = homes.seen(Homes::kRight);
        auto& network = homes.network;
        if (!hairpins) {
            auto box = sim::full_cone(address("203.0.113.10"));
            box.hairpins = false;
            const auto carrier = network.add_lan({"strict", box, {}});
            const auto a = network.add_lan({"a", sim::full_cone(address("100.64.0.2")), {}}, carrier);
            const auto b = network.add_lan({"b", sim::full_cone(address("100.64.0.3")), {}}, carrier);
            network.put(Homes::kLeft, place(a, "192.168.1.2"));
            network.put(Homes::kRight, place(b, "192.168.1.2"));
            const auto seen = homes.seen(Homes::kRight);
            CHECK(homes.pass(Homes::kLeft, seen).fate == Fate::no_hairpin);
            continue;
        }
        const auto transit = homes.pass(Homes::kLeft, right_seen);
        CHECK(transit.fate == Fate::arrived);
        CHECK(transit.station == Homes::kRight);
        CHECK(transit.from == left_seen);
        CHECK_FALSE(transit.crosses_internet);
    }
}

TEST_CASE("an inside address means something in its own LAN only") {
    Homes homes;
    CHECK(homes.pass(Homes::kServer, {address("192.168.1.2"), 51820}).fate == Fate::no_route);
    CHECK(homes.pass(Homes::kAlone, {address("192.168.1.3"), 51820}).fate == Fate::no_route);
    // Behind the carrier it is the neighbour's box, which knows of no such mapping.
    CHECK(homes.pass(Homes::kLeft, {address("192.168.1.3"), 51820}).fate == Fate::no_mapping);
    CHECK(homes.pass(Homes::kServer, {address("2001:db8::1"), 51820}).fate == Fate::no_address);
}

TEST_CASE("stations of one LAN reach each other without its router, unless it isolates them") {
    Homes homes;
    homes.network.put(4, place(homes.alone, "192.168.1.3"));
    const net::Endpoint neighbour{address("192.168.1.3"), 51820};
    const auto transit = homes.pass(Homes::kAlone, neighbour);
    CHECK(transit.fate == Fate::arrived);
    CHECK(transit.from.address == address("192.168.1.2"));
    homes.network.isolate(homes.alone);
    CHECK(homes.pass(Homes::kAlone, neighbour).fate == Fate::isolated);
    // By its outside endpoint, a router that hairpins brings it there all the same.
    const auto seen = homes.seen(4);
    homes.pass(4, homes.seen(Homes::kAlone));
    CHECK(homes.pass(Homes::kAlone, seen).station == 4);
}

TEST_CASE("what is behind an IPv6 firewall is known by its own address, and let in once it has sent") {
    Homes homes;
    auto& network = homes.network;
    const auto lan = network.add_lan({"six", {}, sim::firewall()});
    const auto deeper = network.add_lan({"deeper", {}, sim::firewall()}, lan);
    network.put(4, place(deeper, "2001:db8:4::4"));
    network.put(5, place(Network::kInternet, "2001:db8:5::5"));
    const net::Endpoint inside{address("2001:db8:4::4"), 51820}, outside{address("2001:db8:5::5"), 51820};
    CHECK(homes.pass(5, inside).fate == Fate::no_mapping);
    CHECK(homes.pass(4, outside).from == inside);
    const auto answer = homes.pass(5, inside);
    CHECK(answer.fate == Fate::arrived);
    CHECK(answer.station == 4);
    CHECK(homes.pass(4, homes.server).fate == Fate::no_address);
}

TEST_CASE("a station that has moved is gone where it was, and its mappings lead nowhere") {
    Homes homes;
    const auto seen = homes.seen(Homes::kLeft);
    CHECK(homes.pass(Homes::kServer, seen).fate == Fate::arrived);
    homes.network.put(Homes::kLeft, place(homes.alone, "192.168.1.77"));
    CHECK(homes.pass(Homes::kServer, seen).fate == Fate::no_route);
    CHECK(homes.seen(Homes::kLeft).address == address("203.0.113.1"));
    CHECK_THROWS(homes.network.put(4, place(homes.alone, "192.168.1.77")));
}

TEST_CASE("a node behind NAT joins, has sessions with those whom it can reach, and keeps them when it moves") {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        CAPTURE(seed);
        World world(seed);
        auto& network = world.network();
        const auto office = network.add_lan({"office", sim::port_restricted(address("203.0.113.1")), {}});
        const auto hotel = network.add_lan({"hotel", sim::symmetric(address("203.0.113.2"), sim::PortAssignment::random), {}});
        auto& trento = world.found("trento", "192.0.2.1");
        auto& laptop = world.join("laptop", place(office, "192.168.1.2"), trento);
        REQUIRE(world.run_until([&] { return world.full_mesh(); }, 5s));
        CHECK(carries(world, trento, laptop));
        world.run_for(1min);
        world.move(laptop, place(hotel, "192.168.1.2"));
        CHECK(carries(world, laptop, trento));
        CHECK(carries(world, trento, laptop));
        INFO(world.report("a session after the move"));
        CHECK(world.run_until([&] { return world.full_mesh(); }, 5s));
    }
}

TEST_CASE("a node that sleeps hears nothing, its steady clock stands still, and it is back when it wakes") {
    World world(3);
    auto& trento = world.found("trento", "192.0.2.1");
    auto& laptop = world.join("laptop", "192.0.2.2", trento);
    REQUIRE(world.run_until([&] { return world.full_mesh(); }, 5s));
    const auto events = laptop.events.size();
    laptop.sleep();
    world.run_for(8h);
    CHECK(laptop.events.size() == events);
    CHECK(trento.peers_up() == 0);
    laptop.wake();
    CHECK(carries(world, laptop, trento));
    CHECK(world.full_mesh());
}

TEST_CASE("a failure tells the seed, what was violated, and where packets were lost") {
    World world(17);
    const auto lan = world.network().add_lan({"home", sim::port_restricted(address("203.0.113.1")), {}});
    world.found("trento", "192.0.2.1");
    auto& laptop = world.add_host("laptop", place(lan, "192.168.1.2"));
    world.send(world.host("trento"), 51820, {address("203.0.113.1"), 51820}, net::Bytes(148, std::byte{1}));
    world.run_for(1s);
    world.send(laptop, 51820, {address("192.0.2.77"), 51820}, net::Bytes(148, std::byte{4}));
    world.note("the end");
    const auto report = world.report("no session");
    CHECK(report.find("seed 17: no session\n") == 0);
    CHECK(report.find("trento > 203.0.113.1:51820  initiation 148  from 192.0.2.1:51820 no mapping at home") != std::string::npos);
    CHECK(report.find("1.0000  laptop > 192.0.2.77:51820  data 148  from 203.0.113.1:51820 nobody has this address at Internet") != std::string::npos);
    CHECK(report.find("-- the end") != std::string::npos);
}
