// The server state machines of RFC 3261 section 17.2 and RFC 6026 under a virtual clock: every timer by its letter.
#include "transaction_bench.hpp"

using namespace transaction_bench;

TEST_CASE("an INVITE is answered 100 at once, and a retransmission gets the last provisional response") {
    Bench bench;
    bench.receive(request("INVITE"));
    const auto id = bench.only<RequestArrived>().id;
    CHECK(bench.sent() == Lines{"SIP/2.0 100 Trying"});
    bench.receive(request("INVITE"));
    CHECK(bench.sent() == Lines{"SIP/2.0 100 Trying"});
    bench.transactions.respond(id, Message::response(bench.only<RequestArrived>().message, 180, {}, "t"), bench.now);
    bench.sent();
    bench.receive(request("INVITE"));
    CHECK(bench.sent() == Lines{"SIP/2.0 180 Ringing"});
    CHECK(bench.all<RequestArrived>().size() == 1);
    CHECK(bench.pass(100s).empty());
}

TEST_CASE("a refusal is sent again until the ACK (timer G); the ACK is absorbed for T4 (timer I)") {
    Bench bench;
    bench.receive(request("INVITE"));
    const auto id = bench.only<RequestArrived>().id;
    bench.transactions.respond(id, Message::response(bench.only<RequestArrived>().message, 486, {}, "t"), bench.now);
    bench.sent();
    CHECK(bench.transactions.has_final(id));
    std::vector<std::string> times;
    for (const auto& line : bench.pass(12s)) times.push_back(line.substr(0, line.find(':')));
    CHECK(times == Lines{"500", "1500", "3500", "7500", "11500"});
    bench.receive(request("ACK"));
    CHECK(bench.all<AckArrived>().empty());
    CHECK(bench.pass(4999ms).empty());
    bench.receive(request("ACK"));
    bench.receive(request("INVITE"));
    CHECK(bench.sent().empty());
    CHECK(bench.all<ServerEnded>().empty());
    bench.pass(1ms);
    CHECK(bench.only<ServerEnded>().clean);
}

TEST_CASE("without an ACK a refusal is given up after 32 seconds, and that is told (timer H)") {
    for (const bool tcp : {false, true}) {
        Bench bench;
        if (tcp) bench.tcp();
        bench.receive(request("INVITE"));
        const auto& arrived = bench.only<RequestArrived>();
        bench.transactions.respond(arrived.id, Message::response(arrived.message, 404, {}, "t"), bench.now);
        bench.sent();
        CHECK(bench.pass(31999ms).empty() == tcp);
        CHECK(bench.all<ServerEnded>().empty());
        bench.pass(1ms);
        CHECK_FALSE(bench.only<ServerEnded>().clean);
    }
}

TEST_CASE("after a 2xx the INVITE is absorbed for 32 seconds (timer L), and the user may send 2xx again") {
    Bench bench;
    bench.receive(request("INVITE"));
    const auto arrived = bench.only<RequestArrived>().message;
    const auto id = bench.only<RequestArrived>().id;
    const auto ok = Message::response(arrived, 200, {}, "t");
    bench.sent();
    CHECK(bench.transactions.respond(id, ok, bench.now));
    CHECK(bench.sent() == Lines{"SIP/2.0 200 OK"});
    CHECK(bench.pass(5s).empty());
    bench.receive(request("INVITE"));
    CHECK(bench.sent().empty());
    CHECK(bench.transactions.respond(id, ok, bench.now));
    CHECK(bench.sent() == Lines{"SIP/2.0 200 OK"});
    CHECK_FALSE(bench.transactions.respond(id, Message::response(arrived, 486, {}, "t"), bench.now));
    CHECK(bench.sent().empty());
    bench.receive(request("ACK", "z9hG4bKother"));
    CHECK(bench.all<AckArrived>().size() == 1);
    bench.pass(27s);
    CHECK(bench.only<ServerEnded>().clean);
    CHECK_FALSE(bench.transactions.respond(id, ok, bench.now));
}

TEST_CASE("a final response to another request is repeated to retransmissions for 32 seconds (timer J)") {
    Bench bench;
    bench.receive(request("REGISTER"));
    CHECK(bench.sent().empty());
    bench.receive(request("REGISTER"));
    CHECK(bench.sent().empty());  // trying: nothing to say
    const auto& arrived = bench.only<RequestArrived>();
    const auto id = arrived.id;
    bench.transactions.respond(id, Message::response(arrived.message, 200, {}, "t"), bench.now);
    bench.sent();
    bench.pass(31s);
    bench.receive(request("REGISTER"));
    CHECK(bench.sent() == Lines{"SIP/2.0 200 OK"});
    bench.pass(1s);
    CHECK(bench.only<ServerEnded>().clean);
    bench.receive(request("REGISTER"));
    CHECK(bench.all<RequestArrived>().size() == 2);

    Bench tcp;
    tcp.tcp();
    tcp.receive(request("REGISTER"));
    tcp.transactions.respond(tcp.only<RequestArrived>().id,
                             Message::response(tcp.only<RequestArrived>().message, 200, {}, "t"), tcp.now);
    tcp.collect();
    CHECK(tcp.only<ServerEnded>().clean);
}

TEST_CASE("a request that nobody answers does not stay for ever") {
    Bench bench;
    bench.receive(request("MESSAGE"));
    bench.pass(37s);
    CHECK_FALSE(bench.only<ServerEnded>().clean);
    CHECK(bench.transactions.server_count() == 0);
}

TEST_CASE("another branch, sent-by or method is another transaction") {
    Bench bench;
    bench.receive(request("OPTIONS", "z9hG4bK1"));
    bench.receive(request("OPTIONS", "z9hG4bK2"));
    bench.receive(request("MESSAGE", "z9hG4bK2"));
    auto moved = request("OPTIONS", "z9hG4bK1");
    moved.replace(moved.find("192.0.2.10:5062"), 15, "192.0.2.10:5063");
    bench.receive(moved);
    CHECK(bench.all<RequestArrived>().size() == 4);
    bench.receive(request("OPTIONS", "Z9HG4BK1"));  // tokens know no case
    CHECK(bench.all<RequestArrived>().size() == 4);
}

TEST_CASE("a request of RFC 2543 is matched by its fields, and so are its ACK and CANCEL") {
    Bench bench;
    bench.receive(request("INVITE", "1"));
    bench.receive(request("INVITE", "1"));
    const auto& arrived = bench.only<RequestArrived>();
    bench.receive(request("CANCEL", "1"));
    CHECK(bench.only<Cancelled>().id == arrived.id);
    bench.transactions.respond(arrived.id, Message::response(arrived.message, 487, {}, "t"), bench.now);
    auto ack = request("ACK", "1");
    ack.replace(ack.find("To: <sip:bob@example.com>"), 25, "To: <sip:bob@example.com>;tag=t");
    bench.receive(ack);
    CHECK(bench.all<AckArrived>().empty());
    bench.pass(6s);
    CHECK(bench.only<ServerEnded>().clean);
    auto other = request("INVITE", "1");
    other.replace(other.find("Call-ID: call1"), 14, "Call-ID: call2");
    bench.receive(other);
    CHECK(bench.all<RequestArrived>().size() == 2);
}

TEST_CASE("received and rport are filled in, whatever the sender said (RFC 3261 18.2.1, RFC 3581)") {
    Bench bench;
    bench.flow.remote = net::Endpoint{net::IpAddress::v4(203, 0, 113, 5), 40000};
    auto lying = request("OPTIONS");
    lying.replace(lying.find(";rport"), 6, ";received=10.0.0.1;rport=1");
    bench.receive(lying);
    const auto via = bench.only<RequestArrived>().message.top_via();
    CHECK(via->received() == net::IpAddress::v4(203, 0, 113, 5));
    CHECK(via->rport() == 40000);

    // Not even where sent-by is true.
    Bench honest;
    auto half = request("OPTIONS");
    half.replace(half.find(";rport"), 6, ";received=10.0.0.1");
    honest.receive(half);
    CHECK(honest.only<RequestArrived>().message.top_via()->received() == kPhone.address);

    // Without rport the response goes to the port of sent-by.
    auto plain = request("OPTIONS", "z9hG4bKx");
    plain.replace(plain.find(";rport"), 6, "");
    bench.receive(plain);
    const auto& arrived = *bench.all<RequestArrived>()[1];
    bench.transactions.respond(arrived.id, Message::response(arrived.message, 200, {}, "t"), bench.now);
    bench.sent();
    CHECK(bench.last_flow.remote == net::Endpoint{net::IpAddress::v4(203, 0, 113, 5), 5062});
}

TEST_CASE("CANCEL is answered 200 and told once; after a final response, or for nothing, it changes nothing") {
    Bench bench;
    bench.receive(request("INVITE"));
    const auto arrived = bench.only<RequestArrived>();
    bench.sent();
    bench.receive(request("CANCEL", "z9hG4bKabc", "Reason: SIP ;cause=200\r\n"));
    CHECK(bench.sent() == Lines{"SIP/2.0 200 OK"});
    CHECK(bench.only<Cancelled>().cancel.get("Reason") == "SIP ;cause=200");
    bench.receive(request("CANCEL"));
    CHECK(bench.sent() == Lines{"SIP/2.0 200 OK"});
    CHECK(bench.all<Cancelled>().size() == 1);

    bench.receive(request("CANCEL", "z9hG4bKnone"));
    CHECK(bench.sent() == Lines{"SIP/2.0 481 Call/Transaction Does Not Exist"});
    CHECK(bench.all<Cancelled>().size() == 1);
}

TEST_CASE("CANCEL after the answer is answered 200 and goes no further") {
    Bench bench;
    bench.receive(request("INVITE"));
    const auto& arrived = bench.only<RequestArrived>();
    bench.transactions.respond(arrived.id, Message::response(arrived.message, 200, {}, "t"), bench.now);
    bench.sent();
    bench.receive(request("CANCEL"));
    CHECK(bench.sent() == Lines{"SIP/2.0 200 OK"});
    CHECK(bench.all<Cancelled>().empty());
}

TEST_CASE("a CANCEL from elsewhere ends nobody's call") {
    Bench bench;
    bench.receive(request("INVITE"));
    bench.sent();
    bench.flow.remote.address = net::IpAddress::v4(198, 51, 100, 66);
    bench.receive(request("CANCEL"));
    CHECK(bench.sent() == Lines{"SIP/2.0 481 Call/Transaction Does Not Exist"});
    CHECK(bench.all<Cancelled>().empty());
}

TEST_CASE("received and rport hold an IPv6 source without brackets, and the answer goes there") {
    Bench bench;
    bench.flow = Flow{Transport::udp, *net::Endpoint::parse("[2001:db8::1]:5060"), *net::Endpoint::parse("[2001:db8::9:ff]:6000"),
                      0, Side::phone};
    auto message = make(request("OPTIONS"));
    auto via = *Via::parse("SIP/2.0/UDP [2001:db8::9:1]:5062;rport;branch=z9hG4bKsix");
    message.set_top_via(via);
    bench.receive(message.to_text());
    const auto& arrived = bench.only<RequestArrived>();
    const auto top = arrived.message.top_via()->text();
    CHECK(top == "SIP/2.0/UDP [2001:db8::9:1]:5062;rport=6000;branch=z9hG4bKsix;received=2001:db8::9:ff");
    bench.transactions.respond(arrived.id, Message::response(arrived.message, 200), bench.now);
    bench.sent();
    CHECK(bench.last_flow.remote == bench.flow.remote);
    // Without rport: the port that the Via names.
    via = *Via::parse("SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKseven");
    message.set_top_via(via);
    bench.receive(message.to_text());
    const auto id = bench.all<RequestArrived>().back()->id;
    bench.transactions.respond(id, Message::response(bench.all<RequestArrived>().back()->message, 200), bench.now);
    bench.sent();
    CHECK(bench.last_flow.remote == *net::Endpoint::parse("[2001:db8::9:ff]:5060"));
}
