/// Calls for help: by which trunk, past which limits, and who is believed to make one.
#include <catch2/catch.hpp>

#include "trunk_scene.hpp"
#include "voice/help_allowance.hpp"

using namespace test;

TEST_CASE("a call for help goes by the local trunk, in every mode and whoever calls") {
    SECTION("while the centre is in use") {
        TrunkScene scene({}, true);
        CHECK(scene.dial("sip:112@acme.example") == 200);
        CHECK(scene.calls(scene.first).at(0)->uri().user == "112");
        CHECK(scene.calls(scene.first).at(0)->from().uri.user == "+390461100");
        CHECK(scene.world.seen("INVITE sip:112@acme.example") == 1);  // and not by the centre
        scene.alice.hang_up();
        scene.world.run(1s);
        CHECK(scene.quiet());
    }
    SECTION("during its absence, and by the service's name") {
        TrunkScene scene({}, true);
        scene.world.cut.insert(scene.centre_at.address);
        scene.world.run(15s);
        CHECK(scene.dial("sip:999@acme.example") == 200);
        scene.alice.hang_up();
        scene.world.run(1s);
        CHECK(scene.dial("urn:service:sos.fire") == 200);
        CHECK(scene.calls(scene.first).at(1)->uri().user == "112");
    }
    SECTION("from a phone that nobody knows") {
        TrunkScene scene([](auto& settings) {
            if (settings.node == "trento") settings.trunks[0].caller_id = "+390461000";
        });
        Phone stranger(scene.world, "anonymous", scene.trento.phone(66), scene.trento.lan());
        stranger.domain = "anonymous.invalid";
        CHECK(scene.dial(stranger, "tel:112") == 200);
        // Who answers can call the office back.
        CHECK(scene.calls(scene.first).at(0)->from().uri.user == "+390461000");
        stranger.hang_up();
        scene.world.run(1s);
        CHECK(scene.first.count("BYE") == 1);
        CHECK(scene.quiet());
        Phone impostor(scene.world, "alice", scene.trento.phone(67), scene.trento.lan(), "a guess");
        CHECK(scene.dial(impostor, "sip:112@acme.example") == 200);
        CHECK(scene.calls(scene.first).at(1)->from().uri.user == "+390461000");  // not alice's: nobody has proved that
        scene.first.hang_up();
        scene.world.run(1s);
        CHECK(impostor.count("BYE") == 1);
        CHECK(scene.dial(stranger, kTrunkNumber) == 403);
    }
    SECTION("while there is too much to do") {
        TrunkScene scene([](auto& settings) { settings.max_calls = 0; });
        for (auto* office : {&scene.trento, &scene.munich}) office->proxy.set_overloaded(true);
        CHECK(scene.dial(kTrunkNumber) == 503);
        CHECK(scene.dial("sip:112@acme.example") == 200);
    }
    SECTION("behind the digits that fetch a line") {
        TrunkScene scene([](auto& settings) {
            voice::DialPlanSettings plan;
            plan.outside_prefix = "0";
            settings.dial_plan = voice::DialPlan(plan);
        });
        CHECK(scene.dial("sip:0112@acme.example") == 200);
        CHECK(scene.calls(scene.first).at(0)->uri().user == "112");
    }
}

namespace {

/// What london's meshd writes to munich's for a call that somebody there has dialled `user` for.
std::string help_from_london(const std::string& user, unsigned number) {
    const auto n = std::to_string(number);
    return "INVITE sip:" + user + "@acme.example;meshd-emergency SIP/2.0\r\nVia: SIP/2.0/UDP 10.99.0.3:5080;branch=z9hG4bKhelp" + n +
           "\r\nFrom: <sip:anonymous@anonymous.invalid>;tag=" + n + "\r\nTo: <sip:" + user + "@acme.example>\r\nCall-ID: help" + n +
           "\r\nCSeq: 1 INVITE\r\nContact: <sip:x@10.99.0.3:5080>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n";
}

struct HelpScene : TrunkScene {
    explicit HelpScene(std::size_t max_calls = 2000)
        : TrunkScene([max_calls](auto& settings) {
              settings.max_calls = settings.node == "munich" ? max_calls : 2000;
              if (settings.node == "trento") settings.trunks.clear();
              if (settings.node == "london") settings.emergency = {"000"};  // by no number that munich has
          }) {
        second.manner = Phone::Manner::rings;
    }
    void ask_for_help(unsigned number, const std::string& user = "000") {
        munich.receive({voice::Transport::udp, {munich.overlay_address(), 5080, 0}, *net::Endpoint::parse("10.99.0.3:5080"), 0,
                        voice::Side::mesh},
                       net::as_bytes(help_from_london(user, number)), world.now);
        world.flush();
        world.run(100ms);
    }
    std::size_t brought() const { return calls(second).size(); }
};

}  // namespace

TEST_CASE("another office's call for help is let through in overload and beyond the limit of calls, whatever its number") {
    const bool overloaded = GENERATE(true, false);
    HelpScene scene(overloaded ? 2000 : 0);
    scene.munich.proxy.set_overloaded(overloaded);
    Phone stranger(scene.world, "x", scene.london.phone(66), scene.london.lan());
    CHECK(scene.dial(stranger, "sip:000@acme.example", 5s) == 180);
    REQUIRE(scene.brought() == 1);
    CHECK(scene.calls(scene.second).at(0)->uri().user == "112");
    CHECK(scene.dial(scene.carol, kTrunkNumber, 5s) >= 500);  // another call is not
    CHECK(scene.brought() == 1);
}

TEST_CASE("a member that calls all its calls for help gets past no limit") {
    const bool overloaded = GENERATE(true, false);
    HelpScene scene(overloaded ? 2000 : 0);
    scene.munich.proxy.set_overloaded(overloaded);
    for (unsigned i = 0; i < 60; ++i) scene.ask_for_help(i);
    CHECK(scene.brought() == voice::HelpAllowance::kAtOnce + 1);  // in six seconds one more
    scene.world.run(2 * voice::HelpAllowance::kOneMoreEvery);
    const auto before = scene.brought();
    for (unsigned i = 100; i < 110; ++i) scene.ask_for_help(i);
    CHECK(scene.brought() - before <= 3);
    CHECK(scene.brought() > before);
    // Where there is room all are put through: nobody who needs help is to be counted off.
    HelpScene calm;
    for (unsigned i = 0; i < 60; ++i) calm.ask_for_help(i);
    CHECK(calm.brought() == 60);
}

TEST_CASE("of a member without the voice role no call is one for help, even by a number that is") {
    HelpScene scene;
    scene.roster.voiceless.insert("london");
    scene.munich.proxy.set_overloaded(true);
    scene.ask_for_help(1);
    scene.ask_for_help(2, "112");
    CHECK(scene.munich.proxy.counters().shed == 2);
    scene.munich.proxy.set_overloaded(false);
    scene.ask_for_help(3, "112");
    CHECK(scene.brought() == 0);
}

TEST_CASE("what members are let through is kept of so many of them and no more") {
    voice::HelpAllowance allowance;
    const net::Steady start(1000s);
    for (std::size_t i = 0; i < voice::HelpAllowance::kMaxMembers; ++i) REQUIRE(allowance.take(std::to_string(i), start));
    CHECK_FALSE(allowance.take("one more", start));
    CHECK(allowance.take("7", start));
    CHECK(allowance.take("one more", start + 4s));
    CHECK(allowance.members() == 2);
}

TEST_CASE("a call for help falls back to other offices' trunks, then to the centre") {
    const auto in_london = [](TrunkScene& scene) {
        Phone stranger(scene.world, "x", scene.london.phone(66), scene.london.lan());
        return scene.dial(stranger, "sip:999@acme.example", 5s);
    };
    SECTION("another office's") {
        TrunkScene scene([](auto& settings) {
            if (settings.node == "munich") settings.emergency = {"110"};
            if (settings.node == "munich") settings.trunks[0].cost = 1;
        });
        CHECK(in_london(scene) == 200);
        CHECK(scene.calls(scene.second).at(0)->uri().user == "110");  // as it is dialled there
    }
    SECTION("which is busy, or refuses") {
        TrunkScene scene;
        scene.first.manner = Phone::Manner::busy;
        scene.second.manner = Phone::Manner::declines;
        CHECK(in_london(scene) >= 400);
        CHECK(scene.calls(scene.first).size() == 1);
        CHECK(scene.calls(scene.second).size() == 1);
        scene.second.manner = Phone::Manner::answers;
        CHECK(in_london(scene) == 200);
    }
    SECTION("a trunk that is not for that") {
        TrunkScene scene([](auto& settings) {
            if (settings.node == "trento") settings.trunks[0].emergency = false;
        });
        CHECK(scene.dial("sip:112@acme.example") == 200);
        CHECK(scene.calls(scene.first).empty());
        CHECK(scene.calls(scene.second).size() == 1);
    }
    SECTION("the centre, where there is no trunk at all") {
        TrunkScene scene([](auto& settings) { settings.trunks.clear(); }, true);
        scene.centre.add_contact("999", "sip:psap@192.0.2.1:5060");
        CHECK(in_london(scene) == 200);
        CHECK(scene.calls(scene.first).size() == 1);
    }
}
