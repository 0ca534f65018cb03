#include "tests/sim/reach.hpp"

#include "tests/sim/chaos.hpp"

namespace sim {
namespace {

using namespace std::chrono_literals;

constexpr auto kWatched = 60s;

std::optional<mesh::PeerReport> report_of(Host& from, Host& to) {
    for (auto& peer : from.node().peers(from.now()))
        if (peer.key == to.node().key()) return peer;
    return std::nullopt;
}

/// Of the way from one to the other; none without a session.
std::optional<mesh::Rank> rank(Host& from, Host& to) {
    const auto peer = report_of(from, to);
    return peer && peer->state == mesh::PeerState::session ? peer->rank : std::nullopt;
}

std::string_view text(ReachCell::Together together) {
    switch (together) {
        case ReachCell::Together::no: return "";
        case ReachCell::Together::same_lan: return ", the same LAN";
        case ReachCell::Together::same_carrier: return ", the same carrier";
        case ReachCell::Together::same_carrier_without_hairpinning: return ", the same carrier without hairpinning";
    }
    return "";
}

}  // namespace

std::string text(const ReachCell& cell) {
    return std::string(text(cell.left)) + " - " + std::string(text(cell.right)) + std::string(text(cell.together));
}

ReachResult reach(const ReachCell& cell, std::uint64_t seed) {
    static const ChaosMembers members(3);
    World world(seed);
    world.weather = {20ms, 10ms, 0};
    Sites sites(world.network());
    const auto hub = sites.make(Site::open);
    world.defaults.bootstrap = {{hub.addresses.front(), Host::kPort}, {hub.addresses.back(), Host::kPort}};
    std::pair<Place, Place> places;
    switch (cell.together) {
        case ReachCell::Together::no: places = {sites.make(cell.left), sites.make(cell.right)}; break;
        case ReachCell::Together::same_lan:
            places.first = sites.make(cell.left);
            places.second = sites.beside(places.first);
            break;
        case ReachCell::Together::same_carrier: places = sites.neighbours(true); break;
        case ReachCell::Together::same_carrier_without_hairpinning: places = sites.neighbours(false); break;
    }
    auto &relay = world.add_host("relay", hub), &left = world.add_host("left", places.first), &right = world.add_host("right", places.second);
    relay.listens = true;
    Host* const hosts[] = {&relay, &left, &right};
    for (std::size_t i = 0; i < 3; ++i) hosts[i]->disk = members.disks[i];
    relay.start();
    world.run_for(1s);
    left.start();
    right.start();

    ReachResult out;
    const auto began = world.now().steady;
    std::pair<std::optional<mesh::Rank>, std::optional<mesh::Rank>> ranks;
    while (world.now().steady < began + kWatched) {
        if (!out.carries) {
            left.send_overlay(right.overlay(), 1000, 7, net::as_bytes("hello"));
            right.send_overlay(left.overlay(), 1000, 7, net::as_bytes("hello"));
        }
        world.run_for(20ms);
        const auto elapsed = world.now().steady - began;
        if (!out.carries && !left.inner.empty() && !right.inner.empty()) {
            out.carries = true;
            out.first_data = elapsed;
        }
        const std::pair now{rank(left, right), rank(right, left)};
        if (now != ranks) {
            ranks = now;
            out.final_way = elapsed;
        }
    }
    if (ranks.first && ranks.second) out.rank = std::max(*ranks.first, *ranks.second);
    // By the way that it has at the end, too.
    left.inner.clear();
    right.inner.clear();
    for (int i = 0; i < 3; ++i) {
        left.send_overlay(right.overlay(), 1000, 7, net::as_bytes("still"));
        right.send_overlay(left.overlay(), 1000, 7, net::as_bytes("still"));
        world.run_for(500ms);
    }
    out.carries = out.carries && !left.inner.empty() && !right.inner.empty();
    out.report = world.report(text(cell));
    return out;
}

}  // namespace sim
