// A subnet that is directly attached wins over the mesh's route to it.
#include "mesh/attached.hpp"

#include <algorithm>

#include "mesh_in_memory.hpp"

using namespace mesh;
using namespace mesh::testing;

namespace {

net::Prefix prefix(const char* text) { return *net::Prefix::parse(text); }
net::IpAddress address(const char* text) { return *net::IpAddress::parse(text); }

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
