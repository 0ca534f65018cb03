#include <catch2/catch.hpp>

#include "voice/call_history.hpp"

using namespace std::chrono_literals;
using namespace voice;

namespace {

net::Now at(net::Duration since) { return {net::Steady(1000s) + since, net::Wall(1'700'000'000s) + since}; }

CallRecord record(std::uint64_t number, std::string id, net::Duration started, std::optional<net::Duration> ended = {}, std::string why = {}) {
    CallRecord out;
    out.number = number;
    out.id = std::move(id);
    out.node = "trento";
    out.started = out.seen = at(started).wall;
    if (ended) out.ended = at(*ended).wall;
    out.why = std::move(why);
    return out;
}

}  // namespace

TEST_CASE("what changed is told once, in bundles") {
    CallHistory history;
    history.put(record(1, "a", 0s), at(0s));
    CHECK(history.take_changes(at(100ms)).empty());
    CHECK(history.next_deadline() == at(250ms).steady);
    history.put(record(1, "a", 0s, 100ms, "hung up"), at(100ms));
    history.put(record(2, "b", 100ms), at(100ms));
    const auto changes = history.take_changes(at(250ms));
    REQUIRE(changes.size() == 2);
    CHECK(changes[0].record->why == "hung up");
    CHECK(changes[1].number == 2);
    CHECK(history.take_changes(at(10s)).empty());
    CHECK(history.next_deadline() == net::kNever);
}

TEST_CASE("a call that was up when meshd stopped has ended then, as far as is known") {
    CallHistory history;
    history.restore({record(5, "a", 0s, 60s, "hung up"), record(7, "b", 30s)}, at(1h));
    CHECK(history.records().at(5).why == "hung up");
    CHECK(history.records().at(7).why == "meshd stopped");
    CHECK(history.records().at(7).ended == at(30s).wall);
    CHECK(history.take_changes(at(1h + 1s)).size() == 1);  // that is kept, too
    CHECK(history.new_number(net::Wall(3s)) > 7);          // though the clock stepped back
    CHECK(history.new_number(at(2h).wall) > history.new_number(at(1h).wall) - 2);
}

TEST_CASE("records are bounded in number and in age, the oldest goes first") {
    CallHistory history;
    for (std::uint64_t i = 1; i <= CallHistory::kMaxRecords; ++i) history.put(record(i, "x", 0s, 1s, "hung up"), at(0s));
    history.take_changes(at(1s));
    history.put(record(900'000, "y", 1s), at(1s));
    CHECK(history.records().size() == CallHistory::kMaxRecords);
    const auto changes = history.take_changes(at(2s));
    REQUIRE(changes.size() == 2);
    CHECK(changes[0].number == 1);
    CHECK_FALSE(changes[0].record);
    history.put(record(900'001, "z", 24h * 91), at(24h * 91));
    CHECK(history.records().size() == 1);
}

TEST_CASE("the accounts of a call are put together, in whatever order they come") {
    auto caller = record(1, "a", 0s, 60s, "hung up by alice@acme.example");
    caller.rang = at(2s).wall;
    caller.answered = at(5s).wall;
    auto callee = record(9, "a", 1s, 61s, "meshd stopped");
    callee.node = "munich";
    callee.rang = at(1500ms).wall;
    callee.audio = "no audio";
    auto earlier = callee;  // the same account, as it was before
    earlier.ended.reset();
    earlier.why.clear();
    earlier.seen -= 10s;
    const auto other = record(2, "b", 10s, 20s, "busy");
    std::vector<CallRecord> all{caller, callee, earlier, other};
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return std::tie(a.node, a.number, a.seen) < std::tie(b.node, b.number, b.seen); });
    do {
        const auto calls = whole_calls(all);
        REQUIRE(calls.size() == 2);
        CHECK(calls[0].whole.id == "b");
        CHECK(calls[1].sides == std::vector{caller, callee});
        const auto& whole = calls[1].whole;
        CHECK(whole.started == at(0s).wall);
        CHECK(whole.rang == at(1500ms).wall);
        CHECK(whole.answered == at(5s).wall);
        CHECK(whole.ended == at(61s).wall);
        CHECK(whole.why == "hung up by alice@acme.example");
        CHECK(whole.audio == "no audio");
    } while (std::next_permutation(all.begin(), all.end(), [](const auto& a, const auto& b) { return std::tie(a.node, a.number, a.seen) < std::tie(b.node, b.number, b.seen); }));
    auto up = caller;
    up.ended.reset();
    up.why.clear();
    CHECK_FALSE(whole_calls({up, callee}).front().whole.ended);
    CHECK(whole_calls({up, callee}).front().whole.why.empty());
}

TEST_CASE("the accounts on the two sides of a B2BUA, which have two ids, are of one call where their media is joined") {
    const auto end = [](const char* text) { return net::Endpoint::parse(text); };
    auto caller = record(1, "a", 0s, 60s, "hung up by alice@acme.example");
    auto callee = record(9, "b", 1s, 60s, "hung up by alice@acme.example");
    for (auto* one : {&caller, &callee}) {
        one->from = "alice@acme.example";
        one->to = "bob@acme.example";
    }
    callee.node = "munich";
    caller.our_end = callee.far_end = end("10.99.0.1:20006");
    SECTION("joined from both sides, or from the callee's alone, as before an answer") {
        for (const bool answered : {true, false}) {
            if (answered) caller.far_end = callee.our_end = end("10.99.0.2:20010");
            for (const auto& records : {std::vector{caller, callee}, {callee, caller}}) {
                const auto calls = whole_calls(records);
                REQUIRE(calls.size() == 1);
                CHECK(calls[0].whole.id == "a");
                CHECK(calls[0].sides == std::vector{caller, callee});
            }
        }
    }
    SECTION("the same two call again at once, by the same ports") {
        auto again = caller, there = callee;
        again.number = 2;
        again.id = "c";
        again.started += 20s;
        there.number = 10;
        there.id = "d";
        there.started += 20s;
        const auto calls = whole_calls({again, callee, there, caller});
        REQUIRE(calls.size() == 2);
        CHECK(calls[0].sides == std::vector{again, there});
        CHECK(calls[1].sides == std::vector{caller, callee});
    }
    SECTION("other people, other ends, or another time: other calls") {
        auto other = callee;
        other.from = "carol@acme.example";
        CHECK(whole_calls({caller, other}).size() == 2);
        other = callee;
        other.far_end = end("10.99.0.1:20008");
        CHECK(whole_calls({caller, other}).size() == 2);
        other = callee;
        other.started += 31s;
        CHECK(whole_calls({caller, other}).size() == 2);
        other = callee;
        other.far_end.reset();
        CHECK(whole_calls({caller, other}).size() == 2);
    }
}
