#include <catch2/catch.hpp>

#include "discovery/bootstrap.hpp"

using namespace std::chrono_literals;
using discovery::Bootstrap;
using discovery::BootstrapEntry;
using net::IpAddress;

namespace {

net::Now at(net::Duration since_start) { return {net::Steady(since_start), net::Wall(since_start)}; }
BootstrapEntry entry(const char* text) { return *BootstrapEntry::parse(text); }
IpAddress address(const char* text) { return *IpAddress::parse(text); }

std::vector<std::string> texts(const std::vector<net::Endpoint>& endpoints) {
    std::vector<std::string> out;
    for (const auto& endpoint : endpoints) out.push_back(endpoint.text());
    return out;
}

}  // namespace

TEST_CASE("an entry is a name or an address, with or without a port") {
    CHECK(entry("HQ.example") == BootstrapEntry{"hq.example", 51820});
    CHECK(entry("hq.example:1") == BootstrapEntry{"hq.example", 1});
    CHECK(entry("192.0.2.1") == BootstrapEntry{"192.0.2.1", 51820});
    CHECK(entry("192.0.2.1:65535") == BootstrapEntry{"192.0.2.1", 65535});
    CHECK(entry("2001:DB8::1") == BootstrapEntry{"2001:db8::1", 51820});
    CHECK(entry("[2001:db8::1]") == BootstrapEntry{"2001:db8::1", 51820});
    CHECK(entry("[2001:db8::1]:7") == BootstrapEntry{"2001:db8::1", 7});
    for (const auto* bad : {"", ":1", "hq.example:", "hq.example:0", "hq.example:65536", "hq example", "[::1", "[::1]x",
                            "[::1]:", "[192.0.2.1]:1", "[hq.example]:1", "192.0.2.300", "hq.example:1:2", "http://x"}) {
        INFO(bad);
        CHECK_FALSE(BootstrapEntry::parse(bad));
    }
}

TEST_CASE("addresses are known at once, names when they are resolved, in the order of the list") {
    net::SeededRandom random(1);
    Bootstrap bootstrap({entry("hq.example:1"), entry("192.0.2.1:2"), entry("hq.example:3")}, random, at(0s));
    CHECK(bootstrap.take_changed());
    CHECK(texts(bootstrap.endpoints()) == std::vector<std::string>{"192.0.2.1:2"});
    CHECK(bootstrap.take_questions() == std::vector<std::string>{"hq.example"});
    CHECK(bootstrap.take_questions().empty());
    CHECK_FALSE(bootstrap.take_changed());

    bootstrap.resolved("hq.example", {address("2001:db8::1"), address("192.0.2.9")}, 120s, at(1s));
    CHECK(bootstrap.take_changed());
    CHECK(texts(bootstrap.endpoints()) == std::vector<std::string>{"[2001:db8::1]:1", "192.0.2.9:1", "192.0.2.1:2",
                                                                   "[2001:db8::1]:3", "192.0.2.9:3"});
    CHECK(bootstrap.next_deadline() == at(121s).steady);
    bootstrap.tick(at(120s));
    CHECK(bootstrap.take_questions().empty());
    bootstrap.tick(at(121s));
    CHECK(bootstrap.take_questions() == std::vector<std::string>{"hq.example"});
    bootstrap.resolved("hq.example", {address("2001:db8::1"), address("192.0.2.9")}, 120s, at(122s));
    CHECK_FALSE(bootstrap.take_changed());
}

TEST_CASE("a name is asked for again after its TTL, but between a minute and five") {
    net::SeededRandom random(1);
    for (const auto& [ttl, wait] : {std::pair{0s, 60s}, {90s, 90s}, {86400s, 300s}}) {
        Bootstrap bootstrap({entry("hq.example")}, random, at(0s));
        bootstrap.take_questions();
        bootstrap.resolved("hq.example", {address("192.0.2.9")}, ttl, at(10s));
        CHECK(bootstrap.next_deadline() == at(10s + wait).steady);
    }
}

TEST_CASE("a failure is repeated with growing pauses and forgets nothing") {
    net::SeededRandom random(1);
    Bootstrap bootstrap({entry("hq.example")}, random, at(0s));
    bootstrap.take_questions();
    bootstrap.resolved("hq.example", {address("192.0.2.9")}, 60s, at(0s));
    auto now = bootstrap.next_deadline();
    for (const net::Duration wait : {1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s}) {
        const net::Now then{now, {}};
        bootstrap.tick(then);
        REQUIRE(bootstrap.take_questions().size() == 1);
        bootstrap.failed("hq.example", then);
        CHECK(bootstrap.next_deadline() >= now + wait);
        CHECK(bootstrap.next_deadline() < now + wait + wait / 10);
        now = bootstrap.next_deadline();
    }
    CHECK(bootstrap.endpoints().size() == 1);

    bootstrap.network_changed({now - 30s, {}});
    CHECK(bootstrap.take_questions().size() == 1);
    bootstrap.failed("hq.example", {now, {}});
    CHECK(bootstrap.next_deadline() < now + 2s);
}

TEST_CASE("answers that nobody asked for change nothing") {
    net::SeededRandom random(1);
    Bootstrap bootstrap({entry("hq.example")}, random, at(0s));
    bootstrap.resolved("hq.example", {address("192.0.2.9")}, 60s, at(0s));
    bootstrap.resolved("other.example", {address("192.0.2.9")}, 60s, at(0s));
    CHECK(bootstrap.endpoints().empty());
    bootstrap.take_questions();
    bootstrap.resolved("hq.example", std::vector<IpAddress>(1000, address("192.0.2.9")), 60s, at(0s));
    CHECK(bootstrap.endpoints().size() == 1);
}
