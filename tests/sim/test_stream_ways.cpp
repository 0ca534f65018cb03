// Members' words about where they listen for streams, which may be wrong: what a wrong one costs, and whom.
#include <catch2/catch.hpp>

#include "tests/sim/sites.hpp"
#include "tests/sim/world.hpp"

using namespace std::chrono_literals;
using mesh::Rank;
using sim::Host;
using sim::Site;
using sim::Streams;
using sim::World;

namespace {

/// Trento listens for streams; Munich says that it listens somewhere, and is gone.
struct Listed {
    explicit Listed(std::uint64_t seed) : world(seed) {
        trento = &world.found("trento", "198.51.100.1");
        trento->stop();
        trento->listens = true;
        trento->start();
        munich = &world.join("munich", "198.51.100.2", *trento);
        victim = &world.join("victim", "198.51.100.3", *trento);
        REQUIRE(world.run_until([&] { return world.full_mesh() && world.same_rosters(); }, 20s));
    }
    void munich_says(std::vector<net::Endpoint> endpoints) {
        munich->node().set_stream_endpoints(std::move(endpoints), world.now());
        const auto told = [&] {
            const auto* const member = victim->node().view().member(munich->node().key());
            return member->node && !member->node->streams.empty();
        };
        REQUIRE(world.run_until(told, 30s));
        munich_key = munich->node().key();
        munich->crash();
    }
    std::optional<Rank> way_to(Host& to) {
        for (const auto& peer : victim->node().peers(world.now()))
            if (peer.key == to.node().key() && peer.state == mesh::PeerState::session) return peer.rank;
        return std::nullopt;
    }
    std::size_t dials_to_munich() const {
        return static_cast<std::size_t>(std::count_if(victim->events.begin(), victim->events.end(), [&](const auto& one) {
            const auto* const wanted = std::get_if<mesh::StreamWanted>(&one);
            return wanted != nullptr && wanted->member == munich_key;
        }));
    }
    template <class Event>
    std::size_t events() const {
        return static_cast<std::size_t>(std::count_if(victim->events.begin(), victim->events.end(), [](const auto& one) { return std::holds_alternative<Event>(one); }));
    }

    World world;
    sim::Sites sites{world.network()};
    Host *trento = nullptr, *munich = nullptr, *victim = nullptr;
    net::NodeKey munich_key;
};

}  // namespace

TEST_CASE("a member whose record names another's listener takes nobody's stream") {
    for (std::uint64_t seed = 1; seed <= 8; ++seed) {  // of the two either may have the lower key
        CAPTURE(seed);
        Listed all(seed);
        all.munich_says({{all.trento->address, Streams::kPort}});
        all.world.move(*all.victim, all.sites.make(Site::udp_blocked));
        REQUIRE(all.world.run_until([&] { return all.way_to(*all.trento) == Rank::stream; }, 60s));
        all.world.run_for(5s);
        REQUIRE(all.way_to(*all.trento) == Rank::stream);
        all.victim->events.clear();
        all.world.run_for(10min);
        CHECK(all.way_to(*all.trento) == Rank::stream);
        CHECK(all.events<mesh::PeerDown>() == 0);
        CHECK(all.events<mesh::StreamUnwanted>() == 0);
        CHECK(all.events<mesh::EndpointGood>() == 0);
        CHECK(all.dials_to_munich() <= 10);
    }
}

TEST_CASE("a stranger whom a record names as a listener is dialled ever more rarely, until the member has been up") {
    Listed all(20);
    auto& stranger = all.world.found("stranger", "198.51.100.9");  // takes streams, and knows nobody here
    stranger.listens = true;
    stranger.stop();
    stranger.start();
    all.munich_says({{stranger.address, Streams::kPort}});
    all.victim->events.clear();
    all.world.run_for(10min);
    CHECK(all.dials_to_munich() >= 4);
    CHECK(all.dials_to_munich() <= 10);
    all.victim->events.clear();
    all.world.run_for(1h);
    CHECK(all.dials_to_munich() <= 13);
    CHECK(all.world.streams().size() <= 8);  // two who dial, and ends that have not noticed yet
    all.munich->start();
    REQUIRE(all.world.run_until([&] { return all.way_to(*all.munich).has_value(); }, 2min));
    all.munich_says({{stranger.address, Streams::kPort}});
    all.victim->events.clear();
    all.world.run_for(1min);
    CHECK(all.dials_to_munich() >= 2);
}

TEST_CASE("who knows nobody else dials a stranger every half minute at most, and at once where the network has changed") {
    Listed all(21);
    auto& stranger = all.world.found("stranger", "198.51.100.9");
    stranger.listens = true;
    stranger.stop();
    stranger.start();
    all.munich_says({{stranger.address, Streams::kPort}});
    all.trento->crash();
    all.world.move(*all.victim, all.sites.make(Site::udp_blocked));
    all.victim->events.clear();
    all.world.run_for(10min);
    CHECK(all.dials_to_munich() >= 15);
    CHECK(all.dials_to_munich() <= 30);
    all.world.run_for(5s);
    all.victim->events.clear();
    all.world.move(*all.victim, all.sites.make(Site::udp_blocked));
    CHECK(all.world.run_until([&] { return all.dials_to_munich() != 0; }, 5s));
}

TEST_CASE("what a record says of this machine's own addresses, or of loopback's, is never dialled") {
    Listed all(22);
    all.munich_says({{net::IpAddress::v4(127, 0, 0, 1), 443}, {net::IpAddress::parse("::1").value(), 443}, {all.victim->address, 443}});
    all.victim->events.clear();
    all.world.run_for(2min);
    CHECK(all.events<mesh::StreamWanted>() == 0);
}
