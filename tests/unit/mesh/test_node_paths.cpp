#include <algorithm>

#include "mesh_in_memory.hpp"
#include "mesh/data_path.hpp"
#include "net/fill_checksum.hpp"

using namespace mesh;
using namespace mesh::testing;

namespace {

net::Bytes packet(const net::IpAddress& from, const net::IpAddress& to, std::uint8_t mark) {
    net::Writer out;
    out.u8(0x45).u8(0).u16be(24).u32be(0).u8(64).u8(17).u16be(0).bytes(from.bytes()).bytes(to.bytes()).u8(mark).zeros(3);
    return out.take();
}

struct PathsPair : Network {
    Machine &trento, &munich;
    explicit PathsPair(std::uint64_t seed, InviteRequest request = {}) : Network(seed), trento(create("trento")), munich(invite_and_join(trento, "munich", std::move(request))) {
        REQUIRE(run_until([&] { return all_up({"trento", "munich"}); }, 10s));
        run(2s);
    }
    /// Whether a packet from one's overlay address reaches the other now.
    bool reaches(Machine& from, Machine& to) {
        to.packets.clear();
        from.node->send_ip(packet(from.node->self().says.addresses[1], to.node->self().says.addresses[1], 9), now());
        drain(from);
        return run_until([&] { return !to.packets.empty(); }, 200ms);
    }
};

}  // namespace

TEST_CASE("packets pass between members by their overlay addresses, both ways") {
    PathsPair pair(50);
    CHECK(pair.reaches(pair.trento, pair.munich));
    CHECK(pair.reaches(pair.munich, pair.trento));
    pair.run(600s);  // over several rekeys
    CHECK(pair.reaches(pair.munich, pair.trento));
    CHECK(pair.all_up({"trento", "munich"}));
    CHECK(pair.trento.count<PeerDown>() == 0);
    CHECK(pair.munich.count<PeerDown>() == 0);
}

TEST_CASE("a packet from an address that is not its sender's is dropped") {
    PathsPair pair(51);
    pair.munich.packets.clear();
    pair.trento.node->send_ip(packet(net::IpAddress::v4(10, 73, 9, 9), pair.munich.node->self().says.addresses[1], 1), pair.now());
    pair.drain(pair.trento);
    pair.run(1s);
    CHECK(pair.munich.packets.empty());
}

TEST_CASE("a subnet behind a member is routed to it once it offers it") {
    InviteRequest request;
    request.subnets = {*net::Prefix::parse("192.168.7.0/24")};
    PathsPair pair(52, request);
    const auto routes = pair.trento.node->device().routes;
    CHECK(std::find(routes.begin(), routes.end(), request.subnets[0]) != routes.end());
    pair.munich.packets.clear();
    pair.trento.node->send_ip(packet(pair.trento.node->self().says.addresses[1], net::IpAddress::v4(192, 168, 7, 20), 5), pair.now());
    pair.drain(pair.trento);
    CHECK(pair.run_until([&] { return !pair.munich.packets.empty(); }, 200ms));
    const auto own = pair.munich.node->device().routes;
    CHECK(std::find(own.begin(), own.end(), request.subnets[0]) == own.end());
    pair.munich.node->set_offered({*net::Prefix::parse("192.168.99.0/24")}, pair.now());  // not that one
    pair.run(8s);
    const auto after = pair.trento.node->device().routes;
    CHECK(std::find(after.begin(), after.end(), request.subnets[0]) == after.end());
}

TEST_CASE("a peer that vanishes is noticed within ten seconds, and found again soon after it is back") {
    PathsPair pair(53);
    bool cut = true;
    pair.passes = [&](const auto&, const auto&) { return !cut; };
    CHECK(pair.run_until([&] { return !pair.trento.node->is_up(pair.munich.node->key()); }, 10s));
    pair.run(300s);
    cut = false;
    CHECK(pair.run_until([&] { return pair.all_up({"trento", "munich"}); }, 16s));
    CHECK(pair.reaches(pair.trento, pair.munich));
}

TEST_CASE("a short cut of three seconds brings no peer down") {
    PathsPair pair(54);
    bool cut = true;
    pair.passes = [&](const auto&, const auto&) { return !cut; };
    pair.run(3s);
    cut = false;
    pair.run(20s);
    CHECK(pair.trento.count<PeerDown>() == 0);
    CHECK(pair.munich.count<PeerDown>() == 0);
}

TEST_CASE("a node that crashes and starts again has its roster and its peers back within two seconds") {
    PathsPair pair(55);
    const auto before = pair.munich.node->roster().summary();
    pair.crash(pair.munich);
    pair.run(3s);
    pair.start(pair.munich);
    CHECK(pair.munich.node->roster().summary() == before);
    CHECK(pair.run_until([&] { return pair.munich.node->is_up(pair.trento.node->key()); }, 2s));
    CHECK(pair.run_until([&] { return pair.reaches(pair.trento, pair.munich) && pair.reaches(pair.munich, pair.trento); }, 2s));
    CHECK(pair.run_until([&] { return pair.same_view({"trento", "munich"}); }, 10s));
}

TEST_CASE("a node whose clock stepped back a year comes up all the same") {
    PathsPair pair(56);
    pair.crash(pair.munich);
    pair.run(3s);
    // Its own stamps are ahead on the disk; the network's clock is everybody's here, so the stored one is moved instead.
    REQUIRE(pair.munich.stamp);
    pair.munich.stamp->seconds += 365 * 86400;
    pair.start(pair.munich);
    CHECK(pair.run_until([&] { return pair.all_up({"trento", "munich"}); }, 5s));
}

TEST_CASE("members whose disks are full for more than an hour stay up, and come up after a restart") {
    PathsPair pair(64);
    pair.trento.disk_works = pair.munich.disk_works = false;
    pair.run(75min);
    CHECK(pair.all_up({"trento", "munich"}));
    CHECK(pair.trento.count<PeerDown>() + pair.munich.count<PeerDown>() == 0);
    CHECK((pair.trento.node->stamps_are_unstored() || pair.munich.node->stamps_are_unstored()));
    pair.crash(pair.munich);
    pair.crash(pair.trento);
    pair.trento.disk_works = pair.munich.disk_works = true;
    pair.start(pair.trento);
    pair.start(pair.munich);
    CHECK(pair.run_until([&] { return pair.all_up({"trento", "munich"}); }, 5s));
    pair.run(60s);
    CHECK_FALSE(pair.munich.node->stamps_are_unstored());
}

TEST_CASE("a node that says goodbye is gone for the others at once") {
    PathsPair pair(57);
    const auto munich = pair.munich.node->key();
    pair.munich.node->leave(pair.now());
    pair.drain(pair.munich);
    pair.crash(pair.munich);
    CHECK(pair.run_until([&] { return !pair.trento.node->is_up(munich); }, 50ms));
}

TEST_CASE("a peer that moves to another address is followed once the path is proven") {
    PathsPair pair(58);
    pair.munich.endpoint.address = net::IpAddress::v4(203, 0, 113, 9);
    pair.munich.node->set_local_endpoints({pair.munich.endpoint}, pair.now());
    CHECK(pair.run_until([&] { return pair.reaches(pair.trento, pair.munich); }, 3s));
    const auto peers = pair.trento.node->peers(pair.now());
    REQUIRE(peers.size() == 1);
    CHECK(peers[0].endpoint == pair.munich.endpoint);
    CHECK(pair.trento.count<PeerDown>() == 0);
}

TEST_CASE("two members that never met find each other by what the third tells") {
    Network network(59);
    auto& trento = network.create("trento");
    network.invite_and_join(trento, "munich");
    network.invite_and_join(trento, "london");
    CHECK(network.run_until([&] { return network.all_up({"munich", "london"}); }, 5s));
    network.run(1s);
    const auto peers = network.machine("london").node->peers(network.now());
    const auto munich = std::find_if(peers.begin(), peers.end(), [](const auto& peer) { return peer.name == "munich"; });
    REQUIRE(munich != peers.end());
    CHECK(munich->via == Source::gossip);
    CHECK(munich->rtt == 20ms);
}

TEST_CASE("a newcomer reaches a member that has never heard of it, on a LAN without the others") {
    Network network(60);
    auto& trento = network.create("trento");
    auto& munich = network.invite_and_join(trento, "munich");
    network.run(5s);
    network.crash(munich);  // away while the laptop joins
    auto& laptop = network.invite_and_join(trento, "laptop");
    network.run(5s);
    network.crash(trento);
    munich.settings.local_endpoints.clear();
    network.start(munich);
    CHECK(munich.node->view().by_name("laptop") == nullptr);
    laptop.node->add_candidate(munich.node->key(), munich.endpoint, Source::mdns, network.now());
    CHECK(network.run_until([&] { return network.all_up({"munich", "laptop"}); }, 20s));
    CHECK(munich.node->view().by_name("laptop") != nullptr);
}

TEST_CASE("a bootstrap address without a key is tried with every member") {
    PathsPair pair(61);
    pair.crash(pair.munich);
    pair.crash(pair.trento);
    // Both have moved, and what they knew of each other is wrong.
    pair.trento.endpoint.address = net::IpAddress::v4(203, 0, 113, 1);
    pair.munich.endpoint.address = net::IpAddress::v4(203, 0, 113, 2);
    pair.trento.settings.local_endpoints = {pair.trento.endpoint};
    pair.munich.settings.local_endpoints = {pair.munich.endpoint};
    pair.munich.settings.bootstrap = {pair.trento.endpoint};
    pair.start(pair.trento);
    pair.start(pair.munich);
    CHECK(pair.run_until([&] { return pair.all_up({"trento", "munich"}); }, 5s));
    const auto report = pair.munich.node->peers(pair.now()).at(0);
    CHECK(report.endpoint == pair.trento.endpoint);
    CHECK(text(report.via.value()) == "bootstrap");
}

TEST_CASE("a partition heals, and what was changed on both sides is everywhere") {
    const auto seed = GENERATE(range<std::uint64_t>(70, 74));
    CAPTURE(seed);
    Network network(seed);
    auto& trento = network.create("trento");
    InviteRequest admin;
    admin.admin = true;
    auto& munich = network.invite_and_join(trento, "munich", admin);
    network.invite_and_join(trento, "london");
    network.invite_and_join(trento, "laptop");
    REQUIRE(network.run_until([&] { return network.all_up({"trento", "munich", "london", "laptop"}); }, 10s));
    network.run(10s);
    bool cut = true;
    const auto north = [](const Machine& machine) { return machine.name == "munich" || machine.name == "london"; };
    network.passes = [&](const Machine& a, const Machine& b) { return !cut || north(a) == north(b); };
    network.loss = 0.1;
    network.run(30s);
    for (int i = 0; i < 10; ++i) {
        REQUIRE(trento.node->put_user({"t" + std::to_string(i) + "@acme.example", {std::to_string(200 + i)}, {}, {}}, network.now()));
        REQUIRE(munich.node->put_user({"m" + std::to_string(i) + "@acme.example", {std::to_string(205 + i)}, {}, {}}, network.now()));
    }
    network.drain(trento);
    network.drain(munich);
    network.run(60s);
    CHECK(network.all_up({"munich", "london"}));
    CHECK(network.all_up({"trento", "laptop"}));
    cut = false;
    CHECK(network.run_until([&] { return network.all_up({"trento", "munich", "london", "laptop"}); }, 30s));
    CHECK(network.run_until([&] { return network.same_view({"trento", "munich", "london", "laptop"}); }, 30s));
    CHECK(trento.node->view().users.size() == 20);
}

TEST_CASE("an idle pair of nodes is quiet") {
    PathsPair pair(62);
    pair.run(30s);
    const auto before = pair.trento.sent_bytes;
    pair.run(600s);
    CHECK((pair.trento.sent_bytes - before) / 600 < 100);  // bytes a second: 8 MB a day
}

TEST_CASE("state that names another node is a clear error, never an empty roster") {
    PathsPair pair(63);
    auto stranger = *pair.munich.identity;
    stranger.node_secret = make_node_secret(pair.munich.random);
    CHECK_THROWS_WITH(Node(stranger, pair.munich.stored(), {}, pair.munich.random, {}, pair.now()), Catch::Contains("does not name this node"));
    CHECK_THROWS(Node(*pair.munich.identity, {}, {}, pair.munich.random, {}, pair.now()));
}

TEST_CASE("a path whose round trip takes longer than a ping waits for is no dead path") {
    Network network(77);
    auto& trento = network.create("trento");
    auto& munich = network.invite_and_join(trento, "munich");
    REQUIRE(network.run_until([&] { return network.all_up({"trento", "munich"}); }, 20s));
    network.delay = 800ms;
    network.run(5min);
    CHECK(network.all_up({"trento", "munich"}));
    CHECK(trento.count<PeerDown>() + munich.count<PeerDown>() == 0);
}

TEST_CASE("an answer that comes after its peer was given up wakes nobody") {
    Network network(78);
    auto& trento = network.create("trento");
    network.invite_and_join(trento, "munich");
    REQUIRE(network.run_until([&] { return network.all_up({"trento", "munich"}); }, 20s));
    network.delay = 2200ms;
    REQUIRE(network.run_until([&] { return trento.count<PeerDown>() > 0; }, 20s));
    network.passes = [](const auto&, const auto&) { return false; };  // what is on its way still comes
    network.run(1min);
    CHECK(trento.node->next_deadline() > network.now().steady);
}

TEST_CASE("what comes by a virtual endpoint comes out with its checksum, though it was left to the receiver") {
    PathsPair pair(65);
    auto& wireguard = pair.trento.node->wireguard();
    const auto& there = pair.munich.node->self().says;
    wireguard.allow_aes(there.tunnel_key);
    auto inner = packet(pair.trento.node->self().says.addresses[1], there.addresses[1], 9);
    inner.resize(32);
    inner[3] = std::byte{32};
    inner[25] = std::byte{12};  // UDP's length; its checksum, two bytes on, is wrong
    net::Bytes message(kMinDataBytes + inner.size());
    std::copy(inner.begin(), inner.end(), message.begin() + kDataHeaderBytes);
    const auto table = wireguard.table();
    REQUIRE(table->route(there.addresses[1])->session->seal(message, pair.now().steady, Lane::control, kChecksumLeft));
    pair.munich.packets.clear();
    pair.munich.node->receive(message, stream_endpoint(3), pair.now());
    pair.drain(pair.munich);
    REQUIRE(pair.munich.packets.size() == 1);
    auto filled = inner;
    REQUIRE(net::fill_checksum(filled));
    CHECK(filled != inner);
    CHECK(pair.munich.packets[0] == filled);
}
