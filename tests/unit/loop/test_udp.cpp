#include <catch2/catch.hpp>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "loop/interfaces.hpp"
#include "loop/timer.hpp"
#include "loop/udp.hpp"

using namespace std::chrono_literals;
using loop::SendResult;
using net::Endpoint;
using net::IpAddress;

namespace {

bool has_ipv6() { return loop::Datagram::open(*Endpoint::parse("[::1]:0")).has_value(); }

/// Ends a test that would otherwise hang.
struct Watchdog {
    explicit Watchdog(loop::Loop& loop) : timer(loop, [] { throw std::runtime_error("nothing came within 10 s"); }) {
        timer.after(10s);
    }
    loop::Timer timer;
};

}  // namespace

TEST_CASE("a datagram comes with its sender and the address it was sent to") {
    for (const auto* any : {"0.0.0.0:0", "[::]:0"}) {
        const bool v6 = any[0] == '[';
        if (v6 && !has_ipv6()) {
            WARN("no IPv6 here: skipped");
            continue;
        }
        loop::Loop loop;
        Watchdog watchdog(loop);
        int received = 0;
        loop::UdpSocket to(loop, *Endpoint::parse(any), {.received = [&](const loop::Received& datagram) {
            CHECK(net::as_text(datagram.bytes) == "hello");
            CHECK(datagram.to.is_loopback());
            CHECK(datagram.from.address.is_loopback());
            CHECK(datagram.from.address.is_v6() == v6);
            CHECK(datagram.dscp == 46);
            CHECK(datagram.interface == 1);
            ++received;
            loop.stop();
        }, .undelivered = {}});
        const auto loopback = *IpAddress::parse(v6 ? "::1" : "127.0.0.1");
        loop::UdpSocket from(loop, *Endpoint::parse(any), {.received = [](const loop::Received&) {}, .undelivered = {}},
                             {.dscp = 46});
        CHECK(from.send({loopback, to.local().port, 0}, net::as_bytes("hello"), loopback) == SendResult::sent);
        loop.run();
        CHECK(received == 1);
    }
}

TEST_CASE("the sender's address can be chosen") {
    loop::Loop loop;
    Watchdog watchdog(loop);
    IpAddress from;
    loop::UdpSocket to(loop, *Endpoint::parse("127.0.0.1:0"), {.received = [&](const loop::Received& datagram) {
        from = datagram.from.address;
        loop.stop();
    }, .undelivered = {}});
    const auto sender = *loop::Datagram::open(*Endpoint::parse("0.0.0.0:0"));
    CHECK(sender.send(to.local(), net::as_bytes("x"), *IpAddress::parse("127.0.0.77")) == SendResult::sent);
    loop.run();
    CHECK(from == *IpAddress::parse("127.0.0.77"));
}

TEST_CASE("a port where nobody listens is reported, and the socket goes on") {
    for (const auto* local : {"127.0.0.1:0", "[::1]:0"}) {
        if (local[0] == '[' && !has_ipv6()) continue;
        loop::Loop loop;
        Watchdog watchdog(loop);
        Endpoint closed;
        { closed = loop::Datagram::open(*Endpoint::parse(local))->local(); }
        int reports = 0;
        int received = 0;
        std::unique_ptr<loop::UdpSocket> socket;
        socket = std::make_unique<loop::UdpSocket>(
            loop, *Endpoint::parse(local),
            loop::UdpSocket::Events{.received =
                                        [&](const loop::Received& datagram) {
                                            CHECK(datagram.from == socket->local());
                                            ++received;
                                            loop.stop();
                                        },
                                    .undelivered =
                                        [&](const loop::Undelivered& undelivered) {
                                            CHECK(undelivered.reason == loop::Undelivered::Reason::port_unreachable);
                                            CHECK(undelivered.to == closed);
                                            CHECK(undelivered.reported_by == closed.address);
                                            ++reports;
                                            // Two of these: a pending error must not eat the second.
                                            CHECK(socket->send(socket->local(), net::as_bytes("me")) ==
                                                  SendResult::sent);
                                        }});
        CHECK(socket->send(closed, net::as_bytes("x")) == SendResult::sent);
        loop.run();
        CHECK(reports == 1);
        CHECK(received == 1);
    }
}

TEST_CASE("the error of one datagram is not taken for the next one's") {
    const auto socket = *loop::Datagram::open(*Endpoint::parse("127.0.0.1:0"));
    auto alive = *loop::Datagram::open(*Endpoint::parse("127.0.0.1:0"));
    Endpoint closed;
    { closed = loop::Datagram::open(*Endpoint::parse("127.0.0.1:0"))->local(); }
    CHECK(socket.send(closed, net::as_bytes("x")) == SendResult::sent);
    pollfd entry{socket.fd(), 0, 0};
    REQUIRE(::poll(&entry, 1, 5000) == 1);
    CHECK(socket.send(alive.local(), net::as_bytes("y")) == SendResult::sent);
    net::Bytes buffer(10);
    CHECK(alive.receive(buffer));
}

TEST_CASE("a datagram larger than the buffer is dropped and counted") {
    auto to = *loop::Datagram::open(*Endpoint::parse("127.0.0.1:0"));
    const auto from = *loop::Datagram::open(*Endpoint::parse("127.0.0.1:0"));
    CHECK(from.send(to.local(), net::Bytes(101)) == SendResult::sent);
    CHECK(from.send(to.local(), net::Bytes(100)) == SendResult::sent);
    net::Bytes buffer(100);
    const auto received = to.receive(buffer);
    REQUIRE(received);
    CHECK(received->bytes.size() == 100);
    CHECK(to.truncated() == 1);
    CHECK_FALSE(to.receive(buffer));
}

TEST_CASE("a datagram that no network carries is refused at once") {
    const auto socket = *loop::Datagram::open(*Endpoint::parse("127.0.0.1:0"), {.never_fragment = true});
    CHECK(socket.send({IpAddress::v4(127, 0, 0, 1), 9, 0}, net::Bytes(65508)) == SendResult::too_big);
}

TEST_CASE("a datagram that must go whole is refused where the interface is smaller, and others go in pieces as before") {
    for (const bool v6 : {false, true}) {
        if (v6 && !has_ipv6()) continue;
        CAPTURE(v6);
        const auto any = *Endpoint::parse(v6 ? "[::1]:0" : "127.0.0.1:0");
        auto receiver = *loop::Datagram::open(any, {.receive_buffer_bytes = 1 << 18});
        const auto socket = *loop::Datagram::open(any);
        const auto mode = [&] {
            int value = -1;
            socklen_t size = sizeof value;
            const int level = v6 ? IPPROTO_IPV6 : IPPROTO_IP, option = v6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER;
            REQUIRE(::getsockopt(socket.fd(), level, option, &value, &size) == 0);
            return value;
        };
        const auto before = mode();
        net::Bytes buffer(65536);
        CHECK(socket.send_whole(receiver.local(), net::Bytes(1400)) == SendResult::sent);
        CHECK(receiver.receive(buffer));
        // Loopback takes IP packets of 65,536 bytes, more than one of IPv4 has.
        const net::Bytes large(v6 ? 65536 - 40 - 8 + 1 : 65508);
        CHECK(socket.send_whole(receiver.local(), large) == SendResult::too_big);
        CHECK(mode() == before);
        if (!v6) continue;
        CHECK(socket.send(receiver.local(), large) == SendResult::sent);
        CHECK(receiver.receive(buffer));
    }
}

TEST_CASE("a port that is taken is named, with what to do") {
    const auto first = *loop::Datagram::open(*Endpoint::parse("127.0.0.1:0"));
    const auto second = loop::Datagram::open(first.local());
    REQUIRE_FALSE(second);
    CHECK_THAT(second.error().message, Catch::Contains(first.local().text()) && Catch::Contains("choose another"));
    CHECK(loop::Datagram::open(*Endpoint::parse("203.0.113.9:1")).error().message.find("no such address") !=
          std::string::npos);
}

TEST_CASE("a socket may be destroyed by its own callback") {
    loop::Loop loop;
    Watchdog watchdog(loop);
    std::unique_ptr<loop::UdpSocket> socket;
    int received = 0;
    socket = std::make_unique<loop::UdpSocket>(loop, *Endpoint::parse("127.0.0.1:0"),
                                               loop::UdpSocket::Events{.received =
                                                                           [&](const loop::Received&) {
                                                                               ++received;
                                                                               socket.reset();
                                                                               loop.stop();
                                                                           },
                                                                       .undelivered = {}});
    CHECK(socket->send(socket->local(), net::as_bytes("1")) == SendResult::sent);
    CHECK(socket->send(socket->local(), net::as_bytes("2")) == SendResult::sent);
    loop.run();
    CHECK(received == 1);
}

TEST_CASE("the loopback interface and the way to loopback are known") {
    bool found = false;
    for (const auto& interface : loop::interfaces()) {
        if (!interface.loopback) continue;
        found = true;
        CHECK(interface.name == "lo");
        CHECK(interface.index == 1);
        bool addressed = false;
        for (const auto& [address, length] : interface.addresses) {
            if (address == *IpAddress::parse("127.0.0.1")) addressed = length == 8;
        }
        CHECK(addressed);
    }
    CHECK(found);
    CHECK(loop::local_address_toward(*IpAddress::parse("127.9.9.9")) == *IpAddress::parse("127.0.0.1"));
    CHECK(loop::local_address_toward({}).is_none());
}

TEST_CASE("a socket tells how full the queue of what nobody has read is") {
    const net::Endpoint any{net::IpAddress::v4(127, 0, 0, 1), 0};
    loop::UdpOptions options;
    options.receive_buffer_bytes = 65536;
    auto reader = *loop::Datagram::open(any, options);
    const auto writer = *loop::Datagram::open(any);
    CHECK(reader.receive_queue_percent() == 0);
    const net::Bytes datagram(1000);
    for (unsigned i = 0; i < 1000; ++i) writer.send(reader.local(), datagram);
    CHECK(reader.receive_queue_percent() >= 90);
    net::Bytes buffer(2000);
    while (reader.receive(buffer)) {
    }
    CHECK(reader.receive_queue_percent() < 50);
}
