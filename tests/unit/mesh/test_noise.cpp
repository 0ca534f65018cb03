#include <catch2/catch.hpp>

#include "mesh/cookie.hpp"
#include "mesh/noise.hpp"

namespace {

struct Sides {
    Sides() {
        mesh::start_crypto();
        REQUIRE(mesh::x25519(static_static, alice.secret, bob.key));
    }
    net::SeededRandom random{4};
    mesh::NoiseIdentity alice{mesh::make_tunnel_secret(random)};
    mesh::NoiseIdentity bob{mesh::make_tunnel_secret(random)};
    mesh::SymmetricKey static_static;
    net::PresharedKey psk{mesh::make_tunnel_secret(random)};
    mesh::NoiseState state;
    std::array<std::byte, mesh::kInitiationBytes> initiation{};
    std::array<std::byte, mesh::kResponseBytes> response{};
    const mesh::Tai64n stamp{0x4000000066000000, 42};

    void start() {
        REQUIRE(mesh::start_initiation(state, initiation, alice, bob.key, static_static,
                                       mesh::make_tunnel_secret(random), 0x11223344, stamp));
    }
};

}  // namespace

TEST_CASE("both sides of a handshake end with the same keys, crossed, and the same hash") {
    Sides sides;
    sides.start();
    const auto read = mesh::read_initiation(sides.bob, sides.initiation);
    REQUIRE(read);
    CHECK(read->peer == sides.alice.key);
    CHECK(read->stamp == sides.stamp);
    CHECK(read->state.remote_index == 0x11223344);
    const auto bobs =
        mesh::answer(*read, sides.response, sides.psk, mesh::make_tunnel_secret(sides.random), 0x55667788);
    REQUIRE(bobs);
    const auto alices = mesh::finish(sides.state, sides.alice, sides.psk, sides.response);
    REQUIRE(alices);
    CHECK(alices->send.equals(bobs->receive));
    CHECK(alices->receive.equals(bobs->send));
    CHECK_FALSE(alices->send.equals(alices->receive));
    CHECK(alices->handshake_hash == bobs->handshake_hash);
}

TEST_CASE("a handshake with another preshared key does not finish") {
    Sides sides;
    sides.start();
    const auto read = mesh::read_initiation(sides.bob, sides.initiation);
    REQUIRE(mesh::answer(*read, sides.response, sides.psk, mesh::make_tunnel_secret(sides.random), 1));
    CHECK_FALSE(mesh::finish(sides.state, sides.alice, net::PresharedKey{}, sides.response));
    CHECK(mesh::finish(sides.state, sides.alice, sides.psk, sides.response));
}

TEST_CASE("an initiation changed anywhere but in its index and macs is not authentic") {
    Sides sides;
    sides.start();
    for (std::size_t at = 8; at < mesh::kInitiationBytes - 2 * mesh::kMacBytes; ++at) {
        auto changed = sides.initiation;
        changed[at] ^= std::byte{1};
        INFO("byte " << at);
        CHECK_FALSE(mesh::read_initiation(sides.bob, changed));
    }
    CHECK_FALSE(mesh::read_initiation(sides.alice, sides.initiation));
}

TEST_CASE("a response changed anywhere but in its indices and macs is not authentic") {
    Sides sides;
    sides.start();
    const auto read = mesh::read_initiation(sides.bob, sides.initiation);
    REQUIRE(mesh::answer(*read, sides.response, sides.psk, mesh::make_tunnel_secret(sides.random), 1));
    for (std::size_t at = 12; at < mesh::kResponseBytes - 2 * mesh::kMacBytes; ++at) {
        auto changed = sides.response;
        changed[at] ^= std::byte{1};
        INFO("byte " << at);
        CHECK_FALSE(mesh::finish(sides.state, sides.alice, sides.psk, changed));
    }
}

TEST_CASE("an ephemeral key of small order is refused") {
    Sides sides;
    sides.start();
    auto message = sides.initiation;
    std::fill_n(message.begin() + 8, 32, std::byte{0});
    CHECK_FALSE(mesh::read_initiation(sides.bob, message));
}

TEST_CASE("mac1 is valid for the receiver it was made for") {
    Sides sides;
    sides.start();
    mesh::CookieJar jar(sides.bob.key);
    jar.put_macs(sides.initiation, {});
    CHECK(mesh::mac1_valid(sides.initiation, mesh::mac1_key(sides.bob.key)));
    CHECK_FALSE(mesh::mac1_valid(sides.initiation, mesh::mac1_key(sides.alice.key)));
    sides.initiation[60] ^= std::byte{1};
    CHECK_FALSE(mesh::mac1_valid(sides.initiation, mesh::mac1_key(sides.bob.key)));
}

TEST_CASE("a cookie makes mac2 valid from the address it was given to, for 120 s") {
    using namespace std::chrono_literals;
    Sides sides;
    sides.start();
    mesh::CookieJar jar(sides.bob.key);
    mesh::CookieChecker checker(sides.bob.key, sides.random);
    const auto here = *net::Endpoint::parse("192.0.2.1:1000");
    const net::Steady start(1h);
    jar.put_macs(sides.initiation, start);
    CHECK_FALSE(checker.mac2_valid(sides.initiation, here, start));
    auto reply = checker.reply(sides.initiation, here, start);
    auto forged = reply;
    forged[40] ^= std::byte{1};
    CHECK_FALSE(jar.receive(forged, start));
    CHECK(jar.receive(reply, start));
    CHECK_FALSE(jar.receive(reply, start));  // one message, one cookie

    jar.put_macs(sides.initiation, start + 1s);
    CHECK(checker.mac2_valid(sides.initiation, here, start + 1s));
    CHECK_FALSE(checker.mac2_valid(sides.initiation, *net::Endpoint::parse("192.0.2.1:1001"), start + 1s));
    CHECK_FALSE(checker.mac2_valid(sides.initiation, *net::Endpoint::parse("192.0.2.2:1000"), start + 1s));
    CHECK_FALSE(checker.mac2_valid(sides.initiation, here, start + 121s));

    jar.put_macs(sides.initiation, start + 114s);
    CHECK(net::ByteView(sides.initiation).last(16)[0] != net::ByteView(sides.initiation).last(16)[1]);
    jar.put_macs(sides.initiation, start + 116s);  // too old to arrive in time
    const auto mac2 = net::ByteView(sides.initiation).last(16);
    CHECK(std::all_of(mac2.begin(), mac2.end(), [](std::byte byte) { return byte == std::byte{0}; }));
}
