/// What gateways notice of a call's sound, and how they say it.
#include <catch2/catch.hpp>

#include "offices.hpp"

using namespace test;

namespace {

struct Talk : Scene {
    Talk() {
        register_all();
        alice.call("sip:bob@acme.example");
        world.run(2s);
        REQUIRE(alice.in_call());
    }
    /// Time goes by, in which each gateway hears its phone and the other gateway, or not.
    void talk(net::Duration time, bool alice_speaks, bool bob_speaks) {
        for (const auto end = world.now.steady + time; world.now.steady < end;) {
            for (auto* office : {&trento, &munich}) {
                auto& stats = office->media_stats;
                const bool near = office == &trento ? alice_speaks : bob_speaks;
                const bool far = office == &trento ? bob_speaks : alice_speaks;
                if (near) hear(stats.near);
                if (far) hear(stats.far);
            }
            world.run(20ms);
        }
    }
    void hear(voice::LegStats& leg) {
        ++leg.packets;
        leg.last = world.now.steady;
    }
    std::string audio(Office& office) {
        REQUIRE(office.proxy.calls().size() == 1);
        return office.proxy.calls().front().audio;
    }
};

}  // namespace

TEST_CASE("one-way audio is told by both gateways within three seconds, each saying where it ought to come from") {
    Talk scene;
    scene.talk(5s, true, true);
    CHECK(scene.audio(scene.trento).empty());
    scene.talk(3s, true, false);
    CHECK(scene.audio(scene.trento) == "no audio from bob@acme.example: none comes through the mesh from munich");
    CHECK(scene.audio(scene.munich) == "no audio from bob@acme.example: the phone at 10.2.0.10 sends none");
    CHECK(scene.trento.told.back() == "audio " + scene.audio(scene.trento));
    scene.talk(1s, true, true);
    CHECK(scene.audio(scene.trento).empty());
    CHECK(scene.trento.told.back() == "audio is heard");
    scene.talk(3s, false, true);
    CHECK(scene.audio(scene.trento) == "no audio from alice@acme.example: the phone at 10.1.0.10 sends none");
    CHECK(scene.audio(scene.munich) == "no audio from alice@acme.example: none comes through the mesh from trento");
    scene.trento.media_stats.near.wrong_source += 100;
    scene.talk(1s, false, true);
    CHECK(scene.audio(scene.trento) == "no audio from alice@acme.example: it comes from an address that its SDP does not name");
}

TEST_CASE("while a call is held nobody is missed, and early media is not one-way") {
    Talk scene;
    scene.talk(5s, true, true);
    scene.alice.media = "audio 4000 RTP/AVP 0\r\na=sendonly\r\n";
    scene.bob.media = "audio 4000 RTP/AVP 0\r\na=recvonly\r\n";
    scene.alice.reinvite();
    scene.talk(20s, true, false);
    CHECK(scene.audio(scene.trento).empty());
    CHECK(scene.audio(scene.munich).empty());
    scene.alice.hang_up();
    scene.world.run(2s);
    scene.trento.media_stats = scene.munich.media_stats = {};
    scene.alice.media = scene.bob.media = "audio 4000 RTP/AVP 0\r\n";
    scene.bob.manner = Phone::Manner::rings;
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(1s);
    scene.bob.send_early();
    scene.talk(10s, false, true);
    CHECK(scene.audio(scene.trento).empty());
    scene.bob.pick_up();
    scene.talk(1s, true, true);
    CHECK(scene.audio(scene.trento).empty());
}

TEST_CASE("a call shows what was heard of each of its sides") {
    Talk scene;
    scene.talk(1s, true, true);
    scene.munich.media_stats.near.lost = 3;
    scene.munich.media_stats.near.jitter_ms = 4.5;
    scene.munich.media_stats.near.longest_gap = 80ms;
    const auto call = scene.munich.proxy.calls().front();
    REQUIRE(call.streams.size() == 1);
    CHECK(call.streams[0].kind == "audio");
    CHECK(call.streams[0].from_callee == voice::HeardFigures{50, 0, 3, 0, 4.5, 80});
    CHECK(call.streams[0].from_caller.packets == 50);
    CHECK(call.answered);
}
