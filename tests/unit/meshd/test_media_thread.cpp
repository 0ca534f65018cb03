// Real sockets on the loopback: what the media thread is for, and no more than that.
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>

#include "loop/clock.hpp"
#include "loop/socket_address.hpp"
#include "meshd/media_thread.hpp"

namespace {

const auto kLoopback = net::IpAddress::v4(127, 0, 0, 1);

struct Phone {
    loop::FileDescriptor fd{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    net::Endpoint endpoint;

    Phone() {
        const auto any = loop::to_socket_address({kLoopback, 0});
        REQUIRE(::bind(fd.get(), any.get(), any.length) == 0);
        endpoint = loop::local_endpoint(fd.get());
    }
    void send(std::uint16_t port, std::uint16_t sequence) const {
        net::Writer rtp;
        rtp.u8(0x80).u8(0).u16be(sequence).u32be(sequence * 160U).u32be(7).zeros(160);
        const auto to = loop::to_socket_address({kLoopback, port});
        ::sendto(fd.get(), rtp.view().data(), rtp.size(), 0, to.get(), to.length);
    }
    /// The size of the next packet; 0 if none comes.
    std::size_t receive(int wait_ms) const {
        pollfd waiting{fd.get(), POLLIN, 0};
        if (::poll(&waiting, 1, wait_ms) != 1) return 0;
        std::array<std::byte, 2048> buffer;
        const auto size = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
        return size < 0 ? 0 : static_cast<std::size_t>(size);
    }
};

voice::LegRemote at(const Phone& phone) {
    auto rtcp = phone.endpoint;
    ++rtcp.port;
    return {phone.endpoint, rtcp, {}, false};
}

}  // namespace

TEST_CASE("two phones hear each other through the media thread, and a stranger is not heard") {
    meshd::MediaThread media({31000, 31099, 10});
    const auto now = loop::read_clocks();
    const auto ports = media.open(now);
    REQUIRE(ports);
    CHECK(ports->near_port % 2 == 0);
    CHECK(ports->far_port % 2 == 0);
    const Phone alice;
    const Phone bob;
    const Phone stranger;
    media.set_remote(ports->id, voice::Leg::near, at(alice), now);
    media.set_remote(ports->id, voice::Leg::far, at(bob), now);
    alice.send(ports->near_port, 1);
    CHECK(bob.receive(5000) == 172);
    stranger.send(ports->near_port, 2);
    bob.send(ports->far_port, 3);
    CHECK(alice.receive(5000) == 172);
    CHECK(bob.receive(50) == 0);

    // Statistics come up within a second; no time is asserted here beyond a generous bound.
    std::optional<voice::RelayStats> stats;
    for (int i = 0; i < 100; ++i) {
        stats = media.stats(ports->id);
        REQUIRE(stats);
        if (stats->near.packets > 0 && stats->far.packets > 0) break;
        alice.receive(50);
    }
    CHECK(stats->near.packets == 1);
    CHECK(stats->near.wrong_source == 1);
    CHECK(media.drops().wrong_source == 1);
    CHECK(stats->far.packets == 1);

    media.close(ports->id);
    CHECK_FALSE(media.stats(ports->id));
    CHECK(media.relays() == 0);
    CHECK(media.drops().wrong_source == 1);  // not forgotten with its relay
}

TEST_CASE("the port range and the number of relays are bounds, and what is closed can be opened again") {
    meshd::MediaThread media({31101, 31110, 2});  // pairs at 31102, 31104, 31106, 31108
    const auto now = loop::read_clocks();
    const auto one = media.open(now);
    const auto two = media.open(now);
    REQUIRE(one);
    REQUIRE(two);
    CHECK_FALSE(media.open(now));
    media.close(one->id);
    // The thread closes the sockets in its own time.
    std::optional<voice::RelayPorts> again;
    for (int i = 0; i < 200 && !again; ++i) {
        again = media.open(now);
        if (!again) ::poll(nullptr, 0, 10);
    }
    REQUIRE(again);
    CHECK(again->id != one->id);
}

TEST_CASE("what is ordered counts from the next packet on, however many calls there are") {
    meshd::MediaThread media({31201, 31299, 20});
    const auto now = loop::read_clocks();
    const Phone alice, bob, carol;
    const auto lasting = media.open(now);  // while there is one nobody wakes the thread for the others
    REQUIRE(lasting);
    media.set_remote(lasting->id, voice::Leg::near, at(alice), now);
    media.set_remote(lasting->id, voice::Leg::far, at(bob), now);
    alice.send(lasting->near_port, 1);
    REQUIRE(bob.receive(5000) == 172);
    for (std::uint16_t call = 2; call < 202; ++call) {
        std::optional<voice::RelayPorts> ports;
        for (int i = 0; i < 200 && !ports; ++i) {
            ports = media.open(now);
            if (!ports) ::poll(nullptr, 0, 10);
        }
        REQUIRE(ports);
        media.set_remote(ports->id, voice::Leg::near, at(alice), now);
        media.set_remote(ports->id, voice::Leg::far, at(bob), now);
        alice.send(ports->near_port, call);
        REQUIRE(bob.receive(5000) == 172);
        media.set_remote(ports->id, voice::Leg::far, at(carol), now);
        alice.send(ports->near_port, call);
        REQUIRE(carol.receive(5000) == 172);
        media.close(ports->id);
        alice.send(ports->near_port, call);
        alice.send(lasting->near_port, call);
        REQUIRE(bob.receive(5000) == 172);  // of the call that lasts
        REQUIRE(carol.receive(0) == 0);
    }
    CHECK(media.relays() == 1);
}

namespace {

/// Two phones through a relay, opened at that time. Its ports.
voice::RelayPorts connect(meshd::MediaThread& media, const Phone& one, const Phone& other, net::Now now) {
    const auto ports = media.open(now);
    REQUIRE(ports);
    media.set_remote(ports->id, voice::Leg::near, at(one), now);
    media.set_remote(ports->id, voice::Leg::far, at(other), now);
    return *ports;
}

/// The thread closes in its own time.
bool will_rest(const meshd::MediaThread& media, std::size_t pairs) {
    for (int i = 0; i < 500 && media.resting() != pairs; ++i) ::poll(nullptr, 0, 10);
    return media.resting() == pairs;
}

}  // namespace

TEST_CASE("a closed relay's ports are used again once they have rested, and a late packet of its call reaches no other") {
    meshd::MediaThread media({31301, 31399, 10});
    auto now = loop::read_clocks();
    const Phone alice, bob;
    const auto later = [&](net::Duration wait) {
        auto out = now;
        out.steady += wait;
        return out;
    };
    const auto first = connect(media, alice, bob, now);
    alice.send(first.near_port, 1);
    REQUIRE(bob.receive(5000) == 172);
    media.close(first.id);
    REQUIRE(will_rest(media, 2));
    const auto second = connect(media, alice, bob, now);  // they have not rested yet
    CHECK(std::min(second.near_port, second.far_port) > first.far_port);
    media.close(second.id);
    REQUIRE(will_rest(media, 4));

    alice.send(first.near_port, 2);  // as she has not heard yet that it is over
    now = later(std::chrono::seconds(10));
    const auto third = connect(media, alice, bob, now);
    CHECK(third.near_port == first.far_port);
    CHECK(third.far_port == second.near_port);
    const auto fourth = connect(media, alice, bob, now);
    CHECK(fourth.near_port == second.far_port);
    CHECK(fourth.far_port > second.far_port);  // the first, which was not silent, rests anew
    now = later(std::chrono::seconds(3));
    const auto fifth = connect(media, alice, bob, now);
    CHECK(fifth.near_port == first.near_port);
    alice.send(fifth.near_port, 3);
    CHECK(bob.receive(5000) == 172);
    CHECK(bob.receive(50) == 0);
}

TEST_CASE("what rests is bounded, in number and in time") {
    const auto now = loop::read_clocks();
    const Phone alice, bob;
    SECTION("beyond the bound the oldest are closed") {
        meshd::MediaThread media({31401, 31499, 10, std::chrono::seconds(2), std::chrono::minutes(1), 3});
        const auto one = connect(media, alice, bob, now), two = connect(media, alice, bob, now);
        media.close(one.id);
        media.close(two.id);
        REQUIRE(will_rest(media, 3));
        auto later = now;
        later.steady += std::chrono::seconds(10);
        CHECK(connect(media, alice, bob, later).near_port == one.far_port);
    }
    SECTION("what nobody uses is closed") {
        meshd::MediaThread media({31401, 31499, 10, std::chrono::seconds(2), net::Duration{}, 1024});
        const auto one = connect(media, alice, bob, now);
        alice.send(one.near_port, 1);
        REQUIRE(bob.receive(5000) == 172);
        media.close(one.id);
        REQUIRE(will_rest(media, 2));
        CHECK(will_rest(media, 0));
    }
}
