#include <catch2/catch.hpp>

#include "desks.hpp"
#include "voice/call.hpp"

using namespace test;

namespace {

struct BackToBack : Desks {
    /// Its address may be one that phones have, too.
    explicit BackToBack(std::uint64_t seed = 1, bool among_phones = false)
        : Desks(seed, [&](voice::ProxySettings& settings) {
              if (among_phones) settings.phones.push_back(*net::Prefix::parse("198.51.100.0/24"));
          }) {
        centre.back_to_back = true;
        register_desks();
    }
    /// Nobody was told of a loop.
    bool no_482() const {
        for (const auto* phone : {&fay, &gus, &hal, &ida}) {
            for (const auto& told : phone->history) {
                if (told.status == 482) return false;
            }
        }
        return true;
    }
};

}  // namespace

TEST_CASE("calls through a B2BUA: held, resumed and ended from either side while it lives") {
    for (const bool by_caller : {true, false}) {
        BackToBack scene;
        const auto line = scene.fay.call("sip:gus@acme.example");
        scene.world.run(3s);
        REQUIRE(scene.fay.up(line));
        REQUIRE(scene.gus.up(0));
        CHECK(scene.gus.latest("INVITE")->call_id() != scene.fay.latest("INVITE", 200)->call_id());
        CHECK(scene.trento.relays.begin()->second[1].rtp.address == scene.munich.overlay_address());
        auto& one = by_caller ? scene.fay : scene.gus;
        auto& other = by_caller ? scene.gus : scene.fay;
        one.hold(0);
        scene.world.run(2s);
        CHECK(one.last("INVITE") == 200);
        CHECK(other.heard_sdp.find("a=sendonly") != std::string::npos);
        one.hang_up(0);
        scene.world.run(2s);
        CHECK_FALSE(other.up(0));
        CHECK(scene.quiet());
    }
}

TEST_CASE("a call whose media is direct is held, resumed and ended past a dead B2BUA, from either side") {
    const bool among_phones = GENERATE(false, true);
    CAPTURE(among_phones);
    for (const bool by_caller : {true, false}) {
        for (const bool known : {true, false}) {
            for (const auto* callee : {"gus", "hal"}) {
                CAPTURE(by_caller, known, callee);
                BackToBack scene(1, among_phones);
                auto& caller = std::string_view(callee) == "gus" ? scene.fay : scene.ida;  // ida and hal share an office
                auto& called = std::string_view(callee) == "gus" ? scene.gus : scene.hal;
                const auto line = caller.call("sip:" + std::string(callee) + "@acme.example");
                scene.world.run(3s);
                REQUIRE(caller.up(line));
                scene.kill_centre(!known);
                auto& one = by_caller ? caller : called;
                auto& other = by_caller ? called : caller;
                for (const auto* direction : {"sendonly", "sendrecv"}) {
                    const auto acknowledged = other.count("ACK");
                    one.offer(0, "INVITE", direction);
                    scene.world.run(2s);
                    CHECK(one.last("INVITE") == 200);
                    CHECK(other.heard_sdp.find("a=" + std::string(direction)) != std::string::npos);
                    const auto& office = &one == &scene.fay ? scene.trento : &one == &scene.gus ? scene.munich : scene.london;
                    CHECK(one.heard_sdp.find("c=IN IP4 " + office.lan().address.text()) != std::string::npos);
                    CHECK(other.count("ACK") == acknowledged + 1);
                }
                other.send(0, "INFO", {{"Content-Type", "application/dtmf-relay"}}, "Signal=5\r\n");
                other.offer(0, "INVITE", "sendonly");
                scene.world.run(2s);
                CHECK(other.last("INFO") == 200);
                CHECK(other.last("INVITE") == 200);
                one.hang_up(0);
                scene.world.run(2s);
                CHECK(one.last("BYE") == 200);
                CHECK_FALSE(other.up(0));
                CHECK(other.count("BYE") == 1);
                scene.world.run(40s);
                CHECK(scene.quiet());
            }
        }
    }
}

TEST_CASE("a B2BUA that has restarted and knows nothing of a call stands in the way of its end as little as a dead one") {
    for (const bool by_caller : {true, false}) {
        BackToBack scene;
        const auto line = scene.fay.call("sip:gus@acme.example");
        scene.world.run(3s);
        REQUIRE(scene.fay.up(line));
        scene.centre.bridge.forget();
        auto& one = by_caller ? scene.fay : scene.gus;
        auto& other = by_caller ? scene.gus : scene.fay;
        one.hold(0);
        scene.world.run(2s);
        CHECK(one.last("INVITE") == 200);
        CHECK(other.heard_sdp.find("a=sendonly") != std::string::npos);
        CHECK(other.count("ACK") >= 1);
        one.hang_up(0);
        scene.world.run(2s);
        CHECK(one.last("BYE") == 200);
        CHECK_FALSE(other.up(0));
        CHECK(scene.quiet());
    }
}

TEST_CASE("who is not the other end of a call's media cannot reach into it past a dead B2BUA") {
    BackToBack scene;
    const auto line = scene.fay.call("sip:gus@acme.example");
    scene.world.run(3s);
    REQUIRE(scene.fay.up(line));
    scene.kill_centre();
    // london says that it is where trento's media is, which munich knows better; then that munich's media is its own.
    for (const auto* end : {"10.99.0.1:20006", "10.99.0.3:20006", "nonsense"}) {
        auto bye = voice::Message::request("BYE", *voice::Uri::parse("sip:b2bua@198.51.100.1"));
        auto from = voice::NameAddr::of(*voice::Uri::parse("sip:hal@acme.example"));
        from.params.set("tag", "a");
        bye.set_from(from);
        from.params.set("tag", "b");
        bye.set_to(from);
        bye.set("Call-ID", "made up" + std::string(end));
        bye.set("CSeq", "1 BYE");
        bye.set("X-Meshd-Past-Centre", end);
        voice::Via via;
        via.host = "10.99.0.3";
        via.port = 5080;
        via.params.set("branch", "z9hG4bK" + std::string(end));
        bye.push_via(via);
        const voice::Flow flow{voice::Transport::udp, {scene.munich.overlay_address(), 5080, 0},
                               {scene.london.overlay_address(), 5080, 0}, 0, voice::Side::mesh};
        scene.munich.proxy.receive(flow, bye.to_bytes(), scene.world.now);
        scene.world.flush();
    }
    scene.world.run(2s);
    CHECK(scene.gus.up(0));
    CHECK(scene.gus.count("BYE") == 0);
}

TEST_CASE("a call whose media the dead B2BUA carried ends on both sides, whoever hangs up or nobody") {
    for (const int who : {0, 1, 2}) {
        CAPTURE(who);
        BackToBack scene;
        scene.centre.bridge.carries_media = true;
        const auto line = scene.fay.call("sip:gus@acme.example");
        scene.world.run(3s);
        REQUIRE(scene.fay.up(line));
        scene.kill_centre();
        if (who == 1) scene.fay.hang_up(line);
        if (who == 2) scene.gus.hang_up(0);
        // Both phones go on speaking; what they say goes nowhere.
        for (unsigned i = 0; i < 20; ++i) {
            scene.trento.media_packets += 500;
            scene.munich.media_packets += 500;
            scene.world.run(10s);
        }
        CHECK_FALSE(scene.fay.up(line));
        CHECK_FALSE(scene.gus.up(0));
        CHECK(scene.quiet());
    }
}

TEST_CASE("a blind transfer of a call whose B2BUA is dead") {
    BackToBack scene;
    const auto line = scene.fay.call("sip:gus@acme.example");
    scene.world.run(3s);
    REQUIRE(scene.fay.up(line));
    scene.kill_centre();
    scene.gus.transfer(0, "sip:103@acme.example");
    scene.world.run(4s);
    REQUIRE_FALSE(scene.gus.progress.empty());
    CHECK(scene.gus.progress.back() == "SIP/2.0 200 OK");
    CHECK(scene.hal.lines_up() == 1);
    scene.gus.hang_up(0);
    scene.hal.hang_up(0);
    scene.world.run(2s);
    CHECK(scene.fay.lines_up() == 0);
    CHECK(scene.quiet());
}

TEST_CASE("a call that rings when its B2BUA dies is taken over by the mesh, and rings on") {
    for (const bool known_first_by_caller : {true, false}) {
        CAPTURE(known_first_by_caller);
        BackToBack scene;
        const auto line = scene.ring(scene.fay, scene.gus, "gus");
        scene.centre.alive = false;
        const auto tell = [&](Office& office) {
            office.proxy.flow_failed({voice::Transport::udp, office.wan(), scene.centre_at, 0, voice::Side::centre},
                                     voice::FlowFailure::unreachable, scene.world.now);
        };
        tell(known_first_by_caller ? scene.trento : scene.munich);
        scene.world.run(1500ms);
        tell(known_first_by_caller ? scene.munich : scene.trento);
        scene.world.run(8s);
        CHECK(scene.gus.count("INVITE") == 1);  // it is not rung anew
        CHECK(scene.gus.count("CANCEL") == 0);
        scene.gus.pick_up(0);
        scene.world.run(3s);
        CHECK(scene.fay.up(line));
        CHECK(scene.no_482());
        scene.fay.hang_up(line);
        scene.world.run(2s);
        CHECK(scene.gus.lines_up() == 0);
        CHECK(scene.quiet());
    }
}

TEST_CASE("a caller who gives up while the B2BUA dies leaves nothing ringing") {
    for (unsigned after_ms = 0; after_ms <= 8000; after_ms += 1000) {
        CAPTURE(after_ms);
        BackToBack scene;
        const auto line = scene.ring(scene.fay, scene.gus, "gus");
        scene.kill_centre(true);
        scene.world.run(std::chrono::milliseconds(after_ms));
        scene.fay.cancel(line);
        scene.world.run(10s);
        CHECK(scene.fay.last("INVITE") == 487);
        CHECK(scene.gus.count("CANCEL") == scene.gus.count("INVITE"));
        scene.world.run(40s);
        CHECK(scene.quiet());
    }
}

TEST_CASE("a B2BUA that is slow or wakes up late: one ring, one call, no 482 at a phone, in every order of arrival") {
    for (const auto asleep : {250ms, 310ms, 330ms, 400ms, 700ms, 1500ms, 3000ms, 20000ms}) {
        for (const unsigned lost_percent : {0U, 10U}) {
            for (std::uint64_t seed = 1; seed <= 5; ++seed) {
                CAPTURE(asleep.count(), lost_percent, seed);
                BackToBack scene(seed);
                scene.world.run(5s);
                scene.centre.passwords.clear();
                scene.gus.answer_after = 1s;
                scene.world.lost_percent = lost_percent;
                scene.centre.asleep = true;
                const auto line = scene.fay.call("sip:gus@acme.example");
                scene.world.run(asleep);
                scene.centre.wake();
                scene.world.run(12s);
                CHECK(scene.fay.up(line));
                CHECK(scene.gus.lines_up() == 1);
                // Where its 100 is lost the centre cannot pass on the CANCEL in time; then it follows at once.
                CHECK(scene.gus.count("INVITE") - scene.gus.count("CANCEL") == 1);
                if (lost_percent == 0) CHECK(scene.gus.count("INVITE") == 1);
                CHECK(scene.no_482());
                scene.fay.hang_up(line);
                scene.world.run(40s);
                scene.world.lost_percent = 0;
                scene.world.run(60s);
                CHECK(scene.gus.lines_up() == 0);
                CHECK(scene.quiet());
            }
        }
    }
}

TEST_CASE("what a phone refuses past a dead B2BUA is not sent to it a second time") {
    for (const auto* callee : {"gus", "hal"}) {
        for (const int status : {500, 503}) {
            CAPTURE(callee, status);
            BackToBack scene;
            auto& caller = std::string_view(callee) == "gus" ? scene.fay : scene.ida;
            auto& called = std::string_view(callee) == "gus" ? scene.gus : scene.hal;
            const auto line = caller.call("sip:" + std::string(callee) + "@acme.example");
            scene.world.run(3s);
            REQUIRE(caller.up(line));
            scene.kill_centre();
            called.info_status = status;
            caller.send(line, "INFO", {{"Content-Type", "application/dtmf-relay"}}, "Signal=5\r\n");
            scene.world.run(2s);
            CHECK(caller.last("INFO") >= 500);
            CHECK(called.count("INFO") == 1);
        }
    }
}

TEST_CASE("a PRACK past a dead B2BUA names the INVITE as its phone knows it") {
    BackToBack scene;
    const auto line = scene.fay.call("sip:gus@acme.example");
    scene.world.run(3s);
    scene.kill_centre();
    scene.fay.hold(line);
    scene.world.run(2s);
    REQUIRE(scene.fay.last("INVITE") == 200);
    scene.fay.send(line, "PRACK", {{"RAck", "7 " + scene.fay.latest("INVITE", 200)->cseq().text()}});
    scene.world.run(2s);
    REQUIRE(scene.gus.count("PRACK") == 1);
    CHECK(scene.gus.latest("PRACK")->get("RAck") == "7 " + scene.gus.latest("INVITE")->cseq().text());
}

TEST_CASE("an answer that a dying B2BUA did not pass on is handed over, and the call goes on as if it had been") {
    for (const auto after : {0ms, 500ms, 4000ms, 7000ms}) {
        for (const unsigned who : {0U, 1U, 2U, 3U}) {
            const bool by_caller = who % 2 == 0, one_office = who >= 2;
            CAPTURE(after.count(), by_caller, one_office);
            BackToBack scene;
            auto& caller = one_office ? scene.ida : scene.fay;
            auto& called = one_office ? scene.hal : scene.gus;
            called.answers = false;
            const auto line = caller.call(one_office ? "sip:hal@acme.example" : "sip:gus@acme.example");
            scene.world.run(2s);
            REQUIRE(caller.last("INVITE") == 180);
            scene.kill_centre(true);
            scene.world.run(after);
            called.pick_up(0);
            scene.world.run(10s - after);
            CHECK(called.count("CANCEL") == 0);
            CHECK(called.count("INVITE") == 1);
            REQUIRE(caller.up(line));
            REQUIRE(called.up(0));
            REQUIRE(called.count("ACK") >= 1);
            CHECK(called.latest("ACK")->call_id() == called.latest("INVITE")->call_id());
            CHECK_FALSE(caller.latest("INVITE", 200)->has("X-Meshd-Past-Centre"));
            if (!one_office) CHECK(scene.trento.relays.begin()->second[1].rtp.address == scene.munich.overlay_address());
            if (!one_office) CHECK(scene.munich.relays.begin()->second[1].rtp.address == scene.trento.overlay_address());
            const auto acknowledged = called.count("ACK");
            scene.world.run(20s);  // its phone does not go on answering
            CHECK(called.count("ACK") == acknowledged);
            CHECK(called.count("BYE") == 0);
            auto& one = by_caller ? caller : called;
            auto& other = by_caller ? called : caller;
            for (const auto* direction : {"sendonly", "sendrecv"}) {
                one.offer(0, "INVITE", direction);
                scene.world.run(2s);
                CHECK(one.last("INVITE") == 200);
                CHECK(other.heard_sdp.find("a=" + std::string(direction)) != std::string::npos);
            }
            other.offer(0, "INVITE", "sendonly");
            scene.world.run(2s);
            CHECK(other.last("INVITE") == 200);
            one.hang_up(0);
            scene.world.run(2s);
            CHECK(one.last("BYE") == 200);
            CHECK_FALSE(other.up(0));
            CHECK(scene.no_482());
            CHECK(scene.quiet());
        }
    }
}

TEST_CASE("a B2BUA that wakes up after its call was handed over past it neither ends nor doubles it") {
    for (const bool by_caller : {true, false}) {
        CAPTURE(by_caller);
        BackToBack scene;
        scene.gus.answers = false;
        const auto line = scene.fay.call("sip:gus@acme.example");
        scene.world.run(2s);
        scene.centre.asleep = true;
        scene.world.run(1s);
        scene.gus.pick_up(0);
        scene.world.run(9s);
        REQUIRE(scene.fay.up(line));
        REQUIRE(scene.gus.count("INVITE") == 1);
        scene.centre.wake();
        scene.world.run(90s);  // it is trusted again
        CHECK(scene.trento.mode() == "central");
        CHECK(scene.fay.up(line));
        CHECK(scene.gus.lines_up() == 1);
        CHECK(scene.fay.count("BYE") + scene.gus.count("BYE") == 0);
        auto& one = by_caller ? scene.fay : scene.gus;
        auto& other = by_caller ? scene.gus : scene.fay;
        one.hold(0);
        scene.world.run(2s);
        CHECK(one.last("INVITE") == 200);
        CHECK(other.heard_sdp.find("a=sendonly") != std::string::npos);
        one.hang_up(0);
        scene.world.run(2s);
        CHECK_FALSE(other.up(0));
        CHECK(scene.quiet());
    }
}

TEST_CASE("an answer goes to nobody whose media is not that of the call that was answered") {
    // The caller's office brings a call of the same pair, with media of its own: another call, which rings.
    BackToBack scene;
    scene.gus.answers = false;
    scene.fay.call("sip:gus@acme.example");
    scene.world.run(2s);
    scene.kill_centre(true);
    scene.world.run(1s);
    scene.gus.pick_up(0);
    scene.world.run(100ms);
    const auto line = scene.fay.call("sip:gus@acme.example");
    scene.world.run(9s);
    CHECK(scene.gus.count("INVITE") == 2);
    CHECK(scene.fay.up(0));
    CHECK_FALSE(scene.fay.up(line));
    CHECK(scene.fay.last("INVITE") != 482);
}

TEST_CASE("a call that rings on past its dead B2BUA is given up by the caller, or refused") {
    for (const bool refused : {true, false}) {
        CAPTURE(refused);
        BackToBack scene;
        scene.gus.answers = false;
        const auto line = scene.fay.call("sip:gus@acme.example");
        scene.world.run(2s);
        scene.kill_centre();
        REQUIRE(scene.gus.count("INVITE") == 1);
        if (refused) {
            scene.gus.refuse(0, 486);
        } else {
            scene.fay.cancel(line);
        }
        scene.world.run(1s);
        CHECK(scene.fay.last("INVITE") == (refused ? 486 : 487));
        CHECK(scene.gus.count("CANCEL") == (refused ? 0 : 1));
        CHECK(scene.quiet());
    }
}

TEST_CASE("a caller who gives up as his callee answers past a dead B2BUA leaves nobody in a call, and the callee's phone hears so at once") {
    for (const bool by_bye : {false, true}) {
        for (const auto later : {-8ms, -4ms, 0ms, 4ms, 8ms}) {  // than the answer left the callee's phone; 10 ms each way
            CAPTURE(by_bye, later.count());
            BackToBack scene;
            const auto line = scene.ring(scene.fay, scene.gus, "gus");
            scene.kill_centre();
            REQUIRE(scene.gus.count("INVITE") == 1);
            const auto give_up = [&] {
                if (by_bye) {
                    scene.fay.hang_up(line);
                } else {
                    scene.fay.cancel(line);
                }
            };
            if (later < 0ms) give_up();
            scene.world.run(later < 0ms ? -later : 0ms);
            scene.gus.pick_up(0);
            scene.world.run(later < 0ms ? 0ms : later);
            if (later >= 0ms) give_up();
            scene.world.run(1s);
            CHECK(scene.fay.last("INVITE") == 487);
            if (by_bye) CHECK(scene.fay.last("BYE") == 200);
            CHECK(scene.gus.count("CANCEL") == 0);
            CHECK(scene.gus.count("ACK") == 1);
            CHECK(scene.gus.count("BYE") == 1);
            CHECK_FALSE(scene.gus.up(0));
            for (const auto* method : {"ACK", "BYE"}) {
                REQUIRE(scene.gus.latest(method) != nullptr);
                CHECK(scene.gus.latest(method)->call_id() == scene.gus.latest("INVITE")->call_id());
            }
            CHECK(scene.gus.latest("ACK")->cseq().number == scene.gus.latest("INVITE")->cseq().number);
            CHECK(scene.gus.latest("BYE")->cseq().number > scene.gus.latest("INVITE")->cseq().number);
            CHECK(scene.quiet());
            CHECK(scene.gus.count("BYE") == 1);
        }
    }
}

TEST_CASE("no other office ends a call by the name that the caller's office has for it") {
    BackToBack scene;
    const auto line = scene.ring(scene.fay, scene.gus, "gus");
    scene.kill_centre();
    scene.gus.pick_up(0);
    scene.world.run(2s);
    REQUIRE(scene.fay.up(line));
    REQUIRE(scene.gus.up(0));
    const auto* answer = scene.fay.latest("INVITE", 200);
    const auto bye_of = [&](const Office& office, const std::string& to_tag) {
        auto bye = voice::Message::request("BYE", *voice::Uri::parse("sip:gus@acme.example"));
        bye.set_from(answer->from());
        auto to = answer->to();
        to.params.set("tag", to_tag);
        bye.set_to(to);
        bye.set("Call-ID", answer->call_id());
        bye.set("CSeq", "77 BYE");
        const net::Endpoint at{office.overlay_address(), 5080, 0};
        voice::Via via;
        via.host = at.address.text();
        via.port = at.port;
        via.params.set("branch", "z9hG4bK" + at.address.text() + to_tag);
        bye.push_via(via);
        scene.munich.proxy.receive({voice::Transport::udp, {scene.munich.overlay_address(), 5080, 0}, at, 0, voice::Side::mesh}, bye.to_bytes(),
                                   scene.world.now);
        scene.world.flush();
        scene.world.run(1s);
    };
    bye_of(scene.london, answer->to_tag());
    bye_of(scene.trento, "another");  // of that office, and no dialog of this call
    CHECK(scene.gus.count("BYE") == 0);
    CHECK(scene.gus.up(0));
    bye_of(scene.trento, answer->to_tag());
    CHECK(scene.gus.count("BYE") == 1);
    CHECK_FALSE(scene.gus.up(0));
}

TEST_CASE("an answer that a centre passed on before it died, and whose ACK it did not, is acknowledged for the caller, once") {
    for (const bool back_to_back : {true, false}) {
        for (const bool by_caller : {true, false}) {
            for (const auto after : {0ms, 15ms}) {  // the ACK is on its way to the caller's office, or to the centre
                CAPTURE(back_to_back, by_caller, after.count());
                BackToBack scene;
                scene.centre.back_to_back = back_to_back;
                const auto line = scene.ring(scene.fay, scene.gus, "gus");
                scene.gus.pick_up(0);
                REQUIRE(scene.world.run_until([&] { return scene.fay.up(line); }));
                scene.world.run(after);
                scene.centre.alive = false;
                REQUIRE(scene.gus.count("ACK") == 0);
                scene.world.run(12s);
                CHECK(scene.gus.count("ACK") == 1);
                CHECK(scene.gus.latest("ACK")->call_id() == scene.gus.latest("INVITE")->call_id());
                CHECK(scene.gus.latest("ACK")->cseq().number == scene.gus.latest("INVITE")->cseq().number);
                scene.world.run(40s);
                CHECK(scene.gus.count("ACK") == 1);
                CHECK(scene.fay.up(line));
                CHECK(scene.gus.up(0));
                auto& one = by_caller ? scene.fay : scene.gus;
                auto& other = by_caller ? scene.gus : scene.fay;
                one.hold(0);
                scene.world.run(2s);
                CHECK(one.last("INVITE") == 200);
                one.hang_up(0);
                scene.world.run(2s);
                CHECK_FALSE(other.up(0));
                CHECK(scene.quiet());
            }
        }
    }
}

TEST_CASE("the ACK that an answer gets past a dead centre may be lost, and the question for it, too") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        CAPTURE(seed);
        BackToBack scene(seed);
        const auto line = scene.ring(scene.fay, scene.gus, "gus");
        scene.gus.pick_up(0);
        REQUIRE(scene.world.run_until([&] { return scene.fay.up(line); }));
        scene.centre.alive = false;
        scene.world.lost_percent = 25;
        CHECK(scene.world.run_until([&] { return scene.gus.count("ACK") > 0; }));
        scene.world.lost_percent = 0;
        scene.world.run(10s);
        CHECK(scene.gus.count("ACK") <= 2);
        CHECK(scene.fay.up(line));
        CHECK(scene.gus.up(0));
    }
}

TEST_CASE("an answer that has reached the caller's office and not his phone is not acknowledged for him") {
    BackToBack scene;
    const auto line = scene.ring(scene.fay, scene.gus, "gus");
    scene.gus.pick_up(0);
    scene.world.cut.insert(scene.fay.at.address);
    scene.world.run(35ms);
    REQUIRE(scene.trento.proxy.calls().front().state == "up");
    scene.centre.alive = false;
    scene.world.run(20s);
    CHECK(scene.gus.count("ACK") == 0);
    CHECK_FALSE(scene.fay.up(line));
}

TEST_CASE("a PRACK that a dead B2BUA swallows has an answer, and the call is set up by the mesh") {
    for (const bool alive : {true, false}) {
        CAPTURE(alive);
        BackToBack scene;
        scene.gus.reliable = true;
        scene.gus.answers = false;
        const auto line = scene.fay.call("sip:gus@acme.example");
        REQUIRE(scene.world.run_until([&] { return scene.fay.count("INVITE", 183) == 1; }));
        scene.centre.alive = alive;
        scene.world.run(8s);
        CHECK(scene.fay.last("PRACK") == 200);
        if (!alive) CHECK(scene.fay.count("PRACK", 481) == 1);
        CHECK(scene.gus.count("INVITE") == (alive ? 1 : 2));
        scene.gus.pick_up(alive ? 0 : 1);
        scene.world.run(2s);
        CHECK(scene.fay.up(line));
        CHECK(scene.gus.lines_up() == 1);
        scene.fay.hang_up(line);
        scene.world.run(2s);
        CHECK(scene.gus.lines_up() == 0);
        CHECK(scene.quiet());
    }
}

TEST_CASE("an attended transfer across a dead B2BUA connects the other ends of both calls") {
    for (const bool known : {true, false}) {
        for (const bool by_contact : {true, false}) {
            for (const auto* callee : {"hal", "gus"}) {  // of a third office, and of the transferor's own
                CAPTURE(known, by_contact, callee);
                BackToBack scene;
                const bool third = std::string_view(callee) == "hal";
                auto& referrer = third ? scene.gus : scene.hal;
                auto& second_end = third ? scene.hal : scene.ida;
                const auto user = std::string(third ? "hal" : "ida");
                const auto first = scene.fay.call(third ? "sip:gus@acme.example" : "sip:hal@acme.example");
                scene.world.run(3s);
                const auto second = referrer.call("sip:" + user + "@acme.example");
                scene.world.run(3s);
                REQUIRE(scene.fay.up(first));
                REQUIRE(referrer.up(second));
                REQUIRE(second_end.up(0));
                scene.kill_centre(!known);
                referrer.connect(0, second, by_contact ? "" : "sip:" + user + "@acme.example");
                scene.world.run(known ? 3s : 10s);
                CHECK(referrer.last("REFER") == 202);
                REQUIRE_FALSE(referrer.progress.empty());
                CHECK(referrer.progress.back() == "SIP/2.0 200 OK");
                REQUIRE(second_end.count("INVITE") == 2);
                CHECK(second_end.lines_up() == 1);
                CHECK_FALSE(referrer.up(second));
                referrer.hang_up(0);
                scene.world.run(2s);
                CHECK(scene.fay.lines_up() == 1);
                second_end.hang_up(1);
                scene.world.run(2s);
                CHECK(scene.fay.lines_up() == 0);
                CHECK(scene.quiet());
            }
        }
    }
}

TEST_CASE("an attended transfer that a dead B2BUA leaves without a way is refused soon, and both calls can be ended") {
    for (const bool known : {true, false}) {
        for (const bool by_contact : {true, false}) {
            CAPTURE(known, by_contact);
            BackToBack scene;
            const auto first = scene.fay.call("sip:gus@acme.example");
            scene.world.run(3s);
            scene.centre.bridge.carries_media = true;  // nothing says where the second call's other end is
            const auto second = scene.gus.call("sip:hal@acme.example");
            scene.world.run(3s);
            REQUIRE(scene.fay.up(first));
            REQUIRE(scene.gus.up(second));
            scene.kill_centre(!known);
            scene.gus.connect(0, second, by_contact ? "" : "sip:hal@acme.example");
            scene.world.run(known ? 1s : 8s);
            CHECK(scene.gus.last("REFER") == 202);
            REQUIRE_FALSE(scene.gus.progress.empty());
            const auto& told = scene.gus.progress.back();
            CHECK(told == (!by_contact ? "SIP/2.0 481 Call/Transaction Does Not Exist" : known ? "SIP/2.0 404 Not Found" : "SIP/2.0 500 Server Internal Error"));
            CHECK(scene.hal.count("INVITE") == 1);
            CHECK(scene.gus.lines_up() == 2);
            scene.gus.hang_up(0);
            scene.gus.hang_up(second);
            scene.hal.hang_up(0);
            scene.world.run(2s);
            CHECK(scene.fay.lines_up() == 0);
            CHECK(scene.quiet());
        }
    }
}

namespace {

/// The INVITE that came to munich from the centre, as if of another call. Its media is that of the first.
voice::Message copy_of(const voice::Message& invite, const std::string& name) {
    auto copy = invite;
    copy.set("Call-ID", name);
    auto via = *copy.top_via();
    via.params.set("branch", "z9hG4bK" + name);
    copy.set_top_via(via);
    return copy;
}

}  // namespace

TEST_CASE("past a dead B2BUA a request reaches the call through it, and no other whose media is said to end there, too") {
    for (const bool up_and_central : {true, false}) {
        CAPTURE(up_and_central);
        BackToBack scene;
        scene.fay.call("sip:gus@acme.example");
        std::optional<voice::Message> came;
        REQUIRE(scene.world.run_until([&] { return scene.gus.count("INVITE") == 1; }));
        for (const auto& [at, text] : scene.world.log) {
            const auto message = voice::Message::parse(net::as_bytes(text));
            if (message && message->is("INVITE") && text.find("a=meshd:trento") != text.npos && message->top_via()->host == "198.51.100.1") came = *message;
        }
        REQUIRE(came);
        const auto by_centre = [&](const voice::Message& invite) {
            scene.munich.receive({voice::Transport::udp, scene.munich.wan(), scene.centre_at, 0, voice::Side::centre}, invite.to_bytes(), scene.world.now);
            scene.world.flush();
        };
        scene.world.run(3s);
        REQUIRE(scene.gus.lines_up() == 1);
        if (!up_and_central) scene.gus.answers = false;
        for (unsigned i = 0; i < 8; ++i) by_centre(copy_of(*came, "other" + std::to_string(i)));
        scene.world.run(3s);
        REQUIRE(scene.gus.count("INVITE") == 9);
        scene.kill_centre();
        scene.fay.hang_up(0);
        scene.world.run(3s);
        // Where nothing tells them apart nobody's call is ended.
        CHECK(scene.gus.count("BYE") == (up_and_central ? 0 : 1));
        CHECK(scene.gus.up(0) == up_and_central);
    }
}

TEST_CASE("of thousands of calls the one that is joined at a place is the one that a look at all of them finds") {
    Scene scene;
    voice::ProxySettings settings;
    settings.node = "munich";
    settings.domain = "acme.example";
    settings.centre = voice::Centre{voice::Transport::udp, scene.centre_at};
    settings.max_calls = 5000;
    voice::Exchange exchange(settings, scene.munich, scene.world.random, scene.world.now);
    voice::Calls calls(exchange);
    const voice::Flow from{voice::Transport::udp, scene.munich.wan(), scene.centre_at, 0, voice::Side::centre};
    const auto invite = [&](unsigned number, std::uint64_t port) {
        auto out = voice::Message::request("INVITE", *voice::Uri::parse("sip:bob@acme.example"));
        out.set("Call-ID", std::to_string(number));
        out.set("From", "<sip:alice@acme.example>;tag=a");
        out.set("To", "<sip:bob@acme.example>");
        out.set("CSeq", "1 INVITE");
        out.set_body("application/sdp", "v=0\r\no=- 1 1 IN IP4 203.0.113.1\r\ns=-\r\nc=IN IP4 203.0.113.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
                                        "a=meshd:trento 10.99.0.1 " + std::to_string(port) + "\r\n");
        return out;
    };
    const auto end_at = [](std::uint64_t port) { return net::Endpoint{net::IpAddress::v4(10, 99, 0, 1), static_cast<std::uint16_t>(port), 0}; };
    const auto agree = [&](std::uint64_t port) {
        voice::Call* found = nullptr;
        bool several = false;
        for (const auto& [key, one] : calls.all()) {
            if (!one.up || one.view.path != "central" || !one.media.through_mesh() || one.media.far_end() != end_at(port)) continue;
            several |= found != nullptr;
            found = calls.find(key);
        }
        return calls.joined_at(end_at(port)) == (several ? nullptr : found);
    };
    auto& random = scene.world.random;
    std::size_t joined = 0;
    bool agreed = true;
    for (unsigned number = 0; number < 3000; ++number) {
        const auto port = 10000 + 2 * random.below(3000);
        auto* call = calls.open(invite(number, port), from, "alice@acme.example", "bob@acme.example", scene.world.now);
        REQUIRE(call != nullptr);
        calls.listen(*call, invite(number, port), from, scene.world.now);
        call->up = random.below(5) != 0;
        if (random.below(5) == 0) call->view.path = "mesh";
        const auto other = static_cast<unsigned>(random.below(number + 1));
        auto* earlier = calls.find(voice::Calls::key_of(std::to_string(other), "a", false));
        if (earlier == nullptr) continue;
        switch (random.below(4)) {
            case 0: calls.end(earlier->key, "test", scene.world.now); break;
            case 1: calls.listen(*earlier, invite(other, 10000 + 2 * random.below(3000)), from, scene.world.now); break;
            case 2: calls.open(invite(other, 1), from, "alice@acme.example", "bob@acme.example", scene.world.now); break;
            default: break;
        }
    }
    for (unsigned i = 0; i < 3000; ++i) {
        agreed &= agree(10000 + 2 * i);
        joined += calls.joined_at(end_at(10000 + 2 * i)) != nullptr ? 1 : 0;
    }
    CHECK(agreed);
    CHECK(joined > 300);
}
