#include <catch2/catch.hpp>

#include <algorithm>
#include <set>

#include "mesh/protocol.hpp"
#include "mesh/replay.hpp"
#include "net/random.hpp"

using mesh::ReplayWindow;

namespace {

// Remembers everything.
class NaiveWindow {
public:
    bool accept(std::uint64_t counter) {
        if (counter >= mesh::kRejectAfterMessages) return false;
        if (!seen_.empty() && *seen_.rbegin() >= ReplayWindow::kSize && counter <= *seen_.rbegin() - ReplayWindow::kSize) {
            return false;
        }
        return seen_.insert(counter).second;
    }

private:
    std::set<std::uint64_t> seen_;
};

}  // namespace

TEST_CASE("the replay window says what a model that remembers everything says") {
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        INFO("seed " << seed);
        net::SeededRandom random(seed);
        ReplayWindow window;
        NaiveWindow model;
        std::uint64_t around = seed % 4 == 0 ? mesh::kRejectAfterMessages - 200000 : random.below(3) * random.below(200000);
        for (int i = 0; i < 4000; ++i) {
            if (random.below(300) == 0) around += random.below(200000);
            const auto back = random.below(random.below(20) == 0 ? 70000 : 200);
            const auto counter = around + random.below(150) - std::min(back, around);
            REQUIRE(window.accept(counter) == model.accept(counter));
        }
    }
}

TEST_CASE("the window is 65,472 counters deep") {
    ReplayWindow window;
    CHECK(window.accept(100000));
    CHECK(window.accept(100000 - 65471));
    CHECK_FALSE(window.accept(100000 - 65471));
    CHECK_FALSE(window.accept(100000 - 65472));
    CHECK(window.accept(100001));
    CHECK_FALSE(window.accept(100001 - 65472));
}

TEST_CASE("counter zero is taken once") {
    ReplayWindow window;
    CHECK(window.accept(0));
    CHECK_FALSE(window.accept(0));
    CHECK(window.accept(1));
}

TEST_CASE("no counter from 2^64 - 2^13 - 1 on is taken") {
    ReplayWindow window;
    CHECK(window.accept(mesh::kRejectAfterMessages - 1));
    CHECK_FALSE(window.accept(mesh::kRejectAfterMessages));
    CHECK_FALSE(window.accept(UINT64_MAX));
    CHECK(mesh::kRejectAfterMessages == 0xffffffffffffdfffU);
}
