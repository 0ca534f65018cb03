// A subnet that is directly attached wins over the mesh's route to it.
#include "mesh/attached.hpp"

#include <algorithm>

#include "mesh_in_memory.hpp"

using namespace mesh;
using namespace mesh::testing;

namespace {

net::Prefix prefix(const char* text) { return *net::Prefix::parse(text); }

bool has(const std::vector<net::Prefix>& some, const char* text) {
    return std::find(some.begin(), some.end(), prefix(text)) != some.end();
}

/// Munich routes `subnets`; trento is attached to what set_attached() says.
struct TwoOffices : Network {
    Machine &trento, &munich;
    TwoOffices(std::uint64_t seed, std::vector<net::Prefix> subnets)
        : Network(seed), trento(create("trento")), munich(invite_and_join(trento, "munich", routing(std::move(subnets)))) {
        REQUIRE(run_until([&] { return all_up({"trento", "munich"}); }, 10s));
        run(10s);
    }
    static InviteRequest routing(std::vector<net::Prefix> subnets) {
        InviteRequest request;
        request.subnets = std::move(subnets);
        return request;
    }
    std::vector<net::Prefix> routes() { return trento.node->device().routes; }
};

}  // namespace

TEST_CASE("what an attached network leaves of a route is the rest of it, exactly") {
    const std::vector lans{prefix("192.168.1.0/24")};
    CHECK(without_attached(prefix("192.168.1.0/24"), lans).empty());
    CHECK(without_attached(prefix("192.168.1.128/25"), lans).empty());
    CHECK(without_attached(prefix("192.168.2.0/24"), lans) == std::vector{prefix("192.168.2.0/24")});
    CHECK(without_attached(prefix("fd00::/8"), lans) == std::vector{prefix("fd00::/8")});
    CHECK(without_attached(prefix("192.168.0.0/22"), lans) ==
          std::vector{prefix("192.168.0.0/24"), prefix("192.168.2.0/23")});
    const auto rest = without_attached(prefix("0.0.0.0/0"), lans);
    CHECK(rest.size() == 24);
    for (const auto& one : rest) CHECK_FALSE(one.overlaps(lans[0]));
    CHECK(any_contains(rest, address("192.168.0.255")));
    CHECK(any_contains(rest, address("192.168.2.0")));
    const std::vector v6{prefix("2001:db8:1::/64")};
    CHECK(without_attached(prefix("2001:db8:1::/48"), v6).size() == 16);
}

TEST_CASE("an office's own LAN stays local, also where another member routes it") {
    TwoOffices offices(210, {prefix("192.168.1.0/24"), prefix("192.168.2.0/24")});
    CHECK(has(offices.routes(), "192.168.1.0/24"));
    const auto told = offices.trento.count<RoutesChanged>();
    offices.trento.node->set_attached({prefix("192.168.1.0/24")}, offices.now());
    offices.drain(offices.trento);
    CHECK_FALSE(has(offices.routes(), "192.168.1.0/24"));
    CHECK(has(offices.routes(), "192.168.2.0/24"));
    CHECK(offices.trento.count<RoutesChanged>() == told + 1);
    // Unplugged, the same network is reached through the mesh.
    offices.trento.node->set_attached({}, offices.now());
    CHECK(has(offices.routes(), "192.168.1.0/24"));
}

TEST_CASE("an address of ours that lies in a route does not make that network attached") {
    // A point-to-point uplink has a single address: what lies around it is not on a wire of ours.
    TwoOffices offices(211, {prefix("198.51.100.0/24")});
    offices.trento.node->set_attached({prefix("192.168.1.0/24")}, offices.now());
    CHECK(has(offices.routes(), "198.51.100.0/24"));
}

TEST_CASE("a route to a part of the attached network is not used, one to more than it is") {
    TwoOffices offices(212, {prefix("192.168.1.128/25"), prefix("192.168.0.0/16")});
    offices.trento.node->set_attached({prefix("192.168.1.0/24")}, offices.now());
    CHECK_FALSE(has(offices.routes(), "192.168.1.128/25"));
    CHECK(has(offices.routes(), "192.168.0.0/16"));  // the kernel's own, longer route keeps the LAN
    const auto table = offices.trento.node->table();
    CHECK_FALSE(table->in_overlay(address("192.168.1.200")));
    CHECK(table->in_overlay(address("192.168.2.1")));
}

TEST_CASE("a member on the attached LAN is reached there, although another member routes that LAN") {
    TwoOffices offices(213, {prefix("192.168.1.0/24")});
    auto& laptop = offices.invite_and_join(offices.trento, "laptop");
    REQUIRE(offices.run_until([&] { return offices.all_up({"trento", "munich", "laptop"}); }, 10s));
    offices.trento.node->set_attached({prefix("192.168.1.0/24")}, offices.now());
    laptop.node->set_attached({prefix("192.168.1.0/24")}, offices.now());
    // It is only there now.
    laptop.endpoint.address = address("192.168.1.20");
    offices.trento.node->add_candidate(laptop.node->key(), laptop.endpoint, Source::mdns, offices.now());
    CHECK(offices.run_until(
        [&] {
            const auto peers = offices.trento.node->peers(offices.now());
            return std::any_of(peers.begin(), peers.end(), [&](const auto& peer) { return peer.endpoint == laptop.endpoint; });
        },
        20s));
    CHECK(offices.run_until([&] { return offices.trento.node->is_up(laptop.node->key()); }, 20s));
}

TEST_CASE("whatever is attached and routed, an address on an attached network is never reached through the mesh") {
    net::SeededRandom random(7);
    // A small corner of each address space, so that prefixes meet.
    const auto some_prefix = [&](bool v6) {
        std::array<std::byte, 16> bytes{std::byte{v6 ? std::uint8_t{0xfd} : std::uint8_t{10}}};
        bytes[1] = static_cast<std::byte>(random.below(4) << 6);
        bytes[2] = static_cast<std::byte>(random.below(4) << 6 | random.below(4));
        bytes[3] = static_cast<std::byte>(random.below(256));
        const auto address = net::IpAddress::from_bytes(net::ByteView(bytes).first(v6 ? 16 : 4));
        return net::Prefix(address, 6 + static_cast<unsigned>(random.below(v6 ? 40 : 27)));
    };
    for (int i = 0; i < 2000; ++i) {
        const bool v6 = i % 2 == 1;
        std::vector<net::Prefix> lans, routes;
        for (std::uint64_t n = random.below(5); n > 0; --n) lans.push_back(some_prefix(v6));
        for (int n = 0; n < 5; ++n) routes.push_back(some_prefix(v6));
        // As the device gets them; the kernel takes the longest prefix, and of equals the one of the interface.
        std::vector<net::Prefix> device;
        for (const auto& route : routes)
            if (!attached_covers(lans, route)) device.push_back(route);
        for (int n = 0; n < 50; ++n) {
            const auto one = some_prefix(v6).address();
            const auto longest = [&](const std::vector<net::Prefix>& prefixes) {
                int length = -1;
                for (const auto& prefix : prefixes)
                    if (prefix.contains(one)) length = std::max(length, static_cast<int>(prefix.length()));
                return length;
            };
            if (any_contains(lans, one)) REQUIRE(longest(lans) >= longest(device));
            for (const auto& route : routes)  // and no endpoint there is taken for one in the tunnel
                REQUIRE(any_contains(without_attached(route, lans), one) == (route.contains(one) && !any_contains(lans, one)));
        }
    }
}
