#include <catch2/catch.hpp>

#include "offices.hpp"

using namespace test;

TEST_CASE("in an outage a device that is not registered may call nobody") {
    Scene scene;
    scene.register_all();
    scene.centre.alive = false;
    scene.world.run(10s);
    Phone thief(scene.world, "alice", scene.trento.phone(66), scene.trento.lan());
    thief.call("sip:bob@acme.example");
    scene.world.run(2s);
    CHECK(thief.last("INVITE") == 403);
    thief.send("MESSAGE", "sip:bob@acme.example", "hello");
    scene.world.run(2s);
    CHECK(thief.last("MESSAGE") == 403);
    CHECK(scene.bob.count("INVITE") == 0);
    CHECK(scene.trento.proxy.counters().forged == 2);
}

TEST_CASE("a registered phone cannot call in another's name, neither in an outage nor by the second branch") {
    Scene scene;
    scene.register_all();
    scene.alice.from_user = "carol";
    scene.centre.alive = false;
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(4s);
    CHECK(scene.bob.count("INVITE") == 0);
    scene.world.run(40s);
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(2s);
    CHECK(scene.alice.last("INVITE") == 403);
    CHECK(scene.bob.count("INVITE") == 0);
}

TEST_CASE("a node is believed only about users who may be bound there") {
    Scene scene;
    scene.register_all();
    scene.centre.alive = false;
    scene.world.run(10s);
    // Trento's proxy lets alice through; to munich's roster she is a user of london.
    scene.roster.users["alice@acme.example"].nodes = {"london"};
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(2s);
    CHECK(scene.alice.last("INVITE") == 403);
    CHECK(scene.bob.count("INVITE") == 0);
    CHECK(scene.munich.proxy.counters().forged == 1);
}

TEST_CASE("a loop ends in one 482") {
    Scene scene;
    scene.centre.passwords.clear();
    scene.register_all();
    scene.centre.bounces = true;
    scene.alice.call("sip:nobody@acme.example");
    scene.world.run(3s);
    CHECK(scene.alice.last("INVITE") == 482);
    CHECK(scene.world.seen("SIP/2.0 482") == 3);
    CHECK(scene.quiet());
}

TEST_CASE("two nodes that each think the other has the callee end in one 482") {
    Scene scene;
    scene.register_all();
    scene.centre.alive = false;
    scene.world.run(10s);
    scene.roster.add_user("erin", "any");
    scene.trento.bound.insert("erin@acme.example");
    scene.munich.bound.insert("erin@acme.example");
    scene.alice.call("sip:erin@acme.example");
    scene.world.run(3s);
    CHECK(scene.alice.last("INVITE") == 482);
    CHECK(scene.world.seen("INVITE sip:erin@acme.example") == 2);
    CHECK(scene.world.seen("SIP/2.0 482") == 2);  // munich's, and that passed on to the phone
    CHECK(scene.quiet());
    scene.trento.bound.clear();
    scene.alice.call("sip:erin@acme.example");  // only out of date: nothing would go round
    scene.world.run(3s);
    CHECK(scene.alice.last("INVITE") == 480);
}

TEST_CASE("a request is forked no wider than its Max-Breadth, and what it has is shared out") {
    Scene scene;
    scene.register_all();
    Phone second(scene.world, "bob", scene.munich.phone(11), scene.munich.lan());
    second.register_now();
    scene.world.run(1s);
    scene.centre.alive = false;
    scene.world.run(10s);
    scene.bob.manner = second.manner = Phone::Manner::rings;
    const auto call = [&](const std::string& headers) {
        scene.world.log.clear();
        const auto text = "INVITE sip:bob@acme.example SIP/2.0\r\nVia: SIP/2.0/UDP 10.1.0.10:5060;branch=z9hG4bK" +
                          std::to_string(scene.world.random.u64()) +
                          "\r\nFrom: <sip:alice@acme.example>;tag=1\r\nTo: <sip:bob@acme.example>\r\nCall-ID: " +
                          std::to_string(scene.world.random.u64()) +
                          "\r\nCSeq: 1 INVITE\r\nContact: <sip:alice@10.1.0.10>\r\nMax-Forwards: 70\r\n" + headers +
                          "Content-Length: 0\r\n\r\n";
        scene.trento.receive({voice::Transport::udp, scene.trento.lan(), scene.alice.at, 0, voice::Side::phone},
                             net::as_bytes(text), scene.world.now);
        scene.world.run(1s);
    };
    const auto breadths = [&] {
        std::vector<std::string> out;
        for (const auto& [at, text] : scene.world.log) {
            const auto found = text.find("Max-Breadth: ");
            if (text.starts_with("INVITE")) out.push_back(found == text.npos ? "" : text.substr(found + 13, text.find('\r', found) - found - 13));
        }
        return out;
    };
    call("");
    CHECK(breadths() == std::vector<std::string>{"60", "30", "30"});
    call("Max-Breadth: 5\r\n");
    CHECK(breadths() == std::vector<std::string>{"5", "2", "2"});
    call("Max-Breadth: 1\r\n");
    CHECK(breadths() == std::vector<std::string>{"1"});
    CHECK(scene.world.seen("SIP/2.0 440") >= 2);  // nobody acknowledges here: it may come again
    call("Max-Breadth: 0\r\n");
    CHECK(breadths().empty());
    CHECK(scene.world.seen("SIP/2.0 440") >= 1);
}

TEST_CASE("a request without hops left is answered 483, and one that demands what we lack 420") {
    Scene scene;
    scene.register_all();
    const auto send = [&](std::string_view headers) {
        const auto text =
            "OPTIONS sip:bob@acme.example SIP/2.0\r\nVia: SIP/2.0/UDP 10.1.0.10:5060;branch=z9hG4bK" +
            std::to_string(scene.world.random.u64()) +
            "\r\nFrom: <sip:alice@acme.example>;tag=1\r\nTo: <sip:bob@acme.example>\r\nCall-ID: x\r\nCSeq: 1 "
            "OPTIONS\r\n" +
            std::string(headers) + "Content-Length: 0\r\n\r\n";
        scene.trento.receive({voice::Transport::udp, scene.trento.lan(), scene.alice.at, 0, voice::Side::phone},
                             net::as_bytes(text), scene.world.now);
        const auto sent = scene.trento.proxy.take_outgoing();
        return sent.empty() ? std::string() : std::string(net::as_text(sent.front().bytes)).substr(0, 11);
    };
    CHECK(send("Max-Forwards: 0\r\n") == "SIP/2.0 483");
    CHECK(send("Max-Forwards: 70\r\nProxy-Require: magic\r\n") == "SIP/2.0 420");
}

TEST_CASE("more calls than there is room for are answered 503 with Retry-After") {
    Scene scene(1, true, [](auto& settings) { settings.max_calls = 1; });
    scene.register_all();
    scene.bob.manner = Phone::Manner::rings;
    scene.carol.call("sip:bob@acme.example");
    scene.world.run(2s);
    scene.dave.call("sip:bob@acme.example");
    scene.world.run(2s);
    CHECK(scene.dave.last("INVITE") == 503);
    CHECK(scene.dave.history.back().message.retry_after_s() >= 5U);
    CHECK(scene.carol.last("INVITE") == 180);
}

TEST_CASE("who is refused for want of room is told to come back each at a time of his own") {
    enum class Want { calls, ports, bindings };
    const auto want = GENERATE(Want::calls, Want::ports, Want::bindings);
    CAPTURE(static_cast<int>(want));
    Scene scene(1, want == Want::ports, [&](auto& settings) {
        if (want == Want::calls) settings.max_calls = 0;
        if (want == Want::bindings) settings.max_bindings = 0;
    });
    if (want != Want::bindings) scene.register_all();
    scene.trento.most_relays = 0;
    std::set<std::uint32_t> times;
    for (unsigned i = 0; i < 200; ++i) {
        if (want == Want::bindings) {
            scene.alice.register_now();
        } else {
            scene.alice.call("sip:bob@acme.example");
        }
        scene.world.run(100ms);
        REQUIRE(scene.alice.history.back().status == 503);
        times.insert(scene.alice.history.back().message.retry_after_s().value_or(0));
    }
    const bool patient = want == Want::bindings;
    CHECK(*times.begin() == (patient ? 30 : 5));
    CHECK(*times.rbegin() == (patient ? 60 : 15));
    CHECK(times.size() >= 11);
}

TEST_CASE("beyond the limit of calls what is up can be held and ended, a call for help goes through, and there is room again") {
    Scene scene(1, true, [](auto& settings) {
        settings.max_calls = 1;
        settings.emergency = {"112"};
    });
    scene.register_all();
    scene.carol.call("sip:dave@acme.example");
    scene.world.run(3s);
    REQUIRE(scene.carol.in_call());
    Phone stranger(scene.world, "anonymous", scene.london.phone(66), scene.london.lan());
    stranger.call("sip:bob@acme.example");
    scene.world.run(1s);
    CHECK(stranger.last("INVITE") == 503);
    CHECK(stranger.history.back().message.retry_after_s() >= 5U);
    CHECK(scene.london.proxy.counters().overload == 1);
    scene.centre.add_contact("112", "sip:bob@" + scene.munich.wan().text());
    stranger.call("sip:112@acme.example");
    scene.world.run(1s);
    CHECK(scene.london.proxy.counters().overload == 1);
    CHECK(stranger.last("INVITE") != 503);
    stranger.hang_up();
    scene.carol.reinvite();
    scene.world.run(1s);
    CHECK(scene.carol.last("INVITE") == 200);
    scene.carol.hang_up();
    scene.world.run(1s);
    CHECK_FALSE(scene.dave.in_call());
    scene.world.run(40s);
    scene.carol.call("sip:dave@acme.example");
    scene.world.run(3s);
    CHECK(scene.carol.in_call());
}

TEST_CASE("in overload new calls and registrations get 503 with Retry-After, and a call that is up can be ended") {
    Scene scene;
    scene.register_all();
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(3s);
    REQUIRE(scene.alice.in_call());
    scene.trento.proxy.set_overloaded(true);
    scene.alice.register_now();
    scene.world.run(1s);
    CHECK(scene.alice.last("REGISTER") == 503);
    CHECK(scene.alice.history.back().message.retry_after_s() >= 5U);
    scene.alice.hang_up();
    scene.world.run(1s);
    CHECK_FALSE(scene.bob.in_call());
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(1s);
    CHECK(scene.alice.last("INVITE") == 503);
    CHECK(scene.quiet());
    CHECK(scene.trento.proxy.counters().shed == 2);
    scene.trento.proxy.set_overloaded(false);
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(3s);
    CHECK(scene.alice.last("INVITE") == 200);
}

TEST_CASE("a MESSAGE goes through the centre, and in an outage over the mesh") {
    for (const bool alive : {true, false}) {
        Scene scene;
        scene.register_all();
        scene.centre.alive = alive;
        if (!alive) scene.world.run(10s);
        scene.alice.send("MESSAGE", "sip:bob@acme.example", "hello");
        scene.world.run(2s);
        CHECK(scene.alice.last("MESSAGE") == 200);
        REQUIRE(scene.bob.count("MESSAGE") == 1);
        CHECK(scene.bob.history.back().message.body() == "hello");
    }
}

TEST_CASE("OPTIONS is answered in an outage, SUBSCRIBE politely refused") {
    Scene scene;
    scene.register_all();
    scene.centre.alive = false;
    scene.world.run(10s);
    scene.alice.send("OPTIONS", "sip:acme.example");
    scene.alice.send("SUBSCRIBE", "sip:bob@acme.example");
    scene.world.run(2s);
    CHECK(scene.alice.last("OPTIONS") == 200);
    CHECK(scene.alice.last("SUBSCRIBE") == 480);
}

TEST_CASE("a forked request from a mesh address that is no member's is met with silence") {
    Scene scene;
    scene.register_all();
    const auto before = scene.munich.proxy.counters().stranger;
    scene.munich.receive({voice::Transport::udp,
                          {scene.munich.overlay_address(), 5080, 0},
                          *net::Endpoint::parse("10.99.0.77:5080"),
                          0,
                          voice::Side::mesh},
                         net::as_bytes("OPTIONS sip:x SIP/2.0\r\n\r\n"), scene.world.now);
    CHECK(scene.munich.proxy.take_outgoing().empty());
    CHECK(scene.munich.proxy.counters().stranger == before + 1);
}
