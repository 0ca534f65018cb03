#include <catch2/catch.hpp>

#include "tests/lab/impairment.hpp"

using namespace std::chrono_literals;
using lab::Impairment;

namespace {

const net::Steady kStart{1h};

}  // namespace

TEST_CASE("a perfect wire passes every frame at once") {
    Impairment wire(1);
    for (int i = 0; i < 100; ++i) CHECK(wire.due(1500, kStart + i * 1us) == kStart + i * 1us);
    CHECK(wire.counters.delivered == 100);
}

TEST_CASE("a frame leaves after the delay, within the jitter, and never before its predecessor") {
    Impairment wire(2);
    REQUIRE(lab::apply_setting(wire.settings, "delay 20"));
    REQUIRE(lab::apply_setting(wire.settings, "jitter 15"));
    net::Steady before{};
    for (int i = 0; i < 1000; ++i) {
        const auto now = kStart + i * 1ms;
        const auto due = wire.due(200, now);
        REQUIRE(due);
        CHECK(*due - now >= 5ms);
        CHECK(*due - now <= 35ms);
        CHECK(*due >= before);
        before = *due;
    }
}

TEST_CASE("a reordered frame overtakes those before it") {
    Impairment wire(3);
    wire.settings.delay = 10ms;
    wire.settings.reorder_percent = 10;
    int overtook = 0;
    for (int i = 0; i < 1000; ++i) overtook += wire.due(200, kStart + i * 1ms) == kStart + i * 1ms;
    CHECK(overtook > 60);
    CHECK(overtook < 140);
}

TEST_CASE("the share of lost frames is the one asked for, and the same for the same seed") {
    Impairment wire(4), again(4), other(5);
    wire.settings.loss_percent = again.settings.loss_percent = other.settings.loss_percent = 5;
    int same = 0;
    for (int i = 0; i < 10000; ++i) {
        const bool lost = !wire.due(200, kStart);
        CHECK(lost == !again.due(200, kStart));
        same += lost && !other.due(200, kStart);
    }
    CHECK(wire.counters.lost > 400);
    CHECK(wire.counters.lost < 600);
    CHECK(same < 60);
}

TEST_CASE("a rate spaces frames out, and its queue drops at the tail") {
    Impairment wire(6);
    REQUIRE(lab::apply_setting(wire.settings, "rate 12"));
    REQUIRE(lab::apply_setting(wire.settings, "queue 4500"));
    CHECK(wire.due(1500, kStart) == kStart + 1ms);
    CHECK(wire.due(1500, kStart) == kStart + 2ms);
    CHECK(wire.due(1500, kStart) == kStart + 3ms);
    CHECK_FALSE(wire.due(1500, kStart));
    CHECK(wire.counters.lost_queue == 1);
    CHECK(wire.due(1500, kStart + 10ms) == kStart + 11ms);
}

TEST_CASE("a wire that is down swallows everything until it is up again") {
    Impairment wire(7);
    REQUIRE(lab::apply_setting(wire.settings, "down"));
    CHECK_FALSE(wire.due(100, kStart));
    REQUIRE(lab::apply_setting(wire.settings, "up"));
    CHECK(wire.due(100, kStart));
}

TEST_CASE("a setting that makes no sense is refused and changes nothing") {
    lab::Settings settings;
    for (const char* line : {"", "delay", "delay x", "delay -1", "loss 101", "loss nan", "delay 1 2", "up now", "dealy 3"})
        CHECK_FALSE(lab::apply_setting(settings, line));
    CHECK(settings.delay == 0ns);
    CHECK(settings.loss_percent == 0);
}
