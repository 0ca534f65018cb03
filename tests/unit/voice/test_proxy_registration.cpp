#include <catch2/catch.hpp>

#include "offices.hpp"

using namespace test;

TEST_CASE("a phone registers through meshd: challenge untouched, Contact rewritten for the centre and restored") {
    Scene scene;
    scene.alice.register_now();
    scene.world.run(2s);
    CHECK(scene.alice.history.front().status == 401);
    CHECK(scene.alice.last("REGISTER") == 200);
    CHECK(scene.alice.granted_s == 120);
    REQUIRE(scene.centre.contacts("alice").size() == 1);
    CHECK(scene.centre.contacts("alice").front().find("@203.0.113.1:5060") != std::string::npos);
    REQUIRE(scene.trento.proxy.phones(scene.world.now).size() == 1);
    CHECK(scene.trento.proxy.phones(scene.world.now).front().aor == "alice@acme.example");
    CHECK(scene.trento.bound.contains("alice@acme.example"));
}

TEST_CASE("a wrong password is refused by the centre, and nothing is learnt") {
    Scene scene;
    scene.centre.passwords["alice"] = "another";
    scene.alice.register_now();
    scene.world.run(2s);
    CHECK(scene.alice.last("REGISTER") == 401);
    CHECK(scene.trento.proxy.phones(scene.world.now).empty());
}

TEST_CASE("refreshes are answered here while the centre remembers for long, and passed on when it needs them") {
    Scene scene;
    scene.centre.grants_s = 600;
    scene.alice.register_now();
    scene.world.run(2s);
    CHECK(scene.centre.registrations == 1);
    scene.world.run(300s);
    CHECK(scene.centre.registrations == 1);
    scene.world.run(300s);
    CHECK(scene.centre.registrations == 2);
    CHECK(scene.alice.granted_s == 120);
}

TEST_CASE("a phone that takes its registration back is gone here and at the centre") {
    Scene scene;
    scene.alice.register_now();
    scene.world.run(2s);
    scene.alice.unregister();
    scene.world.run(2s);
    CHECK(scene.centre.contacts("alice").empty());
    CHECK(scene.trento.proxy.phones(scene.world.now).empty());
    CHECK(scene.trento.bound.empty());
}

TEST_CASE("a phone that falls silent is forgotten when its short registration is over") {
    Scene scene;
    scene.alice.register_now();
    scene.world.run(2s);
    scene.alice.keeps_registered = false;
    scene.alice.manner = Phone::Manner::is_silent;
    scene.world.run(250s);
    CHECK(scene.trento.proxy.phones(scene.world.now).empty());
    CHECK(scene.trento.bound.empty());
}

TEST_CASE("in an outage the device that the centre accepted is refreshed, with a short expiry") {
    Scene scene;
    scene.register_all();
    scene.centre.alive = false;
    scene.world.run(10s);
    CHECK(scene.trento.mode() == "island");
    scene.world.run(200s);
    CHECK(scene.alice.last("REGISTER") == 200);
    CHECK(scene.alice.granted_s == 20);
    CHECK(scene.trento.bound.contains("alice@acme.example"));
}

TEST_CASE("a REGISTER that waits for a dying centre is answered once the centre is known down") {
    Scene scene;
    scene.centre.grants_s = 100;  // so short that a refresh has to go there
    scene.alice.keeps_registered = false;
    scene.alice.register_now();
    scene.world.run(1s);
    REQUIRE(scene.alice.granted_s == 100);
    scene.centre.alive = false;
    scene.alice.register_now();
    scene.world.run(3s);
    CHECK(scene.alice.granted_s == 100);
    scene.world.run(4s);
    CHECK(scene.alice.granted_s == 20);
}

TEST_CASE("in an outage an unknown device that claims a known address of record is refused, and the binding stays") {
    Scene scene;
    scene.register_all();
    scene.centre.alive = false;
    scene.world.run(10s);
    Phone thief(scene.world, "alice", scene.trento.phone(66), scene.trento.lan());
    thief.register_now();
    scene.world.run(2s);
    CHECK(thief.last("REGISTER") == 403);
    const auto phones = scene.trento.proxy.phones(scene.world.now);
    REQUIRE(phones.size() == 1);
    CHECK(phones.front().contact == "sip:alice@10.1.0.10:5060");
    CHECK(scene.trento.proxy.counters().forged == 1);
}

TEST_CASE("in an outage a device with a provisioned password may register anew") {
    Scene scene;
    scene.roster.add_user("alice", "trento", "secret");
    scene.register_all();
    scene.centre.alive = false;
    scene.world.run(10s);
    Phone second(scene.world, "alice", scene.trento.phone(20), scene.trento.lan());
    second.register_now();
    scene.world.run(2s);
    CHECK(second.last("REGISTER") == 200);
    CHECK(scene.trento.proxy.phones(scene.world.now).size() == 2);
    Phone wrong(scene.world, "alice", scene.trento.phone(21), scene.trento.lan(), "guess");
    wrong.register_now();
    scene.world.run(2s);
    CHECK(wrong.last("REGISTER") == 401);
}

TEST_CASE("after an outage the next refresh goes to the centre again, once the hold-down is over") {
    Scene scene;
    scene.register_all();
    scene.centre.alive = false;
    scene.world.run(200s);
    scene.centre.forget();
    scene.centre.alive = true;
    scene.centre.registrations = 0;
    scene.world.run(55s);
    CHECK(scene.trento.mode() == "island");
    CHECK(scene.centre.registrations == 0);
    scene.world.run(30s);
    CHECK(scene.trento.mode() == "central");
    CHECK(scene.centre.contacts("alice").size() == 1);
    CHECK(scene.centre.contacts("dave").size() == 1);
    CHECK(scene.alice.granted_s == 120);
}

TEST_CASE("without a centre meshd is the registrar, and asks for the password of the user record") {
    Scene scene(1, false);
    scene.register_all();
    CHECK(scene.trento.mode() == "registrar");
    CHECK(scene.alice.last("REGISTER") == 200);
    CHECK(scene.alice.history.front().status == 401);
    Phone wrong(scene.world, "bob", scene.munich.phone(30), scene.munich.lan(), "guess");
    wrong.register_now();
    Phone unknown(scene.world, "mallory", scene.munich.phone(31), scene.munich.lan());
    unknown.register_now();
    Phone elsewhere(scene.world, "alice", scene.munich.phone(32), scene.munich.lan());
    elsewhere.register_now();
    scene.world.run(2s);
    CHECK(wrong.last("REGISTER") == 401);
    CHECK(unknown.last("REGISTER") == 401);
    CHECK(elsewhere.last("REGISTER") == 403);
    CHECK(scene.munich.bound == std::set<voice::Aor>{"bob@acme.example"});
}

TEST_CASE("bindings survive a restart of meshd") {
    Scene scene;
    scene.register_all();
    const auto saved = scene.trento.proxy.saved("alice@acme.example", scene.world.now);
    REQUIRE(saved.size() == 1);
    Office again(scene.world, scene.roster, "trento", 1, scene.centre_at);
    again.proxy.restore(saved, scene.world.now);
    scene.world.run(1s);
    CHECK(again.bound.contains("alice@acme.example"));
    scene.bob.call("sip:alice@acme.example");
    scene.world.run(3s);
    CHECK(scene.bob.last("INVITE") == 200);
}

TEST_CASE("how many phones have registered from an address is known, over a restart too, and as phones come and go") {
    Scene scene;
    scene.register_all();
    const auto home = scene.alice.at.address;
    CHECK(scene.trento.proxy.phones_at(home) == 1);
    scene.roster.add_user("eve", "trento");
    scene.centre.passwords["eve"] = "secret";
    Phone eve(scene.world, "eve", {home, 5062, 0}, scene.trento.lan());
    eve.register_now();
    scene.world.run(2s);
    CHECK(scene.trento.proxy.phones_at(home) == 2);
    for (unsigned i = 0; i < 3; ++i) scene.alice.register_now();  // the same once more
    Phone mallory(scene.world, "alice", {home, 5064, 0}, scene.trento.lan(), "wrong");
    mallory.register_now();
    scene.world.run(2s);
    CHECK(scene.trento.proxy.phones_at(home) == 2);
    CHECK(scene.trento.proxy.phones_at(scene.trento.phone(77).address) == 0);
    Office again(scene.world, scene.roster, "trento", 1, scene.centre_at);
    again.proxy.restore(scene.trento.proxy.saved("alice@acme.example", scene.world.now), scene.world.now);
    CHECK(again.proxy.phones_at(home) == 1);
    eve.keeps_registered = scene.alice.keeps_registered = false;
    scene.world.run(1h);
    CHECK(again.proxy.phones_at(home) == 0);
}

TEST_CASE("a stranger gets silence") {
    Scene scene;
    Phone stranger(scene.world, "alice", *net::Endpoint::parse("192.0.2.66:5060"), scene.trento.wan());
    stranger.register_now();
    stranger.call("sip:bob@acme.example");
    scene.world.run(3s);
    CHECK(stranger.history.empty());
    CHECK(scene.trento.proxy.counters().stranger > 0);
}

TEST_CASE("a centre that writes into Contact what it sees is understood all the same") {
    Scene scene;
    scene.centre.sees = net::Endpoint::parse("192.0.2.200:40000");
    scene.alice.register_now();
    scene.world.run(2s);
    CHECK(scene.alice.last("REGISTER") == 200);
    CHECK(scene.alice.granted_s == 120);
    CHECK(scene.trento.proxy.phones(scene.world.now).size() == 1);
}

TEST_CASE("after a restart of meshd the next refresh goes to the centre, which may have forgotten too") {
    Scene scene;
    scene.register_all();
    const auto saved = scene.trento.proxy.saved("alice@acme.example", scene.world.now);
    Office again(scene.world, scene.roster, "trento", 1, scene.centre_at);
    again.proxy.restore(saved, scene.world.now);
    scene.centre.forget();
    scene.world.run(120s);
    CHECK(scene.alice.last("REGISTER") == 200);
    CHECK(scene.centre.contacts("alice").size() == 1);
}

TEST_CASE("after an outage refreshes are passed on to the centre one after the other, not all at once") {
    Scene scene(1, true, [](auto& settings) { settings.refreshes_per_second = 2; });
    std::vector<std::unique_ptr<Phone>> phones;
    for (std::uint8_t i = 0; i < 60; ++i) {
        const auto user = "u" + std::to_string(i);
        scene.roster.add_user(user, "trento");
        scene.centre.passwords[user] = "secret";
        phones.push_back(std::make_unique<Phone>(scene.world, user, scene.trento.phone(100 + i), scene.trento.lan()));
        phones.back()->register_now();
    }
    scene.world.run(5s);
    REQUIRE(scene.trento.proxy.phones(scene.world.now).size() == 60);
    scene.centre.alive = false;
    scene.world.run(200s);
    scene.centre.forget();
    scene.centre.alive = true;
    REQUIRE(scene.world.run_until([&] { return scene.trento.mode() == "central"; }, 200s));
    scene.centre.registrations = 0;
    unsigned most = 0;
    for (unsigned i = 0; i < 70; ++i) {  // they came in step: those that have to wait are told different times
        const auto before = scene.centre.registrations;
        scene.world.run(1s);
        most = std::max(most, scene.centre.registrations - before);
    }
    CHECK(most <= 4);
    for (const auto& phone : phones) {
        CHECK(scene.centre.contacts(phone->from_user).size() == 1);
        CHECK(phone->count("REGISTER", 503) == 0);
    }
    CHECK(scene.trento.proxy.phones(scene.world.now).size() == 60);
}

TEST_CASE("the first binding is told at once, those that follow it together, every 100 ms") {
    World world;
    voice::Location location;
    const auto put = [&](const std::string& user) {
        voice::Binding binding;
        binding.aor = user + "@acme.example";
        binding.token = user;
        binding.expires = world.now.steady + 120s;
        location.put(binding, world.now);
        return location.take_changes(world.now).size();
    };
    CHECK(put("alice") == 1);
    CHECK(location.next_deadline() == world.now.steady + 120s);
    world.run(10ms);
    CHECK(put("bob") == 0);
    CHECK(put("carol") == 0);
    CHECK(location.next_deadline() == world.now.steady + 90ms);
    world.run(90ms);
    CHECK(location.take_changes(world.now).size() == 2);
    world.run(100ms);
    CHECK(put("dave") == 1);
}

TEST_CASE("10,000 phones register at full speed, and what is over takes little room") {
    Scene scene;
    scene.centre.passwords.clear();
    unsigned refused = 0;
    std::set<std::string> accepted;
    for (unsigned i = 0; i < 10000; ++i) {
        const auto user = "u" + std::to_string(i);
        const net::Endpoint at{net::IpAddress::v4(10, 1, static_cast<std::uint8_t>(1 + i / 250),
                                                  static_cast<std::uint8_t>(1 + i % 250)), 5060, 0};
        const auto text = "REGISTER sip:acme.example SIP/2.0\r\nVia: SIP/2.0/UDP " + at.text() + ";branch=z9hG4bK" + user +
                          "\r\nFrom: <sip:" + user + "@acme.example>;tag=1\r\nTo: <sip:" + user +
                          "@acme.example>\r\nCall-ID: " + user + "\r\nCSeq: 1 REGISTER\r\nContact: <sip:" + user + "@" +
                          at.text() + ">\r\nMax-Forwards: 70\r\nExpires: 3600\r\nContent-Length: 0\r\n\r\n";
        scene.trento.receive({voice::Transport::udp, scene.trento.lan(), at, 0, voice::Side::phone}, net::as_bytes(text),
                             scene.world.now);
        for (const auto& out : scene.trento.take_outgoing()) {
            if (out.flow.remote == scene.centre_at) {
                scene.centre.receive({voice::Transport::udp, scene.centre_at, scene.trento.wan(), 0, voice::Side::phone},
                                     out.bytes, scene.world.now);
            }
        }
        for (const auto& out : scene.centre.take_outgoing()) {
            scene.trento.receive({voice::Transport::udp, scene.trento.wan(), scene.centre_at, 0, voice::Side::phone},
                                 out.bytes, scene.world.now);
        }
        for (const auto& out : scene.trento.take_outgoing()) {
            if (out.flow.remote == at) {
                net::as_text(out.bytes).starts_with("SIP/2.0 200") ? (void)accepted.insert(user) : (void)++refused;
            }
        }
        if (i % 100 == 99) scene.world.run(5ms);
    }
    CHECK(accepted.size() == 10000);
    CHECK(refused == 0);
}
