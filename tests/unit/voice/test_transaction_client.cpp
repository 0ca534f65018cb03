// The client state machines of RFC 3261 section 17.1 and RFC 6026 under a virtual clock: every timer by its letter.
#include "transaction_bench.hpp"

using namespace transaction_bench;

TEST_CASE("an INVITE is sent again after 0.5, 1, 2, 4 ... seconds (timer A) and given up after 32 (timer B)") {
    Bench bench;
    const auto id = bench.transactions.start(outgoing("INVITE"), bench.flow, "192.0.2.1:5060", bench.now);
    CHECK(bench.sent() == Lines{kInviteLine});
    const auto log = bench.pass(40s);
    CHECK(log == Lines{"500:" + kInviteLine, "1500:" + kInviteLine, "3500:" + kInviteLine, "7500:" + kInviteLine,
                       "15500:" + kInviteLine, "31500:" + kInviteLine});
    CHECK(bench.only<TimedOut>().id == id);
    CHECK(bench.transactions.client_count() == 0);
    CHECK(bench.transactions.next_deadline() == net::kNever);
}

TEST_CASE("over a reliable transport nothing is sent again, and timers B and F hold") {
    for (const auto* method : {"INVITE", "OPTIONS"}) {
        Bench bench;
        bench.tcp();
        bench.transactions.start(outgoing(method), bench.flow, "192.0.2.1", bench.now);
        CHECK(bench.sent().size() == 1);
        CHECK(bench.pass(31999ms).empty());
        CHECK(bench.events.empty());
        bench.pass(1ms);
        CHECK(bench.all<TimedOut>().size() == 1);
    }
}

TEST_CASE("another request is sent again up to every four seconds (timers E, T2) and given up after 32 (timer F)") {
    Bench bench;
    bench.transactions.start(outgoing("REGISTER"), bench.flow, "192.0.2.1:5060", bench.now);
    bench.sent();
    std::vector<std::string> times;
    for (const auto& line : bench.pass(40s)) times.push_back(line.substr(0, line.find(':')));
    CHECK(times == Lines{"500", "1500", "3500", "7500", "11500", "15500", "19500", "23500", "27500", "31500"});
    CHECK(bench.all<TimedOut>().size() == 1);
}

TEST_CASE("a provisional response stops an INVITE's retransmissions and slows another request's to T2") {
    Bench bench;
    bench.transactions.start(outgoing("INVITE"), bench.flow, "192.0.2.1", bench.now);
    bench.sent();
    bench.receive(answer(bench, 180));
    CHECK(bench.only<ResponseArrived>().message.status() == 180);
    CHECK(bench.only<ResponseArrived>().message.via_count() == 0);
    CHECK(bench.pass(300s).empty());  // timer C is the proxy's
    CHECK(bench.transactions.client_count() == 1);

    Bench other;
    other.transactions.start(outgoing("OPTIONS"), other.flow, "192.0.2.1", other.now);
    other.sent();
    other.pass(600ms);
    other.receive(answer(other, 100));
    const auto log = other.pass(10s);
    REQUIRE(log.size() >= 2);
    CHECK(log[0].starts_with("900:"));
    CHECK(log[1].starts_with("4900:"));
}

TEST_CASE("a refused INVITE is acknowledged, each time again, for 32 seconds (timer D)") {
    Bench bench;
    const auto id = bench.transactions.start(outgoing("INVITE"), bench.flow, "192.0.2.1:5060", bench.now);
    bench.sent();
    const auto invite = bench.sent_message();
    const auto busy = answer(bench, 486, "theirs");
    bench.receive(busy);
    CHECK(bench.only<ResponseArrived>().id == id);
    REQUIRE(bench.sent() == Lines{"ACK sip:bob@example.com SIP/2.0"});
    const auto ack = bench.sent_message();
    CHECK(ack.top_via()->branch() == invite.top_via()->branch());
    CHECK(ack.via_count() == 1);
    CHECK(ack.to_tag() == "theirs");
    CHECK(ack.cseq().text() == "1 ACK");
    CHECK(ack.call_id() == invite.call_id());
    bench.pass(31s);
    bench.receive(busy);
    CHECK(bench.sent() == Lines{"ACK sip:bob@example.com SIP/2.0"});
    CHECK(bench.all<ResponseArrived>().size() == 1);
    CHECK(bench.all<ClientEnded>().empty());
    bench.pass(1s);
    CHECK(bench.only<ClientEnded>().id == id);
    bench.receive(busy);
    CHECK(bench.all<StrayResponse>().size() == 1);
    CHECK(bench.sent().empty());
}

TEST_CASE("over a reliable transport a refused INVITE is acknowledged once and forgotten") {
    Bench bench;
    bench.tcp();
    bench.transactions.start(outgoing("INVITE"), bench.flow, "192.0.2.1", bench.now);
    bench.sent();
    bench.receive(answer(bench, 603));
    CHECK(bench.sent().size() == 1);
    CHECK(bench.all<ClientEnded>().size() == 1);
    CHECK(bench.transactions.client_count() == 0);
}

TEST_CASE("every 2xx to an INVITE comes through for 32 seconds (timer M, RFC 6026), and is not acknowledged here") {
    Bench bench;
    bench.transactions.start(outgoing("INVITE"), bench.flow, "192.0.2.1", bench.now);
    bench.sent();
    const auto ok = answer(bench, 200, "one");
    const auto fork = answer(bench, 200, "two");
    const auto busy = answer(bench, 486, "three");
    bench.receive(ok);
    bench.pass(10s);
    bench.receive(ok);
    bench.receive(fork);
    bench.receive(busy);
    CHECK(bench.all<ResponseArrived>().size() == 3);
    CHECK(bench.sent().empty());
    bench.pass(21999ms);
    CHECK(bench.all<ClientEnded>().empty());
    bench.pass(1ms);
    CHECK(bench.all<ClientEnded>().size() == 1);
}

TEST_CASE("a final response to another request is delivered once, and retransmissions absorbed for T4 (timer K)") {
    Bench bench;
    bench.transactions.start(outgoing("BYE"), bench.flow, "192.0.2.1", bench.now);
    bench.sent();
    const auto ok = answer(bench, 200);
    bench.receive(ok);
    bench.pass(4s);
    bench.receive(ok);
    CHECK(bench.all<ResponseArrived>().size() == 1);
    CHECK(bench.all<StrayResponse>().empty());
    bench.pass(1s);
    CHECK(bench.all<ClientEnded>().size() == 1);
    bench.receive(ok);
    CHECK(bench.all<StrayResponse>().size() == 1);
}

TEST_CASE("our CANCEL waits for a provisional response, and then the INVITE's end comes or is given up") {
    Bench bench;
    const auto id = bench.transactions.start(outgoing("INVITE"), bench.flow, "192.0.2.1", bench.now);
    bench.sent();
    const auto invite = bench.last_sent;
    const auto ringing = answer(bench, 180);
    bench.transactions.cancel(id, bench.now, "SIP ;cause=200");
    CHECK(bench.sent().empty());
    bench.receive(ringing);
    REQUIRE(bench.sent() == Lines{"CANCEL sip:bob@example.com SIP/2.0"});
    const auto cancel = bench.sent_message();
    CHECK(cancel.top_via()->branch() == make(invite).top_via()->branch());
    CHECK(cancel.cseq().text() == "1 CANCEL");
    CHECK(cancel.get("Reason") == "SIP ;cause=200");
    CHECK_FALSE(cancel.has("Require"));
    bench.receive(answer(bench, 200));  // to the CANCEL: not for the user
    CHECK(bench.all<ResponseArrived>().size() == 1);
    bench.transactions.cancel(id, bench.now);
    CHECK(bench.sent().empty());
    bench.pass(33s);
    CHECK(bench.only<TimedOut>().id == id);
    CHECK(bench.transactions.client_count() == 0);
}

TEST_CASE("an INVITE that is sent no more still takes a late answer") {
    Bench bench;
    const auto id = bench.transactions.start(outgoing("INVITE"), bench.flow, "192.0.2.1", bench.now);
    bench.sent();
    const auto ok = answer(bench, 200);
    const auto ringing = answer(bench, 180);
    bench.transactions.stop_resending(id);
    bench.transactions.cancel(id, bench.now);
    CHECK(bench.pass(20s).empty());
    bench.receive(ringing);
    CHECK(bench.sent() == Lines{"CANCEL sip:bob@example.com SIP/2.0"});
    bench.receive(ok);
    CHECK(bench.all<ResponseArrived>().size() == 2);
}
