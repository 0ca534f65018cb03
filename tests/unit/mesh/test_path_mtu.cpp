#include <catch2/catch.hpp>

#include "mesh/path_mtu.hpp"

using namespace std::chrono_literals;
using mesh::PathMtu;

namespace {

constexpr std::size_t kMost = 1420;
constexpr auto kPatience = 200ms;

/// A path that carries packets up to a size, and its two ends.
struct MtuPath {
    explicit MtuPath(std::size_t largest) : carries(largest) { mtu.start(at, kMost, now); }

    /// Lets time pass, answering what arrives after a round trip of 20 ms. True once settled.
    bool run(net::Duration span) {
        const auto end = now + span;
        while (now <= end) {
            for (const auto& probe : mtu.tick(now, kPatience, traffic + sent_bytes, random)) {
                ++sent;
                sent_bytes += probe.bytes + 32;
                largest_sent = std::max(largest_sent, probe.bytes);
                if (probe.bytes >= refuses) {
                    mtu.refused(probe.bytes, now);
                } else if (probe.bytes <= carries && random.below(100) >= loss_percent) {
                    answers.push_back({now + 20ms, probe});
                }
            }
            auto next = std::min(end + 1ns, mtu.next_deadline());
            for (const auto& answer : answers) next = std::min(next, answer.first);
            now = std::max(now, next);
            for (std::size_t i = 0; i < answers.size();) {
                if (answers[i].first > now) {
                    ++i;
                    continue;
                }
                const auto probe = answers[i].second;
                answers.erase(answers.begin() + static_cast<std::ptrdiff_t>(i));
                mtu.acknowledged(probe.token, probe.bytes, now);
            }
        }
        now = end;
        return mtu.state() == PathMtu::State::settled;
    }

    net::Endpoint at{net::IpAddress::v4(192, 0, 2, 1), 51820, 0};
    net::SeededRandom random{7};
    net::Steady now{1h};
    std::size_t carries, refuses = SIZE_MAX;
    unsigned loss_percent = 0;
    std::uint64_t traffic = 0, sent = 0, sent_bytes = 0;
    std::size_t largest_sent = 0;
    std::vector<std::pair<net::Steady, PathMtu::Probe>> answers;
    PathMtu mtu;
};

}  // namespace

TEST_CASE("a path that takes what the device asks for is settled by one probe, in one round trip") {
    MtuPath path(kMost);
    CHECK(path.mtu.mtu_bytes() == 0);
    CHECK(path.run(20ms));
    CHECK(path.mtu.mtu_bytes() == kMost);
    CHECK(path.sent == 1);
}

TEST_CASE("a smaller path's size is found to the byte within six seconds, at the cost of a few dozen packets") {
    for (const std::size_t size : {236u, 237u, 300u, 516u, 940u, 1064u, 1220u, 1380u, 1418u, 1419u}) {
        CAPTURE(size);
        MtuPath path(size);
        CHECK(path.run(6s));
        CHECK(path.mtu.mtu_bytes() == size);
        CHECK(path.sent < 130);
    }
}

TEST_CASE("a path's size is found although every tenth packet is lost") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        CAPTURE(seed);
        MtuPath path(1064);
        path.random = net::SeededRandom(seed);
        path.loss_percent = 10;
        CHECK(path.run(10s));
        CHECK(path.mtu.mtu_bytes() == 1064);
    }
}

TEST_CASE("what this machine itself refuses costs no waiting") {
    MtuPath path(1064);
    path.refuses = 1065;
    CHECK(path.run(200ms));
    CHECK(path.mtu.mtu_bytes() == 1064);
}

TEST_CASE("a path that answers no probe at all is judged by none") {
    MtuPath path(0);
    CHECK(path.run(10s));
    CHECK(path.mtu.mtu_bytes() == 0);
}

TEST_CASE("a size known to be too large is used no longer than until the first ladder is answered") {
    MtuPath path(1064);
    REQUIRE_FALSE(path.run(1200ms));
    CHECK(path.mtu.mtu_bytes() >= 900);
    CHECK(path.mtu.mtu_bytes() <= 1064);
}

TEST_CASE("a path that nobody uses is left in peace") {
    MtuPath path(1064);
    REQUIRE(path.run(6s));
    const auto sent = path.sent;
    path.run(24h);
    CHECK(path.sent == sent);
}

TEST_CASE("a path in use that stops taking its size is noticed, and its new size found") {
    MtuPath path(kMost);
    REQUIRE(path.run(1s));
    path.carries = 1064;
    path.traffic += 10'000;
    CHECK(path.run(25s));
    CHECK(path.mtu.mtu_bytes() == 1064);
}

TEST_CASE("a path in use is looked at again after ten minutes, and a larger size found") {
    MtuPath path(1064);
    REQUIRE(path.run(6s));
    for (const std::size_t size : {1300u, 1420u}) {
        CAPTURE(size);
        path.carries = size;
        for (int i = 0; i < 44; ++i) {
            path.traffic += 10'000;
            path.run(15s);
        }
        CHECK(path.mtu.mtu_bytes() == size);
    }
}

TEST_CASE("a path in use that stays as it is costs little") {
    MtuPath path(1064);
    REQUIRE(path.run(6s));
    const auto before = path.sent_bytes;
    for (int i = 0; i < 240; ++i) {
        path.traffic += 10'000'000;
        path.run(15s);
    }
    CHECK(path.mtu.mtu_bytes() == 1064);
    CHECK(path.sent_bytes - before < 360'000);  // in an hour
}

TEST_CASE("the network's word that a packet was too big is looked into at once") {
    MtuPath path(kMost);
    REQUIRE(path.run(1s));
    path.carries = 1064;
    path.mtu.told_too_big(1064, path.now);
    CHECK(path.run(2s));
    CHECK(path.mtu.mtu_bytes() == 1064);
}

TEST_CASE("a lie that a packet was too big changes nothing, and many of them cost little") {
    MtuPath path(kMost);
    REQUIRE(path.run(1s));
    const auto before = path.sent;
    for (int i = 0; i < 1000; ++i) {
        path.mtu.told_too_big(500, path.now);
        path.run(10ms);
        CHECK((path.mtu.mtu_bytes() == kMost));
    }
    CHECK(path.sent - before <= 9);
}

TEST_CASE("another path is begun anew, the same one keeps what was found") {
    MtuPath path(1064);
    REQUIRE(path.run(6s));
    path.mtu.stop();
    CHECK(path.mtu.next_deadline() == net::kNever);
    path.mtu.start(path.at, kMost, path.now);
    CHECK(path.mtu.mtu_bytes() == 1064);
    path.at.port = 1;
    path.mtu.start(path.at, kMost, path.now);
    CHECK(path.mtu.mtu_bytes() == 0);
}

TEST_CASE("answers that nothing was asked for are ignored") {
    MtuPath path(1064);
    const auto probe = path.mtu.tick(path.now, kPatience, 0, path.random).at(0);
    path.mtu.acknowledged(probe.token, probe.bytes - 1, path.now);
    path.mtu.acknowledged(probe.token + 1, probe.bytes, path.now);
    CHECK(path.mtu.state() == PathMtu::State::searching);
    path.mtu.acknowledged(probe.token, probe.bytes, path.now);
    CHECK(path.mtu.state() == PathMtu::State::settled);
}

TEST_CASE("an underlay packet holds the inner one, WireGuard's 32 bytes, UDP's 8 and IP's 20 or 40") {
    const net::Endpoint v4{net::IpAddress::v4(192, 0, 2, 1), 1, 0};
    const net::Endpoint v6{*net::IpAddress::parse("2001:db8::1"), 1, 0};
    CHECK(mesh::inner_bytes(1124, v4) == 1064);
    CHECK(mesh::inner_bytes(1500, v6) == 1420);
    CHECK(mesh::inner_bytes(60, v4) == 0);
    CHECK(mesh::inner_bytes(0, v6) == 0);
}
