/// What is kept of calls.
#include <catch2/catch.hpp>

#include "offices.hpp"

using namespace test;

namespace {

voice::CallRecord only(const Office& office) {
    REQUIRE(office.records.size() == 1);
    return office.records.begin()->second;
}

}  // namespace

TEST_CASE("a call is one record at each gateway, of the same id, with its times, its path and why it ended") {
    for (const bool alive : {true, false}) {
        CAPTURE(alive);
        Scene scene;
        scene.register_all();
        scene.centre.alive = alive;
        if (!alive) scene.world.run(10s);
        const auto began = scene.world.now.wall;
        scene.alice.call("sip:bob@acme.example");
        scene.world.run(5s);
        CHECK_FALSE(only(scene.trento).ended);
        CHECK(only(scene.trento).answered);
        scene.trento.media_stats.far.packets = 77;
        scene.bob.hang_up();
        scene.world.run(2s);
        const auto here = only(scene.trento), there = only(scene.munich);
        for (const auto& record : {here, there}) {
            CHECK(record.id == here.id);
            CHECK(record.from == "alice@acme.example");
            CHECK(record.to == "bob@acme.example");
            CHECK(record.path == (alive ? "central" : "mesh"));
            CHECK(record.why == "hung up by bob@acme.example");
            CHECK(record.status == 0);
            CHECK(record.started - began < 200ms);
            REQUIRE(record.rang);
            REQUIRE(record.answered);
            REQUIRE(record.ended);
            CHECK(*record.answered - *record.rang > 400ms);
            CHECK(*record.ended - *record.answered > 4s);
            REQUIRE(record.streams.size() == 1);
            CHECK(record.streams[0].kind == "audio");
        }
        CHECK(here.node == "trento");
        CHECK(here.other == "munich");
        CHECK(there.node == "munich");
        CHECK(there.other == "trento");
        CHECK(here.streams[0].from_callee.packets == 77);
        CHECK(voice::whole_calls({here, there}).size() == 1);
    }
}

TEST_CASE("a call that came to nothing is kept with the status that says why; a demand for a password is no call") {
    Scene scene;
    scene.register_all();
    scene.bob.manner = Phone::Manner::busy;
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(3s);
    auto record = only(scene.trento);
    CHECK(record.why == "486 Busy Here");
    CHECK(record.status == 486);
    CHECK_FALSE(record.answered);
    CHECK(record.ended);
    scene.bob.manner = Phone::Manner::rings;
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(3s);
    scene.alice.cancel();
    scene.world.run(3s);
    REQUIRE(scene.trento.records.size() == 2);
    record = scene.trento.records.rbegin()->second;
    CHECK(record.why == "given up by the caller");
    CHECK(record.status == 487);
    CHECK(record.rang);
    CHECK(scene.munich.records.rbegin()->second.why == "given up by the caller");
}

TEST_CASE("a call that was up when meshd was killed is closed by the next one, and new calls get higher numbers") {
    Scene scene;
    scene.register_all();
    scene.alice.call("sip:bob@acme.example");
    for (int i = 0; i < 5; ++i) {
        scene.trento.media_packets += 100;
        scene.munich.media_packets += 100;
        scene.world.run(30s);
    }
    const auto before = only(scene.trento);
    CHECK(scene.world.now.wall - before.seen < 61s);
    CHECK_FALSE(before.ended);
    Office again(scene.world, scene.roster, "trento", 1, scene.centre_at);
    again.proxy.restore_calls({before}, scene.world.now);
    CHECK(again.proxy.calls().empty());
    scene.world.run(1s);
    CHECK(only(again).why == "meshd stopped");
    CHECK(only(again).ended == before.seen);
    scene.alice.register_now();
    scene.world.run(3s);
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(3s);
    REQUIRE(again.records.size() == 2);
    CHECK(again.records.rbegin()->first > before.number);
}

TEST_CASE("a call that the centre turns back into the same office is two accounts there, and one call") {
    Scene scene;
    scene.register_all();
    scene.carol.call("sip:dave@acme.example");
    scene.world.run(3s);
    scene.dave.hang_up();
    scene.world.run(3s);
    REQUIRE(scene.london.records.size() == 2);
    std::vector<voice::CallRecord> both;
    for (const auto& [number, record] : scene.london.records) both.push_back(record);
    const auto calls = voice::whole_calls(both);
    REQUIRE(calls.size() == 1);
    CHECK(calls[0].sides.size() == 2);
    CHECK(calls[0].whole.why == "hung up by dave@acme.example");
    CHECK(calls[0].whole.answered);
}

TEST_CASE("a call through a B2BUA is an account at each gateway, of ids of their own, and one call") {
    for (const bool carries_media : {false, true}) {
        for (const bool one_office : {false, true}) {
            CAPTURE(carries_media, one_office);
            Scene scene;
            scene.centre.back_to_back = true;
            scene.centre.bridge.carries_media = carries_media;
            scene.register_all();
            auto& callee = one_office ? scene.dave : scene.bob;
            (one_office ? scene.carol : scene.alice).call(one_office ? "sip:dave@acme.example" : "sip:bob@acme.example");
            scene.world.run(3s);
            std::vector<voice::CallRecord> all;
            const auto gather = [&] {
                all.clear();
                for (const auto* office : {&scene.trento, &scene.munich, &scene.london}) {
                    for (const auto& [number, record] : office->records) all.push_back(record);
                }
            };
            gather();
            REQUIRE(all.size() == 2);
            CHECK(all[0].id != all[1].id);
            CHECK(voice::whole_calls(all).size() == (carries_media ? 2 : 1));
            // Whom to ask for the other account is known while it goes on.
            if (!carries_media) CHECK((all[0].other == all[1].node && all[1].other == all[0].node));
            callee.hang_up();
            scene.world.run(3s);
            gather();
            const auto calls = voice::whole_calls(all);
            REQUIRE(calls.size() == (carries_media ? 2 : 1));  // where it carries the media nobody can be sure
            if (carries_media) continue;
            CHECK(calls[0].sides.size() == 2);
            CHECK(calls[0].whole.why == (one_office ? "hung up by dave@acme.example" : "hung up by bob@acme.example"));
        }
    }
}

TEST_CASE("a node asks another for its accounts through the mesh, and nobody else is told") {
    Scene scene;
    scene.world.run(1s);
    CHECK_FALSE(scene.trento.proxy.ask_accounts("nowhere", scene.world.now));
    REQUIRE(scene.trento.proxy.ask_accounts("munich", scene.world.now));
    scene.world.run(100ms);
    REQUIRE(scene.munich.asked.size() == 1);
    CHECK(scene.munich.asked[0].by == "trento");
    scene.munich.proxy.tell_accounts(scene.munich.asked[0].id, "[]", scene.world.now);
    scene.munich.proxy.tell_accounts(4711, "[]", scene.world.now);
    scene.world.flush();
    scene.world.run(100ms);
    REQUIRE(scene.trento.accounts.size() == 1);
    CHECK(scene.trento.accounts[0].node == "munich");
    CHECK(scene.trento.accounts[0].text == "[]");
    scene.alice.dress = [](voice::Message& message) { message.set("Meshd-Accounts", "calls"); };
    scene.alice.send("OPTIONS", "sip:10.1.0.1");
    scene.world.run(1s);
    CHECK(scene.trento.asked.empty());
    scene.world.cut = {scene.munich.overlay_address()};
    CHECK_FALSE(scene.trento.proxy.ask_accounts("munich", scene.world.now));
}
