// The state machines of RFC 3261 section 17 and RFC 6026 under a virtual clock: every timer by its letter.
#include <catch2/catch.hpp>
#include <deque>

#include "voice/transaction.hpp"

using namespace std::chrono_literals;
using namespace voice;

namespace {

const net::Endpoint kPhone{net::IpAddress::v4(192, 0, 2, 10), 5062};
const net::Endpoint kOurs{net::IpAddress::v4(192, 0, 2, 1), 5060};

struct Bench {
    net::SeededRandom random{7};
    Transactions transactions{random};
    net::Now now{net::Steady(1000s), net::from_unix_seconds(1700000000)};
    Flow flow{Transport::udp, kOurs, kPhone, 0, Side::phone};
    std::deque<TransactionEvent> events;  // references into it stay good

    void tcp() { flow = Flow{Transport::tcp, kOurs, kPhone, 9, Side::phone}; }
    void receive(const std::string& text) {
        auto message = Message::parse(net::as_bytes(text));
        INFO(text);
        INFO((message ? "" : message.error().reason));
        REQUIRE(message);
        transactions.receive(std::move(*message), flow, now);
        collect();
    }
    void collect() {
        for (auto& event : transactions.take_events()) events.push_back(std::move(event));
    }
    /// Lets time pass, tick by tick, and tells what was sent: "ms:first line" each.
    std::vector<std::string> pass(net::Duration duration) {
        std::vector<std::string> log;
        const auto begin = now.steady;
        const auto end = now.steady + duration;
        while (transactions.next_deadline() <= end) {
            now.steady = std::max(now.steady, transactions.next_deadline());
            transactions.tick(now);
            collect();
            for (const auto& line : sent()) {
                log.push_back(std::to_string((now.steady - begin) / 1ms) + ":" + line);
            }
        }
        now.steady = end;
        return log;
    }
    std::vector<std::string> sent() {
        std::vector<std::string> lines;
        for (const auto& out : transactions.take_outgoing()) {
            const auto text = net::as_text(out.bytes);
            lines.emplace_back(text.substr(0, text.find("\r\n")));
            last_sent = std::string(text);
            last_flow = out.flow;
        }
        return lines;
    }
    template <class T>
    std::vector<const T*> all() const {
        std::vector<const T*> found;
        for (const auto& event : events) {
            if (const auto* one = std::get_if<T>(&event)) found.push_back(one);
        }
        return found;
    }
    template <class T>
    const T& only() const {
        const auto found = all<T>();
        REQUIRE(found.size() == 1);
        return *found[0];
    }
    Message sent_message() {
        auto message = Message::parse(net::as_bytes(last_sent));
        REQUIRE(message);
        return std::move(*message);
    }

    std::string last_sent;
    Flow last_flow;
};

std::string request(std::string_view method, std::string_view branch = "z9hG4bKabc", std::string_view more = "",
                    std::string_view cseq_method = "") {
    const std::string m(method);
    return m + " sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5062;rport;branch=" + std::string(branch) +
           "\r\nMax-Forwards: 70\r\nFrom: <sip:alice@example.com>;tag=a1\r\nTo: <sip:bob@example.com>\r\n" +
           "Call-ID: call1\r\nCSeq: 1 " + (cseq_method.empty() ? m : std::string(cseq_method)) + "\r\n" +
           std::string(more) + "Content-Length: 0\r\n\r\n";
}

Message make(std::string_view text) {
    auto message = Message::parse(net::as_bytes(text));
    REQUIRE(message);
    return std::move(*message);
}

Message outgoing(std::string_view method) {
    auto message = make(request(method));
    message.pop_via();
    return message;
}

/// A response to what was sent last, as text.
std::string answer(Bench& bench, int status, std::string_view tag = "b1") {
    return Message::response(bench.sent_message(), status, {}, tag).to_text();
}

using Lines = std::vector<std::string>;
const std::string kInviteLine = "INVITE sip:bob@example.com SIP/2.0";

}  // namespace

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

TEST_CASE("a dead transport ends what waits on it, and only that") {
    Bench bench;
    const auto dead = bench.transactions.start(outgoing("INVITE"), bench.flow, "192.0.2.1", bench.now);
    auto elsewhere = bench.flow;
    elsewhere.remote.port = 5070;
    bench.transactions.start(outgoing("INVITE"), elsewhere, "192.0.2.1", bench.now);
    bench.receive(request("INVITE"));
    bench.transactions.transport_failed(bench.flow, bench.now);
    bench.collect();
    CHECK(bench.only<TransportFailed>().id == dead);
    CHECK_FALSE(bench.only<ServerEnded>().clean);
    CHECK(bench.transactions.client_count() == 1);
    CHECK(bench.transactions.server_count() == 0);
}

TEST_CASE("a request that asked for a connection follows it once it is there") {
    Bench bench;
    bench.tcp();
    auto wanted = bench.flow;
    wanted.connection = 0;
    bench.transactions.start(outgoing("INVITE"), wanted, "192.0.2.1", bench.now);
    bench.transactions.connected(bench.flow, bench.now);
    bench.sent();
    bench.receive(answer(bench, 486));
    bench.sent();
    CHECK(bench.last_flow.connection == 9);
}

TEST_CASE("a full table makes room from what only waits, and refuses with 503 where there is nothing to give") {
    net::SeededRandom random(1);
    Bench bench;
    TransactionSettings settings;
    settings.max_transactions = 3;
    Transactions small(random, settings);
    const auto feed = [&](const std::string& text) { small.receive(make(text), bench.flow, bench.now); };
    feed(request("REGISTER", "z9hG4bK1"));
    for (const auto& event : small.take_events()) {
        const auto& arrived = std::get<RequestArrived>(event);
        small.respond(arrived.id, Message::response(arrived.message, 200, {}, "t"), bench.now);
    }
    feed(request("INVITE", "z9hG4bK2"));
    feed(request("INVITE", "z9hG4bK3"));
    CHECK(small.server_count() == 3);
    feed(request("INVITE", "z9hG4bK4"));
    CHECK(small.server_count() == 3);
    small.take_outgoing();
    feed(request("INVITE", "z9hG4bK5"));
    CHECK(small.server_count() == 3);
    const auto out = small.take_outgoing();
    REQUIRE(out.size() == 1);
    const auto refusal = make(net::as_text(out[0].bytes));
    CHECK(refusal.status() == 503);
    CHECK(refusal.retry_after_s() == 5);
    CHECK(small.start(outgoing("INVITE"), bench.flow, "192.0.2.1", bench.now) == 0);
    CHECK(small.counters().refused_full == 2);
}

TEST_CASE("a response with a branch that is not ours is a stray") {
    Bench bench;
    bench.transactions.start(outgoing("INVITE"), bench.flow, "192.0.2.1", bench.now);
    bench.sent();
    bench.receive(Message::response(make(request("INVITE")), 200, {}, "t").to_text());
    CHECK(bench.all<StrayResponse>().size() == 1);
    CHECK(bench.all<ResponseArrived>().empty());
}

TEST_CASE("a Via says where we are: host, port, IPv6 and transport") {
    Bench bench;
    CHECK(bench.transactions.make_via(bench.flow, "192.0.2.1:5080").text().starts_with("SIP/2.0/UDP 192.0.2.1:5080;branch=z9hG4bK"));
    CHECK(bench.transactions.make_via(bench.flow, "[2001:db8::1]:5080", "loop").text().starts_with("SIP/2.0/UDP [2001:db8::1]:5080;"));
    CHECK(bench.transactions.make_via(bench.flow, "[2001:db8::1]", "loop").branch().ends_with("-loop"));
    bench.tcp();
    CHECK(bench.transactions.make_via(bench.flow, "gw.example").text().starts_with("SIP/2.0/TCP gw.example;branch="));
}

TEST_CASE("requests of ours that have been answered make room for new ones") {
    net::SeededRandom random(1);
    Bench bench;
    TransactionSettings settings;
    settings.max_transactions = 4;
    Transactions small(random, settings);
    for (unsigned i = 0; i < 50; ++i) {
        const auto id = small.start(outgoing("OPTIONS"), bench.flow, "192.0.2.1", bench.now);
        REQUIRE(id != 0);
        const auto sent = make(net::as_text(small.take_outgoing().back().bytes));
        small.receive(Message::response(sent, 200, {}, "t"), bench.flow, bench.now);
        CHECK(small.request_of_client(id) != nullptr);
        CHECK(small.client_count() <= 4);
    }
}

TEST_CASE("what only waits for retransmissions is bounded by itself, the oldest goes first") {
    net::SeededRandom random(1);
    Bench bench;
    TransactionSettings settings;
    settings.max_finished = 2;
    Transactions small(random, settings);
    for (unsigned i = 0; i < 5; ++i) {
        small.receive(make(request("REGISTER", "z9hG4bK" + std::to_string(i))), bench.flow, bench.now);
        for (const auto& event : small.take_events()) {
            const auto* arrived = std::get_if<RequestArrived>(&event);
            if (arrived == nullptr) continue;
            small.respond(arrived->id, Message::response(arrived->message, 200, {}, "t"), bench.now);
        }
    }
    CHECK(small.server_count() == 2);
    small.take_events();
    small.take_outgoing();
    small.receive(make(request("REGISTER", "z9hG4bK4")), bench.flow, bench.now);
    CHECK(small.take_outgoing().size() == 1);
    CHECK(small.take_events().empty());
}
