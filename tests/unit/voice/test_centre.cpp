#include <catch2/catch.hpp>

#include "net/random.hpp"
#include "voice/centre.hpp"

using namespace std::chrono_literals;
using voice::CentreMonitor;
using State = voice::CentreMonitor::State;

namespace {

/// A monitor, a centre that answers after `round_trip` while it is alive, and a wire that loses.
struct Line {
    net::Now now{net::Steady(1000s), net::Wall(1'700'000'000s)};
    net::SeededRandom random{1};
    CentreMonitor monitor{{}, now};
    bool alive = true;
    unsigned lost_percent = 0;  ///< each way
    net::Duration round_trip = 20ms;
    std::vector<net::Steady> answers;
    unsigned probes = 0;

    bool lost() { return random.below(100) < lost_percent; }
    void turn() {
        std::erase_if(answers, [&](auto at) {
            if (at > now.steady) return false;
            monitor.answered(now);
            monitor.measured(round_trip);
            return true;
        });
        if (monitor.probe_due(now)) {
            ++probes;
            if (alive && !lost() && !lost()) answers.push_back(now.steady + round_trip);
        }
        monitor.tick(now);
    }
    void advance_to(net::Steady to) {
        now.wall += to - now.steady;
        now.steady = to;
    }
    void run(net::Duration duration) {
        const auto end = now.steady + duration;
        for (;;) {
            auto next = monitor.next_deadline();
            for (const auto at : answers) next = std::min(next, at);
            if (next > end) break;
            advance_to(std::max(next, now.steady));
            turn();
        }
        advance_to(end);
    }
};

}  // namespace

TEST_CASE("a centre that answers is up at once, and is asked every two seconds") {
    Line line;
    CHECK(line.monitor.believed_up());
    line.run(100ms);
    CHECK(line.monitor.state() == State::up);
    line.probes = 0;
    line.run(20s);
    CHECK(line.probes == 10);
}

TEST_CASE("a centre that falls silent is known down within six seconds, and not before five") {
    for (unsigned phase_ms = 0; phase_ms < 2000; phase_ms += 50) {
        Line line;
        line.run(10s + std::chrono::milliseconds(phase_ms));
        line.alive = false;
        line.answers.clear();
        line.probes = 0;
        const auto cut = line.now.steady;
        line.run(2900ms);
        CHECK(line.monitor.state() == State::up);
        line.run(3100ms);
        REQUIRE(line.monitor.state() == State::down);
        CHECK(line.probes >= 8);
        CHECK(line.monitor.since().steady - cut <= 6s);
        CHECK(line.monitor.losses() == 1);
    }
}

TEST_CASE("five per cent loss each way is never mistaken for a dead centre in 24 hours") {
    for (std::uint64_t seed = 1; seed <= 30; ++seed) {
        CAPTURE(seed);
        Line line;
        line.random = net::SeededRandom(seed);
        line.lost_percent = 5;
        line.run(24h);
        REQUIRE(line.monitor.state() == State::up);
        REQUIRE(line.monitor.losses() == 0);
    }
}

TEST_CASE("a few transmissions that were lost while nobody looked are no verdict") {
    Line line;
    line.run(10s);
    line.advance_to(line.now.steady + 30s);  // suspended, or a busy machine
    line.monitor.tick(line.now);
    CHECK(line.monitor.state() == State::up);
    line.run(5s);
    CHECK(line.monitor.state() == State::up);
}

TEST_CASE("an unreachable centre is down at once, and up again only after the hold-down") {
    Line line;
    line.run(10s);
    line.monitor.unreachable("connection refused", line.now);
    CHECK(line.monitor.state() == State::down);
    CHECK(line.monitor.why() == "connection refused");
    line.run(3s);
    CHECK(line.monitor.state() == State::holding);
    CHECK_FALSE(line.monitor.believed_up());
    line.run(55s);
    CHECK(line.monitor.state() == State::holding);
    line.run(8s);
    CHECK(line.monitor.state() == State::up);
}

TEST_CASE("a centre that flaps is held down twice as long each time, up to a bound, and is forgiven when steady") {
    Line line;
    line.run(10s);
    std::vector<net::Duration> held;
    for (unsigned i = 0; i < 6; ++i) {
        line.monitor.unreachable("no route", line.now);
        held.push_back(line.monitor.hold_down());
        line.run(line.monitor.hold_down() + 5s);
        REQUIRE(line.monitor.state() == State::up);
    }
    CHECK(held == std::vector<net::Duration>{60s, 120s, 240s, 480s, 960s, 960s});
    line.run(11min);
    line.monitor.unreachable("no route", line.now);
    CHECK(line.monitor.hold_down() == 60s);
}

TEST_CASE("a front proxy that outlives its back end is failing after three failed calls in a row") {
    Line line;
    line.run(10s);
    line.monitor.request_failed(line.now);
    line.monitor.request_failed(line.now);
    line.monitor.request_went_through();
    line.monitor.request_failed(line.now);
    line.monitor.request_failed(line.now);
    CHECK(line.monitor.believed_up());
    line.monitor.request_failed(line.now);
    CHECK(line.monitor.state() == State::failing);
    CHECK_FALSE(line.monitor.believed_up());
    line.run(50s);
    CHECK(line.monitor.state() == State::failing);
    line.run(11s);
    CHECK(line.monitor.state() == State::up);
}

TEST_CASE("a centre that asks for a rest is busy until then, up and not failing") {
    Line line;
    line.run(10s);
    line.monitor.request_failed(line.now);
    line.monitor.request_failed(line.now);
    line.monitor.asked_for_rest(5s, line.now);
    CHECK(line.monitor.busy());
    CHECK(line.monitor.believed_up());
    line.monitor.request_failed(line.now);
    CHECK(line.monitor.state() == State::up);
    line.run(4900ms);
    CHECK(line.monitor.busy());
    line.run(200ms);
    CHECK_FALSE(line.monitor.busy());
    CHECK(line.monitor.losses() == 0);
    line.monitor.asked_for_rest(0s, line.now);
    CHECK_FALSE(line.monitor.busy());
}

TEST_CASE("a silence long enough for a restart is a lapse, a lost probe or two are none") {
    Line line;
    line.run(10s);
    for (const auto& [away, lapses] : {std::pair(2500ms, 0U), {3000ms, 1U}}) {
        line.alive = false;
        line.run(away);
        line.alive = true;
        line.run(10s);
        CHECK(line.monitor.state() == State::up);
        CHECK(line.monitor.losses() == 0);
        CHECK(line.monitor.lapses() == lapses);
    }
}

TEST_CASE("patience with an INVITE is four round trips, at least 300 ms") {
    Line line;
    CHECK(line.monitor.patience() == 300ms);
    line.round_trip = 150ms;
    line.run(10s);
    CHECK(line.monitor.patience() == 600ms);
}

TEST_CASE("a centre that is heard for the first time after a start without it is up at once") {
    Line line;
    line.monitor.unreachable("no route", line.now);
    REQUIRE(line.monitor.state() == State::down);
    line.run(3s);
    CHECK(line.monitor.state() == State::up);
    // Nor is that flapping: the first real loss waits for one hold-down, not two.
    line.monitor.unreachable("no route", line.now);
    CHECK(line.monitor.hold_down() == voice::CentreTimes{}.hold_down);
    line.run(70s);
    CHECK(line.monitor.state() == State::up);
    line.monitor.unreachable("no route", line.now);
    CHECK(line.monitor.hold_down() == 2 * voice::CentreTimes{}.hold_down);
}
