/// Offers and answers wherever SIP puts them: both gateways anchor them all the same.
#include <catch2/catch.hpp>

#include "offices.hpp"
#include "voice/multipart.hpp"

using namespace test;

namespace {

/// The centre is dead: calls go from gateway to gateway.
struct Anchored : Scene {
    Anchored() {
        desk.register_now();
        register_all();
        desk.manner = Phone::Manner::is_silent;
        centre.alive = false;
        world.run(10s);
    }
    Phone desk{world, "bob", munich.phone(20), munich.lan()};  ///< bob's other phone, which is off

    /// That both phones see only their own gateways, and each gateway has its phone and the other gateway.
    void check_anchored(const std::string& alice_port = "4000", const std::string& bob_port = "4000") {
        CHECK(alice.heard_sdp.find("c=IN IP4 10.1.0.1") != std::string::npos);
        CHECK(bob.heard_sdp.find("c=IN IP4 10.2.0.1") != std::string::npos);
        REQUIRE(trento.relays.size() == 1);
        REQUIRE(munich.relays.size() == 1);
        const auto& here = trento.relays.begin()->second;
        const auto& there = munich.relays.begin()->second;
        CHECK(here[0].rtp == *net::Endpoint::parse("10.1.0.10:" + alice_port));
        CHECK(here[1].rtp.address == munich.overlay_address());
        CHECK(there[0].rtp == *net::Endpoint::parse("10.2.0.10:" + bob_port));
        CHECK(there[1].rtp.address == trento.overlay_address());
    }
};

}  // namespace

TEST_CASE("an INVITE without an offer: that is in the 200, and the answer in the ACK") {
    Anchored scene;
    scene.alice.dress = [&](voice::Message& message) {
        if (message.is("INVITE")) message.clear_body();
        if (message.is("ACK")) {
            message.set_body("application/sdp", "v=0\r\no=- 1 1 IN IP4 10.1.0.10\r\ns=-\r\nc=IN IP4 10.1.0.10\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n");
        }
    };
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(3s);
    REQUIRE(scene.bob.count("ACK") > 0);
    for (auto told = scene.bob.history.rbegin(); told != scene.bob.history.rend(); ++told) {
        if (told->method == "ACK") scene.bob.heard_sdp = told->message.body();
    }
    scene.check_anchored();
    scene.alice.hang_up();
    scene.world.run(2s);
    CHECK(scene.quiet());
}

TEST_CASE("a description within a body of several parts is anchored, and the other parts arrive as they were") {
    Anchored scene;
    scene.alice.dress = [](voice::Message& message) {
        if (!message.has_sdp()) return;
        const auto sdp = std::string(message.body());
        message.set_body("multipart/mixed;boundary=part", "--part\r\nContent-Type: application/sdp\r\n\r\n" + sdp +
                                                              "\r\n--part\r\nContent-Type: application/pidf+xml\r\n\r\n<presence/>\r\n--part--\r\n");
    };
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(3s);
    REQUIRE(scene.alice.in_call());
    for (const auto& told : scene.bob.history) {
        if (told.method != "INVITE") continue;
        const auto part = voice::sdp_part(told.message.content_type(), told.message.body());
        REQUIRE(part);
        scene.bob.heard_sdp = part->text;
        CHECK(told.message.body().find("\r\n--part\r\nContent-Type: application/pidf+xml\r\n\r\n<presence/>\r\n--part--\r\n") != std::string::npos);
    }
    scene.check_anchored();
}

TEST_CASE("early media is anchored, and so are the answer in a PRACK and an UPDATE of either side") {
    Anchored scene;
    scene.bob.manner = Phone::Manner::rings;
    scene.alice.answers_early_media = true;
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(1s);
    scene.bob.send_early();
    scene.world.run(1s);
    CHECK(scene.bob.count("PRACK") == 1);
    CHECK(scene.alice.last("PRACK") == 200);
    scene.check_anchored();
    scene.bob.media = "audio 4010 RTP/AVP 0\r\n";
    scene.bob.send_in_dialog("UPDATE");
    scene.world.run(1s);
    CHECK(scene.alice.count("UPDATE") == 1);
    scene.check_anchored("4000", "4010");
    scene.bob.dress = [](voice::Message& message) {
        if (message.is_response()) message.clear_body();
    };
    scene.bob.pick_up();
    scene.world.run(1s);
    CHECK(scene.alice.in_call());
    scene.check_anchored("4000", "4010");
}

TEST_CASE("of two phones with early media the one that takes the call keeps it, though its 200 says nothing of it") {
    Anchored scene;
    auto& desk = scene.desk;
    desk.manner = scene.bob.manner = Phone::Manner::rings;
    desk.media = "audio 4444 RTP/AVP 0\r\n";
    for (auto* phone : {&desk, &scene.bob}) {
        phone->dress = [](voice::Message& message) {
            if (message.status() == 200) message.clear_body();
        };
    }
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(1s);
    scene.bob.send_early();
    scene.world.run(200ms);
    desk.send_early();
    scene.world.run(200ms);
    CHECK(scene.munich.relays.begin()->second[0].rtp == *net::Endpoint::parse("10.2.0.20:4444"));
    scene.bob.pick_up();
    scene.world.run(1s);
    REQUIRE(scene.alice.in_call());
    scene.check_anchored();
}

TEST_CASE("a re-INVITE that is refused moves nothing") {
    Anchored scene;
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(3s);
    scene.check_anchored();
    scene.bob.manner = Phone::Manner::busy;
    scene.alice.media = "audio 4098 RTP/AVP 0\r\nm=video 5000 RTP/AVP 31\r\n";
    scene.alice.reinvite();
    scene.world.run(2s);
    CHECK(scene.alice.last("INVITE") == 486);
    scene.check_anchored();
}

namespace {

/// Offices whose LANs are routed to each other; munich's network is listed only where it is said.
struct Routed : Scene {
    explicit Routed(const std::vector<std::string>& networks, bool with_centre_up = false)
        : Scene(1, true, [&](voice::ProxySettings& settings) {
              for (const auto& network : networks) settings.direct_media.push_back(*net::Prefix::parse(network));
          }) {
        register_all();
        centre.alive = with_centre_up;
        world.run(10s);
        alice.call("sip:bob@acme.example");
        world.run(3s);
        REQUIRE(alice.in_call());
    }
};

}  // namespace

TEST_CASE("between networks that reach each other media is left alone, and a call ends by its BYE, not for silence") {
    for (const bool with_centre : {false, true}) {
        Routed scene({"10.0.0.0/8", "198.51.100.0/24"}, with_centre);
        CAPTURE(with_centre);
        CHECK(scene.alice.heard_sdp.find("c=IN IP4 10.2.0.10\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n") != std::string::npos);
        CHECK(scene.bob.heard_sdp.find("c=IN IP4 10.1.0.10\r\n") != std::string::npos);
        CHECK(scene.trento.relays.empty());
        CHECK(scene.munich.relays.empty());
        scene.world.run(3h);
        CHECK(scene.alice.in_call());
        CHECK(scene.trento.proxy.calls().size() == 1);
        scene.bob.hang_up();
        scene.world.run(2s);
        CHECK_FALSE(scene.alice.in_call());
        CHECK(scene.quiet());
    }
}

TEST_CASE("media is anchored where one end is not in the list: the centre, or the other office's phone") {
    Routed by_centre({"10.0.0.0/8"}, true);
    CHECK(by_centre.alice.heard_sdp.find("c=IN IP4 10.1.0.1\r\n") != std::string::npos);
    CHECK(by_centre.trento.relays.size() == 1);
    Routed half({"10.1.0.0/16"});
    CHECK(half.trento.relays.empty());
    CHECK(half.bob.heard_sdp.find("c=IN IP4 10.2.0.1\r\n") != std::string::npos);
    REQUIRE(half.munich.relays.size() == 1);
    CHECK(half.munich.relays.begin()->second[1].rtp == *net::Endpoint::parse("10.1.0.10:4000"));
    // Its answer is munich's anchor, which alice's phone reaches by the same routes as bob's.
    CHECK(half.alice.heard_sdp.find("c=IN IP4 10.99.0.2\r\n") != std::string::npos);
}

TEST_CASE("a call whose media passes by us and of which nobody speaks any more ends by its session timer, or in a day") {
    Routed scene({"0.0.0.0/0"});
    scene.bob.dress = [](voice::Message& message) {
        if (message.status() == 200) message.set("Session-Expires", "1800;refresher=uac");
    };
    scene.alice.reinvite();
    scene.world.run(29min);
    CHECK(scene.alice.in_call());
    scene.alice.reinvite();
    scene.world.run(29min);
    CHECK(scene.alice.in_call());
    scene.world.run(2min);
    CHECK_FALSE(scene.alice.in_call());
    CHECK_FALSE(scene.bob.in_call());
    CHECK(scene.quiet());
    Routed other({"0.0.0.0/0"});
    other.world.run(25h);
    CHECK_FALSE(other.alice.in_call());
    CHECK(other.quiet());
}

TEST_CASE("a call that was direct is anchored when one side moves to where the other cannot reach it") {
    Routed scene({"10.0.0.0/8"});
    CHECK(scene.trento.relays.empty());
    scene.alice.dress = [](voice::Message& message) {
        if (message.is("INVITE")) message.set_body("application/sdp", "v=0\r\no=- 1 2 IN IP4 172.16.0.5\r\ns=-\r\nc=IN IP4 172.16.0.5\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n");
    };
    scene.alice.reinvite();
    scene.world.run(2s);
    CHECK(scene.alice.last("INVITE") == 200);
    CHECK(scene.trento.relays.size() == 1);
    CHECK(scene.alice.heard_sdp.find("c=IN IP4 10.1.0.1\r\n") != std::string::npos);
    scene.alice.dress = nullptr;
    scene.alice.reinvite();
    scene.world.run(2s);
    CHECK(scene.trento.relays.empty());
    CHECK(scene.alice.heard_sdp.find("c=IN IP4 10.2.0.10\r\n") != std::string::npos);
}

TEST_CASE("a call that no port is left for is answered 503 with Retry-After and counted, one whose SDP nobody can read 488") {
    Anchored scene;
    const bool readable = GENERATE(true, false);
    CAPTURE(readable);
    scene.trento.most_relays = 0;
    if (!readable) scene.alice.dress = [](voice::Message& message) { message.set_body("application/sdp", "v=no"); };
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(2s);
    REQUIRE(scene.alice.last("INVITE") == (readable ? 503 : 488));
    CHECK(scene.alice.history.back().message.retry_after_s().has_value() == readable);
    CHECK(scene.trento.proxy.counters().no_media == (readable ? 1 : 0));
    CHECK(scene.bob.count("INVITE") == 0);
    CHECK(scene.quiet());
}

TEST_CASE("an office without a port for media does not make another one think that the centre has trouble") {
    Scene scene;
    scene.register_all();
    scene.munich.most_relays = 0;
    for (unsigned i = 0; i < 5; ++i) {
        scene.alice.call("sip:bob@acme.example");
        scene.world.run(2s);
        CHECK(scene.alice.last("INVITE") == 480);
        CHECK(scene.trento.proxy.voice().mode == "central");
    }
    CHECK(scene.munich.proxy.counters().no_media >= 5);
}
