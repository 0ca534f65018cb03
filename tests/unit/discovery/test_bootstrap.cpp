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

Bootstrap::Question addresses_of(const char* host) { return {Bootstrap::Question::Kind::addresses, host}; }
Bootstrap::Question services_of(const char* domain) { return {Bootstrap::Question::Kind::services, domain}; }

std::vector<std::string> texts(const std::vector<net::Endpoint>& endpoints) {
    std::vector<std::string> out;
    for (const auto& endpoint : endpoints) out.push_back(endpoint.text());
    return out;
}

}  // namespace

TEST_CASE("an entry is a name or an address, with or without a port") {
    CHECK(entry("HQ.example") == BootstrapEntry{"hq.example", 51820, true});
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
    CHECK(bootstrap.take_questions() == std::vector{addresses_of("hq.example")});
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
    CHECK(bootstrap.take_questions() == std::vector{addresses_of("hq.example")});
    bootstrap.resolved("hq.example", {address("2001:db8::1"), address("192.0.2.9")}, 120s, at(122s));
    CHECK_FALSE(bootstrap.take_changed());
}

TEST_CASE("a name is asked for again after its TTL, but between a minute and five") {
    net::SeededRandom random(1);
    for (const auto& [ttl, wait] : {std::pair{0s, 60s}, {90s, 90s}, {86400s, 300s}}) {
        Bootstrap bootstrap({entry("hq.example:51820")}, random, at(0s));
        bootstrap.take_questions();
        bootstrap.resolved("hq.example", {address("192.0.2.9")}, ttl, at(10s));
        CHECK(bootstrap.next_deadline() == at(10s + wait).steady);
    }
}

TEST_CASE("a failure is repeated with growing pauses and forgets nothing") {
    net::SeededRandom random(1);
    Bootstrap bootstrap({entry("hq.example:51820")}, random, at(0s));
    bootstrap.take_questions();
    bootstrap.resolved("hq.example", {address("192.0.2.9")}, 60s, at(0s));
    auto now = bootstrap.next_deadline();
    for (const net::Duration wait : {1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s}) {
        const net::Now then{now, {}};
        bootstrap.tick(then);
        REQUIRE(bootstrap.take_questions().size() == 1);
        bootstrap.failed(addresses_of("hq.example"), then);
        CHECK(bootstrap.next_deadline() >= now + wait);
        CHECK(bootstrap.next_deadline() < now + wait + wait / 10);
        now = bootstrap.next_deadline();
    }
    CHECK(bootstrap.endpoints().size() == 1);

    bootstrap.network_changed({now - 30s, {}});
    CHECK(bootstrap.take_questions().size() == 1);
    bootstrap.failed(addresses_of("hq.example"), {now, {}});
    CHECK(bootstrap.next_deadline() < now + 2s);
}

TEST_CASE("answers that nobody asked for change nothing") {
    net::SeededRandom random(1);
    Bootstrap bootstrap({entry("hq.example:51820")}, random, at(0s));
    bootstrap.resolved("hq.example", {address("192.0.2.9")}, 60s, at(0s));
    bootstrap.resolved("other.example", {address("192.0.2.9")}, 60s, at(0s));
    CHECK(bootstrap.endpoints().empty());
    bootstrap.take_questions();
    bootstrap.resolved("hq.example", std::vector<IpAddress>(1000, address("192.0.2.9")), 60s, at(0s));
    CHECK(bootstrap.endpoints().size() == 1);
}

TEST_CASE("a domain's SRV records say where its members are, by priority, and their names are resolved") {
    net::SeededRandom random(1);
    Bootstrap bootstrap({entry("acme.example"), entry("192.0.2.1:2")}, random, at(0s));
    CHECK(bootstrap.take_questions() == std::vector{services_of("acme.example")});
    bootstrap.served("acme.example", {{20, 0, 7, "b.acme.example"}, {10, 5, 51820, "a.acme.example"}}, 120s, at(0s));
    CHECK(bootstrap.take_questions() == std::vector{addresses_of("a.acme.example"), addresses_of("b.acme.example")});
    bootstrap.resolved("b.acme.example", {address("192.0.2.20")}, 60s, at(0s));
    bootstrap.resolved("a.acme.example", {address("2001:db8::1"), address("192.0.2.10")}, 60s, at(0s));
    CHECK(bootstrap.take_changed());
    CHECK(texts(bootstrap.endpoints()) == std::vector<std::string>{"[2001:db8::1]:51820", "192.0.2.10:51820", "192.0.2.20:7", "192.0.2.1:2"});

    // The records change: what they no longer name is forgotten, and not asked for again.
    bootstrap.tick(at(120s));
    CHECK(bootstrap.take_questions().size() == 3);
    bootstrap.served("acme.example", {{20, 0, 8, "b.acme.example"}}, 120s, at(120s));
    bootstrap.resolved("a.acme.example", {address("192.0.2.99")}, 60s, at(120s));
    CHECK(texts(bootstrap.endpoints()) == std::vector<std::string>{"192.0.2.20:8", "192.0.2.1:2"});
    // Nobody answers: what was known stays.
    bootstrap.tick(at(240s));
    (void)bootstrap.take_questions();
    bootstrap.failed(services_of("acme.example"), at(240s));
    CHECK(texts(bootstrap.endpoints()) == std::vector<std::string>{"192.0.2.20:8", "192.0.2.1:2"});
}

TEST_CASE("a domain without such records, or of which nobody knows, is a host at the default port") {
    net::SeededRandom random(1);
    for (const bool known : {true, false}) {
        Bootstrap bootstrap({entry("acme.example")}, random, at(0s));
        (void)bootstrap.take_questions();
        if (known) bootstrap.served("acme.example", {}, 60s, at(0s));
        else bootstrap.failed(services_of("acme.example"), at(0s));
        REQUIRE(bootstrap.take_questions() == std::vector{addresses_of("acme.example")});
        bootstrap.resolved("acme.example", {address("192.0.2.9")}, 60s, at(0s));
        CHECK(texts(bootstrap.endpoints()) == std::vector<std::string>{"192.0.2.9:51820"});
        // One day it has some.
        bootstrap.tick(at(60s));
        CHECK(bootstrap.take_questions().size() == 2);
        bootstrap.served("acme.example", {{0, 0, 9, "a.acme.example"}}, 60s, at(60s));
        CHECK(bootstrap.endpoints().empty());
    }
}

TEST_CASE("a domain that says it has no members is not tried as a host") {
    net::SeededRandom random(1);
    Bootstrap bootstrap({entry("acme.example")}, random, at(0s));
    (void)bootstrap.take_questions();
    bootstrap.served("acme.example", {{0, 0, 0, ""}}, 60s, at(0s));
    CHECK(bootstrap.take_questions().empty());
    CHECK(bootstrap.endpoints().empty());
}

TEST_CASE("services of one priority come by lot, the heavier the sooner, and stay in that order while they are the same") {
    net::SeededRandom random(1);
    unsigned heavy_first = 0, zero_first = 0;
    for (int i = 0; i < 1000; ++i) {
        Bootstrap bootstrap({entry("acme.example")}, random, at(0s));
        (void)bootstrap.take_questions();
        const std::vector<discovery::BootstrapService> services{{1, 0, 1, "zero.example"}, {1, 90, 2, "heavy.example"}, {1, 10, 3, "light.example"}, {0, 0, 4, "first.example"}};
        bootstrap.served("acme.example", services, 60s, at(0s));
        for (const auto* host : {"zero.example", "heavy.example", "light.example", "first.example"}) {
            (void)bootstrap.take_questions();
            bootstrap.resolved(host, {address("192.0.2.9")}, 60s, at(0s));
        }
        const auto order = texts(bootstrap.endpoints());
        REQUIRE(order.size() == 4);
        CHECK(order[0] == "192.0.2.9:4");
        heavy_first += order[1] == "192.0.2.9:2" ? 1 : 0;
        zero_first += order[1] == "192.0.2.9:1" ? 1 : 0;
        bootstrap.tick(at(60s));
        (void)bootstrap.take_questions();
        bootstrap.served("acme.example", {services.rbegin(), services.rend()}, 60s, at(60s));
        CHECK(texts(bootstrap.endpoints()) == order);
    }
    CHECK(heavy_first > 850);
    CHECK(heavy_first < 930);
    CHECK(zero_first > 0);
    CHECK(zero_first < 40);
}

TEST_CASE("a name server does not decide how many places are tried") {
    net::SeededRandom random(1);
    Bootstrap bootstrap({entry("acme.example")}, random, at(0s));
    (void)bootstrap.take_questions();
    std::vector<discovery::BootstrapService> many;
    for (std::uint16_t i = 1; i <= 1000; ++i) many.push_back({1, 1, i, "a" + std::to_string(i) + ".example"});
    bootstrap.served("acme.example", many, 60s, at(0s));
    const auto questions = bootstrap.take_questions();
    CHECK(questions.size() == 16);
    for (const auto& question : questions) bootstrap.resolved(question.name, std::vector<IpAddress>(100, address("192.0.2.9")), 60s, at(0s));
    CHECK(bootstrap.endpoints().size() <= 16);
}
