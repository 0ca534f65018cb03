#include <catch2/catch.hpp>

#include "desks.hpp"

using namespace test;

namespace {

bool transferred(const DeskPhone& phone) {
    return !phone.progress.empty() && phone.progress.back() == "SIP/2.0 200 OK";
}

}  // namespace

TEST_CASE("a blind transfer to an extension in a third office, from either side, with and without the centre") {
    for (const bool alive : {true, false}) {
        for (const bool by_caller : {true, false}) {
            for (const auto* to : {"sip:103@acme.example", "sip:hal@acme.example"}) {
                CAPTURE(alive, by_caller, to);
                Desks scene;
                scene.register_desks();
                if (alive && std::string_view(to).find("103") != std::string::npos) continue;  // the centre knows no numbers here
                const auto line = scene.fay.call("sip:gus@acme.example");
                scene.world.run(3s);
                REQUIRE(scene.fay.up(line));
                if (!alive) scene.kill_centre();
                auto& transferor = by_caller ? scene.fay : scene.gus;
                auto& transferee = by_caller ? scene.gus : scene.fay;
                transferor.transfer(0, to);
                scene.world.run(500ms);
                transferor.hang_up(0);
                scene.world.run(3s);
                CHECK(transferor.last("REFER") == 202);
                CHECK(transferred(transferor));
                REQUIRE(scene.hal.count("INVITE") == 1);
                const auto by = transferor.at == scene.fay.at ? "<sip:fay@acme.example>" : "<sip:gus@acme.example>";
                CHECK(scene.hal.latest("INVITE")->get("Referred-By") == by);
                CHECK(scene.hal.lines_up() == 1);
                CHECK(transferee.lines_up() == 1);
                CHECK(transferor.lines_up() == 0);
                CHECK(scene.ida.history.size() <= 4);  // its registration
                scene.hal.hang_up(0);
                scene.world.run(2s);
                CHECK(transferee.lines_up() == 0);
                CHECK(scene.quiet());
            }
        }
    }
}

TEST_CASE("a blind transfer that fails tells the transferor why, and the call goes on") {
    Desks scene;
    scene.register_desks();
    scene.hal.answers = false;
    const auto line = scene.fay.call("sip:gus@acme.example");
    scene.world.run(3s);
    scene.kill_centre();
    scene.gus.transfer(0, "sip:103@acme.example");
    scene.world.run(2s);
    scene.hal.refuse(0, 486);
    scene.world.run(2s);
    REQUIRE_FALSE(scene.gus.progress.empty());
    CHECK(scene.gus.progress.back() == "SIP/2.0 486 Busy Here");
    CHECK(scene.fay.up(line));
    CHECK(scene.gus.up(0));
}

TEST_CASE("an attended transfer connects the very phones that were in the calls, whatever Refer-To names") {
    enum class Died { never, between, before };
    for (const auto died : {Died::never, Died::between, Died::before}) {
        for (const bool by_contact : {true, false}) {
            CAPTURE(static_cast<int>(died), by_contact);
            Desks scene;
            // A second phone of the same person, that knows nothing of Replaces.
            Phone mobile(scene.world, "hal", scene.munich.phone(40), scene.munich.lan());
            Phone kitchen(scene.world, "hal", scene.london.phone(40), scene.london.lan());
            scene.roster.add_user("hal", "munich");
            for (auto* phone : {&mobile, &kitchen}) {
                phone->manner = Phone::Manner::rings;
                phone->register_now();
            }
            scene.register_desks();
            if (died == Died::before) scene.kill_centre();
            const auto first = scene.fay.call("sip:gus@acme.example");
            scene.world.run(3s);
            REQUIRE(scene.fay.up(first));
            const auto second = scene.gus.call("sip:hal@acme.example");
            scene.world.run(3s);
            REQUIRE(scene.gus.up(second));
            REQUIRE(mobile.count("INVITE") == 1);
            REQUIRE(kitchen.count("INVITE") == 1);
            if (died == Died::between) scene.kill_centre();
            scene.gus.connect(0, second, by_contact ? "" : "sip:hal@acme.example");
            scene.world.run(4s);
            CHECK(scene.gus.last("REFER") == 202);
            CHECK(transferred(scene.gus));
            CHECK(mobile.count("INVITE") == 1);
            CHECK(kitchen.count("INVITE") == 1);
            CHECK(scene.hal.count("INVITE") == 2);
            CHECK_FALSE(scene.gus.up(second));
            CHECK(scene.hal.lines_up() == 1);
            scene.gus.hang_up(0);
            scene.world.run(2s);
            CHECK(scene.fay.lines_up() == 1);
            scene.hal.hang_up(1);
            scene.world.run(2s);
            CHECK(scene.fay.lines_up() == 0);
            CHECK(scene.quiet());
        }
    }
}

TEST_CASE("an attended transfer within one office, to the caller of the second call, while the centre is gone") {
    Desks scene;
    scene.register_desks();
    scene.kill_centre();
    const auto first = scene.ida.call("sip:fay@acme.example");
    scene.world.run(3s);
    const auto second = scene.hal.call("sip:ida@acme.example");
    scene.world.run(3s);
    REQUIRE(scene.ida.up(first));
    REQUIRE(scene.hal.up(second));
    scene.ida.connect(first, 1);  // fay is to take over the call that hal placed
    scene.world.run(4s);
    CHECK(transferred(scene.ida));
    CHECK(scene.hal.lines_up() == 1);
    CHECK(scene.fay.lines_up() >= 1);
    scene.ida.hang_up(first);
    scene.world.run(2s);
    CHECK(scene.fay.lines_up() == 1);
    scene.fay.hang_up(1);
    scene.world.run(2s);
    CHECK(scene.hal.lines_up() == 0);
    CHECK(scene.quiet());
}

TEST_CASE("an INVITE with Replaces for a call that nobody has rings nobody") {
    for (const bool alive : {true, false}) {
        CAPTURE(alive);
        Desks scene;
        Phone kitchen(scene.world, "hal", scene.london.phone(40), scene.london.lan());
        kitchen.manner = Phone::Manner::rings;
        kitchen.register_now();
        scene.register_desks();
        if (!alive) scene.kill_centre();
        scene.fay.call("sip:hal@acme.example", {{"Replaces", "nobody;to-tag=a;from-tag=b"}});
        scene.world.run(3s);
        CHECK(scene.fay.last("INVITE") == 481);
        CHECK(kitchen.count("INVITE") == 0);
        CHECK(scene.hal.count("INVITE") == 0);
        scene.world.run(10s);
        CHECK(scene.quiet());
    }
}
