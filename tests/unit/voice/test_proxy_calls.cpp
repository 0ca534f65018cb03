#include <catch2/catch.hpp>

#include "offices.hpp"

using namespace test;

namespace {

net::Duration ring_back(const Phone& phone, net::Steady from) {
    return phone.first("INVITE", 180).value_or(net::kNever) - from;
}

}  // namespace

TEST_CASE("a call goes through the centre while it is up, with the media between the two offices' anchors") {
    Scene scene;
    scene.register_all();
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(3s);
    CHECK(scene.alice.last("INVITE") == 200);
    CHECK(scene.alice.in_call());
    CHECK(scene.bob.in_call());
    CHECK(scene.bob.count("ACK") == 1);
    REQUIRE(scene.trento.proxy.calls().size() == 1);
    CHECK(scene.trento.proxy.calls().front().path == "central");
    CHECK(scene.trento.proxy.calls().front().state == "up");
    CHECK(scene.munich.proxy.calls().front().path == "central");
    // Each phone sees its own gateway; the gateways see each other's overlay address.
    CHECK(scene.alice.heard_sdp.find("c=IN IP4 10.1.0.1") != std::string::npos);
    CHECK(scene.bob.heard_sdp.find("c=IN IP4 10.2.0.1") != std::string::npos);
    CHECK(scene.bob.heard_sdp.find("meshd") == std::string::npos);
    REQUIRE(scene.trento.relays.size() == 1);
    CHECK(scene.trento.relays.begin()->second[1].rtp.address == scene.munich.overlay_address());
    CHECK(scene.munich.relays.begin()->second[1].rtp.address == scene.trento.overlay_address());
    CHECK(scene.trento.relays.begin()->second[0].rtp == *net::Endpoint::parse("10.1.0.10:4000"));

    scene.bob.hang_up();
    scene.world.run(2s);
    CHECK_FALSE(scene.alice.in_call());
    CHECK(scene.bob.last("BYE") == 200);
    CHECK(scene.quiet());
    CHECK(scene.trento.told.back() == "end bob@acme.example: hung up by bob@acme.example");
}

TEST_CASE("the centre's challenge of an INVITE reaches the phone, and the call goes on with its password") {
    Scene scene;
    scene.register_all();
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(3s);
    CHECK(scene.alice.count("INVITE", 407) == 1);
    CHECK(scene.alice.count("INVITE", 200) >= 1);
    CHECK(scene.trento.told == std::vector<std::string>{"mode central", "call bob@acme.example by central"});
}

TEST_CASE("a call placed once the centre is known down goes over the mesh") {
    Scene scene;
    scene.register_all();
    scene.centre.alive = false;
    scene.world.run(10s);
    const auto start = scene.world.now.steady;
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(3s);
    CHECK(ring_back(scene.alice, start) < 300ms);
    CHECK(scene.alice.in_call());
    CHECK(scene.bob.count("ACK") == 1);
    CHECK(scene.trento.proxy.calls().front().path == "mesh");
    CHECK(scene.munich.proxy.calls().front().path == "mesh");
    CHECK(scene.trento.relays.begin()->second[1].rtp.address == scene.munich.overlay_address());
    scene.alice.hang_up();
    scene.world.run(2s);
    CHECK_FALSE(scene.bob.in_call());
    CHECK(scene.quiet());
}

TEST_CASE("the same extension works in an outage") {
    Scene scene;
    scene.register_all();
    scene.centre.alive = false;
    scene.world.run(10s);
    scene.alice.call("sip:102@acme.example");
    scene.world.run(3s);
    CHECK(scene.alice.in_call());
    CHECK(scene.bob.in_call());
}

TEST_CASE("two phones of an office that has lost every line call each other") {
    Scene scene;
    scene.register_all();
    scene.world.cut = {scene.london.wan().address, scene.london.overlay_address()};
    scene.world.run(10s);
    CHECK(scene.london.mode() == "island");
    scene.carol.call("sip:dave@acme.example");
    scene.world.run(3s);
    CHECK(scene.carol.in_call());
    CHECK(scene.dave.in_call());
    CHECK(scene.london.proxy.calls().front().path == "local");
    scene.dave.hang_up();
    scene.world.run(2s);
    CHECK_FALSE(scene.carol.in_call());
    CHECK(scene.quiet());
}

TEST_CASE("two phones of one office call each other through the centre, and hang up after its death") {
    Scene scene;
    scene.register_all();
    scene.carol.call("sip:dave@acme.example");
    scene.world.run(3s);
    REQUIRE(scene.dave.in_call());
    CHECK(scene.london.proxy.calls().size() == 2);
    scene.centre.alive = false;
    scene.world.run(10s);
    scene.dave.reinvite();
    scene.world.run(2s);
    CHECK(scene.dave.last("INVITE") == 200);
    scene.dave.hang_up();
    scene.world.run(2s);
    CHECK(scene.dave.last("BYE") == 200);
    CHECK_FALSE(scene.carol.in_call());
    CHECK(scene.quiet());
}

TEST_CASE("a call through the centre survives its death: re-INVITE and BYE take the mesh past it") {
    Scene scene;
    scene.register_all();
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(3s);
    scene.centre.alive = false;
    scene.world.run(10s);
    scene.bob.reinvite();
    scene.world.run(2s);
    CHECK(scene.bob.last("INVITE") == 200);
    CHECK(scene.alice.count("ACK") == 1);
    CHECK(scene.alice.in_call());
    scene.alice.hang_up();
    scene.world.run(2s);
    CHECK(scene.alice.last("BYE") == 200);
    CHECK_FALSE(scene.bob.in_call());
    CHECK(scene.quiet());
}

TEST_CASE("a BYE in the first second after the centre's death gets through") {
    Scene scene;
    scene.register_all();
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(3s);
    scene.centre.alive = false;
    const auto start = scene.world.now.steady;
    scene.alice.hang_up();
    REQUIRE(scene.world.run_until([&] { return !scene.bob.in_call(); }));
    CHECK(scene.world.now.steady - start < 1s);
    scene.world.run(40s);
    CHECK(scene.quiet());
}

TEST_CASE("a caller who gives up leaves nothing ringing") {
    for (const bool alive : {true, false}) {
        Scene scene;
        scene.register_all();
        scene.bob.manner = Phone::Manner::rings;
        scene.centre.alive = alive;
        if (!alive) scene.world.run(10s);
        scene.alice.call("sip:bob@acme.example");
        scene.world.run(2s);
        REQUIRE(scene.alice.last("INVITE") == 180);
        scene.alice.cancel();
        scene.world.run(2s);
        CHECK(scene.alice.last("INVITE") == 487);
        CHECK(scene.bob.count("CANCEL") == 1);
        CHECK(scene.quiet());
    }
}

TEST_CASE("an answer that crosses the CANCEL is acknowledged and ended") {
    Scene scene;
    scene.register_all();
    scene.bob.manner = Phone::Manner::rings;
    scene.centre.alive = false;
    scene.world.run(10s);
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(2s);
    scene.alice.cancel();
    scene.world.run(5ms);
    scene.bob.pick_up();
    scene.world.run(3s);
    CHECK(scene.alice.last("INVITE") == 487);
    CHECK_FALSE(scene.bob.in_call());
    CHECK(scene.bob.count("ACK") >= 1);
    CHECK(scene.bob.count("BYE") == 1);
    CHECK(scene.quiet());
}

TEST_CASE("busy is busy, in every mode") {
    for (const bool alive : {true, false}) {
        Scene scene;
        scene.register_all();
        scene.bob.manner = Phone::Manner::busy;
        scene.centre.alive = alive;
        if (!alive) scene.world.run(10s);
        scene.alice.call("sip:bob@acme.example");
        scene.world.run(3s);
        CHECK(scene.alice.last("INVITE") == 486);
        CHECK(scene.quiet());
    }
}

TEST_CASE("in an outage nobody is called who is not there, and nobody who is unknown") {
    Scene scene;
    scene.register_all();
    scene.roster.add_user("erin", "munich");
    scene.centre.alive = false;
    scene.world.run(10s);
    scene.alice.call("sip:erin@acme.example");
    scene.world.run(1s);
    CHECK(scene.alice.last("INVITE") == 480);
    scene.alice.call("sip:nobody@acme.example");
    scene.world.run(1s);
    CHECK(scene.alice.last("INVITE") == 404);
    CHECK(scene.quiet());
}

TEST_CASE("calls get through with a tenth of all packets lost, and leave nothing behind") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        CAPTURE(seed);
        Scene scene(seed);
        scene.register_all();
        scene.centre.alive = seed % 2 == 0;
        scene.world.run(10s);
        scene.world.lost_percent = 10;
        scene.alice.call("sip:bob@acme.example");
        CHECK(scene.world.run_until([&] { return scene.alice.in_call() && scene.bob.count("ACK") > 0; }, 32s));
        scene.alice.hang_up();
        scene.world.run(40s);
        CHECK_FALSE(scene.bob.in_call());
        scene.world.lost_percent = 0;
        scene.world.run(60s);
        CHECK(scene.quiet());
    }
}

TEST_CASE("a call whose media is silent both ways is ended on both sides") {
    Scene scene;
    scene.register_all();
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(3s);
    for (unsigned i = 0; i < 30; ++i) {
        scene.trento.media_packets += 100;
        scene.munich.media_packets += 100;
        scene.world.run(10s);
    }
    CHECK(scene.alice.in_call());
    scene.world.run(150s);
    CHECK_FALSE(scene.alice.in_call());
    CHECK_FALSE(scene.bob.in_call());
    CHECK(scene.quiet());
}

TEST_CASE("a call on hold and a fax are not ended for their silence; forgotten ones are, in the end") {
    const std::string held = "audio 4000 RTP/AVP 0\r\na=sendonly\r\n";
    const std::string old_hold = "audio 4000 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\n";
    for (const auto& media : {held, old_hold, std::string("image 4000 udptl t38\r\n")}) {
        CAPTURE(media);
        Scene scene;
        scene.register_all();
        scene.alice.call("sip:bob@acme.example");
        scene.world.run(3s);
        scene.alice.media = media;
        scene.alice.reinvite();
        scene.world.run(10min);
        CHECK(scene.alice.in_call());
        CHECK(scene.bob.in_call());
        scene.world.run(1h);
        CHECK_FALSE(scene.alice.in_call());
        CHECK_FALSE(scene.bob.in_call());
        CHECK(scene.quiet());
    }
}

TEST_CASE("a call without any stream that we carry does not stay for ever") {
    Scene scene;
    scene.register_all();
    scene.alice.media = scene.bob.media = "image 4000 udptl t38\r\n";
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(10min);
    CHECK(scene.alice.in_call());
    scene.world.run(1h);
    CHECK_FALSE(scene.alice.in_call());
    CHECK(scene.quiet());
}
