// What all transactions of a node share: transports, room, strays and Vias.
#include "transaction_bench.hpp"

using namespace transaction_bench;

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

TEST_CASE("a request that asked for a connection ends with the one that was tried for it") {
    Bench bench;
    bench.tcp();
    auto wanted = bench.flow;
    wanted.connection = 0;
    const auto dead = bench.transactions.start(outgoing("INVITE"), wanted, "192.0.2.1", bench.now);
    auto elsewhere = wanted;
    elsewhere.remote.port = 5070;
    bench.transactions.start(outgoing("INVITE"), elsewhere, "192.0.2.1", bench.now);
    bench.transactions.transport_failed(bench.flow, bench.now);
    bench.collect();
    CHECK(bench.only<TransportFailed>().id == dead);
    CHECK(bench.transactions.client_count() == 1);
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
    CHECK(refusal.retry_after_s() >= 5U);
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
