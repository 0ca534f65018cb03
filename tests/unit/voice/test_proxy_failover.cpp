#include <catch2/catch.hpp>

#include "desks.hpp"
#include "voice/merging.hpp"

using namespace test;

namespace {

/// From the INVITE to the first 180, in the clock of the scene; kNever - start if there was none.
net::Duration rung_after(const Phone& phone, net::Steady start) {
    return phone.first("INVITE", 180).value_or(net::kNever) - start;
}

}  // namespace

TEST_CASE("a centre that dies while nobody calls is known down within six seconds in every office") {
    Scene scene;
    scene.register_all();
    scene.world.run(7s);
    scene.centre.alive = false;
    const auto cut = scene.world.now.steady;
    REQUIRE(scene.world.run_until([&] {
        return scene.trento.mode() == "island" && scene.munich.mode() == "island" && scene.london.mode() == "island";
    }));
    CHECK(scene.world.now.steady - cut <= 6s);
}

TEST_CASE("ICMP from the centre's machine is believed at once") {
    Scene scene;
    scene.register_all();
    scene.centre.alive = false;
    scene.trento.proxy.flow_failed({voice::Transport::udp, scene.trento.wan(), scene.centre_at, 0, voice::Side::centre},
                                   voice::FlowFailure::unreachable, scene.world.now);
    CHECK(scene.trento.mode() == "island");
}

TEST_CASE("the unlucky caller hears ring-back within a second and a half of an INVITE placed right after the cut") {
    for (unsigned after_ms = 0; after_ms < 6000; after_ms += 200) {
        CAPTURE(after_ms);
        Scene scene;
        scene.register_all();
        scene.centre.alive = false;
        scene.world.run(std::chrono::milliseconds(after_ms));
        const auto start = scene.world.now.steady;
        scene.alice.call("sip:bob@acme.example");
        scene.world.run(5s);
        CHECK(rung_after(scene.alice, start) < 1500ms);
        CHECK(scene.alice.in_call());
        CHECK(scene.bob.count("INVITE") == 1);
        CHECK(scene.bob.count("ACK") == 1);
        scene.alice.hang_up();
        scene.world.run(40s);
        CHECK_FALSE(scene.bob.in_call());
        CHECK(scene.quiet());
    }
}

TEST_CASE("the unlucky caller reaches a phone of its own office too") {
    Scene scene;
    scene.register_all();
    scene.centre.alive = false;
    const auto start = scene.world.now.steady;
    scene.carol.call("sip:dave@acme.example");
    scene.world.run(3s);
    CHECK(rung_after(scene.carol, start) < 1500ms);
    CHECK(scene.dave.in_call());
}

TEST_CASE("a call between two phones of one office that the centre has brought goes on when it dies, whenever that is") {
    const bool icmp = GENERATE(true, false);
    for (unsigned after_ms = 10; after_ms <= 1200; after_ms += 10) {
        CAPTURE(after_ms, icmp);
        Scene scene;
        scene.register_all();
        scene.dave.answer_after = 700ms;
        scene.carol.call("sip:dave@acme.example");
        scene.world.run(std::chrono::milliseconds(after_ms));
        scene.centre.alive = false;
        if (icmp) {
            scene.world.run(1ms);
            scene.london.proxy.flow_failed({voice::Transport::udp, scene.london.wan(), scene.centre_at, 0, voice::Side::centre},
                                           voice::FlowFailure::unreachable, scene.world.now);
            scene.world.flush();
        }
        scene.world.run(12s);
        REQUIRE(scene.carol.in_call());
        REQUIRE(scene.dave.in_call());
        CHECK(scene.carol.count("INVITE", 200) >= 1);
        CHECK(scene.dave.count("INVITE") == 1);
        CHECK(scene.dave.count("CANCEL") == 0);
        scene.carol.hang_up();
        scene.world.run(40s);
        CHECK_FALSE(scene.dave.in_call());
        CHECK(scene.quiet());
    }
}

TEST_CASE("once the mesh branch rings, the INVITE is no longer sent to the centre") {
    Scene scene;
    scene.register_all();
    scene.bob.manner = Phone::Manner::rings;
    scene.centre.asleep = true;
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(1s);
    REQUIRE(scene.alice.last("INVITE") == 180);
    const auto sent = scene.world.seen("INVITE sip:bob@acme.example");
    scene.world.run(20s);
    CHECK(scene.world.seen("INVITE sip:bob@acme.example") == sent);
}

TEST_CASE("a centre that wakes up late rings nobody twice and leaves no ghost") {
    for (const bool b2bua : {false, true}) {
        for (const auto asleep : {400ms, 700ms, 1500ms, 3000ms, 20000ms}) {
            CAPTURE(b2bua, asleep.count());
            Scene scene;
            scene.centre.b2bua = b2bua;
            scene.centre.passwords.clear();
            scene.register_all();
            scene.centre.asleep = true;
            scene.alice.call("sip:bob@acme.example");
            scene.world.run(asleep);
            scene.centre.wake();
            scene.world.run(5s);
            CHECK(scene.alice.in_call());
            CHECK(scene.bob.in_call());
            CHECK(scene.bob.count("INVITE") == 1);
            for (const auto& told : scene.alice.history) CHECK(told.status != 482);
            scene.alice.hang_up();
            scene.world.run(40s);
            CHECK_FALSE(scene.bob.in_call());
            CHECK(scene.quiet());
        }
    }
}

TEST_CASE("a slow centre whose INVITE comes first keeps the call, and the mesh branch is refused") {
    Scene scene;
    scene.centre.passwords.clear();
    scene.register_all();
    scene.bob.manner = Phone::Manner::rings;
    scene.centre.asleep = true;
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(200ms);
    // What it sends to munich arrives before the mesh branch, what it sends to trento is lost.
    scene.world.cut.insert(scene.trento.wan().address);
    scene.centre.wake();
    scene.world.run(400ms);
    scene.world.cut.clear();
    scene.world.run(3s);
    CHECK(scene.bob.count("INVITE") == 1);
    CHECK(scene.alice.last("INVITE") == 180);
    scene.bob.pick_up();
    scene.world.run(2s);
    CHECK(scene.alice.in_call());
    CHECK(scene.bob.in_call());
    scene.alice.hang_up();
    scene.world.run(40s);
    CHECK(scene.quiet());
}

TEST_CASE(
    "a second call for the same pair that the centre brings after an unlucky one is let through after two seconds") {
    Scene scene;
    Phone second(scene.world, "alice", scene.trento.phone(20), scene.trento.lan());
    second.register_now();
    scene.register_all();
    scene.centre.alive = false;
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(2s);
    REQUIRE(scene.bob.in_call());
    scene.centre.alive = true;
    const auto start = scene.world.now.steady;
    second.call("sip:bob@acme.example");
    scene.world.run(4s);
    CHECK(scene.bob.count("INVITE") == 2);
    CHECK(rung_after(second, start) > 2s);
    CHECK(second.in_call());
    CHECK(scene.alice.in_call());
}

TEST_CASE("a call that rings when the centre dies is answered over the mesh") {
    Scene scene;
    scene.register_all();
    scene.bob.manner = Phone::Manner::rings;
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(2s);
    REQUIRE(scene.alice.last("INVITE") == 180);
    scene.centre.alive = false;
    scene.world.run(8s);
    scene.bob.pick_up();
    scene.world.run(3s);
    CHECK(scene.alice.in_call());
    CHECK(scene.bob.count("INVITE") == 1);
    scene.bob.hang_up();
    scene.world.run(40s);
    CHECK_FALSE(scene.alice.in_call());
    CHECK(scene.quiet());
}

TEST_CASE("a centre that answers a call with 503 sends that call over the mesh, and three in a row make it failing") {
    Scene scene;
    scene.register_all();
    scene.centre.invite_status = 503;
    for (unsigned i = 0; i < 3; ++i) {
        CHECK(scene.trento.mode() == "central");
        scene.alice.call("sip:bob@acme.example");
        scene.world.run(2s);
        CHECK(scene.alice.in_call());
        scene.alice.hang_up();
        scene.world.run(1s);
    }
    CHECK(scene.trento.mode() == "island");
    CHECK(scene.trento.proxy.voice().centre_state == "failing");
}

TEST_CASE("when the centre comes back no call is dropped, and new calls go through it after the hold-down") {
    Scene scene;
    scene.register_all();
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(3s);
    scene.centre.alive = false;
    scene.world.run(30s);
    scene.carol.call("sip:dave@acme.example");
    scene.world.run(3s);
    scene.centre.alive = true;
    scene.centre.forget();
    const auto back = scene.world.now.steady;
    REQUIRE(scene.world.run_until(
        [&] {
            return scene.trento.mode() == "central" && !scene.centre.contacts("bob").empty() &&
                   !scene.centre.contacts("alice").empty();
        },
        200s));
    CHECK(scene.world.now.steady - back < 90s);
    for (auto* phone : {&scene.alice, &scene.bob, &scene.carol, &scene.dave}) CHECK(phone->in_call());
    scene.bob.reinvite();
    scene.world.run(2s);
    CHECK(scene.bob.last("INVITE") == 200);
    scene.bob.hang_up();
    scene.carol.hang_up();
    scene.world.run(2s);
    CHECK(scene.quiet());
    scene.bob.call("sip:alice@acme.example");
    scene.world.run(3s);
    CHECK(scene.alice.in_call());
    CHECK(scene.munich.proxy.calls().front().path == "central");
}

TEST_CASE("a callee who has not come back to the centre yet is reached over the mesh") {
    Scene scene(1, true, [](auto& settings) { settings.outage_expires = 120s; });
    scene.register_all();
    scene.centre.alive = false;
    scene.world.run(20s);
    scene.centre.alive = true;
    scene.centre.forget();
    REQUIRE(scene.world.run_until([&] { return scene.trento.mode() == "central"; }, 200s));
    REQUIRE(scene.centre.contacts("bob").empty());
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(3s);
    CHECK(scene.alice.in_call());
    CHECK(scene.trento.proxy.calls().front().path == "mesh");
}

TEST_CASE("a phone that rang in vain is not rung again over the mesh") {
    Scene scene;
    scene.register_all();
    scene.bob.manner = Phone::Manner::rings;
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(2s);
    REQUIRE(scene.alice.last("INVITE") == 180);
    scene.bob.fail(408);
    scene.world.run(2s);
    CHECK(scene.alice.last("INVITE") == 408);
    CHECK(scene.bob.count("INVITE") == 1);
    CHECK(scene.trento.mode() == "central");
}

TEST_CASE("five per cent loss each way for a day: no office leaves the centre by mistake, and calls work") {
    Scene scene(5);
    scene.register_all();
    scene.world.lost_percent = 5;
    for (unsigned hour = 0; hour < 24; ++hour) {
        scene.alice.call("sip:bob@acme.example");
        scene.world.run(20s);
        CHECK(scene.alice.in_call());
        scene.alice.hang_up();
        scene.world.run(1h - 20s);
        CHECK(scene.quiet());
        scene.world.log.clear();
        scene.alice.history.clear();
    }
    for (const auto* office : {&scene.trento, &scene.munich, &scene.london}) {
        std::vector<std::string> modes;
        for (const auto& told : office->told) {
            if (told.starts_with("mode ")) modes.push_back(told);
        }
        CHECK(modes == std::vector<std::string>{"mode central"});
        CHECK(!office->bound.empty());
    }
    CHECK(scene.centre.probes > 3 * 24 * 1700);
}

TEST_CASE("a caller whose callee is busy hears so when the centre is known down, not after 32 seconds") {
    Scene scene;
    scene.register_all();
    scene.bob.manner = Phone::Manner::busy;
    scene.centre.alive = false;
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(8s);
    CHECK(scene.alice.last("INVITE") == 486);
    CHECK(scene.bob.count("INVITE") == 1);
    scene.world.run(40s);
    CHECK(scene.quiet());
}

TEST_CASE("a call that rings when the centre's program dies survives the ICMP, whichever office hears it first") {
    for (const bool caller_first : {true, false}) {
        CAPTURE(caller_first);
        Scene scene;
        scene.register_all();
        scene.bob.manner = Phone::Manner::rings;
        scene.alice.call("sip:bob@acme.example");
        scene.world.run(2s);
        REQUIRE(scene.alice.last("INVITE") == 180);
        scene.centre.alive = false;
        const auto tell = [&](Office& office) {
            office.proxy.flow_failed({voice::Transport::udp, office.wan(), scene.centre_at, 0, voice::Side::centre},
                                     voice::FlowFailure::unreachable, scene.world.now);
        };
        tell(caller_first ? scene.trento : scene.munich);
        scene.world.run(1500ms);
        tell(caller_first ? scene.munich : scene.trento);
        scene.world.run(2s);
        CHECK(scene.bob.count("INVITE") == 1);
        CHECK(scene.bob.count("CANCEL") == 0);
        scene.bob.pick_up();
        scene.world.run(3s);
        CHECK(scene.alice.in_call());
        CHECK(scene.bob.in_call());
        scene.alice.hang_up();
        scene.world.run(2s);
        CHECK_FALSE(scene.bob.in_call());
        CHECK(scene.quiet());
    }
}

TEST_CASE("an INVITE of the centre that waits for the mesh's is forgotten when the centre's program dies") {
    Scene scene;
    scene.centre.b2bua = true;
    scene.centre.passwords.clear();
    scene.register_all();
    scene.bob.manner = Phone::Manner::rings;
    scene.centre.asleep = true;
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(1s);
    REQUIRE(scene.bob.count("INVITE") == 1);
    scene.world.cut.insert(scene.trento.wan().address);
    scene.centre.wake();
    scene.world.run(100ms);
    scene.centre.alive = false;
    scene.munich.proxy.flow_failed({voice::Transport::udp, scene.munich.wan(), scene.centre_at, 0, voice::Side::centre},
                                   voice::FlowFailure::unreachable, scene.world.now);
    scene.world.run(5s);
    CHECK(scene.bob.count("INVITE") == 1);
    CHECK(scene.munich.proxy.calls().size() == 1);
}

TEST_CASE("a call from a centre that died, which no other way brings, stops ringing; an answer to it is ended") {
    for (const bool answered : {true, false}) {
        Scene scene;
        scene.register_all();
        scene.bob.manner = Phone::Manner::rings;
        scene.alice.call("sip:bob@acme.example");
        scene.world.run(2s);
        scene.centre.alive = false;
        scene.world.cut.insert(scene.trento.overlay_address());
        scene.munich.proxy.flow_failed(
            {voice::Transport::udp, scene.munich.wan(), scene.centre_at, 0, voice::Side::centre},
            voice::FlowFailure::unreachable, scene.world.now);
        scene.world.run(1s);
        if (answered) scene.bob.pick_up();
        scene.world.run(20s);
        CHECK_FALSE(scene.bob.in_call());
        CHECK(scene.bob.count(answered ? "BYE" : "CANCEL") == 1);
        CHECK(scene.munich.proxy.calls().empty());
        CHECK(scene.munich.relays.empty());
    }
}

TEST_CASE("a call that an office had no room for does not stand in the way of the next for the same pair") {
    Scene scene(1, true, [](auto& settings) { settings.max_calls = 1; });
    scene.centre.passwords.clear();
    scene.register_all();
    scene.bob.manner = Phone::Manner::rings;
    scene.carol.call("sip:bob@acme.example");
    scene.world.run(2s);
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(2s);
    REQUIRE(scene.alice.last("INVITE") >= 500);
    scene.carol.cancel();
    scene.world.run(20s);
    scene.centre.alive = false;
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(3s);
    CHECK(scene.alice.last("INVITE") == 180);
}

TEST_CASE("a delivery that is noted twice is forgotten once and for all") {
    World world;
    voice::Merging merging;
    auto invite = voice::Message::request("INVITE", *voice::Uri::parse("sip:bob@acme.example"));
    invite.set("Call-ID", "x");
    invite.set("CSeq", "1 INVITE");
    for (unsigned i = 0; i < 2; ++i) merging.deliver(1, invite, "alice", "bob", voice::Side::phone, true);
    merging.ended(1, false, world.now);
    world.run(20s);
    merging.tick(world.now);
    CHECK(merging.judge(invite, "alice", "bob", voice::Side::centre, false, false).other == 0);
}

TEST_CASE("a call within one office whose centre dies in silence leaves no transaction behind, answered or refused") {
    for (const bool answered : {true, false}) {
        CAPTURE(answered);
        Desks scene;
        scene.register_desks();
        const auto line = scene.ring(scene.hal, scene.ida, "ida");
        scene.kill_centre();
        answered ? scene.ida.pick_up(0) : scene.ida.refuse(0, 486);
        scene.world.run(3s);
        CHECK(scene.hal.last("INVITE") == (answered ? 200 : 486));
        CHECK(scene.hal.up(line) == answered);
        if (answered) scene.hal.hang_up(line);
        scene.world.run(40s);
        CHECK(scene.ida.lines_up() == 0);
        CHECK(scene.quiet());
    }
}

TEST_CASE("whoever calls the same colleague again while the first call rings gets through, though the centre dies") {
    const bool noticed = GENERATE(true, false);
    CAPTURE(noticed);
    Desks scene;
    scene.register_desks();
    scene.ring(scene.hal, scene.ida, "ida");
    scene.centre.alive = false;
    const auto second = scene.hal.call("sip:ida@acme.example");
    if (noticed) {
        scene.london.proxy.flow_failed({voice::Transport::udp, scene.london.wan(), scene.centre_at, 0, voice::Side::centre},
                                       voice::FlowFailure::unreachable, scene.world.now);
    }
    scene.world.run(2s);
    CHECK(scene.ida.count("CANCEL") == 0);
    REQUIRE(scene.ida.count("INVITE") == 2);
    scene.ida.pick_up(1);
    scene.world.run(2s);
    CHECK(scene.hal.up(second));
}

TEST_CASE("a caller who gives up before the dead centre could say that it rings leaves nothing ringing in his office") {
    for (const bool icmp : {true, false}) {
        CAPTURE(icmp);
        Desks scene;
        scene.register_desks();
        scene.ida.answers = false;
        const auto line = scene.hal.call("sip:ida@acme.example");
        REQUIRE(scene.world.run_until([&] { return scene.ida.count("INVITE") == 1; }));
        scene.centre.alive = false;
        if (icmp) {
            scene.london.proxy.flow_failed({voice::Transport::udp, scene.london.wan(), scene.centre_at, 0, voice::Side::centre},
                                           voice::FlowFailure::unreachable, scene.world.now);
        }
        scene.hal.cancel(line);
        scene.world.run(3s);
        CHECK(scene.hal.last("INVITE") == 487);
        CHECK(scene.ida.count("CANCEL") == 1);
        scene.world.run(40s);
        CHECK(scene.quiet());
    }
}

TEST_CASE("a withdrawal ends the call that it names, of several of the same pair") {
    voice::Merging merging;
    std::vector<voice::Message> invites;
    for (unsigned i = 1; i <= 3; ++i) {
        auto invite = voice::Message::request("INVITE", *voice::Uri::parse("sip:bob@acme.example"));
        invite.set("Call-ID", std::to_string(i));
        invite.set("CSeq", "1 INVITE");
        merging.deliver(i, invite, "alice", "bob", voice::Side::centre, false);
        invites.push_back(std::move(invite));
    }
    for (unsigned i = 1; i <= 3; ++i) CHECK(merging.ringing(invites[i - 1], "alice", "bob", true) == std::vector<voice::ServerId>{i});
    merging.deliver(4, invites.front(), "alice", "bob", voice::Side::centre, false);  // another phone
    CHECK(merging.ringing(invites.front(), "alice", "bob", false) == std::vector<voice::ServerId>{1, 4});
    CHECK(merging.copies(invites.front(), "alice", "bob", false) == std::vector<voice::ServerId>{1, 4});
    merging.ended(2, true, net::Now{});
    merging.ended(1, false, net::Now{});
    CHECK(merging.copies(invites.front(), "alice", "bob", false) == std::vector<voice::ServerId>{4});
    CHECK(merging.copies(invites[1], "alice", "bob", true) == std::vector<voice::ServerId>{2});
    CHECK(merging.copies(invites[1], "alice", "bob", false).empty());
    auto other = invites.front();
    other.set("Call-ID", "of the other side of a B2BUA");
    CHECK(merging.ringing(other, "alice", "bob", true) == std::vector<voice::ServerId>{4});
    CHECK(merging.ringing(other, "alice", "bob", false).empty());
}

TEST_CASE("a member that says the centre is lost ends no call that a living centre has brought") {
    Desks scene;
    scene.register_desks();
    scene.ring(scene.fay, scene.gus, "gus");
    const std::string bye =
        "BYE sip:gus@acme.example SIP/2.0\r\nVia: SIP/2.0/UDP 10.99.0.1:5080;branch=z9hG4bK1\r\nCall-ID: x\r\nCSeq: 1 BYE\r\n"
        "From: <sip:fay@acme.example>;tag=1\r\nTo: <sip:gus@acme.example>\r\nX-Meshd-Second-Branch: ;centre-lost\r\n"
        "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n";
    scene.munich.receive({voice::Transport::udp, {scene.munich.overlay_address(), 5080, 0}, *net::Endpoint::parse("10.99.0.1:5080"), 0,
                          voice::Side::mesh}, net::as_bytes(bye), scene.world.now);
    scene.world.flush();
    scene.world.run(2s);
    CHECK(scene.gus.count("CANCEL") == 0);
}

TEST_CASE("a phone that answers before anybody knows that the centre has died is in the call all the same") {
    for (unsigned after_ms = 50; after_ms <= 5800; after_ms += 250) {
        CAPTURE(after_ms);
        Scene scene;
        scene.register_all();
        scene.bob.manner = Phone::Manner::rings;
        scene.alice.call("sip:bob@acme.example");
        scene.world.run(2s);
        REQUIRE(scene.alice.last("INVITE") == 180);
        scene.centre.alive = false;
        scene.world.run(std::chrono::milliseconds(after_ms));
        scene.bob.pick_up();
        scene.world.run(12s);
        CHECK(scene.alice.in_call());
        CHECK(scene.alice.last("INVITE") == 200);
        CHECK(scene.bob.in_call());
        CHECK(scene.bob.count("INVITE") == 1);
        CHECK(scene.bob.count("ACK") >= 1);
        REQUIRE(scene.trento.relays.size() == 1);
        REQUIRE(scene.munich.relays.size() == 1);
        CHECK(scene.trento.relays.begin()->second[1].rtp.address == scene.munich.overlay_address());
        CHECK(scene.munich.relays.begin()->second[1].rtp.address == scene.trento.overlay_address());
        scene.alice.hang_up();
        scene.world.run(2s);
        CHECK_FALSE(scene.bob.in_call());
        CHECK(scene.quiet());
    }
}

TEST_CASE("a phone that answered past a sleeping centre stays in its call when that wakes up and passes the answer on") {
    for (const auto asleep : {6500ms, 9000ms, 25000ms}) {
        Scene scene;
        scene.register_all();
        scene.bob.manner = Phone::Manner::rings;
        scene.alice.call("sip:bob@acme.example");
        scene.world.run(2s);
        REQUIRE(scene.alice.last("INVITE") == 180);
        scene.centre.asleep = true;
        scene.world.run(1s);
        scene.bob.pick_up();
        scene.world.run(asleep);
        scene.centre.wake();
        scene.world.run(10s);
        CHECK(scene.alice.in_call());
        CHECK(scene.bob.in_call());
        CHECK(scene.bob.count("BYE") == 0);
        scene.alice.hang_up();
        scene.world.run(2s);
        CHECK_FALSE(scene.bob.in_call());
        scene.world.run(10s);
        CHECK(scene.quiet());
    }
}
