#include "meshd/dns_sockets.hpp"

#include <catch2/catch.hpp>

using namespace std::chrono_literals;
using meshd::DnsRate;
using meshd::DnsSockets;

namespace {

const auto kHere = *net::IpAddress::parse("127.0.0.1");
const auto kElsewhere = *net::IpAddress::parse("127.0.0.3");
const auto kStranger = *net::IpAddress::parse("127.0.0.2");

std::uint16_t some_port(loop::Loop& loop) {
    return loop::TcpListener(loop, {kHere, 0, 0}, [](std::unique_ptr<loop::Stream>) {}).local().port;
}

net::Bytes question(char fill, std::size_t size = 20) { return net::Bytes(size, static_cast<std::byte>(fill)); }

/// Answers each message by itself, and says how it came.
struct Fixture {
    explicit Fixture(net::Duration idle = DnsSockets::kIdle) : idle_after(idle) { watchdog.after(10s); }

    std::unique_ptr<loop::Stream> connect(const net::IpAddress& from = kHere) {
        return loop::Stream::connect_tcp(
            loop, {kHere, port, 0},
            {nullptr, [this](net::ByteView bytes) { back.feed(bytes); }, [this](const loop::Closed&) { ++closed; }, nullptr}, {}, from);
    }
    void run_until(const std::function<bool()>& done) {
        while (!done()) loop.run_once();
    }

    loop::Loop loop;
    loop::Timer watchdog{loop, [] { throw std::runtime_error("nothing came within 10 s"); }};
    net::Duration idle_after;
    std::uint16_t port = some_port(loop);
    dns::Framer back;
    unsigned closed = 0, changed = 0, by_tcp = 0, came = 0;
    net::IpAddress came_from, came_to;
    DnsSockets sockets{loop, port,
                       {[this](net::ByteView message, const net::IpAddress& from, const net::IpAddress& to, bool tcp) {
                            came_from = from;
                            came_to = to;
                            ++came;
                            by_tcp += tcp ? 1 : 0;
                            return message[0] == std::byte{'-'} ? net::Bytes() : net::copy(message);
                        },
                        [](const net::IpAddress& from, const net::IpAddress&, bool) { return from != kStranger; },
                        [this] { ++changed; }},
                       idle_after};
};

}  // namespace

TEST_CASE("a question by UDP is answered from the address that it came to") {
    Fixture f;
    f.sockets.listen({{kHere, false}, {kElsewhere, false}}, 0);
    std::vector<std::pair<net::Endpoint, net::Bytes>> came;
    const auto ask = [&](const net::IpAddress& from) {
        return std::make_unique<loop::UdpSocket>(f.loop, net::Endpoint{from, 0, 0}, loop::UdpSocket::Events{[&](const loop::Received& got) {
            came.emplace_back(got.from, net::copy(got.bytes));
        }, {}});
    };
    const auto stranger = ask(kStranger), friendly = ask(kHere);
    stranger->send({kElsewhere, f.port, 0}, question('s'));
    friendly->send({kElsewhere, f.port, 0}, question('-'));
    friendly->send({kElsewhere, f.port, 0}, question('f'));
    f.run_until([&] { return !came.empty(); });
    CHECK(came == std::vector{std::pair{net::Endpoint{kElsewhere, f.port, 0}, question('f')}});
    CHECK(f.came_from == kHere);
    CHECK(f.came_to == kElsewhere);
    CHECK(f.by_tcp == 0);
    CHECK(f.sockets.counters().strangers == 1);
}

TEST_CASE("questions in a row by TCP are all answered, in order") {
    Fixture f;
    f.sockets.listen({{kHere, false}}, 0);
    const auto stream = f.connect();
    for (char c = 'a'; c <= 'e'; ++c) stream->write(dns::Framer::framed(question(c)));
    std::string order;
    f.run_until([&] {
        while (const auto message = f.back.next()) order += net::as_text(*message)[0];
        return order.size() == 5;
    });
    CHECK(order == "abcde");
    CHECK(f.by_tcp == 5);
    CHECK(f.sockets.connections() == 1);
}

TEST_CASE("a stream that is no DNS, gets no answer, or comes from a stranger is closed") {
    Fixture f;
    f.sockets.listen({{kHere, false}}, 0);
    const auto garbage = f.connect(), silent = f.connect(), stranger = f.connect(kStranger);
    garbage->write(net::as_bytes("GET / HTTP/1.0\r\n\r\n"));
    silent->write(dns::Framer::framed(question('-')));
    f.run_until([&] { return f.closed == 3; });
    CHECK(f.sockets.connections() == 0);
    CHECK(f.sockets.counters().strangers == 1);
    CHECK(f.sockets.counters().connections_closed == 2);
}

TEST_CASE("connections are bounded, and those that ask nothing are closed") {
    Fixture f(100ms);
    f.sockets.listen({{kHere, false}}, 0);
    std::vector<std::unique_ptr<loop::Stream>> streams;
    for (std::size_t i = 0; i < DnsSockets::kMaxOfOneAddress + 2; ++i) streams.push_back(f.connect());
    f.run_until([&] { return f.closed == streams.size(); });
    CHECK(f.sockets.connections() == 0);
    CHECK(f.sockets.counters().connections_closed == streams.size());
}

TEST_CASE("more connections than there is room for close the one that was idle for longest") {
    Fixture f;
    f.sockets.listen({{kHere, false}}, 0);
    std::vector<std::unique_ptr<loop::Stream>> streams;
    for (std::size_t i = 0; i < DnsSockets::kMaxConnections; ++i) {
        streams.push_back(f.connect(net::IpAddress::v4(127, 0, 1, static_cast<std::uint8_t>(1 + i / 2))));
    }
    f.run_until([&] { return f.sockets.connections() == DnsSockets::kMaxConnections; });
    CHECK(f.closed == 0);
    const auto another = f.connect();
    f.run_until([&] { return f.closed == 1; });
    CHECK(f.sockets.connections() == DnsSockets::kMaxConnections);
    another->write(dns::Framer::framed(question('a')));
    f.run_until([&] { return f.back.next().has_value(); });
}

TEST_CASE("a port that another program has is left to it, told, and taken when it is free") {
    Fixture f;
    auto other = std::make_unique<loop::UdpSocket>(f.loop, net::Endpoint{net::IpAddress::v4(0), f.port, 0},
                                                   loop::UdpSocket::Events{[](const loop::Received&) {}, {}});
    f.sockets.listen({{kHere, false}}, 0);
    CHECK(f.changed == 1);
    const auto& door = f.sockets.doors().at(kHere);
    CHECK(door.trouble.find("another program has this port") != std::string::npos);
    other.reset();
    f.sockets.listen({{kHere, false}}, 0);
    CHECK(door.trouble.empty());
    CHECK(f.changed == 2);
    f.sockets.listen({{kHere, false}}, 0);
    CHECK(f.changed == 2);
    f.sockets.listen({}, 0);
    CHECK(f.sockets.doors().empty());
    CHECK(f.changed == 3);
}

TEST_CASE("who asks too much by UDP is not answered, and another is; what is no question counts for nothing") {
    Fixture f;
    f.sockets.listen({{kHere, false}}, 0);
    std::size_t answered = 0;
    const auto socket_at = [&](const net::IpAddress& address) {
        return std::make_unique<loop::UdpSocket>(f.loop, net::Endpoint{address, 0, 0},
                                                 loop::UdpSocket::Events{[&](const loop::Received&) { ++answered; }, {}});
    };
    const auto greedy = socket_at(kHere), modest = socket_at(kElsewhere);
    for (unsigned sent = 1; sent <= 2 * DnsRate::kBurstOfOne; ++sent) {
        greedy->send({kHere, f.port, 0}, question('\xff'));  // a response
        greedy->send({kHere, f.port, 0}, question('a', 11));
        f.run_until([&] { return f.came >= 2 * sent; });
    }
    CHECK(f.sockets.counters().over_rate == 0);
    while (f.sockets.counters().over_rate == 0) {
        greedy->send({kHere, f.port, 0}, question('a'));
        f.loop.run_once();
    }
    answered = 0;
    modest->send({kHere, f.port, 0}, question('b'));
    f.run_until([&] { return answered > 0 && f.came_from == kElsewhere; });
}

TEST_CASE("who asks too much by TCP waits for the answers, and is closed only where too much waits") {
    Fixture f;
    f.sockets.listen({{kHere, false}}, 0);
    const auto stream = f.connect();
    constexpr unsigned kAsked = DnsRate::kBurstOfOne + 20;
    for (unsigned i = 0; i < kAsked; ++i) stream->write(dns::Framer::framed(question('a')));
    unsigned answered = 0;
    f.run_until([&] {
        while (f.back.next()) ++answered;
        return answered == kAsked;
    });
    CHECK(f.closed == 0);
    CHECK(f.sockets.connections() == 1);
    for (unsigned i = 0; i < 4000; ++i) stream->write(dns::Framer::framed(question('a')));
    f.run_until([&] { return f.closed == 1; });
    CHECK(f.sockets.connections() == 0);
    CHECK(f.sockets.counters().connections_closed == 1);
}
