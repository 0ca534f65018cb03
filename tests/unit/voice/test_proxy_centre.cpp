/// The centre alive but of no use: a front without a back end, too much to do, or out of reach from one office only.
#include <catch2/catch.hpp>

#include "offices.hpp"

using namespace test;

namespace {

net::IpAddress address(std::string_view text) {
    return *net::IpAddress::parse(text);
}

/// Phones of trento that come to register for the first time, a second apart.
std::vector<std::unique_ptr<Phone>> newcomers(Scene& scene, std::uint8_t count) {
    std::vector<std::unique_ptr<Phone>> phones;
    for (std::uint8_t i = 0; i < count; ++i) {
        const auto user = "new" + std::to_string(i);
        scene.roster.add_user(user, "trento");
        phones.push_back(std::make_unique<Phone>(scene.world, user, scene.trento.phone(100 + i), scene.trento.lan()));
        phones.back()->register_now();
        scene.world.run(1s);
    }
    return phones;
}

}  // namespace

TEST_CASE("a front proxy that answers OPTIONS and swallows all else is failing, not down, and calls go over the mesh") {
    Scene scene;
    scene.register_all();
    scene.centre.swallows = true;
    const auto phones = newcomers(scene, 3);
    REQUIRE(scene.world.run_until([&] { return scene.trento.mode() == "island"; }, 10s));
    const auto view = scene.trento.proxy.voice();
    CHECK(view.centre_state == "failing");
    CHECK(view.why.find("registrations or calls in a row failed") != std::string::npos);
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(2s);
    CHECK(scene.alice.in_call());
    CHECK(scene.bob.count("INVITE") == 1);
}

TEST_CASE("REGISTERs refused with 500, 504 or 408 show a failing centre, and known phones are served from here") {
    for (const auto status : {500, 504, 408}) {
        CAPTURE(status);
        Scene scene;
        scene.centre.grants_s = 100;  // so short that refreshes go there
        scene.register_all();
        scene.centre.register_status = status;
        scene.world.run(60s);
        for (unsigned i = 0; i < 3; ++i) {
            scene.alice.register_now();
            scene.world.run(1s);
            CHECK(scene.alice.last("REGISTER") == 200);
        }
        CHECK(scene.trento.proxy.voice().centre_state == "failing");
    }
}

TEST_CASE("answers that say nothing of the centre's health do not make it failing") {
    Scene scene;
    scene.register_all();
    for (const auto status : {404, 486, 480, 603}) {
        scene.centre.invite_status = status;
        for (unsigned i = 0; i < 3; ++i) {
            scene.alice.call("sip:nobody@acme.example");
            scene.world.run(2s);
        }
        CHECK(scene.trento.mode() == "central");
    }
    // Failures with successes between them are not in a row.
    for (unsigned i = 0; i < 6; ++i) {
        scene.centre.invite_status = i % 2 == 0 ? 500 : 486;
        scene.alice.call("sip:nobody@acme.example");
        scene.world.run(2s);
        CHECK(scene.trento.mode() == "central");
    }
}

TEST_CASE("a centre that says 503 with Retry-After is busy for so long: not down, not failing, and asked for nothing new") {
    Scene scene;
    scene.register_all();
    scene.centre.register_status = scene.centre.invite_status = 503;
    scene.centre.retry_after_s = 20;
    for (unsigned i = 0; i < 5; ++i) {
        scene.alice.call("sip:nobody@acme.example");
        scene.world.run(1s);
        CHECK(scene.alice.last("INVITE") == 503);
    }
    CHECK(scene.trento.mode() == "busy");
    CHECK(scene.trento.proxy.voice().centre_state == "up");
    CHECK(scene.centre.refused == 1);
    SECTION("who is in the mesh is called through it") {
        scene.alice.call("sip:bob@acme.example");
        scene.world.run(2s);
        CHECK(scene.alice.in_call());
        CHECK(scene.trento.proxy.calls().front().path == "mesh");
        CHECK(scene.centre.refused == 1);
    }
    SECTION("a phone that it may know is put off, not refused") {
        const auto phones = newcomers(scene, 1);
        CHECK(phones.front()->last("REGISTER") == 503);
        CHECK(phones.front()->history.back().message.retry_after_s() > 0U);
        CHECK(scene.centre.refused == 1);
    }
    SECTION("a phone that is known here is served here") {
        scene.alice.register_now();
        scene.world.run(1s);
        CHECK(scene.alice.last("REGISTER") == 200);
    }
    SECTION("when the rest is over it is asked again, without a hold-down") {
        scene.centre.register_status = scene.centre.invite_status = 0;
        scene.world.run(16s);
        CHECK(scene.trento.mode() == "central");
        scene.alice.call("sip:bob@acme.example");
        scene.world.run(2s);
        CHECK(scene.trento.proxy.calls().front().path == "central");
    }
    SECTION("one that falls silent meanwhile is down") {
        scene.centre.alive = false;
        scene.world.run(6s);
        CHECK(scene.trento.mode() == "island");
        CHECK(scene.trento.proxy.voice().centre_state == "down");
    }
}

TEST_CASE("a Retry-After of years is honoured for two minutes") {
    Scene scene;
    scene.register_all();
    scene.centre.invite_status = 503;
    scene.centre.retry_after_s = UINT32_MAX;
    scene.alice.call("sip:nobody@acme.example");
    scene.world.run(110s);
    CHECK(scene.trento.mode() == "busy");
    scene.world.run(15s);
    CHECK(scene.trento.mode() == "central");
}

TEST_CASE("one office's own trouble is told from the centre's") {
    Scene scene;
    scene.register_all();
    scene.world.run(5s);
    CHECK(scene.trento.proxy.voice().elsewhere.empty());
    SECTION("only this office's line is dead") {
        scene.world.cut.insert(scene.trento.wan().address);
        scene.world.run(7s);
        REQUIRE(scene.trento.mode() == "island");
        CHECK(scene.munich.mode() == "central");
        CHECK(scene.trento.proxy.voice().elsewhere ==
              "still reached from london, munich: the trouble is on this node's side");
        CHECK(scene.munich.proxy.voice().elsewhere.empty());
        scene.world.cut.clear();
        scene.world.run(3s);
        CHECK(scene.trento.proxy.voice().elsewhere.empty());
    }
    SECTION("the centre is dead for all") {
        scene.centre.alive = false;
        scene.world.run(20s);
        CHECK(scene.trento.proxy.voice().elsewhere == "nor is it reached from any other node");
    }
    SECTION("nobody can be asked") {
        scene.centre.alive = false;
        for (const auto* office : {&scene.munich, &scene.london}) scene.world.cut.insert(office->overlay_address());
        scene.world.run(20s);
        CHECK(scene.trento.mode() == "island");
        CHECK(scene.trento.proxy.voice().elsewhere.empty());
    }
}

TEST_CASE("a centre whose name's addresses rotate stays where it is while that is listed, and works") {
    Scene scene;
    scene.register_all();
    const auto& proxy = scene.trento.proxy;
    const auto here = scene.centre_at.address, second = address("198.51.100.2"), third = address("198.51.100.3");
    CHECK(proxy.centre_among({second, here, third}) == here);
    CHECK(proxy.centre_among({third, second, here}) == here);
    CHECK(proxy.centre_among({third, second}) == third);  // it has moved
    scene.centre.alive = false;
    scene.world.run(7s);
    REQUIRE(scene.trento.mode() == "island");
    CHECK(proxy.centre_among({second, here, third}) == third);
    CHECK(proxy.centre_among({second, third, here}) == second);
    CHECK(proxy.centre_among({here}) == here);
}
