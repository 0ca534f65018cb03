#include <algorithm>

#include <catch2/catch.hpp>

#include "desks.hpp"

using namespace test;

namespace {

/// When the centre dies, as a call sees it.
enum class Dies { never, unnoticed, known };
constexpr auto kDeaths = {Dies::never, Dies::unnoticed, Dies::known};

void kill(Desks& scene, Dies when) {
    if (when != Dies::never) scene.kill_centre(when == Dies::unnoticed);
}

struct Connected : Desks {
    explicit Connected(Dies when, std::uint64_t seed = 1) : Desks(seed) {
        register_desks();
        line = fay.call("sip:gus@acme.example");
        world.run(3s);
        REQUIRE(fay.up(line));
        REQUIRE(gus.up(0));
        kill(*this, when);
    }
    DeskPhone::LineId line = 0;
};

}  // namespace

TEST_CASE("hold and resume work from either side, whatever becomes of the centre") {
    for (const auto when : kDeaths) {
        CAPTURE(static_cast<int>(when));
        Connected scene(when);
        for (auto* phone : {&scene.fay, &scene.gus}) {
            auto& other = phone == &scene.fay ? scene.gus : scene.fay;
            const auto acknowledged = other.count("ACK");
            phone->hold(0);
            scene.world.run(2s);
            CHECK(phone->last("INVITE") == 200);
            CHECK(other.heard_sdp.find("a=sendonly") != std::string::npos);
            CHECK(phone->heard_sdp.find("a=recvonly") != std::string::npos);
            phone->resume(0);
            scene.world.run(2s);
            CHECK(other.heard_sdp.find("a=sendrecv") != std::string::npos);
            CHECK(other.count("ACK") >= acknowledged + 2);
        }
        REQUIRE(scene.trento.relays.size() == 1);
        CHECK(scene.trento.relays.begin()->second[1].rtp.address == scene.munich.overlay_address());
        CHECK(scene.munich.relays.begin()->second[1].rtp.address == scene.trento.overlay_address());
        scene.gus.hang_up(0);
        scene.world.run(2s);
        CHECK(scene.gus.last("BYE") == 200);
        CHECK_FALSE(scene.fay.up(0));
        CHECK(scene.quiet());
    }
}

TEST_CASE("UPDATE, INFO and MESSAGE within a call reach the other phone, and only its") {
    for (const auto when : kDeaths) {
        CAPTURE(static_cast<int>(when));
        Connected scene(when);
        scene.gus.offer(0, "UPDATE", "sendonly");
        scene.fay.send(0, "INFO", {{"Content-Type", "application/dtmf-relay"}}, "Signal=5\r\nDuration=160\r\n");
        scene.fay.send(0, "MESSAGE", {}, "hello");
        scene.world.run(3s);
        CHECK(scene.gus.last("UPDATE") == 200);
        CHECK(scene.fay.heard_sdp.find("a=sendonly") != std::string::npos);
        CHECK(scene.fay.last("INFO") == 200);
        CHECK(scene.fay.last("MESSAGE") == 200);
        REQUIRE(scene.gus.count("INFO") == 1);
        CHECK(scene.gus.latest("INFO")->body() == "Signal=5\r\nDuration=160\r\n");
        scene.fay.hang_up(0);
        scene.world.run(2s);
        CHECK_FALSE(scene.gus.up(0));
        CHECK(scene.quiet());
    }
}

TEST_CASE("BYE from either side ends the call at once, in whatever second after the centre's death") {
    for (const bool caller : {true, false}) {
        for (unsigned after_ms = 0; after_ms <= 6000; after_ms += 500) {
            CAPTURE(caller, after_ms);
            Connected scene(Dies::never);
            scene.kill_centre(true);
            scene.world.run(std::chrono::milliseconds(after_ms));
            auto& first = caller ? scene.fay : scene.gus;
            auto& other = caller ? scene.gus : scene.fay;
            first.hang_up(0);
            scene.world.run(1s);
            CHECK_FALSE(other.up(0));
            scene.world.run(2s);
            CHECK(first.last("BYE") == 200);
            CHECK(other.count("BYE") == 1);
            scene.world.run(40s);
            CHECK(scene.quiet());
        }
    }
}

TEST_CASE("a reliable provisional answer is acknowledged past a dead centre, and the call then answered") {
    for (const auto when : kDeaths) {
        CAPTURE(static_cast<int>(when));
        Desks scene;
        scene.register_desks();
        scene.gus.reliable = true;
        scene.gus.answers = false;
        const auto line = scene.fay.call("sip:gus@acme.example");
        if (when == Dies::unnoticed) {  // the 183 has passed, its PRACK meets the dead centre
            REQUIRE(scene.world.run_until([&] { return scene.fay.count("INVITE", 183) == 1; }));
        } else {
            scene.world.run(2s);
            REQUIRE(scene.gus.count("PRACK") == 1);
        }
        kill(scene, when);
        scene.world.run(2s);
        CHECK(scene.gus.count("PRACK") == 1);
        CHECK(scene.fay.last("PRACK") == 200);
        CHECK(scene.fay.heard_sdp.find("c=IN IP4 10.1.0.1") != std::string::npos);
        scene.fay.offer(line, "UPDATE", "sendonly");  // early media on hold
        scene.world.run(8s);
        CHECK(scene.fay.last("UPDATE") == 200);
        scene.gus.pick_up(0);
        scene.world.run(3s);
        CHECK(scene.fay.up(line));
        CHECK(scene.gus.count("ACK") >= 1);
        CHECK(scene.gus.count("INVITE") == 1);
        scene.gus.hang_up(0);
        scene.world.run(40s);
        CHECK_FALSE(scene.fay.up(line));
        CHECK(scene.quiet());
    }
}

TEST_CASE("session refreshes keep a call past the centre's death, whoever refreshes and by whichever method") {
    for (const auto* refresher : {"uac", "uas"}) {
        for (const auto* method : {"UPDATE", "INVITE"}) {
            CAPTURE(refresher, method);
            Desks scene;
            scene.register_desks();
            scene.fay.session_expires_s = 90;
            scene.fay.refresher = refresher;
            scene.fay.refreshes_by = scene.gus.refreshes_by = method;
            const auto line = scene.fay.call("sip:gus@acme.example");
            scene.world.run(3s);
            REQUIRE(scene.fay.up(line));
            scene.kill_centre(true);
            for (unsigned i = 0; i < 30; ++i) {
                scene.trento.media_packets += 100;
                scene.munich.media_packets += 100;
                scene.world.run(10s);
            }
            CHECK(scene.fay.up(line));
            CHECK(scene.gus.up(0));
            auto& active = std::string_view(refresher) == "uac" ? scene.fay : scene.gus;
            CHECK(active.count(method, 200) >= 6);
            active.hang_up(0);
            scene.world.run(3s);
            CHECK(scene.quiet());
        }
    }
}

TEST_CASE("a phone that vanishes in a call is missed by the other's session timer, and the call ends everywhere") {
    Desks scene;
    scene.register_desks();
    scene.fay.session_expires_s = 90;
    const auto line = scene.fay.call("sip:gus@acme.example");
    scene.world.run(3s);
    REQUIRE(scene.fay.up(line));
    scene.kill_centre();
    scene.world.cut.insert(scene.fay.at.address);
    for (unsigned i = 0; i < 12; ++i) {
        scene.munich.media_packets += 100;
        scene.world.run(10s);
    }
    CHECK_FALSE(scene.gus.up(0));
    scene.world.run(60s);
    CHECK(scene.quiet());
}

TEST_CASE("a caller who gives up while the centre dies leaves nothing ringing, in whatever second he does") {
    for (const bool at_centre : {true, false}) {
        for (unsigned after_ms = 0; after_ms <= 8000; after_ms += 500) {
            CAPTURE(at_centre, after_ms);
            Desks scene;
            scene.register_desks();
            scene.gus.answers = false;
            if (!at_centre) scene.kill_centre(true);
            const auto line = scene.fay.call("sip:gus@acme.example");
            scene.world.run(2s);
            REQUIRE(scene.fay.last("INVITE") == 180);
            if (at_centre) scene.kill_centre(true);
            scene.world.run(std::chrono::milliseconds(after_ms));
            scene.fay.cancel(line);
            scene.world.run(3s);
            CHECK(scene.fay.last("INVITE") == 487);
            CHECK(scene.gus.count("INVITE") == 1);
            CHECK(scene.gus.count("CANCEL") == 1);
            scene.world.run(40s);
            CHECK(scene.gus.count("INVITE") == 1);
            CHECK(scene.quiet());
        }
    }
}

TEST_CASE("requests within a call get through with a tenth of all packets lost, past a dead centre too") {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        CAPTURE(seed);
        Connected scene(Dies::never, seed);
        scene.world.lost_percent = 10;
        if (seed % 2 == 0) scene.kill_centre(true);
        scene.gus.hold(0);
        scene.world.run(20s);
        CHECK(scene.gus.last("INVITE") == 200);
        scene.fay.send(0, "INFO", {{"Content-Type", "application/dtmf-relay"}}, "Signal=5\r\n");
        scene.world.run(20s);
        CHECK(scene.fay.last("INFO") == 200);
        scene.fay.hang_up(0);
        scene.world.run(40s);
        CHECK_FALSE(scene.gus.up(0));
        CHECK(scene.quiet());
    }
}

TEST_CASE("the route of a call is told in the spelling that every phone reads") {
    Desks scene;
    scene.register_desks();
    scene.gus.spells_record_route = "record-Route";
    scene.fay.call("sip:gus@acme.example");
    scene.world.run(3s);
    REQUIRE(scene.fay.latest("INVITE", 200) != nullptr);
    const auto text = scene.fay.latest("INVITE", 200)->to_text();
    CHECK(text.find("\r\nRecord-Route: ") != std::string::npos);
    CHECK(text.find("record-Route") == std::string::npos);
    CHECK(scene.fay.latest("INVITE", 200)->record_routes().size() == 5);
}

TEST_CASE("a phone whose program ends while it rings, or while it calls, is missed within seconds") {
    for (const bool caller : {true, false}) {
        for (const bool alive : {true, false}) {
            CAPTURE(caller, alive);
            Desks scene;
            scene.register_desks();
            if (!alive) scene.kill_centre();
            scene.ring(scene.fay, scene.gus, "gus");
            const auto pings = scene.world.seen("\r\n\r\n");
            scene.world.run(5s);
            REQUIRE(scene.world.seen("\r\n\r\n") == pings + 2);  // one to either phone
            auto& dead = caller ? scene.fay : scene.gus;
            auto& office = caller ? scene.trento : scene.munich;
            office.proxy.flow_failed({voice::Transport::udp, office.lan(), dead.at, 0, voice::Side::phone}, voice::FlowFailure::unreachable,
                                     scene.world.now);
            scene.world.run(1s);
            if (caller) {
                CHECK(scene.gus.count("CANCEL") == 1);
            } else {
                CHECK(scene.fay.last("INVITE") == 480);
                CHECK(scene.fay.count("INVITE", 480) == 1);
            }
            CHECK(scene.quiet());
        }
    }
}

TEST_CASE("a centre that flaps is left alone twice as long each time, as set, and a call goes on through all of it") {
    Desks scene(1, [](auto& settings) { settings.centre_times.hold_down = 10s; });
    scene.register_desks();
    const auto line = scene.fay.call("sip:gus@acme.example");
    scene.world.run(3s);
    REQUIRE(scene.fay.up(line));
    for (const auto wait : {10s, 20s, 40s}) {
        CAPTURE(wait.count());
        scene.kill_centre();
        REQUIRE(scene.trento.mode() == "island");
        scene.fay.hold(line);
        scene.world.run(1s);
        scene.centre.alive = true;
        const auto back = scene.world.now.steady;
        REQUIRE(scene.world.run_until([&] { return scene.trento.mode() == "central" && scene.munich.mode() == "central"; }, 60s));
        CHECK(scene.world.now.steady - back >= wait);
        CHECK(scene.world.now.steady - back < wait + 5s);
        scene.trento.media_packets += 100;
        scene.munich.media_packets += 100;
        scene.gus.resume(0);
        scene.world.run(2s);
        CHECK(scene.fay.last("INVITE") == 200);
        CHECK(scene.gus.last("INVITE") == 200);
        CHECK(scene.fay.up(line));
    }
    scene.gus.hang_up(0);
    scene.world.run(2s);
    CHECK_FALSE(scene.fay.up(line));
    CHECK(scene.quiet());
}

namespace {

/// What the caller would send in the call that this answer made.
voice::Message of_caller(const std::string& method, const voice::Message& answer, const net::Endpoint& at) {
    auto request = voice::Message::request(method, answer.first_address("Contact")->uri);
    request.set_from(answer.from());
    request.set_to(answer.to());
    request.set("Call-ID", answer.call_id());
    request.set("CSeq", "2147483647 " + method);
    auto routes = answer.record_routes();
    std::reverse(routes.begin(), routes.end());
    request.set_addresses("Route", routes);
    voice::Via via;
    via.host = at.address.text();
    via.port = at.port;
    via.params.set("branch", "z9hG4bK" + method + at.text());
    request.push_via(via);
    return request;
}

void arrive(Desks& scene, Office& office, const net::Endpoint& from, voice::Side side, const voice::Message& request) {
    const auto to = side == voice::Side::mesh ? net::Endpoint{office.overlay_address(), 5080, 0} : office.lan();
    office.receive({voice::Transport::udp, to, from, 0, side}, request.to_bytes(), scene.world.now);
    scene.world.flush();
    scene.world.run(2s);
}

}  // namespace

TEST_CASE("who has seen the names of a call but is neither of its ends cannot end or change it past a dead centre") {
    for (const auto* method : {"BYE", "INVITE", "INFO"}) {
        CAPTURE(method);
        Connected scene(Dies::known);
        const auto answer = *scene.fay.latest("INVITE", 200);
        const auto invites = scene.gus.count("INVITE");
        const auto stranger = scene.trento.phone(66);
        arrive(scene, scene.trento, stranger, voice::Side::phone, of_caller(method, answer, stranger));
        const net::Endpoint london{scene.london.overlay_address(), 5080, 0};
        auto by_member = of_caller(method, answer, london);
        by_member.remove("Route");
        arrive(scene, scene.munich, london, voice::Side::mesh, by_member);
        CHECK(scene.gus.up(0));
        CHECK(scene.gus.count("INVITE") == invites);
        CHECK(scene.gus.count("INFO") == 0);
        CHECK(scene.trento.proxy.calls().size() == 1);
        CHECK(scene.munich.proxy.calls().size() == 1);
        // The call still ends by its phone, whose sequence numbers are what they were.
        scene.fay.hang_up(scene.line);
        scene.world.run(2s);
        CHECK_FALSE(scene.gus.up(0));
        CHECK(scene.quiet());
    }
}

TEST_CASE("a phone that has registered by a new port goes on in its call past a dead centre") {
    Desks scene;
    scene.centre.passwords.clear();
    scene.register_desks();
    scene.fay.call("sip:gus@acme.example");
    scene.world.run(3s);
    const auto answer = *scene.fay.latest("INVITE", 200);
    const auto at = scene.trento.phone(50);
    scene.world.attach(at, scene.fay);
    auto moved = voice::Message::request("REGISTER", *voice::Uri::parse("sip:acme.example"));
    auto fay = voice::NameAddr::of(*voice::Uri::parse("sip:fay@acme.example"));
    moved.set_to(fay);
    fay.params.set("tag", "moved");
    moved.set_from(fay);
    moved.set("Call-ID", "moved");
    moved.set("CSeq", "1 REGISTER");
    moved.set_contacts({voice::NameAddr::of(voice::Uri::of("fay", scene.fay.at))});
    moved.set_expires_s(3600);
    voice::Via via;
    via.host = at.address.text();
    via.params.set("branch", "z9hG4bKmoved");
    moved.push_via(via);
    arrive(scene, scene.trento, at, voice::Side::phone, moved);
    // Who takes its call over is led to it there.
    scene.hal.call("sip:fay@acme.example", {{"Replaces", std::string(answer.call_id()) + ";to-tag=" + answer.from_tag() + ";from-tag=" + answer.to_tag()}});
    scene.world.run(2s);
    CHECK(scene.hal.last("INVITE") == 200);
    scene.kill_centre();
    arrive(scene, scene.trento, at, voice::Side::phone, of_caller("BYE", answer, at));
    CHECK_FALSE(scene.gus.up(0));
}

TEST_CASE("a BYE that names no dialog of a call that rings does not end what runs here") {
    Desks scene;
    scene.register_desks();
    scene.ring(scene.fay, scene.gus, "gus");
    auto answer = *scene.fay.latest("INVITE", 180);
    auto to = answer.to();
    to.params.set("tag", "invented");
    answer.set_to(to);
    answer.set_contacts({voice::NameAddr::of(voice::Uri::of("gus", scene.gus.at))});
    answer.set_addresses("Record-Route", scene.gus.latest("INVITE")->record_routes());
    arrive(scene, scene.trento, scene.fay.at, voice::Side::phone, of_caller("BYE", answer, scene.fay.at));
    CHECK(scene.trento.proxy.calls().size() == 1);
    CHECK(scene.munich.proxy.calls().size() == 1);
    scene.gus.pick_up(0);
    scene.world.run(2s);
    CHECK(scene.fay.up(0));
}

TEST_CASE("every reason of a CANCEL reaches the phone that rang") {
    Desks scene;
    scene.register_desks();
    scene.kill_centre();
    scene.gus.answers = false;
    const auto from_fay = [&](const std::string& method) {
        auto request = voice::Message::request(method, *voice::Uri::parse("sip:gus@acme.example"));
        request.set("From", "<sip:fay@acme.example>;tag=fay");
        request.set("To", "<sip:gus@acme.example>");
        request.set("Call-ID", "in-two-lines");
        request.set("CSeq", "1 " + method);
        request.set("Contact", "<sip:fay@" + scene.fay.at.text() + ">");
        voice::Via via;
        via.host = scene.fay.at.address.text();
        via.port = scene.fay.at.port;
        via.params.set("branch", "z9hG4bKreasons");
        request.push_via(via);
        return request;
    };
    arrive(scene, scene.trento, scene.fay.at, voice::Side::phone, from_fay("INVITE"));
    scene.world.run(2s);
    REQUIRE(scene.gus.count("INVITE") == 1);
    auto cancel = from_fay("CANCEL");
    cancel.add("Reason", "SIP;cause=200");
    cancel.add("Reason", "Q.850;cause=16");
    arrive(scene, scene.trento, scene.fay.at, voice::Side::phone, cancel);
    scene.world.run(1s);
    REQUIRE(scene.gus.count("CANCEL") == 1);
    CHECK(scene.gus.latest("CANCEL")->get("Reason") == "SIP;cause=200, Q.850;cause=16");
}

namespace {

/// A call past a dead centre; then fay's NAT gives her another port. `known`: the mesh has her password.
struct Moved : Desks {
    explicit Moved(bool known) {
        if (known) roster.add_user("fay", "trento", "secret");
        register_desks();
        line = fay.call("sip:gus@acme.example");
        world.run(3s);
        REQUIRE(fay.up(line));
        kill_centre();
        answer = *fay.latest("INVITE", 200);
        fay.at.port = 40000;
        world.attach(fay.at, fay);
    }
    /// What the answer to a forged BYE is, which `change` gives its last shape.
    int forged(const net::Endpoint& from, const std::function<void(voice::Message&)>& change = {}) {
        auto bye = of_caller("BYE", *answer, from);
        auto via = *bye.top_via();
        via.params.set("branch", "z9hG4bKforged" + std::to_string(++forgeries));
        bye.set_top_via(via);
        if (change) change(bye);
        world.attach(from, fay);  // the answer is delivered somewhere
        world.log.clear();
        arrive(*this, trento, from, voice::Side::phone, bye);
        for (const auto status : {403, 407, 481, 200}) {
            if (world.seen("SIP/2.0 " + std::to_string(status)) > 0) return status;
        }
        return 0;
    }
    DeskPhone::LineId line = 0;
    unsigned forgeries = 0;
    std::optional<voice::Message> answer;
};

}  // namespace

TEST_CASE("a phone whose NAT gives it another port in an outage goes on in its call by its password") {
    Moved scene(true);
    const auto acknowledged = scene.gus.count("ACK");
    scene.fay.hold(scene.line);
    scene.world.run(2s);
    CHECK(scene.fay.count("INVITE", 407) >= 1);
    CHECK(scene.fay.last("INVITE") == 200);
    CHECK(scene.gus.heard_sdp.find("a=sendonly") != std::string::npos);
    CHECK(scene.gus.count("ACK") == acknowledged + 1);
    CHECK_FALSE(scene.gus.latest("INVITE")->has("Proxy-Authorization"));
    scene.fay.hang_up(scene.line);
    scene.world.run(2s);
    CHECK(scene.fay.last("BYE") == 200);
    CHECK_FALSE(scene.gus.up(0));
    CHECK(scene.quiet());
}

TEST_CASE("who is behind the same NAT in an outage is asked for a password, and only for a request that fits the call") {
    Moved scene(true);
    CHECK(scene.forged(scene.fay.at) == 407);
    CHECK(scene.forged(scene.fay.at, [](auto& bye) { bye.set("CSeq", "1 BYE"); }) == 403);
    CHECK(scene.forged(scene.fay.at, [&](auto& bye) { bye.set_contacts({voice::NameAddr::of(voice::Uri::of("eve", scene.fay.at))}); }) == 403);
    CHECK(scene.forged(scene.fay.at, [&](auto& bye) {
        auto from = bye.from();
        from.uri.user = "alice";
        bye.set_from(from);
    }) == 403);
    CHECK(scene.forged(scene.trento.phone(66)) == 403);
    CHECK(scene.gus.up(0));
    CHECK(scene.trento.proxy.calls().size() == 1);
}

TEST_CASE("a phone whose NAT gives it another port, and whose password is not known here, waits until it has registered") {
    Moved scene(false);
    CHECK(scene.forged(scene.fay.at) == 403);
    CHECK(scene.gus.up(0));
}
