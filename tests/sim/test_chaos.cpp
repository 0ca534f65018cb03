// Random runs of eight members behind all kinds of boxes: partitions, crashes, moves, sleep, clock steps, bad weather.
#include <algorithm>

#include <catch2/catch.hpp>

#include "tests/sim/chaos.hpp"

namespace {

#ifdef __OPTIMIZE__
constexpr std::uint64_t kRuns = 100;
constexpr unsigned kTimes = 24;
#else
constexpr std::uint64_t kRuns = 3;  // what is built without optimisation, for the sanitizers, takes thirty times as long
constexpr unsigned kTimes = 3;
#endif

}  // namespace

// Seldom, chance has kept two from each other with every try so far, and they take a little longer.
TEST_CASE("whatever has happened, ten seconds after the last fault all members reach each other and agree") {
    const sim::ChaosMembers members(8);
    std::uint64_t late = 0;
    for (std::uint64_t seed = 1; seed <= kRuns; ++seed) {
        const auto result = sim::run_chaos(members, seed);
        if (!result.violated.empty()) FAIL_CHECK(result.violated);
        late += result.found_in > sim::ChaosResult::kSoon ? 1 : 0;
    }
    CHECK(late <= kRuns / 20);
}

TEST_CASE("what a mesh keeps does not grow with what has happened to it") {
    const sim::ChaosMembers members(8);
    const auto heap = sim::heap_under_chaos(members, 1, kTimes);
    const auto most = [&](std::size_t from, std::size_t to) { return *std::max_element(heap.begin() + static_cast<std::ptrdiff_t>(from), heap.begin() + static_cast<std::ptrdiff_t>(to)); };
    const auto early = most(0, kTimes / 3), late = most(kTimes - kTimes / 3, kTimes);
    CAPTURE(heap);
    CHECK(late <= early + early / 10);
}
