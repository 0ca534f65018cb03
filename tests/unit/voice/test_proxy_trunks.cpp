/// Calls to and from the telephone network: by a trunk of this office or another's, with or without an account, and what
/// keeps gateways from more than that.
#include <catch2/catch.hpp>

#include "dns_message.hpp"
#include "trunk_scene.hpp"

using namespace test;

TEST_CASE("a number that nobody has goes by the office's own trunk") {
    TrunkScene scene;
    CHECK(scene.state(scene.trento) == "up");
    REQUIRE(scene.dial(kTrunkNumber) == 200);
    const auto calls = scene.calls(scene.first);
    REQUIRE(calls.size() == 1);
    CHECK(calls[0]->uri().text() == "sip:+442079460148@192.0.2.1:5060");
    // The telephone network knows the caller by her number.
    CHECK(calls[0]->from().uri.text() == "sip:+390461100@192.0.2.1");
    CHECK(calls[0]->first_address("P-Asserted-Identity")->uri.text() == "sip:+390461100@192.0.2.1");
    CHECK(scene.first.count("ACK") == 1);
    REQUIRE(scene.trento.proxy.calls().size() == 1);
    CHECK(scene.trento.proxy.calls()[0].path == "trunk");
    // What the phone hears is about the call that it made.
    for (const auto& told : scene.alice.history) {
        if (told.method != "INVITE") continue;
        CHECK(told.message.from().uri.text() == "sip:alice@acme.example");
    }
    SECTION("the caller hangs up") {
        scene.alice.hang_up();
        scene.world.run(1s);
        CHECK(scene.first.count("BYE") == 1);
        CHECK(scene.alice.last("BYE") == 200);
    }
    SECTION("the gateway hangs up") {
        scene.first.hang_up();
        scene.world.run(1s);
        CHECK(scene.alice.count("BYE") == 1);
        CHECK(scene.first.last("BYE") == 200);
    }
    SECTION("either holds first") {
        scene.first.reinvite();
        scene.world.run(1s);
        CHECK(scene.first.last("INVITE") == 200);
        scene.alice.reinvite();
        scene.world.run(1s);
        CHECK(scene.alice.last("INVITE") == 200);
        scene.alice.hang_up();
        scene.world.run(1s);
        CHECK(scene.first.count("BYE") == 1);
    }
    CHECK(scene.quiet());
}

TEST_CASE("a trunk writes numbers as its carrier wants them") {
    voice::DialPlanSettings plan;
    plan.country = "44";
    auto settings = trunk("line", 1);
    const auto written = [&](const char* number) { return voice::written_for(settings, number, plan); };
    CHECK(written("+442079460148") == "+442079460148");
    settings.form = voice::NumberForm::international;
    CHECK(written("+442079460148") == "00442079460148");
    settings.form = voice::NumberForm::national;
    CHECK(written("+442079460148") == "02079460148");
    CHECK(written("+390461100") == "00390461100");
    settings.strip = 1;
    settings.add = "9";
    CHECK(written("+442079460148") == "92079460148");
    settings.form = voice::NumberForm::e164;
    settings.strip = 2;
    settings.add = "0";
    CHECK(written("+442079460148") == "02079460148");
    CHECK(written("118") == "08");
    settings.strip = 9;
    CHECK(written("118") == "0");
}

TEST_CASE("only who may call without a trunk may call by one") {
    TrunkScene scene;
    Phone stranger(scene.world, "mallory", scene.trento.phone(66), scene.trento.lan());
    CHECK(scene.dial(stranger, kTrunkNumber) == 403);
    Phone impostor(scene.world, "alice", scene.trento.phone(67), scene.trento.lan(), "a guess");
    CHECK(scene.dial(impostor, kTrunkNumber) == 407);
    CHECK(scene.calls(scene.first).empty());
}

TEST_CASE("an office without a trunk uses another's, through the mesh") {
    TrunkScene scene([](auto& settings) {
        if (settings.node == "munich") settings.trunks.clear();
    });
    REQUIRE(scene.dial(scene.carol, kTrunkNumber) == 200);
    const auto calls = scene.calls(scene.first);
    REQUIRE(calls.size() == 1);
    CHECK(calls[0]->uri().text() == "sip:+442079460148@192.0.2.1:5060");
    CHECK(calls[0]->from().uri.user == "anonymous");  // she has no number of her own
    CHECK(calls[0]->to_text().find("meshd-trunk") == std::string::npos);
    CHECK(scene.london.proxy.calls()[0].path == "mesh");
    CHECK(scene.trento.relays.size() == 1);
    CHECK(scene.london.relays.size() == 1);
    SECTION("the caller hangs up") {
        scene.carol.hang_up();
        scene.world.run(1s);
        CHECK(scene.first.count("BYE") == 1);
        CHECK(scene.carol.last("BYE") == 200);
    }
    SECTION("the gateway hangs up") {
        scene.first.hang_up();
        scene.world.run(1s);
        CHECK(scene.carol.count("BYE") == 1);
    }
    CHECK(scene.quiet());
}

TEST_CASE("of several trunks the longest prefix is taken, then the cheapest, then the own one, then the nearest") {
    const auto gateway_called = [](const TrunkScene::Change& change, const std::function<void(TrunkScene&)>& before = {}) {
        TrunkScene scene(change);
        if (before) before(scene);
        CHECK(scene.dial(kTrunkNumber) == 200);
        return std::pair(scene.calls(scene.first).size(), scene.calls(scene.second).size());
    };
    const std::pair<std::size_t, std::size_t> own{1, 0}, other{0, 1};
    CHECK(gateway_called({}) == own);
    CHECK(gateway_called([](auto& s) {
              if (s.node == "munich") s.trunks[0].cost = 5;
          }) == other);
    CHECK(gateway_called([](auto& s) {
              if (s.node == "munich") s.trunks[0].prefixes = {"+44", "+49"};
              if (s.node == "trento") s.trunks[0].cost = 1;
          }) == other);
    CHECK(gateway_called([](auto& s) {
              if (s.node == "trento") s.trunks[0].prefixes = {"+39"};
          }) == other);
    // From london both are others'.
    for (const bool trento_near : {true, false}) {
        TrunkScene scene;
        scene.roster.round_trips = {{"trento", trento_near ? 5ms : 50ms}, {"munich", 20ms}};
        CHECK(scene.dial(scene.carol, kTrunkNumber) == 200);
        CHECK(scene.calls(scene.first).size() == (trento_near ? 1 : 0));
    }
}

TEST_CASE("the next trunk is tried when one fails, and what the callee says is final") {
    TrunkScene scene;
    const auto take_both = [&](int status) {
        CHECK(scene.dial(kTrunkNumber) == status);
        return scene.calls(scene.second).size();
    };
    SECTION("503") {
        scene.first.manner = Phone::Manner::is_overloaded;
        CHECK(take_both(200) == 1);
        CHECK(scene.second.in_call());
        CHECK(scene.state(scene.trento) == "failing");
        scene.alice.hang_up();
        scene.world.run(1s);
        CHECK(scene.quiet());
    }
    SECTION("silence") {
        scene.first.manner = Phone::Manner::is_silent;
        CHECK(take_both(100) == 0);
        scene.world.run(3s);
        CHECK(scene.second.in_call());
        CHECK(scene.state(scene.trento) == "failing");
        scene.alice.hang_up();
        // Now that it is known, the next call does not wait.
        scene.world.run(1s);
        CHECK(take_both(200) == 2);
    }
    SECTION("busy") {
        scene.first.manner = Phone::Manner::busy;
        CHECK(take_both(486) == 0);
    }
    SECTION("declined") {
        scene.first.manner = Phone::Manner::declines;
        CHECK(take_both(603) == 0);
    }
    SECTION("all of them") {
        scene.first.manner = scene.second.manner = Phone::Manner::is_overloaded;
        CHECK(take_both(500) == 1);
        CHECK(scene.quiet());
    }
    SECTION("all are silent") {
        scene.first.manner = scene.second.manner = Phone::Manner::is_silent;
        scene.dial(kTrunkNumber, 8s);
        CHECK(scene.alice.last("INVITE") == 408);
        CHECK(scene.quiet());
    }
}

TEST_CASE("a trunk that does not answer OPTIONS is not offered until it does again") {
    TrunkScene scene([](auto& settings) {
        if (settings.node == "munich") settings.trunks.clear();
    });
    CHECK(scene.trento.proxy.trunk_offers().size() == 1);
    scene.first.manner = Phone::Manner::is_silent;
    scene.world.run(40s);
    CHECK(scene.state(scene.trento) == "failing");
    CHECK(scene.trento.proxy.trunks(scene.world.now)[0].why == "it does not answer");
    CHECK(scene.trento.proxy.trunk_offers().empty());
    CHECK(scene.dial(scene.carol, kTrunkNumber) == 404);
    scene.first.history.clear();
    scene.world.run(10min);
    scene.first.manner = Phone::Manner::answers;
    scene.world.run(125s);
    CHECK(scene.state(scene.trento) == "up");
    CHECK(scene.dial(scene.carol, kTrunkNumber) == 200);
}

namespace {

/// trento's trunk is an account at a carrier that asks for its password.
struct CarrierScene : TrunkScene {
    explicit CarrierScene(const std::string& password = "pots")
        : TrunkScene([&](voice::ProxySettings& settings) {
              if (settings.node != "trento") return settings.trunks.clear();
              auto& line = settings.trunks[0];
              line = trunk("line", 20);
              line.registers = true;
              line.user = "account";
              line.password = voice::Password(password);
              line.from = *voice::Uri::parse("sip:account@192.0.2.20");
              line.caller_id = "+390461000";
          }),
          carrier(world, gateway_of(20)),
          callee(world, "callee", gateway_of(30), gateway_of(20)) {
        carrier.passwords["account"] = "pots";
        carrier.grants_s = 60;
        carrier.add_contact("+442079460148", "sip:callee@" + callee.at.text());
        world.run(10s);
    }
    ScriptedCentre carrier;
    Phone callee;
};

}  // namespace

TEST_CASE("a trunk registers with its password, again in good time, and answers the carrier's challenges") {
    CarrierScene scene;
    REQUIRE(scene.state(scene.trento) == "registered");
    const auto registrations = scene.carrier.registrations;
    scene.world.run(10min);
    CHECK(scene.carrier.registrations >= registrations + 10);
    CHECK(scene.carrier.registrations <= registrations + 20);
    CHECK(scene.state(scene.trento) == "registered");

    REQUIRE(scene.dial(kTrunkNumber) == 200);
    REQUIRE(scene.callee.in_call());
    const auto calls = scene.calls(scene.callee);
    REQUIRE(calls.size() == 1);
    CHECK(calls[0]->from().uri.text() == "sip:account@192.0.2.20");
    CHECK(calls[0]->first_address("P-Asserted-Identity")->uri.user == "+390461100");
    // The phone hears of no challenge, and of no other sequence number than its own.
    CHECK(scene.alice.count("INVITE", 407) + scene.alice.count("INVITE", 401) <= 1);
    std::uint32_t own = 0;
    for (const auto& told : scene.alice.history) {
        if (told.method == "INVITE") own = std::max(own, told.message.cseq().number);
    }
    CHECK(calls[0]->cseq().number == own + 1);
    SECTION("the caller hangs up") {
        scene.alice.hang_up();
        scene.world.run(1s);
        CHECK(scene.callee.count("BYE") == 1);
        CHECK(scene.alice.last("BYE") == 200);
    }
    SECTION("the callee hangs up") {
        scene.callee.hang_up();
        scene.world.run(1s);
        REQUIRE(scene.alice.count("BYE") == 1);
        CHECK(scene.alice.history.back().message.to().uri.text() == "sip:alice@acme.example");
        CHECK(scene.callee.last("BYE") == 200);
    }
    CHECK(scene.quiet());
}

TEST_CASE("a trunk whose password is refused says so, asks ever more seldom, and is not used") {
    CarrierScene scene("a guess");
    CHECK(scene.state(scene.trento) == "failing");
    CHECK(scene.trento.proxy.trunks(scene.world.now)[0].why == "REGISTER was refused: 401 wrong user or password");
    CHECK(scene.trento.proxy.trunk_offers().empty());
    const auto before = scene.world.seen("REGISTER sip:192.0.2.20");
    scene.world.run(10min);
    CHECK(scene.world.seen("REGISTER sip:192.0.2.20") - before <= 2 * 8);
    CHECK(scene.carrier.registrations == 0);
    // What the carrier asks is not passed on to the phone: it would show its own password.
    CHECK(scene.dial(kTrunkNumber) == 500);
    CHECK(scene.alice.history.back().message.get_all("Proxy-Authenticate").empty());
}

TEST_CASE("a gateway's call goes by number to its user, wherever in the mesh") {
    TrunkScene scene;
    const auto ring = [&](const std::string& uri) {
        scene.dial(scene.first, uri);
        scene.first.hang_up();
        scene.world.run(1s);
        return scene.first.last("INVITE");
    };
    CHECK(ring("sip:+390461100@203.0.113.1") == 200);
    CHECK(scene.alice.count("INVITE") == 1);
    CHECK(ring("sip:390461100@203.0.113.1") == 200);  // without the plus
    CHECK(scene.alice.count("INVITE") == 2);
    CHECK(ring("sip:alice@acme.example") == 200);  // by the name that ENUM has given it
    CHECK(scene.alice.count("INVITE") == 3);
    REQUIRE(scene.dial(scene.first, "sip:+498912300@203.0.113.1") == 200);
    CHECK(scene.bob.in_call());
    CHECK(scene.trento.proxy.calls()[0].path == "trunk");
    SECTION("the user hangs up") {
        scene.bob.hang_up();
        scene.world.run(1s);
        CHECK(scene.first.count("BYE") == 1);
        CHECK(scene.bob.last("BYE") == 200);
    }
    SECTION("the gateway hangs up") {
        scene.first.hang_up();
        scene.world.run(1s);
        CHECK(scene.bob.count("BYE") == 1);
        CHECK(scene.first.last("BYE") == 200);
    }
    CHECK(ring("sip:+390461199@203.0.113.1") == 404);
    CHECK(scene.quiet());
}

TEST_CASE("a carrier that calls our Contact writes the number into To") {
    TrunkScene scene;
    auto invite = voice::Message::request("INVITE", *voice::Uri::parse("sip:trunk-line@203.0.113.1"));
    auto from = voice::NameAddr::of(*voice::Uri::parse("sip:+4930123@192.0.2.1"));
    from.params.set("tag", "1");
    invite.set_from(from);
    invite.set_to(voice::NameAddr::of(*voice::Uri::parse("sip:+390461100@carrier.example")));
    invite.set_contacts({voice::NameAddr::of(voice::Uri::of("gateway", gateway_of(1)))});
    invite.set("Call-ID", "c1");
    invite.set("CSeq", "1 INVITE");
    voice::Via via;
    via.host = "192.0.2.1";
    via.params.set("branch", "z9hG4bKx");
    invite.push_via(via);
    scene.trento.proxy.receive({voice::Transport::udp, scene.trento.wan(), gateway_of(1), 0, voice::Side::phone}, invite.to_bytes(),
                               scene.world.now);
    scene.world.flush();
    scene.world.run(1s);
    CHECK(scene.alice.count("INVITE") == 1);
}

TEST_CASE("a caller does not wait for DNS where a trunk would do, and is asked of DNS first") {
    TrunkScene scene([](auto& settings) { settings.outside = voice::OutsideUse::always; });
    CHECK(scene.dial(kTrunkNumber, 1s) == 100);
    CHECK(scene.trento.proxy.take_questions().size() == 1);
    CHECK(scene.calls(scene.first).empty());
    scene.world.run(2s);
    CHECK(scene.first.in_call());
    scene.alice.hang_up();
    scene.world.run(1s);
    CHECK(scene.quiet());
}

TEST_CASE("of the callers in an outage of DNS one waits for it, and the next ones' trunk is called at once") {
    TrunkScene scene([](auto& settings) { settings.outside = voice::OutsideUse::always; });
    CHECK(scene.dial(kTrunkNumber, 3s) == 200);
    scene.alice.hang_up();
    const auto dead = scene.trento.proxy.take_questions();
    REQUIRE(dead.size() == 1);
    scene.world.run(4s);
    scene.trento.proxy.dns_unanswered(dead[0], scene.world.now);
    CHECK(scene.dial("sip:+442079460149@acme.example", 100ms) == 180);
    scene.world.run(2s);
    CHECK(scene.first.in_call());
    scene.alice.hang_up();
    scene.world.run(1s);
    SECTION("until DNS answers") {
        const auto asked = scene.trento.proxy.take_questions();
        REQUIRE_FALSE(asked.empty());
        scene.trento.proxy.dns_answered(asked[0], DnsMessage(asked[0], 3).soa("example", 60, 60).bytes(), scene.world.now);
        CHECK(scene.dial("sip:+442079460150@acme.example", 1s) == 100);
        scene.world.run(2s);
        CHECK(scene.first.in_call());
        scene.alice.hang_up();
        scene.world.run(1s);
    }
}

TEST_CASE("a gateway reaches users and nothing else") {
    TrunkScene scene;
    CHECK(scene.dial(scene.first, "sip:+442079460148@203.0.113.1") == 404);  // out again by another trunk
    CHECK(scene.dial(scene.first, "sip:+442079460148@acme.example;meshd-trunk=amt") == 404);
    CHECK(scene.dial(scene.first, "sip:112@203.0.113.1") == 404);
    CHECK(scene.dial(scene.first, "sip:somebody@example.org") == 404);
    CHECK(scene.calls(scene.second).empty());
    scene.first.send("MESSAGE", "sip:alice@acme.example", "hello");
    scene.first.send("REGISTER", "sip:acme.example");
    scene.world.run(1s);
    CHECK(scene.first.last("MESSAGE") == 403);
    CHECK(scene.first.last("REGISTER") == 403);
    // Nor does it speak in a user's name.
    scene.first.domain = "acme.example";
    scene.first.from_user = "bob";
    CHECK(scene.dial(scene.first, "sip:+390461100@203.0.113.1") == 403);
    // Who is no gateway of ours is not heard at all.
    Phone stranger(scene.world, "gateway", gateway_of(9), scene.trento.wan());
    CHECK(scene.dial(stranger, "sip:+390461100@203.0.113.1") == 0);
    CHECK(scene.quiet());
}

TEST_CASE("an unlucky caller of a number gets through by a trunk before the centre is known dead") {
    TrunkScene scene({}, true);
    scene.world.cut.insert(scene.centre_at.address);
    CHECK(scene.dial(kTrunkNumber, 3s) == 200);
    CHECK(scene.first.in_call());
    scene.alice.hang_up();
    scene.world.run(1s);
    scene.world.run(15s);
    REQUIRE(scene.trento.mode() == "island");
    CHECK(scene.dial(kTrunkNumber) == 200);
}
