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

TEST_CASE("a stranger gets silence") {
    Scene scene;
    Phone stranger(scene.world, "alice", *net::Endpoint::parse("192.0.2.66:5060"), scene.trento.wan());
    stranger.register_now();
    stranger.call("sip:bob@acme.example");
    scene.world.run(3s);
    CHECK(stranger.history.empty());
    CHECK(scene.trento.proxy.counters().stranger > 0);
}
