#include <catch2/catch.hpp>

#include "offices.hpp"

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
