// What a member gains that speaks the protocol and does not keep to it: nothing.
#include "mesh_in_memory.hpp"

using namespace mesh;
using namespace mesh::testing;

namespace {

/// Says something in its own session, as a changed meshd could.
void say(Network& network, Machine& from, const Machine& to, const Frame& frame, std::size_t pad_to = 0) {
    from.node->wireguard().send(public_key(to.identity->tunnel_secret), encode(frame, pad_to), network.now());
    from.node->tick(network.now());
    network.drain(from);
}

bool both_up(Network& network, const std::string& a, const std::string& b) {
    return network.run_until([&] { return network.all_up({a, b}) && network.same_view({a, b}); }, 30s);
}

}  // namespace

TEST_CASE("a member cannot carry a newcomer that holds no token, though it knows the invitation") {
    Network network(700);
    auto& trento = network.create("trento");
    auto& munich = network.invite_and_join(trento, "munich");
    InviteRequest request;
    request.name = "boss";
    request.admin = true;
    const auto token = trento.node->invite(request, network.now());
    REQUIRE(token);
    network.drain(trento);
    REQUIRE(both_up(network, "trento", "munich"));

    const auto accomplice = make_node_secret(munich.random);
    JoinRequest forged;
    forged.id = 1;
    forged.node_key = public_key(accomplice);
    forged.tunnel_key = public_key(make_tunnel_secret(munich.random));
    forged.handshake.bytes.fill(std::byte{7});
    forged.invitation = token->tunnel_key();  // every member's roster has it
    const auto ask = [&] {
        forged.signature = sign(accomplice, join_statement(munich.identity->mesh_id, forged));
        say(network, munich, trento, forged, kMaxFrameBytes);
        network.run(2s);
        CHECK(trento.node->view().member(forged.node_key) == nullptr);
        CHECK_FALSE(trento.node->view().invitations.at(token->tunnel_key()).spent_by);
    };
    SECTION("without the token's signature") { ask(); }
    SECTION("with one by a key of its own") {
        forged.token_key = forged.node_key;
        forged.token_signature = sign(accomplice, join_statement(munich.identity->mesh_id, forged));
        ask();
    }
    SECTION("and whoever does hold it is admitted, over that member too") {
        ask();
        network.passes = [](const Machine& from, const Machine& to) {
            return !(from.name == "boss" && to.name == "trento") && !(from.name == "trento" && to.name == "boss");
        };
        auto other = *token;
        other.contacts = {{public_key(munich.identity->tunnel_secret), munich.endpoint}};
        CHECK(network.join("boss", other).node->is_admin());
    }
}

TEST_CASE("what a member says of our address cannot spoil our own record") {
    Network network(701);
    auto& trento = network.create("trento", {*net::Prefix::parse("192.168.1.0/24")});
    auto& munich = network.invite_and_join(trento, "munich");
    REQUIRE(both_up(network, "trento", "munich"));
    for (const net::Endpoint& lie_about : {net::Endpoint{net::IpAddress::v4(203, 0, 113, 9), 0}, net::Endpoint{{}, 9},
                                           net::Endpoint{net::IpAddress::v4(224, 0, 0, 1), 9}}) {
        Hello lie;
        lie.nonce = 5;
        lie.wall = net::unix_seconds(network.now().wall);
        lie.observed = lie_about;
        say(network, munich, trento, lie);
        network.run(100ms);
        trento.settings.local_endpoints.push_back({net::IpAddress::v4(198, 51, 100, 77), 7});
        trento.node->set_local_endpoints(trento.settings.local_endpoints, network.now());
        say(network, munich, trento, lie);
        network.run(8s);
        const auto& info = munich.node->view().member(trento.node->key())->node;
        REQUIRE(info);
        CHECK(std::count(info->endpoints.begin(), info->endpoints.end(), trento.settings.local_endpoints.back()) == 1);
        trento.settings.local_endpoints.pop_back();
        trento.node->set_local_endpoints(trento.settings.local_endpoints, network.now());
        network.run(8s);
    }
}

TEST_CASE("an admin that signs with the highest of sequences is revoked all the same, and what it hid stands again") {
    Network network(702);
    auto& trento = network.create("trento");
    InviteRequest request;
    request.admin = true;
    auto& munich = network.invite_and_join(trento, "munich", request);
    UserRequest bob;
    bob.aor = "bob@acme.internal";
    bob.numbers = {"101"};
    bob.credentials = net::Bytes(16, std::byte{3});
    REQUIRE(trento.node->put_user(bob, network.now()));
    network.drain(trento);
    REQUIRE(both_up(network, "trento", "munich"));
    const auto& roster = munich.node->roster();
    Records last;
    for (const auto& [type, subject] : {std::pair(RecordType::user, bob.aor), std::pair(RecordType::policy, std::string(kMeshPolicy)),
                                        std::pair(RecordType::policy, std::string(kVoiceKeyPolicy) + as_subject(trento.node->key().view()))}) {
        const auto* record = roster.counting(type, subject);
        REQUIRE(record);
        last.wires = {sign_record(munich.identity->mesh_id, munich.identity->node_secret, type, subject, UINT64_MAX, record->body()).wire};
        say(network, munich, trento, last);
    }
    network.run(1s);
    REQUIRE(trento.node->roster().find({RecordType::user, bob.aor, munich.node->key()}) != nullptr);

    const auto revoked = trento.node->revoke("munich", network.now());
    INFO((revoked ? "" : revoked.error().message));
    REQUIRE(revoked);
    CHECK(trento.node->view().member(munich.node->key()) == nullptr);
    REQUIRE(trento.node->view().users.contains(bob.aor));
    CHECK(trento.node->credentials(bob.aor) == bob.credentials);
    CHECK(trento.node->view().mesh);
    REQUIRE(trento.node->put_user({"bob@acme.internal", {"102"}, {}, {}}, network.now()));
    CHECK(trento.node->view().numbers.contains("102"));
}

TEST_CASE("a member whose record names subnets inside the overlay may still send from its own addresses only") {
    Network network(703);
    auto& trento = network.create("trento");
    auto& munich = network.invite_and_join(trento, "munich");
    auto& london = network.invite_and_join(trento, "london");
    InviteRequest request;
    request.name = "all";
    request.subnets = {*net::Prefix::parse("::/0")};
    CHECK_FALSE(trento.node->invite(request, network.now()));

    const auto victim = london.node->self().says.addresses;
    auto says = munich.node->self().says;
    for (const auto& address : victim) says.subnets.push_back(net::Prefix::host(address));
    says.subnets.push_back(*net::Prefix::parse("::/0"));
    const auto subject = as_subject(munich.node->key().view());
    const auto& root = *trento.identity->root_secret;
    say(network, munich, trento, Records{{sign_record(public_key(root), root, RecordType::member, subject, 9, encode(Body(says))).wire}});
    network.run(10s);
    REQUIRE(trento.node->view().member(munich.node->key())->says.subnets == says.subnets);
    const auto table = trento.node->table();
    for (ForwardingTable::Slot slot = 0; slot < table->peers.size(); ++slot) {
        if (!table->peers[slot] || table->peers[slot]->key != public_key(munich.identity->tunnel_secret)) continue;
        for (const auto& address : victim) CHECK_FALSE(table->may_send_from(slot, address));
        for (const auto& address : says.addresses) CHECK(table->may_send_from(slot, address));
    }
    for (const auto& address : victim) {
        REQUIRE(table->route(address));
        CHECK(table->route(address)->key == public_key(london.identity->tunnel_secret));
    }
}

TEST_CASE("what an admin has signed is not to be had before it is on the disk, asked for or not") {
    Network network(704);
    auto& trento = network.create("trento");
    auto& munich = network.invite_and_join(trento, "munich");
    REQUIRE(both_up(network, "trento", "munich"));
    trento.disk_works = false;
    REQUIRE(trento.node->put_user({"bob@acme.internal", {"101"}, {}, {}}, network.now()));
    network.run(30s);
    CHECK_FALSE(munich.node->view().users.contains("bob@acme.internal"));
    trento.disk_works = true;
    network.run(35s);
    CHECK(munich.node->view().users.contains("bob@acme.internal"));
}

TEST_CASE("candidates that are named again and again do not make one initiation a flood") {
    start_crypto();
    net::SeededRandom random(705);
    WireGuard node(make_tunnel_secret(random), random, Tai64n{});
    PeerSettings peer;
    peer.key = public_key(make_tunnel_secret(random));
    node.set_peer(peer);
    const net::Now now{net::Steady(1h), net::from_unix_seconds(1'800'000'000)};
    node.set_candidates(peer.key, {{net::IpAddress::v4(192, 0, 2, 1), 1}});
    node.connect(peer.key, now);
    for (const auto& event : node.take_events())
        if (const auto* stamp = std::get_if<StampToPersist>(&event)) node.stamp_persisted(stamp->stamp);
    node.tick(now);
    for (std::uint16_t i = 2; i < 1000; ++i) node.set_candidates(peer.key, {{net::IpAddress::v4(192, 0, 2, 1), i}});
    const auto sent = node.take_datagrams().size();
    CHECK(sent > 1);
    CHECK(sent <= 2 * WireGuard::kMaxCandidates);
}

TEST_CASE("a control frame that is longer than any is not kept for the control thread") {
    Network network(706);
    auto& trento = network.create("trento");
    auto& munich = network.invite_and_join(trento, "munich");
    REQUIRE(both_up(network, "trento", "munich"));
    auto huge = encode(Ping{1, 2, false});
    huge.resize(60'000);
    const auto before = trento.node->wireguard().drops().get(Drop::bad_inner_packet);
    munich.node->wireguard().send(public_key(trento.identity->tunnel_secret), huge, network.now());
    munich.node->tick(network.now());
    network.drain(munich);
    network.run(1s);
    CHECK(trento.node->wireguard().drops().get(Drop::bad_inner_packet) == before + 1);
}

TEST_CASE("invitations that are used or revoked do not crowd out those that are open") {
    Network network(707);
    auto& trento = network.create("trento");
    for (int i = 0; i < 70; ++i) {
        InviteRequest request;
        request.name = "old-" + std::to_string(i);
        request.valid = std::chrono::hours(24 * 300);
        REQUIRE(trento.node->invite(request, network.now()));
        REQUIRE(trento.node->revoke(request.name, network.now()));
    }
    network.drain(trento);
    CHECK(network.invite_and_join(trento, "munich").node);
}

TEST_CASE("a clock beyond all dates is nobody's") {
    ClockTrust clock;
    const net::Now now{net::Steady(1h), net::from_unix_seconds(1'800'000'000)};
    clock.witness({}, INT64_MAX / 4, now);
    CHECK(clock.clock_of({}, now) == now.wall);
}

TEST_CASE("what the bootstrap list has said before makes room for what it says now") {
    Network network(708);
    auto& trento = network.create("trento");
    auto& munich = network.invite_and_join(trento, "munich");
    REQUIRE(both_up(network, "trento", "munich"));
    network.crash(munich);
    for (std::uint8_t day = 1; day <= 40; ++day) {  // a name whose address changes every day
        const std::vector<net::Endpoint> told{{net::IpAddress::v4(192, 0, 2, day), 51820}};
        trento.node->set_bootstrap(told, network.now());
    }
    munich.endpoint = {net::IpAddress::v4(192, 0, 2, 40), 51820};
    bool asked = false;
    network.passes = [&](const Machine&, const Machine& to) { return (asked |= to.name == "munich"); };
    network.run(60s);
    CHECK(asked);
}
