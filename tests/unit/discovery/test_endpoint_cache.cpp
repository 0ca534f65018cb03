#include <catch2/catch.hpp>

#include "discovery/endpoint_cache.hpp"

using namespace std::chrono_literals;
using discovery::EndpointCache;
using net::Endpoint;

namespace {

net::Wall at(int seconds) { return net::from_unix_seconds(seconds); }
net::NodeKey node(std::uint16_t number) {
    net::NodeKey key;
    key.bytes[0] = static_cast<std::byte>(number >> 8);
    key.bytes[1] = static_cast<std::byte>(number & 0xff);
    return key;
}
Endpoint endpoint(std::uint16_t port) { return {net::IpAddress::v4(192, 0, 2, 1), port, 0}; }

}  // namespace

TEST_CASE("the endpoints of a node come newest first, and only the last few are kept") {
    EndpointCache cache;
    CHECK(cache.endpoints(node(1)).empty());
    for (std::uint16_t port = 1; port <= 6; ++port) cache.good(node(1), endpoint(port), at(port));
    CHECK(cache.endpoints(node(1)) == std::vector{endpoint(6), endpoint(5), endpoint(4), endpoint(3)});
    cache.good(node(1), endpoint(4), at(10));
    CHECK(cache.endpoints(node(1)) == std::vector{endpoint(4), endpoint(6), endpoint(5), endpoint(3)});
    cache.forget(node(1));
    CHECK(cache.endpoints(node(1)).empty());
}

TEST_CASE("what is saved comes back the same, in whatever order it is loaded") {
    EndpointCache cache;
    cache.good(node(1), endpoint(1), at(1));
    cache.good(node(1), endpoint(2), at(4));
    cache.good(node(2), endpoint(3), at(3));
    auto saved = cache.entries();
    REQUIRE(saved.size() == 3);
    CHECK(saved.front().endpoint == endpoint(2));
    std::swap(saved.front(), saved.back());
    EndpointCache again;
    again.load(saved);
    CHECK(again.entries() == cache.entries());
    CHECK_FALSE(again.take_changed());
}

TEST_CASE("only what is worth saving counts as a change") {
    EndpointCache cache;
    cache.good(node(1), endpoint(1), at(1));
    CHECK(cache.take_changed());
    CHECK_FALSE(cache.take_changed());
    cache.good(node(1), endpoint(1), at(2));
    CHECK_FALSE(cache.take_changed());
    cache.good(node(1), endpoint(2), at(3));
    CHECK(cache.take_changed());
    cache.good(node(1), endpoint(1), at(4));
    CHECK(cache.take_changed());
}

TEST_CASE("link-local endpoints are not kept") {
    EndpointCache cache;
    cache.good(node(1), *Endpoint::parse("[fe80::1%3]:51820"), at(1));
    cache.good(node(1), {}, at(1));
    CHECK(cache.entries().empty());
}

TEST_CASE("of too many nodes the one seen longest ago is forgotten") {
    EndpointCache cache;
    for (std::size_t i = 0; i <= EndpointCache::kNodes; ++i) {
        cache.good(node(static_cast<std::uint16_t>(i)), endpoint(1), at(i == 7 ? 1 : 100 + static_cast<int>(i)));
    }
    CHECK(cache.entries().size() == EndpointCache::kNodes);
    CHECK(cache.endpoints(node(7)).empty());
    CHECK_FALSE(cache.endpoints(node(0)).empty());
}
