/// Lamps and presence (SUBSCRIBE, NOTIFY) where the centre does not serve them.
#include <catch2/catch.hpp>

#include <algorithm>

#include "offices.hpp"
#include "scripted_lamp.hpp"
#include "voice/centre_lamps.hpp"

using namespace test;
using namespace std::chrono_literals;
using voice::Message;

namespace {

struct Lamps : Scene {
    /// In an outage, or without a centre; a lamp in trento, registered for alice.
    explicit Lamps(bool with_centre = true, bool outage = true, const std::function<void(voice::ProxySettings&)>& change = {})
        : Scene(1, with_centre, change), lamp(world, "alice", trento.phone(40), trento.lan()) {
        register_all();
        lamp.register_now();
        world.run(2s);
        if (!outage) return;
        centre.alive = false;
        world.run(10s);
    }
    Lamp lamp;
};

bool has(const std::string& text, std::string_view what) { return text.find(what) != std::string::npos; }

}  // namespace

TEST_CASE("in an outage a lamp shows a colleague's call in another office: it rings, is up, and ends") {
    for (const bool with_centre : {true, false}) {
        Lamps scene(with_centre);
        scene.lamp.subscribe("dialog", 3600);
        scene.world.run(1s);
        REQUIRE(scene.lamp.status == 200);
        CHECK(scene.lamp.answers.back().expires_s() == 300U);
        REQUIRE(scene.lamp.notifies.size() == 1);
        CHECK(scene.lamp.notifies[0].state == "active;expires=300");
        CHECK(has(scene.lamp.notifies[0].body, "version=\"0\" state=\"full\" entity=\"sip:bob@acme.example\""));
        CHECK_FALSE(has(scene.lamp.notifies[0].body, "<dialog id"));
        scene.bob.answer_after = 3s;
        scene.carol.call("sip:bob@acme.example");
        REQUIRE(scene.world.run_until([&] { return scene.carol.count("INVITE", 180) == 1; }, 2s));
        REQUIRE(scene.world.run_until([&] { return scene.lamp.notifies.size() == 2; }, 200ms));
        CHECK(has(scene.lamp.notifies[1].body, "version=\"1\""));
        CHECK(has(scene.lamp.notifies[1].body, "direction=\"recipient\"><state>early</state>"));
        scene.world.run(4s);
        REQUIRE(scene.lamp.notifies.size() == 3);
        CHECK(has(scene.lamp.notifies[2].body, "<state>confirmed</state>"));
        scene.bob.hang_up();
        scene.world.run(2s);
        REQUIRE(scene.lamp.notifies.size() == 4);
        CHECK(has(scene.lamp.notifies[3].body, "<state>terminated</state>"));
        scene.bob.answer_after = 500ms;
        scene.bob.call("sip:carol@acme.example");  // and when he calls himself
        scene.world.run(2s);
        CHECK(has(scene.lamp.notifies.back().body, "direction=\"initiator\"><state>confirmed</state>"));
        scene.bob.hang_up();
        scene.world.run(2s);
        CHECK_FALSE(has(scene.lamp.notifies.back().body, "confirmed"));
        for (const auto& notify : scene.lamp.notifies) CHECK_FALSE(has(notify.body, "carol"));
    }
}

TEST_CASE("a lamp shows a colleague's call in the same office, too") {
    Lamps scene;
    scene.lamp.subscribe("dialog;id=7", 3600, "sip:alice@acme.example");
    scene.world.run(1s);
    scene.carol.call("sip:alice@acme.example");
    scene.world.run(3s);
    REQUIRE(scene.lamp.notifies.size() == 3);
    CHECK(scene.lamp.notifies.back().event == "dialog;id=7");
    CHECK(has(scene.lamp.notifies.back().body, "<state>confirmed</state>"));
    CHECK(scene.lamp.notifies[2].at - scene.lamp.notifies[1].at >= 400ms);
}

TEST_CASE("presence tells whether somebody has a phone anywhere, and is on it") {
    Lamps scene(false);
    scene.lamp.subscribe("presence", 3600, "sip:102@acme.example");  // bob's extension
    scene.world.run(1s);
    REQUIRE(scene.lamp.notifies.size() == 1);
    CHECK(has(scene.lamp.notifies[0].body, "<basic>open</basic>"));
    scene.carol.call("sip:bob@acme.example");
    scene.world.run(2s);
    CHECK(has(scene.lamp.notifies.back().body, "on-the-phone"));
    scene.carol.hang_up();
    scene.world.run(2s);
    CHECK_FALSE(has(scene.lamp.notifies.back().body, "on-the-phone"));
    scene.bob.unregister();
    scene.world.run(2s);
    CHECK(has(scene.lamp.notifies.back().body, "<basic>closed</basic>"));
    scene.bob.register_now();
    scene.world.run(2s);
    CHECK(has(scene.lamp.notifies.back().body, "<basic>open</basic>"));
}

TEST_CASE("a subscription is refreshed, ended by its phone, fetched once, and over in time") {
    Lamps scene(false);
    scene.lamp.subscribe("dialog", 100);
    scene.world.run(90s);
    REQUIRE(scene.lamp.notifies.size() == 1);
    CHECK(scene.lamp.notifies[0].state == "active;expires=100");
    scene.lamp.refresh(50);
    scene.world.run(1s);
    CHECK(scene.lamp.status == 200);
    REQUIRE(scene.lamp.notifies.size() == 2);
    CHECK(scene.lamp.notifies[1].state == "active;expires=50");
    scene.world.run(50s);
    REQUIRE(scene.lamp.notifies.size() == 3);
    CHECK(scene.lamp.notifies[2].state == "terminated;reason=timeout");
    CHECK(scene.trento.proxy.subscriptions() == 0);
    scene.lamp.refresh(50);
    scene.world.run(1s);
    CHECK(scene.lamp.status == 481);

    scene.lamp.register_now();
    scene.world.run(1s);
    scene.lamp.subscribe("dialog", 100);
    scene.world.run(1s);
    CHECK(scene.lamp.notifies.size() == 4);
    scene.lamp.refresh(0);
    scene.world.run(1s);
    REQUIRE(scene.lamp.notifies.size() == 5);
    CHECK(scene.lamp.notifies.back().state == "terminated;reason=timeout");
    CHECK(scene.trento.proxy.subscriptions() == 0);

    scene.carol.call("sip:bob@acme.example");
    scene.world.run(2s);
    const auto before = scene.lamp.notifies.size();
    scene.lamp.subscribe("dialog", 0);
    scene.world.run(1s);
    REQUIRE(scene.lamp.notifies.size() == before + 1);
    CHECK(scene.lamp.notifies.back().state == "terminated;reason=timeout");
    CHECK(has(scene.lamp.notifies.back().body, "confirmed"));
    CHECK(scene.trento.proxy.subscriptions() == 0);
}

TEST_CASE("what cannot be served is refused as the RFCs say") {
    Lamps scene(false, false);
    const auto answer = [&](const std::string& event, std::uint32_t expires, const std::string& whom, const std::string& accept = {}) {
        scene.lamp.subscribe(event, expires, whom, accept);
        scene.world.run(1s);
        return scene.lamp.status;
    };
    CHECK(answer("dialog", 5, "sip:bob@acme.example") == 423);
    CHECK(scene.lamp.answers.back().get("Min-Expires") == "10");
    CHECK(answer("reg", 100, "sip:bob@acme.example") == 489);
    CHECK(scene.lamp.answers.back().has("Allow-Events"));
    CHECK(answer("dialog", 100, "sip:nobody@acme.example") == 404);
    CHECK(answer("message-summary", 100, "sip:bob@acme.example") == 403);
    CHECK(answer("dialog", 100, "sip:bob@acme.example", "application/pidf+xml") == 406);
    CHECK(answer("dialog", 100, "sip:bob@acme.example", "text/plain, application/dialog-info+xml") == 200);
    CHECK(answer("message-summary", 100, "sip:alice@acme.example") == 200);
    CHECK(has(scene.lamp.notifies.back().body, "Messages-Waiting: no"));
    Lamp stranger(scene.world, "carol", scene.trento.phone(41), scene.trento.lan());  // carol is not registered here
    stranger.subscribe("dialog", 100);
    scene.world.run(1s);
    CHECK(stranger.status == 407);
    CHECK(stranger.notifies.empty());
}

TEST_CASE("a lamp that does not take its NOTIFY is told nothing more") {
    for (const int status : {481, 0}) {
        Lamps scene(false);
        scene.lamp.notify_status = status;
        scene.lamp.subscribe("dialog", 3600);
        scene.world.run(33s);
        CHECK(scene.trento.proxy.subscriptions() == 0);
        const auto before = scene.lamp.notifies.size();
        scene.carol.call("sip:bob@acme.example");
        scene.world.run(3s);
        CHECK(scene.lamp.notifies.size() == before);
    }
}

TEST_CASE("what the centre does not serve is served here, and stays") {
    for (const int status : {489, 405, 501}) {
        Lamps scene(true, false);
        scene.centre.subscribe_status = status;
        scene.lamp.subscribe("dialog", 3600);
        scene.world.run(1s);
        CHECK(scene.lamp.status == 200);
        scene.carol.call("sip:bob@acme.example");  // through the centre
        scene.world.run(3s);
        REQUIRE_FALSE(scene.lamp.notifies.empty());
        CHECK(has(scene.lamp.notifies.back().body, "confirmed"));
        scene.world.run(2min);
        CHECK(scene.trento.proxy.subscriptions() == 1);
    }
    Lamps scene(true, false);
    scene.centre.subscribe_status = 403;
    scene.lamp.subscribe("dialog", 3600);
    scene.world.run(1s);
    CHECK(scene.lamp.status == 403);
}

TEST_CASE("when the centre is back subscriptions move over to it") {
    Lamps scene;
    scene.lamp.subscribe("dialog", 3600);
    scene.world.run(1s);
    REQUIRE(scene.trento.proxy.subscriptions() == 1);
    scene.centre.alive = true;
    CHECK(scene.world.run_until([&] { return scene.lamp.notifies.back().state == "terminated;reason=deactivated"; }, 75s));
    CHECK(scene.trento.mode() == "central");
    CHECK(scene.trento.proxy.subscriptions() == 0);
}

TEST_CASE("subscriptions move over to the centre 20 a second") {
    Lamps scene;
    for (int i = 0; i < 60; ++i) {
        scene.lamp.subscribe("dialog", 3600);
        scene.world.run(50ms);
    }
    scene.world.run(1s);
    REQUIRE(scene.trento.proxy.subscriptions() == 60);
    scene.centre.alive = true;
    REQUIRE(scene.world.run_until([&] { return scene.trento.proxy.subscriptions() < 60; }, 75s));
    scene.world.run(1s);
    CHECK(scene.trento.proxy.subscriptions() >= 36);
    scene.world.run(3s);
    CHECK(scene.trento.proxy.subscriptions() == 0);
}

TEST_CASE("a subscription at the centre that dies is answered 481, and taken over") {
    for (const bool known : {false, true}) {
        Lamps scene(true, false);
        scene.centre.subscribe_status = 200;
        scene.lamp.subscribe("dialog", 3600);
        scene.world.run(1s);
        REQUIRE(scene.lamp.status == 200);
        REQUIRE(scene.trento.proxy.subscriptions() == 0);
        scene.centre.alive = false;
        if (known) scene.world.run(10s);
        scene.lamp.refresh(3600);
        scene.world.run(known ? 1s : 8s);
        CHECK(scene.lamp.status == 481);
        scene.lamp.subscribe("dialog", 3600);
        scene.world.run(1s);
        CHECK(scene.lamp.status == 200);
        CHECK(scene.trento.proxy.subscriptions() == 1);
    }
}

namespace {

/// Lamps that the centre serves: it shows bob busy while `busy`.
struct Served : Lamps {
    explicit Served(const std::function<void(voice::ProxySettings&)>& change = {}) : Lamps(true, false, change) {
        centre.lamp = [this](const std::string&) { return busy ? "<state>confirmed</state>" : "idle"; };
    }
    bool busy = false;
    std::size_t deactivated(net::Steady from = net::Steady::min(), net::Steady until = net::kNever) const {
        return static_cast<std::size_t>(std::count_if(lamp.notifies.begin(), lamp.notifies.end(), [&](const auto& notify) {
            return notify.state == "terminated;reason=deactivated" && notify.at >= from && notify.at < until;
        }));
    }
};

}  // namespace

TEST_CASE("when the centre dies a lamp that it served is told so in its own dialog, and subscribes anew") {
    Served scene;
    scene.lamp.subscribe("dialog;id=7", 3600);
    scene.world.run(1s);
    scene.busy = true;
    scene.centre.tell_lamps();
    scene.world.run(1s);
    REQUIRE(scene.lamp.notifies.size() == 2);
    const auto last = scene.lamp.notifies.back().message;
    scene.centre.alive = false;
    REQUIRE(scene.world.run_until([&] { return scene.trento.mode() == "island"; }, 10s));
    CHECK(scene.world.run_until([&] { return scene.deactivated() == 1; }, 6s));
    scene.world.run(40s);
    REQUIRE(scene.lamp.notifies.size() == 3);
    const auto& told = scene.lamp.notifies.back().message;
    CHECK(told.call_id() == last.call_id());
    CHECK(told.from().text() == last.from().text());
    CHECK(told.to().text() == last.to().text());
    CHECK(told.uri().text() == last.uri().text());
    CHECK(told.cseq().number == last.cseq().number + 1);
    CHECK(told.get("Event") == "dialog;id=7");
    CHECK(told.via_count() == 1);
    CHECK(told.body().empty());
    scene.lamp.subscribe("dialog", 3600);
    scene.world.run(1s);
    CHECK(scene.lamp.status == 200);
    CHECK(scene.trento.proxy.subscriptions() == 1);
}

TEST_CASE("what the centre, or the phone, still says in a dialog that has moved is answered 481") {
    Served scene;
    scene.lamp.subscribe("dialog", 3600);
    scene.world.run(1s);
    scene.centre.alive = false;
    scene.world.run(20s);
    REQUIRE(scene.deactivated() == 1);
    const auto told = scene.lamp.notifies.size();
    scene.lamp.refresh(3600);
    scene.world.run(1s);
    CHECK(scene.lamp.status == 481);
    scene.centre.alive = true;
    scene.busy = true;
    scene.centre.tell_lamps();
    scene.world.run(3s);
    CHECK(scene.centre.notified[481] == 1);
    CHECK(scene.centre.watchers() == 0);
    CHECK(scene.lamp.notifies.size() == told);
}

TEST_CASE("a lamp of which the centre that is back speaks before its turn stays with the centre") {
    Served scene([](auto& settings) { settings.centre_times.hold_down = 1s; });
    for (int i = 0; i < 400; ++i) scene.lamp.subscribe("dialog", 3600);
    scene.world.run(2s);
    scene.centre.alive = false;
    REQUIRE(scene.world.run_until([&] { return scene.trento.mode() == "island"; }, 10s));
    scene.centre.alive = true;
    REQUIRE(scene.world.run_until([&] { return scene.trento.mode() == "central"; }, 5s));
    const auto before = scene.deactivated();
    CHECK(before < 350);
    scene.centre.tell_lamps(true);
    scene.world.run(60s);
    CHECK(scene.deactivated() <= before + 10);
    CHECK(scene.centre.watchers() >= 350 - before);
}

TEST_CASE("when the centre dies its lamps are told over some seconds, not more than 50 in one") {
    Served scene;
    for (int i = 0; i < 300; ++i) scene.lamp.subscribe("dialog", 3600);
    scene.world.run(2s);
    REQUIRE(scene.lamp.notifies.size() == 300);
    scene.centre.alive = false;
    REQUIRE(scene.world.run_until([&] { return scene.trento.mode() == "island"; }, 10s));
    const auto begin = scene.world.now.steady;
    scene.world.run(14s);
    CHECK(scene.deactivated() == 300);
    for (auto at = begin; at < begin + 14s; at += 100ms) CHECK(scene.deactivated(at, at + 1s) <= 51);
    CHECK(scene.deactivated(begin, begin + 2s) > 0);
    CHECK(scene.deactivated(begin + 6s, begin + 12s) > 0);
}

TEST_CASE("a lamp that does not hear that the centre is dead is told again, until its subscription is over") {
    Served scene;
    scene.lamp.subscribe("dialog", 300);
    scene.world.run(1s);
    scene.lamp.notify_status = 0;
    scene.centre.alive = false;
    scene.world.run(50s);
    const auto heard = scene.lamp.notifies.size();
    CHECK(scene.deactivated() >= 1);
    scene.lamp.notify_status = 200;
    scene.world.run(30s);
    CHECK(scene.lamp.notifies.size() == heard + 1);
    scene.world.run(5min);
    CHECK(scene.lamp.notifies.size() == heard + 1);
}

TEST_CASE("a lamp that would be refused here, has ended, or is over is not told that the centre is dead") {
    {
        Served scene;
        scene.lamp.subscribe("dialog", 3600, "sip:parking-lot@acme.example");
        scene.lamp.subscribe("message-summary", 3600, "sip:bob@acme.example");
        scene.lamp.subscribe("reg", 3600, "sip:bob@acme.example");
        scene.lamp.subscribe("dialog", 30);
        scene.lamp.subscribe("dialog", 3600);
        scene.world.run(1s);
        scene.lamp.refresh(0);
        scene.world.run(30s);
        CHECK(scene.lamp.notifies.size() == 6);
        scene.centre.alive = false;
        scene.world.run(30s);
        CHECK(scene.deactivated() == 0);
    }
    Served scene;  // and one whose phone says that there is no such subscription
    scene.lamp.notify_status = 481;
    scene.lamp.subscribe("dialog", 3600);
    scene.world.run(1s);
    CHECK(scene.centre.notified[481] == 1);
    scene.centre.alive = false;
    scene.world.run(30s);
    CHECK(scene.deactivated() == 0);
}

namespace {

/// Lamps whose centre is away for long enough to have restarted, and not for so long that it is lost.
struct Lapsed : Served {
    explicit Lapsed(unsigned count) {
        for (unsigned i = 0; i < count; ++i) lamp.subscribe("dialog", 3600);
        world.run(2s);
        REQUIRE(lamp.notifies.size() == count);
        REQUIRE(centre.watchers() == count);
    }
    void away() {
        const auto before = centre.probes;
        REQUIRE(world.run_until([&] { return centre.probes > before; }, 3s));
        world.run(100ms);
        centre.alive = false;
        world.run(3500ms);
        REQUIRE(trento.mode() == "central");
    }
    void back() {
        const auto before = centre.probes;
        centre.alive = true;
        REQUIRE(world.run_until([&] { return centre.probes > before; }, 1s));
        world.run(100ms);
    }
};

}  // namespace

TEST_CASE("a lamp whose centre has restarted, too soon to be lost, and forgotten it is told so, and subscribes there anew") {
    Lapsed scene(1);
    scene.away();
    scene.centre.forget();
    scene.back();
    REQUIRE(scene.world.run_until([&] { return scene.deactivated() == 1; }, 5s));
    scene.lamp.subscribe("dialog", 3600);
    scene.world.run(1min);
    CHECK(scene.lamp.status == 200);
    CHECK(scene.trento.mode() == "central");
    CHECK(scene.centre.watchers() == 1);
    CHECK(scene.deactivated() == 1);
    CHECK(scene.centre.out_of_order == 0);
}

TEST_CASE("a lamp whose centre was away and has not forgotten it is left in peace") {
    Lapsed scene(30);
    scene.away();
    scene.back();
    scene.world.run(1min);
    CHECK(scene.lamp.notifies.size() == 30);
    CHECK(scene.centre.watchers() == 30);
    CHECK(scene.centre.out_of_order == 3);
    scene.busy = true;
    scene.centre.tell_lamps();
    scene.world.run(1s);
    CHECK(scene.lamp.notifies.size() == 60);
    CHECK(scene.centre.notified[200] == 60);
}

TEST_CASE("lamps of a centre that has forgotten all are told over some seconds, not more than 50 in one, but no new ones") {
    Lapsed scene(300);
    scene.away();
    scene.centre.forget();
    scene.back();
    const auto begin = scene.world.now.steady;
    scene.lamp.subscribe("dialog", 3600);
    scene.world.run(14s);
    CHECK(scene.deactivated() == 300);
    for (auto at = begin; at < begin + 14s; at += 100ms) CHECK(scene.deactivated(at, at + 1s) <= 51);
    CHECK(scene.deactivated(begin, begin + 2s) > 0);
    CHECK(scene.deactivated(begin + 6s, begin + 12s) > 0);
    CHECK(scene.centre.watchers() == 1);
}

TEST_CASE("where a centre remembers one of its lamps only those are told of which it says that it does not") {
    Lapsed scene(3);
    scene.away();
    scene.centre.forget_lamp();
    scene.back();
    scene.world.run(1min);
    CHECK(scene.deactivated() == 1);
    CHECK(scene.centre.watchers() == 2);
}

TEST_CASE("a centre that does not say whether it has forgotten its lamps moves none, and one that then dies moves each once") {
    Lapsed scene(5);
    scene.away();
    SECTION("it wants a password") {
        scene.centre.lamp = {};
        scene.centre.subscribe_status = GENERATE(401, 403, 404, 405, 503);
        scene.back();
        scene.world.run(1min);
        CHECK(scene.deactivated() == 0);
    }
    SECTION("it falls silent again, and is lost") {
        scene.centre.forget();
        const auto before = scene.centre.probes;
        scene.centre.alive = true;
        REQUIRE(scene.world.run_until([&] { return scene.centre.probes > before; }, 1s));
        scene.world.run(20ms);
        scene.centre.alive = false;
        scene.world.run(30s);
        CHECK(scene.trento.mode() == "island");
        CHECK(scene.deactivated() == 5);
    }
}

TEST_CASE("after a restart of meshd the lamps that the centre serves are known, and are told when it dies") {
    Served scene;
    scene.lamp.subscribe("dialog;id=7", 3600);
    scene.world.run(1s);
    auto kept = scene.trento.proxy.take_lamps();
    REQUIRE(kept.size() == 1);
    scene.busy = true;
    scene.centre.tell_lamps();
    scene.world.run(1s);
    CHECK(scene.trento.proxy.take_lamps().empty());  // only its number is another
    const auto last = scene.lamp.notifies.back().message;
    const auto phones = scene.trento.proxy.saved("alice@acme.example", scene.world.now);
    const auto value = kept.begin()->second;
    kept["lamp:nonsense"] = net::copy(net::as_bytes("nonsense"));
    kept["lamp:twice"] = value;
    kept["mail:"] = value;
    Office again(scene.world, scene.roster, "trento", 1, scene.centre_at);
    again.proxy.restore(phones, scene.world.now);
    SECTION("but not those that are over meanwhile") {
        auto later = scene.world.now;
        later.wall += 1h;
        again.proxy.restore_lamps(kept, later);
        CHECK(again.proxy.centre_subscriptions() == 0);
        CHECK(again.proxy.take_lamps().size() == 3);
    }
    SECTION("and asked for when the centre answers, which may have forgotten them too") {
        const bool forgets = GENERATE(true, false);
        if (forgets) scene.centre.forget();
        again.proxy.restore_lamps(kept, scene.world.now);
        scene.world.run(20s);
        CHECK(again.mode() == "central");
        CHECK(scene.deactivated() == (forgets ? 1 : 0));
        CHECK(scene.centre.out_of_order == (forgets ? 0 : 1));
    }
    SECTION("and no other") {
        again.proxy.restore_lamps(kept, scene.world.now);
        CHECK(again.proxy.centre_subscriptions() == 1);
        CHECK(again.proxy.take_lamps().size() == 2);
        scene.centre.alive = false;
        scene.world.run(20s);
        REQUIRE(scene.deactivated() == 1);
        const auto& told = scene.lamp.notifies.back().message;
        CHECK(told.call_id() == last.call_id());
        CHECK(told.from().text() == last.from().text());
        CHECK(told.to().text() == last.to().text());
        CHECK(told.uri().text() == last.uri().text());
        CHECK(told.cseq().number > last.cseq().number);
        CHECK(told.get("Event") == "dialog;id=7");
        CHECK(told.via_count() == 1);
        const auto gone = again.proxy.take_lamps();
        REQUIRE(gone.size() == 1);
        CHECK(gone.begin()->second.empty());
        scene.lamp.subscribe("dialog", 3600);
        scene.world.run(1s);
        CHECK(scene.lamp.status == 200);
        CHECK(again.proxy.subscriptions() == 1);
    }
}

TEST_CASE("a lamp that the centre serves is written down when it begins, is refreshed and is over") {
    Served scene;
    scene.lamp.subscribe("dialog", 3600);
    scene.world.run(1s);
    const auto begun = scene.trento.proxy.take_lamps();
    REQUIRE(begun.size() == 1);
    CHECK_FALSE(begun.begin()->second.empty());
    scene.world.run(10min);
    CHECK(scene.trento.proxy.take_lamps().empty());
    scene.lamp.register_now();
    scene.world.run(1s);
    scene.lamp.refresh(3600);
    scene.world.run(1s);
    const auto refreshed = scene.trento.proxy.take_lamps();
    REQUIRE(refreshed.size() == 1);
    CHECK(refreshed.begin()->first == begun.begin()->first);
    CHECK_FALSE(refreshed.begin()->second.empty());
    scene.lamp.refresh(0);
    scene.world.run(1s);
    CHECK(scene.trento.proxy.take_lamps() == std::map<std::string, net::Bytes>{{begun.begin()->first, {}}});
}

TEST_CASE("of the centre's subscriptions no more than 8000 are remembered, until they are over") {
    Served scene;
    scene.roster.add_user("alice", "trento", "secret");
    voice::ProxySettings settings;
    settings.node = "trento";
    settings.domain = "acme.example";
    settings.centre = voice::Centre{voice::Transport::udp, scene.centre_at};
    voice::Exchange exchange(settings, scene.trento, scene.world.random, scene.world.now);
    const voice::Credentials credentials(exchange);
    voice::CentreLamps lamps(exchange, credentials);
    const auto text = "NOTIFY sip:alice@10.1.0.40 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.1;branch=z9hG4bKx\r\n"
                      "From: <sip:bob@acme.example>;tag=c\r\nTo: <sip:alice@acme.example>;tag=a\r\nCall-ID: 0\r\n"
                      "CSeq: 1 NOTIFY\r\nEvent: dialog\r\nSubscription-State: active;expires=600\r\nContent-Length: 0\r\n\r\n";
    auto notify = *Message::parse(net::as_bytes(text));
    voice::Target target;
    target.flow = {voice::Transport::udp, scene.trento.lan(), scene.trento.phone(40), 0, voice::Side::phone};
    target.uri = notify.uri();
    auto now = scene.world.now;
    for (unsigned i = 0; i < voice::CentreLamps::kMost + 5; ++i) {
        notify.set("Call-ID", std::to_string(i));
        lamps.passing(notify, target, now);
    }
    CHECK(lamps.serving() == voice::CentreLamps::kMost);
    CHECK(lamps.dropped() == 5);
    now.steady += 601s;
    lamps.tick(now);
    CHECK(lamps.serving() == 0);
    CHECK(lamps.next_deadline() == net::kNever);
}

TEST_CASE("who watches his own messages is told as soon as one more waits, or less") {
    for (const bool with_centre : {true, false}) {
        Lamps scene(with_centre);
        scene.roster.add_user("erin", "trento", "secret");
        Phone erin(scene.world, "erin", scene.trento.phone(50), scene.trento.lan());
        erin.register_now();
        scene.world.run(1s);
        scene.alice.message_status = 480;
        scene.lamp.message_status = 480;
        scene.lamp.subscribe("message-summary", 3600, "sip:alice@acme.example");
        scene.lamp.subscribe("dialog", 3600, "sip:alice@acme.example");
        scene.world.run(1s);
        REQUIRE(scene.lamp.notifies.size() == 2);
        const auto summary = [&]() -> std::string {
            for (auto at = scene.lamp.notifies.rbegin(); at != scene.lamp.notifies.rend(); ++at) {
                if (at->event == "message-summary") return at->body;
            }
            return {};
        };
        CHECK(has(summary(), "Messages-Waiting: no"));
        erin.send("MESSAGE", "sip:alice@acme.example", "one");
        CHECK(scene.world.run_until([&] { return has(summary(), "Messages-Waiting: yes"); }, 2s));
        erin.send("MESSAGE", "sip:alice@acme.example", "two");
        scene.world.run(2s);
        CHECK(scene.lamp.notifies.size() == 4);
        CHECK(has(summary(), "2/0"));
        scene.alice.message_status = 200;
        CHECK(scene.world.run_until([&] { return has(summary(), "Messages-Waiting: no"); }, 1min));
        scene.world.run(5s);
        CHECK(scene.lamp.notifies.size() <= 6);
    }
}

TEST_CASE("a user who leaves the mesh is watched no longer") {
    Lamps scene(false);
    scene.lamp.subscribe("presence", 3600);
    scene.world.run(1s);
    scene.roster.users.erase("bob@acme.example");
    scene.lamp.refresh(3600);
    scene.world.run(1s);
    CHECK(scene.lamp.notifies.back().state == "terminated;reason=noresource");
    CHECK(scene.trento.proxy.subscriptions() == 0);
}

TEST_CASE("an office that is out of reach says nothing of its calls any more, and does so again when it is back") {
    Lamps scene(false);
    scene.lamp.subscribe("dialog", 3600);
    scene.world.run(1s);
    scene.carol.call("sip:bob@acme.example");
    scene.world.run(3s);
    CHECK(has(scene.lamp.notifies.back().body, "confirmed"));
    scene.world.cut.insert(scene.munich.overlay_address());
    scene.world.run(2s);
    CHECK(has(scene.lamp.notifies.back().body, "terminated"));
    scene.world.cut.clear();
    scene.world.run(2s);
    CHECK(has(scene.lamp.notifies.back().body, "confirmed"));
}

TEST_CASE("only nodes with phones are told of calls") {
    Lamps scene(false);
    const auto send = [&](const voice::Flow& flow) {
        const auto text = "SUBSCRIBE sip:bob@acme.example SIP/2.0\r\nVia: SIP/2.0/UDP " + flow.remote.text() + ";branch=z9hG4bKx\r\n"
                          "Max-Forwards: 70\r\nFrom: <sip:meshd@" + flow.remote.text() + ">;tag=1\r\nTo: <sip:bob@acme.example>\r\n"
                          "Call-ID: 1\r\nCSeq: 1 SUBSCRIBE\r\nContact: <sip:meshd@" + flow.remote.text() + ">\r\n"
                          "Event: x-meshd-calls\r\nExpires: 90\r\nContent-Length: 0\r\n\r\n";
        scene.munich.receive(flow, net::as_bytes(text), scene.world.now);
        std::string out;
        for (const auto& sent : scene.munich.proxy.take_outgoing()) out += std::string(net::as_text(sent.bytes));
        return out;
    };
    const net::Endpoint overlay{scene.munich.overlay_address(), 5080, 0};
    CHECK(has(send({voice::Transport::udp, overlay, {scene.london.overlay_address(), 5080, 0}, 0, voice::Side::mesh}), "NOTIFY"));
    const auto phone = send({voice::Transport::udp, scene.munich.lan(), scene.munich.phone(99), 0, voice::Side::phone});
    CHECK_FALSE(has(phone, "NOTIFY"));
}
