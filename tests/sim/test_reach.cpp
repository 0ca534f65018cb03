// The NAT grid: members at every pair of places get a session, direct wherever the theory allows it.
//
// A way is direct where one side has an endpoint that the other can send to, and its box lets that in:
//   F  a full cone or an open member: everybody may send to what others see of it
//   A  restricts addresses: lets in, from any port, whose address it has sent to
//   P  restricts ports: lets in exactly the endpoint that it has sent to
//   S  symmetric: likewise, and another remote sees it at another port, so that nobody knows where to send to
// Two sides that both know where to send to send at once, and each box takes the other's packet for an answer. With S on
// one side only that side's packets can come first: F takes them, A does as it has sent to that address before, P does not,
// as it has sent to another port of it. There S opens many ports, and P guesses until it hits one (birthday probing).
#include <catch2/catch.hpp>

#include "tests/sim/reach.hpp"

using sim::ReachCell;
using sim::Site;
using Together = sim::ReachCell::Together;

namespace {

/// Why a pair has to be relayed; empty: it is direct.
std::string_view relayed_because(const ReachCell& cell) {
    switch (cell.together) {
        case Together::no: break;
        case Together::same_lan: return {};      // by their addresses there
        case Together::same_carrier: return {};  // it hairpins what both punch
        case Together::same_carrier_without_hairpinning: return "no packet from inside comes back inside";
    }
    const auto either = [&](auto is) { return is(cell.left) || is(cell.right); };
    const auto symmetric = [](Site one) { return one == Site::symmetric || one == Site::symmetric_random; };
    if (either([](Site one) { return one == Site::udp_blocked; })) return "one side has no UDP at all";
    if (either([](Site one) { return one == Site::ipv6_only; })) {
        const bool both_have_it = (cell.left == Site::ipv6_only || cell.left == Site::open) && (cell.right == Site::ipv6_only || cell.right == Site::open);
        return both_have_it ? "" : "no family of addresses in common";
    }
    if (symmetric(cell.left) && symmetric(cell.right)) return "neither knows the port that the other will have toward it";
    return {};
}

void check(const ReachCell& cell) {
    for (std::uint64_t seed = 1; seed <= 2; ++seed) {
        const auto result = sim::reach(cell, seed);
        const auto why = relayed_because(cell);
        INFO(result.report);
        CAPTURE(text(cell), seed, why, result.rank ? mesh::text(*result.rank) : "none");
        CHECK(result.carries);
        CHECK(result.direct() == why.empty());
        CHECK(result.first_data <= std::chrono::seconds(10));
    }
}

}  // namespace

TEST_CASE("members at every pair of places reach each other, directly where that is possible") {
    for (const auto left : sim::kSites)
        for (const auto right : sim::kSites)
            if (left <= right) check({left, right, Together::no});
}

TEST_CASE("members behind one box reach each other by their LAN") {
    for (const auto site : {Site::full_cone, Site::port_restricted, Site::symmetric_random, Site::udp_blocked, Site::ipv6_only})
        check({site, site, Together::same_lan});
}

TEST_CASE("members in homes behind one carrier reach each other directly where it hairpins, or through another member") {
    check({Site::double_nat, Site::double_nat, Together::same_carrier});
    check({Site::double_nat, Site::double_nat, Together::same_carrier_without_hairpinning});
}
