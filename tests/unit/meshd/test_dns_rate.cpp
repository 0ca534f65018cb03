#include "meshd/dns_rate.hpp"

#include <catch2/catch.hpp>

using meshd::DnsRate;
using namespace std::chrono_literals;

namespace {

net::IpAddress asker_at(std::string_view text) { return *net::IpAddress::parse(text); }

/// How many of `questions` at once are allowed.
unsigned allowed(DnsRate& rate, const net::IpAddress& asker, unsigned questions, net::Steady now) {
    unsigned out = 0;
    for (unsigned i = 0; i < questions; ++i) out += rate.allow(asker, now) ? 1 : 0;
    return out;
}

const net::Steady kBegin{100h};

}  // namespace

TEST_CASE("one asker has a burst and a rate, and leaves the others theirs") {
    DnsRate rate;
    CHECK(allowed(rate, asker_at("192.168.1.7"), 5000, kBegin) == DnsRate::kBurstOfOne);
    CHECK(allowed(rate, asker_at("192.168.1.8"), 50, kBegin) == 50);
    CHECK(allowed(rate, asker_at("192.168.1.7"), 5000, kBegin + 100ms) == DnsRate::kOfOnePerS / 10);
    unsigned in_a_second = 0;
    for (auto at = 110ms; at <= 1100ms; at += 10ms) in_a_second += allowed(rate, asker_at("192.168.1.7"), 20, kBegin + at);
    CHECK(in_a_second == DnsRate::kOfOnePerS);
    CHECK(allowed(rate, asker_at("192.168.1.7"), 5000, kBegin + 1h) == DnsRate::kBurstOfOne);
}

TEST_CASE("all addresses of an IPv6 network of 64 bits are one asker") {
    DnsRate rate;
    unsigned sum = 0;
    for (unsigned i = 0; i < 300; ++i) sum += rate.allow(asker_at("fd00:7::" + std::to_string(i)), kBegin) ? 1 : 0;
    CHECK(sum == DnsRate::kBurstOfOne);
    CHECK(rate.allow(asker_at("fd00:7:0:1::1"), kBegin));
}

TEST_CASE("many askers together are answered at a rate that calls can bear") {
    DnsRate rate;
    const auto all = [&](net::Steady now) {
        unsigned sum = 0;
        for (std::uint8_t i = 0; i < 200; ++i) sum += allowed(rate, net::IpAddress::v4(10, 0, 0, i), 20, now);
        return sum;
    };
    CHECK(all(kBegin) == DnsRate::kBurstOfAll);
    CHECK(all(kBegin + 50ms) == DnsRate::kOfAllPerS / 20);
}

TEST_CASE("askers are bounded, those who asked within the last second go on, and the idle are forgotten") {
    DnsRate rate;
    for (std::uint32_t i = 0; i < DnsRate::kMaxAskers; ++i) (void)rate.allow(net::IpAddress::v4(0x0a000000 + i), kBegin);
    CHECK(rate.askers() == DnsRate::kMaxAskers);
    CHECK_FALSE(rate.allow(asker_at("192.168.1.7"), kBegin + 900ms));
    CHECK(rate.allow(asker_at("10.0.0.7"), kBegin + 900ms));
    CHECK(rate.allow(asker_at("192.168.1.7"), kBegin + 1s));
    CHECK(rate.askers() == 2);
}
