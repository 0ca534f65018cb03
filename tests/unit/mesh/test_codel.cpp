#include <catch2/catch.hpp>

#include <cmath>
#include <vector>

#include "mesh/codel.hpp"

using namespace std::chrono_literals;
using mesh::Codel;

namespace {

constexpr std::size_t kMuch = 100'000;

/// Takes a packet out every 100 µs.
struct Reader {
    /// When it was told to drop, since `began`.
    std::vector<double> drops_ms(net::Duration span, net::Duration waited, std::size_t behind = kMuch) {
        std::vector<double> out;
        for (const auto end = now + span; now < end; now += 100us) {
            if (codel.drops(waited, behind, now)) out.push_back(std::chrono::duration<double, std::milli>(now - began).count());
        }
        return out;
    }
    Codel codel;
    net::Steady began{1h}, now = began;
};

}  // namespace

TEST_CASE("a queue in which packets wait for less than 5 ms loses none, however much is in it") {
    CHECK(Reader().drops_ms(10s, 5ms - 1ns).empty());
}

TEST_CASE("packets may wait for longer for 100 ms, and one that has not starts that anew") {
    Reader reader;
    CHECK(reader.drops_ms(100ms, 5ms).empty());
    CHECK(reader.drops_ms(100us, 4ms).empty());
    CHECK(reader.drops_ms(100ms, 500ms).empty());
    CHECK(reader.drops_ms(100us, 500ms).size() == 1);
}

// RFC 8289 section 4.1: drops follow each other by interval / sqrt(count).
TEST_CASE("while the wait stays, drops come sooner after each other by the square root of their number") {
    Reader reader;
    const auto drops = reader.drops_ms(1s, 20ms);
    double expected_ms = 100;
    REQUIRE(drops.size() > 10);
    for (std::size_t i = 0; i < drops.size(); ++i) {
        CHECK(drops[i] == Approx(expected_ms).margin(0.11));
        expected_ms += 100 / std::sqrt(static_cast<double>(i + 1));
    }
    CHECK(expected_ms > 1000);
}

TEST_CASE("one packet that waited for less ends the dropping") {
    Reader reader;
    CHECK_FALSE(reader.drops_ms(1s, 20ms).empty());
    CHECK_FALSE(reader.codel.drops(4ms, kMuch, reader.now));
    CHECK(reader.drops_ms(100ms, 20ms).empty());
}

TEST_CASE("the last large packet of a queue is never lost, nor does it count as a queue") {
    Reader reader;
    CHECK(reader.drops_ms(1s, 20ms, 1500).empty());
    CHECK(reader.drops_ms(100ms, 20ms, 1501).empty());
    CHECK(reader.drops_ms(1ms, 20ms, 1501).size() == 1);
    CHECK(reader.drops_ms(1s, 20ms, 0).empty());
}

TEST_CASE("a queue that was empty starts anew") {
    Reader reader;
    CHECK_FALSE(reader.drops_ms(1s, 20ms).empty());
    reader.codel.found_empty();
    CHECK(reader.drops_ms(100ms, 20ms).empty());
    CHECK(reader.drops_ms(1ms, 20ms).size() == 1);
}

// RFC 8289 section 4.2's last paragraphs, and deque() of section 5.5.
TEST_CASE("a queue that is long again soon is given the pace that was right then, later on the slowest") {
    const auto pause = GENERATE(200ms, 5000ms);
    Reader reader;
    const auto before = reader.drops_ms(2s, 20ms);
    REQUIRE(before.size() > 40);
    reader.drops_ms(pause, 1ms);
    reader.began = reader.now;
    const auto after = reader.drops_ms(160ms, 20ms);
    REQUIRE_FALSE(after.empty());
    CHECK(after[0] == Approx(100).margin(0.11));
    if (pause == 200ms) {
        REQUIRE(after.size() > 3);
        CHECK(after[1] - after[0] == Approx(100 / std::sqrt(static_cast<double>(before.size() - 1))).margin(0.11));
    } else {
        CHECK(after.size() == 1);
    }
}

TEST_CASE("a slower queue may be given a longer target") {
    Reader reader{.codel = Codel(24ms)};
    CHECK(reader.drops_ms(1s, 23ms).empty());
    CHECK_FALSE(reader.drops_ms(1s, 24ms).empty());
}
