#include <catch2/catch.hpp>
#include <set>

#include "transaction_bench.hpp"
#include "voice/overload.hpp"

using namespace transaction_bench;

namespace {

/// So full at every look, for so long.
void look(Overload& overload, net::Now& now, unsigned percent, net::Duration time) {
    for (const auto end = now.steady + time; now.steady < end; now.steady += 100ms) {
        REQUIRE(overload.look_due(now));
        overload.looked(percent, now);
        CHECK_FALSE(overload.look_due(now));
    }
}

}  // namespace

TEST_CASE("a queue that is full for less than a second is a burst, one that stays full is overload until it is drained") {
    Overload overload;
    net::Now now{net::Steady(1000s), {}};
    look(overload, now, 100, 900ms);
    CHECK_FALSE(overload.is_overloaded());
    look(overload, now, 89, 200ms);
    look(overload, now, 90, 1s);
    CHECK_FALSE(overload.is_overloaded());
    look(overload, now, 90, 100ms);
    CHECK(overload.is_overloaded());
    look(overload, now, 50, 1s);
    CHECK(overload.is_overloaded());
    look(overload, now, 49, 100ms);
    CHECK_FALSE(overload.is_overloaded());
    CHECK(overload.times() == 1);
}

TEST_CASE("full before and after one long pause is no overload yet, and the next look decides") {
    Overload overload;
    net::Now now{net::Steady(1000s), {}};
    overload.looked(100, now);
    now.steady += 10s;
    overload.looked(100, now);
    CHECK_FALSE(overload.is_overloaded());
    now.steady += 100ms;
    SECTION("it is drained") {
        look(overload, now, 20, 100ms);
        look(overload, now, 100, 900ms);
        CHECK_FALSE(overload.is_overloaded());
    }
    SECTION("it is full still") {
        overload.looked(100, now);
        CHECK(overload.is_overloaded());
    }
}

TEST_CASE("looks that come late, as there is so much to do, find overload too") {
    Overload overload;
    net::Now now{net::Steady(1000s), {}};
    for (unsigned i = 0; i < 3; ++i, now.steady += 700ms) {
        CHECK_FALSE(overload.is_overloaded());
        overload.looked(95, now);
    }
    CHECK(overload.is_overloaded());
}

TEST_CASE("while it is full it is to be looked at again, whether anything is read or not") {
    Overload overload;
    net::Now now{net::Steady(1000s), {}};
    CHECK(overload.look_by() == net::kNever);
    overload.looked(89, now);
    CHECK(overload.look_by() == net::kNever);
    now.steady += 100ms;
    look(overload, now, 90, 1100ms);
    CHECK(overload.look_by() == now.steady);
    look(overload, now, 60, 100ms);
    CHECK(overload.look_by() == now.steady);  // overloaded still
    look(overload, now, 10, 100ms);
    CHECK(overload.look_by() == net::kNever);
}

TEST_CASE("in overload what begins something new gets 503 and a time to come back at, and is forgotten") {
    Bench bench;
    bench.transactions.refuse_new(true);
    std::set<std::uint32_t> times;
    for (unsigned i = 0; i < 100; ++i) {
        bench.receive(request("INVITE", "z9hG4bK" + std::to_string(i)));
        REQUIRE(bench.sent() == Lines{"SIP/2.0 503 Service Unavailable"});
        const auto after = bench.sent_message().retry_after_s();
        REQUIRE(after);
        times.insert(*after);
    }
    CHECK(*times.begin() == 5);
    CHECK(*times.rbegin() == 15);
    CHECK(times.size() == 11);  // they do not all come back at once
    CHECK(bench.transactions.server_count() == 0);
    CHECK(bench.transactions.counters().refused_overload == 100);
    CHECK(bench.events.empty());
    // Its ACK goes to nobody either.
    auto ack = Message::ack_for(outgoing("INVITE"), bench.sent_message());
    ack.push_via(*make(request("INVITE")).top_via());
    bench.receive(ack.to_text());
    CHECK(bench.events.empty());
    CHECK(bench.sent().empty());
}

TEST_CASE("in overload what is spared goes on, and begins a transaction as ever") {
    Bench bench;
    bench.transactions.refuse_new(true);
    bench.transactions.spare([](const Message& message, const Flow*, net::Now) { return message.is("INVITE") && message.uri().user == "bob"; });
    bench.receive(request("OPTIONS"));
    CHECK(bench.sent() == Lines{"SIP/2.0 503 Service Unavailable"});
    bench.receive(request("INVITE"));
    CHECK(bench.sent() == Lines{"SIP/2.0 100 Trying"});
    CHECK(bench.all<RequestArrived>().size() == 1);
}

TEST_CASE("in overload what belongs to a transaction or a dialog that there is goes on") {
    Bench bench;
    bench.receive(request("INVITE"));
    REQUIRE(bench.sent() == Lines{"SIP/2.0 100 Trying"});
    bench.transactions.refuse_new(true);
    bench.receive(request("INVITE"));  // again
    CHECK(bench.sent() == Lines{"SIP/2.0 100 Trying"});
    bench.receive(request("CANCEL"));
    CHECK(bench.sent() == Lines{"SIP/2.0 200 OK"});
    CHECK(bench.all<Cancelled>().size() == 1);
    auto bye = make(request("BYE", "z9hG4bKbye"));
    auto to = bye.to();
    to.params.set("tag", "b1");
    bye.set_to(to);
    bench.receive(bye.to_text());
    CHECK(bench.all<RequestArrived>().size() == 2);
    bench.transactions.refuse_new(false);
    bench.receive(request("OPTIONS", "z9hG4bKlater"));
    CHECK(bench.all<RequestArrived>().size() == 3);
    CHECK(bench.transactions.counters().refused_overload == 0);
}
