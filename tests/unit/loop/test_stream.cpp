#include <catch2/catch.hpp>
#include <netinet/in.h>
#include <sys/socket.h>

#include "loop/tcp_listener.hpp"
#include "loop/timer.hpp"

using namespace std::chrono_literals;
using loop::Closed;
using loop::Stream;
using net::Endpoint;

namespace {

struct StreamPair {
    loop::Loop loop;
    loop::Timer watchdog{loop, [] { throw std::runtime_error("nothing came within 10 s"); }};
    std::unique_ptr<Stream> accepted;
    std::unique_ptr<Stream> stream;

    StreamPair() { watchdog.after(10s); }
    ~StreamPair() {
        accepted.reset();
        stream.reset();
    }
};

Endpoint loopback() { return *Endpoint::parse("127.0.0.1:0"); }

}  // namespace

TEST_CASE("what is written before the connection stands arrives, in order, and the answer too") {
    StreamPair f;
    std::string heard, answered;
    bool connected = false;
    loop::TcpListener listener(f.loop, loopback(), [&](std::unique_ptr<Stream> stream) {
        f.accepted = std::move(stream);
        f.accepted->start({.connected = {},
                           .received =
                               [&](net::ByteView bytes) {
                                   heard += net::as_text(bytes);
                                   if (heard == "onetwo") CHECK(f.accepted->write(net::as_bytes("three")));
                               },
                           .closed = {},
                           .drained = {}});
        CHECK(f.accepted->remote() == f.stream->local());
    });
    f.stream = Stream::connect_tcp(f.loop, listener.local(),
                                   {.connected = [&] { connected = true; },
                                    .received =
                                        [&](net::ByteView bytes) {
                                            answered += net::as_text(bytes);
                                            if (answered == "three") f.loop.stop();
                                        },
                                    .closed = {},
                                    .drained = {}});
    CHECK(f.stream->write(net::as_bytes("one")));
    CHECK(f.stream->write(net::as_bytes("two")));
    f.loop.run();
    CHECK(connected);
    CHECK(heard == "onetwo");
    CHECK(f.stream->remote() == listener.local());
}

TEST_CASE("a connection refused is told by callback, after connect has returned") {
    StreamPair f;
    Endpoint closed;
    { closed = loop::TcpListener(f.loop, loopback(), [](auto) {}).local(); }
    std::optional<Closed> why;
    f.stream = Stream::connect_tcp(f.loop, closed, {.connected = [] { FAIL("connected"); },
                                                    .received = {},
                                                    .closed =
                                                        [&](const Closed& reason) {
                                                            why = reason;
                                                            f.stream.reset();
                                                            f.loop.stop();
                                                        },
                                                    .drained = {}});
    CHECK_FALSE(why);
    f.loop.run();
    REQUIRE(why);
    CHECK(why->reason == Closed::Reason::refused);
    CHECK(why->text == "connection refused");
}

TEST_CASE("a source address that this machine does not have is told by callback") {
    StreamPair f;
    std::optional<Closed> why;
    f.stream = Stream::connect_tcp(f.loop, *Endpoint::parse("127.0.0.1:9"),
                                   {.connected = {},
                                    .received = {},
                                    .closed =
                                        [&](const Closed& reason) {
                                            why = reason;
                                            f.loop.stop();
                                        },
                                    .drained = {}},
                                   Stream::Limits{}, *net::IpAddress::parse("203.0.113.1"));
    f.loop.run();
    REQUIRE(why);
    CHECK(why->reason == Closed::Reason::unreachable);
}

TEST_CASE("a connection that nobody answers times out") {
    StreamPair f;
    // A listener whose backlog is full drops what comes: nobody accepts, as the loop is not told to.
    const loop::FileDescriptor full(::socket(AF_INET, SOCK_STREAM, 0));
    REQUIRE(::listen(full.get(), 0) == 0);
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    REQUIRE(::getsockname(full.get(), reinterpret_cast<sockaddr*>(&storage), &size) == 0);
    const Endpoint to{net::IpAddress::v4(127, 0, 0, 1),
                      ntohs(reinterpret_cast<const sockaddr_in*>(&storage)->sin_port), 0};
    std::vector<std::unique_ptr<Stream>> others;
    std::optional<Closed> why;
    for (int i = 0; i < 4; ++i) {
        others.push_back(Stream::connect_tcp(f.loop, to,
                                             {.connected = {},
                                              .received = {},
                                              .closed =
                                                  [&](const Closed& reason) {
                                                      why = reason;
                                                      f.loop.stop();
                                                  },
                                              .drained = {}},
                                             {.connect_timeout = 20ms}));
    }
    f.loop.run();
    REQUIRE(why);
    CHECK(why->reason == Closed::Reason::timed_out);
}

TEST_CASE("the queue is bounded, and drains when the other end reads") {
    StreamPair f;
    constexpr std::size_t kTotal = 8 << 20;
    std::size_t heard = 0;
    loop::TcpListener listener(f.loop, loopback(), [&](std::unique_ptr<Stream> stream) {
        f.accepted = std::move(stream);
        f.loop.stop();
    });
    bool drained = false;
    f.stream = Stream::connect_tcp(f.loop, listener.local(),
                                   {.connected = {},
                                    .received = {},
                                    .closed = {},
                                    .drained =
                                        [&] {
                                            drained = true;
                                            f.loop.stop();
                                        }},
                                   {.queue_bytes = kTotal});
    f.loop.run();
    CHECK(f.stream->write(net::Bytes(kTotal, std::byte{7})));
    CHECK_FALSE(f.stream->write(net::Bytes(kTotal)));
    CHECK(f.stream->queued_bytes() > 0);
    f.accepted->start({.connected = {}, .received = [&](net::ByteView bytes) { heard += bytes.size(); }, .closed = {}, .drained = {}});
    f.loop.run();
    CHECK(drained);
    CHECK(f.stream->queued_bytes() == 0);
    while (heard < kTotal) f.loop.run_once();
    CHECK(heard == kTotal);
}

TEST_CASE("closing when drained loses nothing, and both ends are told") {
    StreamPair f;
    std::size_t heard = 0;
    constexpr std::size_t kTotal = 6 << 20;
    std::optional<Closed> here, there;
    const auto both = [&] {
        if (here && there) f.loop.stop();
    };
    loop::TcpListener listener(
        f.loop, loopback(),
        [&](std::unique_ptr<Stream> stream) {
            f.accepted = std::move(stream);
            f.accepted->start({.connected = {}, .received = {}, .closed = [&](const Closed& why) { here = why; both(); }, .drained = {}});
            CHECK(f.accepted->write(net::Bytes(kTotal)));
            f.accepted->close_when_drained();
            CHECK_FALSE(f.accepted->write(net::Bytes(1)));
        },
        {.queue_bytes = kTotal});
    f.stream = Stream::connect_tcp(f.loop, listener.local(),
                                   {.connected = {},
                                    .received = [&](net::ByteView bytes) { heard += bytes.size(); },
                                    .closed = [&](const Closed& why) { there = why; both(); },
                                    .drained = {}});
    f.loop.run();
    CHECK(heard == kTotal);
    CHECK(here->reason == Closed::Reason::by_us);
    CHECK(there->reason == Closed::Reason::by_peer);
}

TEST_CASE("whoever is still sending when the other end closes reads what was written last") {
    StreamPair f;
    std::string heard;
    std::optional<Closed> here, there;
    const auto both = [&] {
        if (here && there) f.loop.stop();
    };
    loop::TcpListener listener(f.loop, loopback(), [&](std::unique_ptr<Stream> stream) {
        f.accepted = std::move(stream);
        f.accepted->start({.connected = {},
                           .received =
                               [&](net::ByteView) {
                                   CHECK(f.accepted->write(net::as_bytes("enough")));
                                   f.accepted->close_when_drained();
                               },
                           .closed = [&](const Closed& why) { here = why; both(); },
                           .drained = {}});
    });
    f.stream = Stream::connect_tcp(f.loop, listener.local(),
                                   {.connected = {},
                                    .received = [&](net::ByteView bytes) { heard += net::as_text(bytes); },
                                    .closed = [&](const Closed& why) { there = why; both(); },
                                    .drained = {}},
                                   {.queue_bytes = 16 << 20});
    CHECK(f.stream->write(net::Bytes(16 << 20)));
    f.loop.run();
    CHECK(heard == "enough");
    CHECK(here->reason == Closed::Reason::by_us);
    CHECK(there->reason == Closed::Reason::by_peer);
}

TEST_CASE("urgent data is data like any other, and leaves the loop at rest") {
    StreamPair f;
    std::string heard;
    loop::TcpListener listener(f.loop, loopback(), [&](std::unique_ptr<Stream> stream) {
        f.accepted = std::move(stream);
        f.accepted->start({.connected = {},
                           .received = [&](net::ByteView bytes) { heard += net::as_text(bytes); },
                           .closed = {},
                           .drained = {}});
        CHECK(::send(f.stream->fd(), "!", 1, MSG_OOB) == 1);
    });
    f.stream = Stream::connect_tcp(f.loop, listener.local(),
                                   {.connected = {}, .received = {}, .closed = {}, .drained = {}});
    while (heard != "!") f.loop.run_once();
    // Another turn must wait for its timer, not be woken again and again.
    int turns = 0;
    bool over = false;
    loop::Timer end(f.loop, [&] { over = true; });
    end.after(5ms);
    while (!over) {
        f.loop.run_once();
        ++turns;
    }
    CHECK(turns <= 3);
}

TEST_CASE("a listener on a port that is taken says so") {
    loop::Loop loop;
    const loop::TcpListener first(loop, loopback(), [](auto) {});
    CHECK_THROWS_WITH(loop::TcpListener(loop, first.local(), [](auto) {}),
                      Catch::Contains(first.local().text()) && Catch::Contains("choose another"));
}
