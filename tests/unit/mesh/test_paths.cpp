// Ways to one peer: what is probed when, what a proof is, and which way is taken.
#include <catch2/catch.hpp>

#include "mesh/nat.hpp"
#include "mesh/paths.hpp"
#include "mesh/rate_limit.hpp"
#include "mesh/virtual_endpoint.hpp"

using namespace mesh;
using namespace std::chrono_literals;

namespace {

const net::Steady kStart{1h};

net::Endpoint at(const char* text) { return *net::Endpoint::parse(text); }
const auto kLan = at("192.168.1.9:51820"), kOpen = at("203.0.113.9:51820"), kSeen = at("203.0.113.7:40000");
const auto kRelay = VirtualEndpoint{VirtualEndpoint::Kind::relay, 3, 9}.endpoint();
const auto kOtherRelay = VirtualEndpoint{VirtualEndpoint::Kind::relay, 4, 9}.endpoint();

/// A Paths whose probes are answered by those whom the test lets answer, after their round trips.
struct Answering {
    Paths paths;
    net::SeededRandom random{1};
    net::Steady now = kStart;
    std::map<net::Endpoint, net::Duration> answers;
    std::map<net::Endpoint, int> probed;
    std::multimap<net::Steady, std::pair<net::Endpoint, std::uint64_t>> on_their_way;

    /// Takes whatever is chosen at once. True if that was ever `wanted`.
    bool run(net::Duration time, const net::Endpoint& wanted = {}) {
        const auto end = now + time;
        bool there = false;
        while (now < end) {
            for (const auto& probe : paths.due(now, random)) {
                ++probed[probe.to];
                if (const auto found = answers.find(probe.to); found != answers.end())
                    on_their_way.emplace(now + found->second, std::pair(probe.to, probe.token));
            }
            now += 10ms;
            while (!on_their_way.empty() && on_their_way.begin()->first <= now) {
                const auto [to, token] = on_their_way.begin()->second;
                paths.answered(token, to, on_their_way.begin()->first);
                on_their_way.erase(on_their_way.begin());
                if (const auto better = paths.choose(now)) paths.use(*better);
            }
            there |= paths.used() == wanted;
        }
        return there;
    }
};

Answering relayed() {
    Answering one;
    one.paths.good(kRelay, kStart);
    one.paths.use(kRelay);
    one.paths.probed_used(9, kStart - 40ms);
    one.paths.answered(9, kRelay, kStart);
    return one;
}

}  // namespace

TEST_CASE("a way is worth what its address and its owner's word say") {
    Paths paths;
    paths.add(kLan, Source::gossip, Found::local, kStart);
    paths.add(kOpen, Source::gossip, Found::local, kStart);
    paths.add(kSeen, Source::gossip, Found::seen, kStart);
    paths.add(at("203.0.113.8:51820"), Source::gossip, Found::mapped, kStart);
    paths.add(kRelay, Source::relay, Found::unsaid, kStart);
    paths.add(stream_endpoint(7), Source::stream, Found::unsaid, kStart);
    std::vector<Rank> ranks;
    for (const auto& path : paths.all()) ranks.push_back(path.rank());
    CHECK(ranks == std::vector{Rank::lan, Rank::open, Rank::punched, Rank::mapped, Rank::relay, Rank::stream});
    std::sort(ranks.begin(), ranks.end());
    CHECK(ranks == std::vector{Rank::lan, Rank::open, Rank::mapped, Rank::punched, Rank::stream, Rank::relay});
}

TEST_CASE("nobody can name a virtual endpoint, and none counts as one of UDP") {
    CHECK_FALSE(Paths::usable(kRelay));
    CHECK_FALSE(Paths::usable(stream_endpoint(1)));
    CHECK_FALSE(Paths::usable({}));
    CHECK_FALSE(Paths::usable(at("224.0.0.1:5")));
    CHECK(Paths::usable(kOpen));
    Paths paths;
    const std::vector<Paths::Told> told{{kRelay, Found::local}, {kOpen, Found::local}};
    CHECK(paths.replace(Source::gossip, told, kStart));
    CHECK(paths.all().size() == 1);
    const auto is = VirtualEndpoint::of(kRelay);
    REQUIRE(is);
    CHECK(*is == VirtualEndpoint{VirtualEndpoint::Kind::relay, 3, 9});
    CHECK_FALSE(VirtualEndpoint::of(kOpen));
}

TEST_CASE("a detour ends at the first proof of a direct way") {
    auto one = relayed();
    one.paths.add(kSeen, Source::gossip, Found::seen, kStart);
    one.answers = {{kRelay, 40ms}, {kSeen, 25ms}};
    one.paths.begin_round(kStart, true);
    CHECK(one.run(50ms, kSeen));
}

TEST_CASE("the LAN wins over what is open, and that over what was punched, once it has answered twice") {
    auto one = relayed();
    one.paths.add(kSeen, Source::gossip, Found::seen, kStart);
    one.answers = {{kSeen, 25ms}};
    one.paths.begin_round(kStart, true);
    REQUIRE(one.run(1s, kSeen));
    one.paths.add(kLan, Source::mdns, Found::local, one.now);
    one.paths.add(kOpen, Source::gossip, Found::local, one.now);
    one.answers = {{kSeen, 25ms}, {kOpen, 25ms}, {kLan, 1ms}};
    one.paths.begin_round(one.now, true);
    CHECK_FALSE(one.run(150ms, kLan));  // one answer
    CHECK(one.run(2s, kLan));
    CHECK(one.paths.used() == kLan);
    one.run(60s);
    CHECK(one.paths.used() == kLan);
}

TEST_CASE("of two ways of one rank the clearly shorter is taken, and a little shorter is no reason to move") {
    for (const auto& [other, moves] : {std::pair(25ms, true), std::pair(30ms, false), std::pair(60ms, false)}) {
        Answering one;
        one.paths.good(kOpen, kStart);
        one.paths.add(kOpen, Source::gossip, Found::local, kStart);
        one.paths.use(kOpen);
        for (int i = 0; i < 3; ++i) {
            one.paths.probed_used(i + 1, kStart);
            one.paths.answered(i + 1, kOpen, kStart + 40ms);
        }
        const auto second = at("[2001:db8::9]:51820");
        one.paths.add(second, Source::gossip, Found::local, kStart);
        one.answers = {{second, other}};
        one.paths.begin_round(kStart, true);
        CHECK(one.run(5s, second) == moves);
    }
}

TEST_CASE("a silent way is left for the first that answers, and not taken again before it does") {
    auto one = relayed();
    one.paths.add(kSeen, Source::gossip, Found::seen, kStart);
    one.answers = {{kSeen, 25ms}};
    one.paths.begin_round(kStart, true);
    REQUIRE(one.run(1s, kSeen));
    one.paths.used_is_dead(one.now);
    one.answers = {{kRelay, 40ms}, {kOtherRelay, 45ms}};
    one.paths.add(kOtherRelay, Source::relay, Found::unsaid, one.now);
    one.paths.begin_round(one.now, true);
    CHECK(one.run(100ms, kRelay));
    one.run(10s);
    CHECK(one.paths.used() == kRelay);
    one.answers[kSeen] = 25ms;  // it is back
    CHECK(one.run(10s, kSeen));
}

TEST_CASE("a way that falls silent again and again is taken again ever later, and not for one answer") {
    auto one = relayed();
    one.paths.add(kSeen, Source::gossip, Found::seen, kStart);
    one.answers = {{kRelay, 40ms}, {kSeen, 25ms}};
    one.paths.begin_round(kStart, true);
    REQUIRE(one.run(1s, kSeen));
    net::Duration before{};
    for (int death = 0; death < 4; ++death) {
        CAPTURE(death);
        one.paths.used_is_dead(one.now);
        one.paths.begin_round(one.now, true);
        CHECK(one.run(1s, kRelay));
        const auto left = one.now;
        REQUIRE(one.run(10min, kSeen));
        CHECK(one.now - left >= std::max<net::Duration>(Paths::kHoldDown - 1s, before));
        before = one.now - left;
    }
    CHECK(before >= 30s);
    // Elsewhere it may be as good as any.
    one.paths.used_is_dead(one.now);
    one.paths.begin_round(one.now, true);
    CHECK(one.run(1s, kRelay));
    one.paths.forgive();
    one.paths.begin_round(one.now, true);
    CHECK(one.run(2s, kSeen));
}

TEST_CASE("a relay with the role is taken at its first proof instead of a nearer member without it") {
    auto one = relayed();
    one.paths.set_trickle(kRelay, true);
    one.paths.good(kOtherRelay, kStart);
    one.answers = {{kRelay, 5ms}, {kOtherRelay, 80ms}};
    CHECK(one.run(7s, kOtherRelay));
    one.run(60s);
    CHECK(one.paths.used() == kOtherRelay);
    one.paths.used_is_dead(one.now);
    one.paths.begin_round(one.now, true);
    one.answers.erase(kOtherRelay);
    CHECK(one.run(1s, kRelay));  // better than none
}

TEST_CASE("standby relays are kept warm while a relay is in use, direct ones are tried for ever, ever more rarely") {
    auto one = relayed();
    one.paths.good(kOtherRelay, kStart);
    one.paths.add(kSeen, Source::gossip, Found::seen, kStart);
    one.answers = {{kOtherRelay, 50ms}};
    one.paths.begin_round(kStart, true);
    one.run(1h);
    CHECK(one.probed[kOtherRelay] >= 3600 / 5 - 10);
    CHECK(one.probed[kOtherRelay] <= 3600 / 5 + 100);
    CHECK(one.probed[kSeen] >= 4 * 15);  // at least every five minutes
    CHECK(one.probed[kSeen] <= 4 * 25);
}

TEST_CASE("what never answered gets no more than a budget, however many endpoints are named and how often") {
    auto one = relayed();
    for (int second = 0; second < 100; ++second) {
        for (std::uint16_t i = 0; i < 30; ++i) {
            one.paths.add({net::IpAddress::v4(203, 0, 113, 50), static_cast<std::uint16_t>(1 + second * 30 + i)}, Source::gossip,
                          Found::unsaid, one.now);
        }
        one.paths.begin_round(one.now, true);
        one.run(1s);
    }
    int sent = 0;
    for (const auto& [to, count] : one.probed) sent += is_virtual(to) ? 0 : count;
    CHECK(sent > 100);
    CHECK(sent <= static_cast<int>(2 * Paths::kMax) + 4 * 100 + 1);
    CHECK(one.paths.all().size() == Paths::kMax);
    CHECK(one.paths.find(kRelay) != nullptr);
}

TEST_CASE("an answer with another token, from elsewhere, or for the second time proves nothing") {
    Paths paths;
    net::SeededRandom random(5);
    paths.add(kOpen, Source::gossip, Found::local, kStart);
    paths.add(kSeen, Source::gossip, Found::seen, kStart);
    paths.begin_round(kStart, true);
    const auto probes = paths.due(kStart, random);
    REQUIRE(probes.size() == 2);
    CHECK_FALSE(paths.answered(probes[0].token ^ 1, probes[0].to, kStart + 1ms));
    CHECK_FALSE(paths.answered(0, probes[0].to, kStart + 1ms));
    CHECK_FALSE(paths.answered(probes[0].token, probes[1].to, kStart + 1ms));
    CHECK_FALSE(paths.answered(probes[0].token, at("198.51.100.1:1"), kStart + 1ms));
    CHECK(paths.answered(probes[0].token, probes[0].to, kStart + 1ms));
    CHECK_FALSE(paths.answered(probes[0].token, probes[0].to, kStart + 2ms));
}

TEST_CASE("loss is told of the last probes, once there have been enough") {
    Paths paths;
    paths.good(kOpen, kStart);
    paths.use(kOpen);
    for (std::uint64_t i = 1; i <= 16; ++i) {
        paths.probed_used(i, kStart + i * 1s);
        if (i % 4 != 0) paths.answered(i, kOpen, kStart + i * 1s + 20ms);
        const auto loss = paths.find(kOpen)->loss(kStart + i * 1s + 1500ms);
        CHECK(loss.has_value() == (i >= 8));
    }
    CHECK(paths.find(kOpen)->loss(kStart + 20s) == 0.25);
    CHECK(paths.find(kOpen)->rtt == 20ms);
}

TEST_CASE("a NAT is judged by what members at different addresses see") {
    const auto a = at("198.51.100.1:51820"), b = at("198.51.100.2:51820"), neighbour = at("192.168.1.2:51820");
    const auto mine = at("203.0.113.5:1000"), other = at("203.0.113.5:1001"), inside = at("192.168.1.5:51820");
    const auto judge = [&](std::vector<Observation> seen, std::vector<net::Endpoint> local = {}) {
        return judge_mapping(seen, local, false);
    };
    CHECK(judge({}) == NatMapping::unknown);
    CHECK(judge({{a, mine}}) == NatMapping::unknown);
    CHECK(judge({{a, mine}, {b, mine}}) == NatMapping::endpoint_independent);
    CHECK(judge({{a, mine}, {b, other}}) == NatMapping::endpoint_dependent);
    CHECK(judge({{a, mine}, {at("198.51.100.1:9"), other}}) == NatMapping::unknown);  // one member, or one address at least
    CHECK(judge({{a, mine}}, {mine}) == NatMapping::none);
    CHECK(judge({{neighbour, inside}}, {inside}) == NatMapping::unknown);  // neighbours see no NAT
    CHECK(judge({{neighbour, inside}, {a, mine}, {b, mine}}, {inside}) == NatMapping::endpoint_independent);
    CHECK(judge_mapping(std::vector<Observation>{{a, mine}, {b, mine}}, {}, true) == NatMapping::unknown);
}

TEST_CASE("under load what comes through a relay is counted by relay and sender") {
    RateLimit limit;
    int first = 0, second = 0;
    for (int i = 0; i < 20; ++i) first += limit.allow(kRelay.address, kStart) ? 1 : 0;
    for (int i = 0; i < 20; ++i) second += limit.allow(kOtherRelay.address, kStart) ? 1 : 0;
    CHECK(first == 5);
    CHECK(second == 5);
}
