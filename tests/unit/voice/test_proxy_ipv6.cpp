/// A phone on IPv6 in an office whose centre and mesh speak IPv4: every address is written as RFC 3261 and RFC 5118 have it,
/// and the proxy goes between the families.
#include <catch2/catch.hpp>

#include "offices.hpp"

using namespace test;

namespace {

struct Scene6 : Scene {
    Scene6() {
        roster.add_user("frank", "trento");
        centre.passwords["frank"] = "secret";
        register_all();
        frank.register_now();
        world.run(2s);
    }
    Phone frank{world, "frank", *net::Endpoint::parse("[fd00:1::10]:5060"), trento.lan6()};
};

/// A call each way, ended by either.
void calls_both_ways(Scene6& scene) {
    scene.bob.call("sip:frank@acme.example");
    scene.world.run(3s);
    CHECK(scene.bob.last("INVITE") == 200);
    REQUIRE(scene.frank.in_call());
    CHECK(scene.frank.heard_sdp.find("c=IN IP6 fd00:1::1\r\n") != std::string::npos);
    CHECK(scene.bob.heard_sdp.find("c=IN IP6") == std::string::npos);
    scene.frank.hang_up();
    scene.world.run(2s);
    CHECK_FALSE(scene.bob.in_call());

    scene.frank.call("sip:bob@acme.example");
    scene.world.run(3s);
    CHECK(scene.frank.last("INVITE") == 200);
    REQUIRE(scene.bob.in_call());
    scene.bob.hang_up();
    scene.world.run(2s);
    CHECK_FALSE(scene.frank.in_call());
    CHECK(scene.quiet());
}

}  // namespace

TEST_CASE("a phone on IPv6 registers at a centre on IPv4, calls and is called there, and in an outage over the mesh") {
    Scene6 scene;
    REQUIRE(scene.frank.last("REGISTER") == 200);
    REQUIRE(scene.centre.contacts("frank").size() == 1);
    CHECK(scene.centre.contacts("frank").front().find("203.0.113.1") != std::string::npos);
    calls_both_ways(scene);
    scene.centre.alive = false;
    scene.world.run(60s);
    REQUIRE(scene.trento.mode() == "island");
    calls_both_ways(scene);
}

TEST_CASE("toward a phone on IPv6 our Via, Record-Route and Contact have an address in brackets") {
    Scene6 scene;
    scene.bob.call("sip:frank@acme.example");
    scene.world.run(3s);
    const auto invite = std::find_if(scene.frank.history.begin(), scene.frank.history.end(),
                                     [](const auto& entry) { return entry.message.is("INVITE"); });
    REQUIRE(invite != scene.frank.history.end());
    const auto via = invite->message.top_via();
    REQUIRE(via);
    CHECK(via->text().starts_with("SIP/2.0/UDP [fd00:1::1]:5060;"));
    const auto routes = invite->message.record_routes();
    REQUIRE_FALSE(routes.empty());
    CHECK(routes.front().text().find("@[fd00:1::1]:5060;") != std::string::npos);
    CHECK(invite->message.uri().text() == "sip:frank@[fd00:1::10]:5060");
}
