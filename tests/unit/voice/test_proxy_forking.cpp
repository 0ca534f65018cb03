#include <catch2/catch.hpp>

#include "desks.hpp"

using namespace test;

TEST_CASE("several phones of one user in several offices ring together, the first answer wins, the others stop") {
    Scene scene;
    scene.roster.add_user("bob", "london");
    Phone desk(scene.world, "bob", scene.munich.phone(20), scene.munich.lan());
    Phone away(scene.world, "bob", scene.london.phone(20), scene.london.lan());
    desk.register_now();
    away.register_now();
    scene.register_all();
    scene.centre.alive = false;
    scene.world.run(10s);
    scene.bob.manner = Phone::Manner::rings;
    desk.manner = Phone::Manner::rings;
    away.answer_after = 1s;
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(4s);
    CHECK(scene.alice.in_call());
    CHECK(away.in_call());
    for (auto* phone : {&scene.bob, &desk}) {
        CHECK(phone->count("INVITE") == 1);
        CHECK(phone->count("CANCEL") == 1);
        CHECK_FALSE(phone->in_call());
    }
    scene.alice.hang_up();
    scene.world.run(2s);
    CHECK(scene.quiet());
}

TEST_CASE("one phone that declines ends the call for all of them") {
    Scene scene;
    Phone desk(scene.world, "bob", scene.munich.phone(20), scene.munich.lan());
    desk.register_now();
    scene.register_all();
    scene.centre.alive = false;
    scene.world.run(10s);
    scene.bob.manner = Phone::Manner::rings;
    desk.manner = Phone::Manner::declines;
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(2s);
    CHECK(scene.alice.last("INVITE") == 603);
    CHECK(scene.bob.count("CANCEL") == 1);
    CHECK(scene.quiet());
}

TEST_CASE("two phones that answer in the same moment end as one call") {
    Scene scene;
    Phone desk(scene.world, "bob", scene.munich.phone(20), scene.munich.lan());
    desk.register_now();
    scene.register_all();
    scene.centre.alive = false;
    scene.world.run(10s);
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(4s);
    CHECK(scene.alice.in_call());
    CHECK(scene.bob.in_call() != desk.in_call());
    scene.alice.hang_up();
    scene.world.run(2s);
    CHECK(scene.quiet());
}

TEST_CASE("phones that stop ringing as another has answered are told so, and show no missed call") {
    for (const bool alive : {true, false}) {
        CAPTURE(alive);
        Desks scene;
        scene.roster.add_user("gus", "london");
        DeskPhone second(scene.world, "gus", scene.munich.phone(31), scene.munich.lan());
        DeskPhone away(scene.world, "gus", scene.london.phone(33), scene.london.lan());
        scene.register_desks();
        for (auto* phone : {&second, &away}) phone->register_now();
        scene.world.run(1s);
        if (!alive) scene.kill_centre();
        for (auto* phone : {&scene.gus, &second}) phone->answers = false;
        away.answer_after = 1s;
        const auto line = scene.fay.call("sip:gus@acme.example");
        scene.world.run(3s);
        CHECK(scene.fay.up(line));
        CHECK(away.up(0));
        for (auto* phone : {&scene.gus, &second}) {
            REQUIRE(phone->count("CANCEL") == 1);
            CHECK(phone->latest("CANCEL")->get("Reason") == "SIP;cause=200;text=\"Call completed elsewhere\"");
        }
        away.hang_up(0);
        scene.world.run(2s);
        CHECK(scene.quiet());
    }
}

TEST_CASE("why a caller gives up is passed on to the phones that ring") {
    for (const bool alive : {true, false}) {
        CAPTURE(alive);
        Desks scene;
        scene.register_desks();
        if (!alive) scene.kill_centre();
        scene.gus.answers = false;
        const auto line = scene.fay.call("sip:gus@acme.example");
        scene.world.run(2s);
        scene.fay.cancel(line, "Q.850;cause=16");
        scene.world.run(2s);
        REQUIRE(scene.gus.count("CANCEL") == 1);
        if (!alive) CHECK(scene.gus.latest("CANCEL")->get("Reason") == "Q.850;cause=16");
        CHECK(scene.quiet());
    }
}

TEST_CASE("two phones in one office that the centre forks to: one is busy, the other's call is anchored and stays") {
    for (const bool busy_first : {true, false}) {
        CAPTURE(busy_first);
        Desks scene;
        DeskPhone second(scene.world, "gus", scene.munich.phone(31), scene.munich.lan());
        scene.register_desks();
        second.register_now();
        scene.world.run(1s);
        auto& busy = busy_first ? scene.gus : second;
        auto& other = busy_first ? second : scene.gus;
        busy.answers = false;
        other.answer_after = 1s;
        const auto line = scene.fay.call("sip:gus@acme.example");
        scene.world.run(500ms);
        busy.refuse(0, 486);
        scene.world.run(3s);
        CHECK(scene.fay.up(line));
        CHECK(other.up(0));
        CHECK(other.count("INVITE") == 1);
        REQUIRE(scene.munich.proxy.calls().size() == 1);
        CHECK(scene.munich.proxy.calls().front().state == "up");
        CHECK(other.heard_sdp.find("c=IN IP4 10.2.0.1") != std::string::npos);
        REQUIRE(scene.munich.relays.size() == 1);
        CHECK(scene.munich.relays.begin()->second[0].rtp.address == other.at.address);
        scene.kill_centre();
        other.hang_up(0);
        scene.world.run(2s);
        CHECK_FALSE(scene.fay.up(line));
        CHECK(scene.quiet());
    }
}

TEST_CASE("two phones in one office that the centre forks to and that answer at once: one call, and its media, stays") {
    Desks scene;
    DeskPhone second(scene.world, "gus", scene.munich.phone(31), scene.munich.lan());
    scene.register_desks();
    second.register_now();
    scene.world.run(1s);
    const auto line = scene.fay.call("sip:gus@acme.example");
    scene.world.run(4s);
    REQUIRE(scene.fay.up(line));
    CHECK(scene.gus.lines_up() + second.lines_up() >= 1);
    auto& winner = scene.fay.latest("INVITE", 200)->to_tag() == scene.gus.latest("ACK")->to_tag() ? scene.gus : second;
    REQUIRE(scene.munich.proxy.calls().size() == 1);
    CHECK(scene.munich.relays.begin()->second[0].rtp.address == winner.at.address);
    scene.fay.hang_up(line);
    scene.world.run(2s);
    CHECK_FALSE(winner.up(0));
}

TEST_CASE("the best of several refusals is passed on, with every challenge (RFC 3261 16.7)") {
    struct Case {
        int first, second, best;
    };
    for (const auto& [first, second, best] : {Case{486, 503, 486}, {408, 486, 486}, {404, 407, 407}, {302, 486, 302}, {486, 603, 603},
                                             {500, 503, 500}, {503, 503, 500}, {407, 401, 407}}) {
        CAPTURE(first, second);
        Desks scene;
        scene.roster.add_user("gus", "london");
        DeskPhone away(scene.world, "gus", scene.london.phone(33), scene.london.lan());
        scene.register_desks();
        away.register_now();
        scene.world.run(1s);
        scene.kill_centre();
        scene.gus.answers = away.answers = false;
        scene.fay.call("sip:gus@acme.example");
        scene.world.run(1s);
        const auto challenge = [](int status, const std::string& realm) {
            DeskPhone::Headers headers;
            if (status == 407) headers.emplace_back("Proxy-Authenticate", "Digest realm=\"" + realm + "\", nonce=\"x\"");
            if (status == 401) headers.emplace_back("WWW-Authenticate", "Digest realm=\"" + realm + "\", nonce=\"x\"");
            return headers;
        };
        scene.gus.refuse(0, first, challenge(first, "one"));
        scene.world.run(500ms);
        CHECK(scene.fay.count("INVITE", first) == 0);
        away.refuse(0, second, challenge(second, "two"));
        scene.world.run(500ms);
        CHECK(scene.fay.count("INVITE", best) == 1);
        if (first == 407) {
            const auto* answer = scene.fay.latest("INVITE", 407);
            REQUIRE(answer != nullptr);
            CHECK(answer->count("Proxy-Authenticate") == 1);
            CHECK(answer->count("WWW-Authenticate") == 1);
        }
        scene.world.run(40s);
    }
}

TEST_CASE("a late answer of another phone is acknowledged and ended, with a tenth of all packets lost") {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        CAPTURE(seed);
        Desks scene(seed);
        scene.roster.add_user("gus", "london");
        DeskPhone away(scene.world, "gus", scene.london.phone(33), scene.london.lan());
        scene.register_desks();
        away.register_now();
        scene.world.run(1s);
        scene.kill_centre();
        scene.world.lost_percent = 10;
        const auto line = scene.fay.call("sip:gus@acme.example");
        CHECK(scene.world.run_until([&] { return scene.fay.up(line); }, 40s));
        scene.world.run(40s);
        CHECK(scene.gus.lines_up() + away.lines_up() == 1);
        scene.fay.hang_up(line);
        scene.world.run(40s);
        CHECK(scene.gus.lines_up() + away.lines_up() == 0);
        CHECK(scene.quiet());
    }
}
