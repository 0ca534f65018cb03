// Why a way is as it is, and what would make it direct: the cases, and a mesh whose ways are told of.
#include <nlohmann/json.hpp>

#include "meshd/path_report.hpp"
#include "tests/unit/mesh/mesh_in_memory.hpp"

using namespace mesh;
using namespace mesh::testing;
using Catch::Matchers::Contains;
using meshd::Obstacle;
using meshd::Udp;

namespace {

const auto kHereOutside = net::IpAddress::v4(203, 0, 113, 1), kThereOutside = net::IpAddress::v4(203, 0, 113, 2);

/// A session through a relay, between two NATs, whose endpoints were tried.
meshd::PathFacts relayed(NatMapping here, NatMapping there) {
    meshd::PathFacts facts;
    facts.here = {"trento", here, Udp::works, 51820, kHereOutside, false};
    facts.there = {"bob", there, Udp::works, 51821, kThereOutside, false};
    facts.state = PeerState::session;
    facts.rank = Rank::relay;
    facts.candidates = 2;
    facts.any_public = facts.tried = true;
    facts.others = 3;
    return facts;
}

meshd::PathFacts changed(void (*how)(meshd::PathFacts&), NatMapping here = NatMapping::endpoint_dependent,
                         NatMapping there = NatMapping::endpoint_dependent) {
    auto facts = relayed(here, there);
    how(facts);
    return facts;
}

}  // namespace

TEST_CASE("for every way there is one obstacle, a cause, and one change that would make it direct") {
    using enum NatMapping;
    struct Case {
        meshd::PathFacts facts;
        Obstacle obstacle;
        const char *cause, *change;  ///< parts of them
    };
    const Case cases[] = {
        {relayed(endpoint_dependent, endpoint_dependent), Obstacle::both_dependent, "both NATs give every peer another port",
         "Forward UDP port 51820 of trento's router to it and put \"advertise\": [\"203.0.113.1:51820\"] into its meshd.json"},
        {relayed(endpoint_dependent, endpoint_independent), Obstacle::dependent_here, "the NAT of trento gives every peer another port",
         "or the same for bob"},
        {relayed(endpoint_dependent, unknown), Obstacle::dependent_here, "that of bob is not known", "Forward"},
        {relayed(unknown, endpoint_dependent), Obstacle::dependent_there, "the NAT of bob gives every peer another port", "Forward"},
        {relayed(endpoint_independent, endpoint_independent), Obstacle::filtered, "the NATs would allow it", "Forward"},
        {relayed(endpoint_independent, unknown), Obstacle::unknown_nat, "too few members see", "Forward"},
        {relayed(none, endpoint_dependent), Obstacle::firewall_here, "trento has no NAT", "Let UDP port 51820 in at the firewall of trento."},
        {relayed(endpoint_dependent, none), Obstacle::firewall_there, "bob has no NAT", "Let UDP port 51821 in at the firewall of bob."},
        {changed([](auto& f) { f.here.v6 = true; }), Obstacle::both_dependent, "both", "IPv6 for bob would do"},
        {changed([](auto& f) { f.there.v6 = true; }), Obstacle::both_dependent, "both", "IPv6 for trento would do"},
        {changed([](auto& f) { f.here.outside.reset(); }), Obstacle::both_dependent, "both", "\"advertise\": [\"ADDRESS:51820\"]"},
        {changed([](auto& f) { f.here.v6 = f.there.v6 = true; }), Obstacle::firewall_v6, "both have IPv6", "51820 in over IPv6"},
        {changed([](auto& f) { f.there.outside = f.here.outside; }), Obstacle::same_router, "behind the router 203.0.113.1", "Let UDP port 51821 pass"},
        {changed([](auto& f) { f.any_public = false; f.here.udp = Udp::unknown; }, unknown, unknown), Obstacle::private_only,
         "private addresses", "from trento to bob"},
        {changed([](auto& f) { f.any_public = false; f.there.udp = Udp::unknown; }, endpoint_independent, unknown), Obstacle::udp_blocked_there,
         "UDP does not leave the network of bob", "at the firewall of bob."},
        {changed([](auto& f) { f.here.v4 = false; f.here.v6 = true; f.tried = false; }, unknown, none), Obstacle::no_common_family,
         "bob has no public IPv6, and trento no IPv4", "IPv6 for bob would do."},
        {changed([](auto& f) { f.there.v4 = false; f.there.v6 = true; }, none, unknown), Obstacle::no_common_family,
         "trento has no public IPv6, and bob no IPv4", "IPv6 for trento would do."},
        {changed([](auto& f) { f.here.v4 = false; f.here.v6 = f.there.v6 = true; }), Obstacle::firewall_v6, "both have IPv6", "51820 in over IPv6"},
        {changed([](auto& f) { f.candidates = 0; }), Obstacle::no_endpoint, "tells of no address", "Forward UDP port 51821 of bob's router"},
        {changed([](auto& f) { f.tried = false; }), Obstacle::being_tried, "being tried", "some seconds"},
        {changed([](auto& f) { f.about_to_move = true; }), Obstacle::being_tried, "being tried", "some seconds"},
        {changed([](auto& f) { f.rank = Rank::stream; f.here.udp = Udp::blocked; }, unknown, none), Obstacle::udp_blocked_here,
         "UDP does not leave the network of trento", "Let UDP out, to port 51821 at least, at the firewall of trento."},
        {changed([](auto& f) { f.rank = Rank::stream; f.there.udp = Udp::blocked; }), Obstacle::udp_blocked_there,
         "UDP does not leave the network of bob", "Let UDP out, to port 51820 at least, at the firewall of bob."},
        {changed([](auto& f) { f.rank = Rank::stream; f.there.udp = Udp::unknown; }), Obstacle::udp_blocked, "between the two", "or at that of bob"},
        {changed([](auto& f) { f.rank = Rank::lan; }), Obstacle::none, "", "Nothing: it is reached directly."},
        {changed([](auto& f) { f.rank = Rank::punched; }), Obstacle::none, "", "Nothing"},
        {changed([](auto& f) { f.state = PeerState::idle; }), Obstacle::not_wanted, "no data goes to it", "as soon as data"},
        {changed([](auto& f) { f.state = PeerState::connecting; f.attempts = 1; }), Obstacle::looked_for, "looked for", "some seconds"},
        {changed([](auto& f) { f.state = PeerState::connecting; f.attempts = 9; }), Obstacle::silent, "no member hears it", "Start meshd on bob"},
        {changed([](auto& f) { f.state = PeerState::connecting; f.attempts = 9; f.others = 0; }), Obstacle::nobody_reached, "nobody is reached",
         "meshctl netcheck."},
        {changed([](auto& f) { f.state = PeerState::connecting; f.attempts = 9; f.others = f.candidates = 0; }), Obstacle::nobody_reached,
         "nothing tells where it is", "\"bootstrap\""},
    };
    for (const auto& one : cases) {
        CAPTURE(one.cause, one.change);
        CHECK(meshd::obstacle(one.facts) == one.obstacle);
        const auto verdict = meshd::judge_path(one.facts);
        CHECK_THAT(verdict.cause, Contains(one.cause));
        CHECK(verdict.cause.empty() == (one.obstacle == Obstacle::none));
        CHECK_THAT(verdict.change, Contains(one.change) && Catch::Matchers::EndsWith("."));
    }
}

TEST_CASE("of a network at most three sentences say what could be better, and of a good one none") {
    meshd::NetworkFacts facts;
    facts.name = "trento";
    facts.members = facts.reached = 3;
    facts.nat = NatMapping::endpoint_independent;
    facts.udp = Udp::works;
    CHECK(meshd::network_advice(facts).empty());
    facts.nat = NatMapping::endpoint_dependent;
    facts.detours = {"bob", "carol"};
    auto advice = meshd::network_advice(facts);
    REQUIRE(advice.size() == 3);
    CHECK_THAT(advice[0], Contains("forward UDP port 51820 of trento's router"));
    CHECK_THAT(advice[1], Contains("meshctl why bob") && Contains("like 1 more"));
    CHECK_THAT(advice[2], Contains("no IPv6 here"));
    facts.mapped = true;
    CHECK(meshd::network_advice(facts).size() == 2);
    facts.mapped = false;
    facts.udp = Udp::blocked;
    advice = meshd::network_advice(facts);
    REQUIRE(advice.size() == 3);
    CHECK_THAT(advice[0], Contains("UDP does not leave this network"));
    facts = {};
    facts.members = 3;
    advice = meshd::network_advice(facts);
    REQUIRE(advice.size() == 2);
    CHECK_THAT(advice[0], Contains("If the others are not all off"));
    CHECK_THAT(advice[1], Contains("\"streams\""));
}

namespace {

/// Three members, of which two do not reach each other.
struct Triangle : Network {
    Machine& trento = create("trento");
    Machine& munich = invite_and_join(trento, "munich");
    Machine& london = invite_and_join(trento, "london");
    bool cut = true;
    explicit Triangle(std::uint64_t seed) : Network(seed) {
        passes = [this](const Machine& a, const Machine& b) { return !cut || a.name == "trento" || b.name == "trento"; };
        REQUIRE(run_until([&] { return all_up({"trento", "munich", "london"}); }, 30s));
        run(20s);
    }
    nlohmann::json why(const Machine& from, const Machine& to) { return meshd::why_json(*from.node, to.node->key(), now()); }
};

bool has_virtual(const nlohmann::json& value) { return value.dump().find("[100:") != std::string::npos; }

}  // namespace

TEST_CASE("of a member that is reached through another it is told through whom, and never by which virtual endpoint") {
    Triangle mesh(90);
    const auto why = mesh.why(mesh.munich, mesh.london);
    CAPTURE(why.dump(1));
    CHECK(why["kind"] == "member");
    CHECK(why["state"] == "session");
    CHECK(why["rank"] == "relay");
    CHECK(why["relay"] == "trento");
    CHECK(why["endpoint"].is_null());
    CHECK(why["through"]["name"] == "trento");
    CHECK(why["through"]["role"] == true);
    CHECK_FALSE(why["cause"].get<std::string>().empty());
    REQUIRE(why["ways"].size() >= 2);
    CHECK(why["ways"][0]["used"] == true);
    CHECK(why["ways"][0]["relay"] == "trento");
    CHECK(why["ways"][1]["endpoint"] == mesh.london.endpoint.text());
    CHECK(why["ways"][1]["found"] == "local");
    CHECK(why["ways"][1]["proven_s"].is_null());
    CHECK(why["ways"][1]["probes"].get<int>() >= 4);
    CHECK_FALSE(why["moves"].empty());
    CHECK_FALSE(has_virtual(why));
    CHECK_FALSE(has_virtual(mesh.why(mesh.london, mesh.munich)));
    CHECK(mesh.why(mesh.munich, mesh.trento)["cause"] == "");
    const auto network = meshd::netcheck_json(*mesh.munich.node, false, mesh.now());
    CAPTURE(network.dump(1));
    CHECK(network["members"]["direct"] == 1);
    CHECK(network["members"]["relayed"] == 1);
    CHECK(network["members"]["all"] == 2);
    CHECK(network["seen"][0]["by"] == "trento");
    CHECK(network["udp"] == "works");
    CHECK_FALSE(network["advice"].empty());
    CHECK_FALSE(has_virtual(network));

    mesh.cut = false;
    REQUIRE(mesh.run_until([&] { return mesh.why(mesh.munich, mesh.london)["rank"] == "open"; }, 400s));
    const auto direct = mesh.why(mesh.munich, mesh.london);
    CHECK(direct["change"] == "Nothing: it is reached directly.");
    CHECK(direct["moves"].back()["endpoint"] == mesh.london.endpoint.text());
    CHECK(direct["moves"].front()["relay"] == "trento");
    CHECK(meshd::netcheck_json(*mesh.munich.node, false, mesh.now())["advice"].empty());
}

TEST_CASE("of a member that is off it is told that nobody hears it, and where handshakes go meanwhile") {
    Triangle mesh(91);
    mesh.cut = false;
    const auto london = mesh.london.node->key();
    mesh.crash(mesh.london);
    mesh.run(60s);
    const auto why = meshd::why_json(*mesh.munich.node, london, mesh.now());
    CAPTURE(why.dump(1));
    CHECK(why["state"] == "connecting");
    CHECK(why["rank"].is_null());
    CHECK_THAT(why["cause"].get<std::string>(), Contains("no member hears it"));
    CHECK(why["attempts"].get<int>() > 3);
    CHECK(why["next_attempt_s"].get<double>() <= 60);
    CHECK(std::any_of(why["ways"].begin(), why["ways"].end(), [](const auto& way) { return way["asked"] == true; }));
    CHECK_FALSE(has_virtual(why));
}

TEST_CASE("why of oneself, of a stock peer and of a stranger is a word") {
    Network network(92);
    auto& trento = network.create("trento");
    REQUIRE(trento.node->admit_stock("phone", {}, network.now()));
    network.drain(trento);
    const auto* const phone = trento.node->view().by_name("phone");
    REQUIRE(phone != nullptr);
    CHECK(meshd::why_json(*trento.node, trento.node->key(), network.now())["kind"] == "self");
    for (const auto& [key, known] : trento.node->view().members)
        if (known.says.stock) CHECK(meshd::why_json(*trento.node, key, network.now())["kind"] == "stock");
    CHECK(meshd::why_json(*trento.node, {}, network.now()).is_null());
}
