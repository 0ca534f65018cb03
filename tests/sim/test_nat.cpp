// The boxes of the simulated network hold what RFC 4787 requires, each of their kinds in runs of random packets.
#include <catch2/catch.hpp>

#include <set>

#include "tests/sim/nat.hpp"

using namespace std::chrono_literals;
using sim::Behaviour;
using sim::NatBox;
using sim::NatSettings;
using sim::PortAssignment;
using sim::Transport;
using Verdict = sim::NatBox::Verdict;

namespace {

const auto kOutside = net::IpAddress::v4(203, 0, 113, 1);
constexpr auto kUdp = Transport::udp;
constexpr Behaviour kBehaviours[] = {Behaviour::endpoint_independent, Behaviour::address_dependent,
                                     Behaviour::address_and_port_dependent};
constexpr PortAssignment kAssignments[] = {PortAssignment::preserving, PortAssignment::sequential, PortAssignment::random};

bool same(const net::Endpoint& a, const net::Endpoint& b, Behaviour behaviour) {
    switch (behaviour) {
        case Behaviour::endpoint_independent: return true;
        case Behaviour::address_dependent: return a.address == b.address;
        case Behaviour::address_and_port_dependent: return a == b;
    }
    return false;
}

/// A box, few endpoints on both sides so that all kinds of them meet, and a record of what it let out.
struct Run {
    Run(const NatSettings& settings, std::uint64_t seed) : box(settings, seed), random(seed) {}

    net::Endpoint inside() { return {net::IpAddress::v4(0xC0A80102 + below3()), port()}; }
    net::Endpoint remote() { return {net::IpAddress::v4(0xC6336401 + below3()), port()}; }
    std::uint16_t port() { return static_cast<std::uint16_t>(5000 + below3()); }
    std::uint32_t below3() { return static_cast<std::uint32_t>(random.below(3)); }
    /// A packet from inside to a random remote, after a random time.
    void step() {
        now += std::chrono::milliseconds(random.below(20'000));
        const auto from = inside(), to = remote();
        const auto passed = box.outbound(kUdp, from, to, now);
        REQUIRE(passed.verdict == Verdict::passed);
        sent.push_back({now, from, to, passed.endpoint});
    }
    struct Sent {
        net::Steady at;
        net::Endpoint inside, remote, outside;
    };
    /// Whether a packet kept this outside endpoint of an inside one until `at`.
    bool lives(const Sent& one, net::Steady at) const { return at - one.at < box.settings().mapping_lasts; }

    NatBox box;
    net::SeededRandom random;
    net::Steady now{1h};
    std::vector<Sent> sent;
};

/// For every kind of box.
template <class Check>
void for_all(Check check) {
    for (const auto mapping : kBehaviours) {
        for (const auto filtering : kBehaviours) {
            for (const auto ports : kAssignments) {
                for (std::uint64_t seed = 1; seed <= 3; ++seed) {
                    CAPTURE(static_cast<int>(mapping), static_cast<int>(filtering), static_cast<int>(ports), seed);
                    NatSettings settings;
                    settings.outside = kOutside;
                    settings.mapping = mapping;
                    settings.filtering = filtering;
                    settings.ports = ports;
                    Run run(settings, seed);
                    check(run);
                }
            }
        }
    }
}

}  // namespace

TEST_CASE("an inside endpoint keeps one outside endpoint toward as many remotes as its mapping does not depend on") {
    for_all([](Run& run) {
        bool others = false;
        for (int i = 0; i < 300; ++i) run.step();
        for (std::size_t i = 0; i < run.sent.size(); ++i) {
            for (std::size_t k = i; k-- > 0 && run.lives(run.sent[k], run.sent[i].at);) {
                const auto &now = run.sent[i], &before = run.sent[k];
                if (before.inside != now.inside) continue;
                const bool one_mapping = same(before.remote, now.remote, run.box.settings().mapping);
                REQUIRE((before.outside == now.outside) == one_mapping);
                others |= !one_mapping;
            }
        }
        CHECK(others == (run.box.settings().mapping != Behaviour::endpoint_independent));
    });
}

TEST_CASE("no two inside endpoints share an outside one, and all of them are the box's own") {
    for_all([](Run& run) {
        for (int i = 0; i < 300; ++i) run.step();
        for (std::size_t i = 0; i < run.sent.size(); ++i) {
            REQUIRE(run.sent[i].outside.address == kOutside);
            for (std::size_t k = i; k-- > 0 && run.lives(run.sent[k], run.sent[i].at);)
                if (run.sent[k].outside == run.sent[i].outside) REQUIRE(run.sent[k].inside == run.sent[i].inside);
        }
    });
}

TEST_CASE("a remote gets in exactly while the mapping knows as much of it as the filter depends on") {
    for_all([](Run& run) {
        int in = 0, out = 0;
        for (int i = 0; i < 500; ++i) {
            run.step();
            const auto& target = run.sent[run.sent.size() - 1 - run.random.below(std::min<std::size_t>(run.sent.size(), 15))];
            const auto from = run.random.below(2) == 0 ? target.remote : run.remote();
            bool lives = false, known = false;
            net::Endpoint whose;
            for (const auto& one : run.sent) {
                if (one.outside != target.outside || !run.lives(one, run.now)) continue;
                lives = true;
                whose = one.inside;
                known |= same(one.remote, from, run.box.settings().filtering);
            }
            const auto passed = run.box.inbound(kUdp, from, target.outside, run.now);
            REQUIRE(passed.verdict == (!lives ? Verdict::no_mapping : known ? Verdict::passed : Verdict::filtered));
            if (lives && known) REQUIRE(passed.endpoint == whose);
            ++(lives && known ? in : out);
        }
        CHECK(in > 50);
        CHECK(out > 5);
    });
}

TEST_CASE("whoever is answered from where he sent to gets the answer") {
    for_all([](Run& run) {
        for (int i = 0; i < 200; ++i) {
            run.step();
            const auto answer = run.box.inbound(kUdp, run.sent.back().remote, run.sent.back().outside, run.now + 119s);
            REQUIRE(answer.verdict == Verdict::passed);
            REQUIRE(answer.endpoint == run.sent.back().inside);
        }
    });
}

TEST_CASE("what comes from outside makes a mapping last only where the box is set to that") {
    for (const bool refreshes : {false, true}) {
        auto settings = sim::port_restricted(kOutside);
        settings.inbound_refreshes = refreshes;
        Run run(settings, 1);
        run.step();
        const auto one = run.sent.back();
        for (int minute = 1; minute <= 10; ++minute) {
            CAPTURE(refreshes, minute);
            const auto passed = run.box.inbound(kUdp, one.remote, one.outside, one.at + minute * 1min);
            CHECK((passed.verdict == Verdict::passed) == (refreshes || minute < 2));
        }
    }
}

TEST_CASE("a port is kept, counted up or drawn, as the box assigns them") {
    const net::Endpoint inside{net::IpAddress::v4(192, 168, 1, 2), 51820}, other{net::IpAddress::v4(192, 168, 1, 3), 51820};
    const auto port = [&](NatBox& box, const net::Endpoint& from, std::uint16_t to) {
        return box.outbound(kUdp, from, {net::IpAddress::v4(198, 51, 100, 1), to}, net::Steady(1h)).endpoint.port;
    };
    NatBox keeps(sim::full_cone(kOutside), 1);
    CHECK(port(keeps, inside, 1) == 51820);
    CHECK(port(keeps, other, 1) != 51820);
    NatBox counts(sim::symmetric(kOutside, PortAssignment::sequential), 1);
    const auto first = port(counts, inside, 1);
    CHECK(port(counts, inside, 2) == first + 1);
    CHECK(port(counts, other, 1) == first + 2);
    NatBox draws(sim::symmetric(kOutside, PortAssignment::random), 1);
    std::set<int> steps;
    for (std::uint16_t to = 1; to <= 20; ++to) steps.insert(port(draws, inside, to) - port(draws, inside, static_cast<std::uint16_t>(to + 100)));
    CHECK(steps.size() == 20);
}

TEST_CASE("a box that hairpins lets in from inside whom it would let in from outside, another nobody") {
    for (const bool hairpins : {false, true}) {
        auto settings = sim::port_restricted(kOutside);
        settings.hairpins = hairpins;
        NatBox box(settings, 1);
        const net::Endpoint a{net::IpAddress::v4(192, 168, 1, 2), 51820}, b{net::IpAddress::v4(192, 168, 1, 3), 51820};
        const net::Endpoint far{net::IpAddress::v4(198, 51, 100, 1), 51820};
        const net::Steady now{1h};
        const auto a_outside = box.outbound(kUdp, a, far, now).endpoint, b_outside = box.outbound(kUdp, b, far, now).endpoint;
        box.outbound(kUdp, b, a_outside, now);
        CHECK(box.inbound(kUdp, b_outside, a_outside, now, true).verdict == (hairpins ? Verdict::filtered : Verdict::no_hairpin));
        box.outbound(kUdp, a, b_outside, now);
        const auto passed = box.inbound(kUdp, b_outside, a_outside, now, true);
        CHECK(passed.verdict == (hairpins ? Verdict::passed : Verdict::no_hairpin));
        if (hairpins) CHECK(passed.endpoint == a);
    }
}

TEST_CASE("a firewall leaves endpoints as they are, and lets in who was sent to") {
    NatBox box(sim::firewall(), 1);
    const auto inside = net::Endpoint::parse("[2001:db8:1::2]:51820").value(), remote = net::Endpoint::parse("[2001:db8:2::2]:51820").value();
    const net::Steady now{1h};
    CHECK(box.inbound(kUdp, remote, inside, now).verdict == Verdict::no_mapping);
    CHECK(box.outbound(kUdp, inside, remote, now).endpoint == inside);
    CHECK(box.inbound(kUdp, remote, inside, now + 119s).endpoint == inside);
    CHECK(box.inbound(kUdp, {remote.address, 1}, inside, now).verdict == Verdict::filtered);
    CHECK(box.inbound(kUdp, remote, inside, now + 2min).verdict == Verdict::no_mapping);
}

TEST_CASE("a box for the web only lets TCP to its ports out, and the answers in") {
    auto settings = sim::port_restricted(kOutside);
    settings.web_only = true;
    NatBox box(settings, 1);
    const net::Endpoint inside{net::IpAddress::v4(192, 168, 1, 2), 51820}, web{net::IpAddress::v4(198, 51, 100, 1), 443};
    const net::Steady now{1h};
    CHECK(box.outbound(kUdp, inside, web, now).verdict == Verdict::blocked);
    CHECK(box.outbound(Transport::tcp, inside, {web.address, 5222}, now).verdict == Verdict::blocked);
    const auto passed = box.outbound(Transport::tcp, inside, web, now);
    REQUIRE(passed.verdict == Verdict::passed);
    CHECK(box.inbound(Transport::tcp, web, passed.endpoint, now + 1h).endpoint == inside);
    CHECK(box.inbound(kUdp, web, passed.endpoint, now).verdict == Verdict::blocked);
}

TEST_CASE("a box's table is bounded, and what is over makes room") {
    auto settings = sim::symmetric(kOutside, PortAssignment::random);
    settings.max_mappings = 100;
    NatBox box(settings, 1);
    const net::Endpoint inside{net::IpAddress::v4(192, 168, 1, 2), 51820};
    const auto out = [&](std::uint16_t to, net::Steady now) {
        return box.outbound(kUdp, inside, {net::IpAddress::v4(198, 51, 100, 1), to}, now).verdict;
    };
    for (std::uint16_t to = 1; to <= 100; ++to) CHECK(out(to, net::Steady(1h)) == Verdict::passed);
    CHECK(out(101, net::Steady(1h)) == Verdict::full);
    CHECK(box.mappings(net::Steady(1h)) == 100);
    CHECK(out(101, net::Steady(1h + 2min)) == Verdict::passed);
    CHECK(box.mappings(net::Steady(1h + 2min)) == 1);
    box.reboot();
    CHECK(box.mappings(net::Steady(1h)) == 0);
}
