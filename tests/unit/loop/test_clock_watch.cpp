#include <catch2/catch.hpp>

#include <optional>
#include <vector>

#include "loop/clock_watch.hpp"

using namespace std::chrono_literals;
using loop::change_between;
using loop::ClockReading;

namespace {

ClockReading reading(net::Duration running, net::Duration passed, net::Duration wall) { return {running, passed, net::Wall(wall)}; }

}  // namespace

TEST_CASE("sleep and a clock that was set are told apart, and neither is seen where time only passes") {
    const auto before = reading(100s, 150s, 1'000'000s);
    CHECK_FALSE(change_between(before, reading(160s, 210s, 1'000'060s)).any());
    CHECK_FALSE(change_between(before, reading(160s, 210s + 900ms, 1'000'060s)).any());
    const auto slept = change_between(before, reading(101s, 3751s, 1'003'601s));
    CHECK(slept.slept == 3600s);
    CHECK(slept.stepped == 0s);
    const auto back = change_between(before, reading(101s, 151s, 900'000s));
    CHECK(back.slept == 0s);
    CHECK(back.stepped == -100'001s);
    const auto both = change_between(before, reading(101s, 3751s, 2'000'000s));
    CHECK(both.slept == 3600s);
    CHECK(both.stepped > 0s);
}

TEST_CASE("a sleep is told once, by the next look at the clocks, and the watch may go from within") {
    loop::Loop loop;
    auto now = reading(1s, 1s, 1s);
    std::vector<net::Duration> slept;
    std::optional<loop::ClockWatch> watch;
    unsigned looks = 0;
    watch.emplace(
        loop, [&](const loop::ClockChange& change) {
            slept.push_back(change.slept);
            if (slept.size() == 2) {
                watch.reset();
                loop.stop();
            }
        },
        loop::ClockWatch::Options{[&] {
                                      now.running += 10ms;
                                      now.passed += 10ms;
                                      now.wall += 10ms;
                                      if (++looks == 5 || looks == 9) {
                                          now.passed += 1h;
                                          now.wall += 1h;
                                      }
                                      return now;
                                  },
                                  1ms});
    loop.run();
    CHECK(slept == std::vector<net::Duration>{1h, 1h});
    CHECK(looks == 9);
}

TEST_CASE("the clocks of this machine can be read, and do not run away from each other") {
    const auto before = loop::read_clocks_for_watch(), after = loop::read_clocks_for_watch();
    CHECK(after.running >= before.running);
    CHECK(after.passed >= before.passed);
    CHECK(before.passed >= before.running - 1s);
    loop::Loop loop;
    unsigned told = 0;
    const loop::ClockWatch watch(loop, [&](const loop::ClockChange&) { ++told; });
    loop.defer([] {});
    loop.run_once();
    CHECK(told == 0);
}
