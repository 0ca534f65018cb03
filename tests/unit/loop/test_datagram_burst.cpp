#include <catch2/catch.hpp>

#include <poll.h>

#include "loop/datagram_burst.hpp"
#include "net/traffic_class.hpp"

namespace {

using namespace std::chrono_literals;

loop::Datagram open(const char* local, const loop::UdpOptions& options = {}) {
    return *loop::Datagram::open(*net::Endpoint::parse(local), options);
}

void add(loop::SendBurst& burst, const net::Endpoint& to, std::size_t bytes, char fill, std::uint8_t traffic_class = 0) {
    const auto room = burst.room(bytes);
    REQUIRE(room.size() >= bytes);
    std::fill_n(room.begin(), bytes, static_cast<std::byte>(fill));
    burst.add(to, traffic_class, bytes);
}

/// Each datagram as its size and first byte, in the order of arrival.
struct Arrived {
    std::size_t bytes;
    char fill;
    std::uint8_t traffic_class;
    bool operator==(const Arrived&) const = default;
};
std::vector<Arrived> receive(const loop::Datagram& socket, std::size_t count) {
    loop::ReceiveBurst burst(2);
    std::vector<Arrived> out;
    while (out.size() < count) {
        pollfd wait{socket.fd(), POLLIN, 0};
        REQUIRE(::poll(&wait, 1, 20000) == 1);
        for (const auto& item : burst.receive(socket)) {
            for (std::size_t at = 0; at < item.bytes.size(); at += item.segment_bytes) {
                const auto size = std::min(item.segment_bytes, item.bytes.size() - at);
                out.push_back({size, static_cast<char>(item.bytes[at]), item.traffic_class});
            }
        }
    }
    return out;
}

}  // namespace

TEST_CASE("datagrams of one burst arrive as they were, with segments and without, put together and alone") {
    for (const auto* const local : {"127.0.0.1:0", "[::1]:0"}) {
        for (const bool segments : {true, false}) {
            for (const bool merged : {true, false}) {
                CAPTURE(local, segments, merged);
                auto socket = loop::Datagram::open(*net::Endpoint::parse(local), {.receive_offload = merged});
                if (!socket) continue;  // no IPv6 here
                const auto sender = open(local);
                loop::SendBurst burst;
                burst.set_segments(segments);
                const auto to = socket->local();
                std::vector<Arrived> sent;
                const auto put = [&](std::size_t bytes, char fill, std::uint8_t traffic_class) {
                    add(burst, to, bytes, fill, traffic_class);
                    sent.push_back({bytes, fill, traffic_class});
                };
                for (char i = 0; i < 5; ++i) put(1200, static_cast<char>('a' + i), 0);
                put(700, 'f', 0);
                put(700, 'g', 0);  // a shorter one has ended the segments before
                put(900, 'h', 0);
                put(900, 'i', 0xb8);
                CHECK(burst.send(&sender, &sender, 1s) == 0);
                CHECK(burst.empty());
                CHECK(receive(*socket, sent.size()) == sent);
            }
        }
    }
}

TEST_CASE("a burst holds no more segments and bytes than one datagram may have") {
    const auto socket = open("127.0.0.1:0", {.receive_buffer_bytes = 1 << 20, .receive_offload = true});
    const auto sender = open("127.0.0.1:0");
    loop::SendBurst burst(400000);
    for (int i = 0; i < 150; ++i) add(burst, socket.local(), 100, 'a');
    for (int i = 0; i < 80; ++i) add(burst, socket.local(), 1400, 'b');
    CHECK(burst.send(&sender, nullptr, 1s) == 0);
    CHECK(receive(socket, 230).size() == 230);
}

TEST_CASE("what a socket is missing for is lost and counted, and the rest goes") {
    const auto socket = open("127.0.0.1:0");
    loop::SendBurst burst;
    add(burst, *net::Endpoint::parse("[::1]:9"), 100, 'a');
    add(burst, *net::Endpoint::parse("[::1]:9"), 100, 'b');
    add(burst, socket.local(), 100, 'c');
    CHECK(burst.send(&socket, nullptr, 1s) == 2);
    CHECK(receive(socket, 1) == std::vector<Arrived>{{100, 'c', 0}});
}

TEST_CASE("a burst whose buffer is full gives no room") {
    loop::SendBurst burst(2000);
    add(burst, *net::Endpoint::parse("127.0.0.1:9"), 1500, 'a');
    CHECK(burst.room(501).empty());
    CHECK(burst.room(500).size() == 500);
}

TEST_CASE("how long a datagram has waited in the socket's buffer is told, put together with others or alone") {
    const auto wait_for = [](const loop::Datagram& socket) {
        pollfd wait{socket.fd(), POLLIN, 0};
        REQUIRE(::poll(&wait, 1, 20000) == 1);
    };
    const bool merged = GENERATE(true, false);
    for (const auto* const local : {"127.0.0.1:0", "[::1]:0"}) {
        auto socket = loop::Datagram::open(*net::Endpoint::parse(local), {.receive_offload = merged, .receive_times = true});
        if (!socket) continue;  // no IPv6 here
        const auto sender = open(local);
        bool told = false;
        // The kernel begins to stamp a little after it is asked to; what came before has not waited.
        for (int attempt = 0; attempt < 100 && !told; ++attempt) {
            loop::SendBurst burst;
            for (int i = 0; i < 3; ++i) add(burst, socket->local(), 1000, 'a');
            const auto before = std::chrono::steady_clock::now();
            CHECK(burst.send(&sender, &sender, 1s) == 0);
            const auto sent = std::chrono::steady_clock::now();
            wait_for(*socket);
            CHECK(socket->next_bytes() >= 1000);
            while (std::chrono::steady_clock::now() - sent < 20ms) {
            }
            loop::ReceiveBurst receiver;
            const auto items = receiver.receive(*socket);
            REQUIRE_FALSE(items.empty());
            CHECK(socket->next_bytes() == 0);
            // The wall clock, which it is told by, may be slewed against the steady one.
            told = items[0].waited > 19ms;
            CHECK(items[0].waited < std::chrono::steady_clock::now() - before + 1ms);
        }
        CHECK(told);
    }
    const auto without = open("127.0.0.1:0");
    loop::SendBurst burst;
    add(burst, without.local(), 10, 'a');
    CHECK(burst.send(&without, nullptr, 1s) == 0);
    wait_for(without);
    loop::ReceiveBurst receiver;
    const auto items = receiver.receive(without);
    REQUIRE(items.size() == 1);
    CHECK(items[0].waited == 0ns);
}

TEST_CASE("what a socket had no room for is told by what comes after it") {
    const auto socket = open("127.0.0.1:0", {.receive_buffer_bytes = 4096});
    const auto sender = open("127.0.0.1:0");
    const net::Bytes datagram(1000);
    loop::ReceiveBurst burst(2);
    std::uint64_t sent = 0, came = 0;
    const auto take_all = [&] {
        for (auto items = burst.receive(socket); !items.empty(); items = burst.receive(socket)) came += items.size();
    };
    for (int turn = 0; turn < 3; ++turn) {
        for (int i = 0; i < 100; ++i, ++sent) REQUIRE(sender.send(socket.local(), datagram) == loop::SendResult::sent);
        take_all();
        ++sent;
        REQUIRE(sender.send(socket.local(), datagram) == loop::SendResult::sent);
        take_all();
        CHECK(came < sent);
        CHECK(burst.overflowed() == sent - came);
    }
}
