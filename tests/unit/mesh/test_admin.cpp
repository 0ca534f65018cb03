#include <algorithm>

#include "mesh_in_memory.hpp"

using namespace mesh;
using namespace mesh::testing;

namespace {

/// Trento made the mesh; munich and london are members; all see each other.
struct Offices : Network {
    Machine &trento, &munich, &london;
    explicit Offices(std::uint64_t seed, InviteRequest for_munich = {})
        : Network(seed),
          trento(create("trento", {*net::Prefix::parse("192.168.1.0/24")})),
          munich(invite_and_join(trento, "munich", for_munich)),
          london(invite_and_join(trento, "london")) {
        REQUIRE(run_until([&] { return all_up({"trento", "munich", "london"}); }, 10s));
        REQUIRE(run_until([&] { return same_view({"trento", "munich", "london"}); }, 10s));
    }
    template <class Result>
    void done(Machine& machine, const Result& result) {
        if (!result) FAIL(result.error().message);
        drain(machine);
    }
};

net::Bytes secret(std::string_view text) { return net::copy(net::as_bytes(text)); }

}  // namespace

TEST_CASE("a revoked member's sessions end at once everywhere, and it learns that it is out") {
    Offices offices(30);
    offices.done(offices.trento, offices.trento.node->revoke("munich", offices.now()));
    CHECK_FALSE(offices.trento.node->is_up(offices.munich.node->key()));
    CHECK(offices.run_until([&] { return offices.london.node->view().by_name("munich") == nullptr; }, 1s));
    CHECK(offices.london.count<PeerDown>() == 1);
    CHECK_FALSE(offices.london.node->table()->peers.empty());
    CHECK(offices.run_until([&] { return offices.munich.node->standing() == Standing::revoked; }, 1s));
    offices.run(60s);
    CHECK_FALSE(offices.london.node->is_up(offices.munich.node->key()));
    CHECK(offices.all_up({"trento", "london"}));
}

TEST_CASE("a revocation survives a partition and restarts") {
    Offices offices(31);
    offices.crash(offices.london);
    offices.done(offices.trento, offices.trento.node->revoke("munich", offices.now()));
    offices.crash(offices.trento);
    offices.start(offices.trento);
    offices.start(offices.london);
    CHECK(offices.london.node->view().by_name("munich") != nullptr);  // it was away
    CHECK(offices.run_until([&] { return offices.london.node->view().by_name("munich") == nullptr; }, 20s));
    CHECK(offices.run_until([&] { return offices.same_view({"trento", "london"}); }, 20s));
}

TEST_CASE("an ordinary member can sign nothing for the mesh") {
    Offices offices(32);
    CHECK_FALSE(offices.munich.node->invite({"eve", {}}, offices.now()));
    CHECK_FALSE(offices.munich.node->revoke("london", offices.now()));
    CHECK_FALSE(offices.munich.node->put_user({"eve@acme.example", {}, {}, {}}, offices.now()));
    CHECK_FALSE(offices.munich.node->admit_stock("phone", std::nullopt, offices.now()));
}

TEST_CASE("an invited admin invites, and after its revocation those it let in stay") {
    InviteRequest admin;
    admin.admin = true;
    Offices offices(33, admin);
    REQUIRE(offices.munich.node->is_admin());
    auto& laptop = offices.invite_and_join(offices.munich, "laptop");
    CHECK(offices.run_until([&] { return offices.all_up({"trento", "munich", "london", "laptop"}); }, 10s));
    CHECK(laptop.node->self().signer == offices.munich.node->key());
    CHECK_FALSE(offices.munich.node->revoke("trento", offices.now()));
    offices.done(offices.trento, offices.trento.node->revoke("munich", offices.now()));
    CHECK(offices.run_until([&] { return offices.same_view({"trento", "london", "laptop"}); }, 20s));
    CHECK(offices.all_up({"trento", "london", "laptop"}));
    CHECK(laptop.node->self().signer == laptop.node->identity().mesh_id);
    CHECK(laptop.count<StandingChanged>() == 0);
}

TEST_CASE("users reach every node, their credentials only voice nodes, until one of those is revoked") {
    InviteRequest deaf;
    deaf.voice = false;
    Offices offices(34, deaf);
    offices.done(offices.trento, offices.trento.node->put_user({"bob@acme.example", {"201"}, {"london"}, secret("ha1")}, offices.now()));
    offices.run(1s);
    CHECK(offices.london.node->credentials("bob@acme.example") == secret("ha1"));
    CHECK(offices.london.node->view().numbers.at("201") == "bob@acme.example");
    CHECK(offices.munich.node->view().users.contains("bob@acme.example"));
    CHECK_FALSE(offices.munich.node->credentials("bob@acme.example"));
    const auto out = offices.trento.node->revoke("london", offices.now());
    REQUIRE(out);
    CHECK(out->passwords_to_change == std::vector<std::string>{"bob@acme.example"});
    CHECK(offices.trento.node->credentials("bob@acme.example") == secret("ha1"));
    const auto& user = offices.trento.node->view().users.at("bob@acme.example");
    CHECK(user.says.voice_key != 0);
    offices.done(offices.trento, offices.trento.node->remove_user("bob@acme.example", offices.now()));
    CHECK(offices.trento.node->view().users.empty());
}

TEST_CASE("a mistake in a user is refused in words") {
    Offices offices(35);
    auto& node = *offices.trento.node;
    REQUIRE(node.put_user({"bob@acme.example", {"201"}, {}, {}}, offices.now()));
    CHECK(node.put_user({"bob", {}, {}, {}}, offices.now()).error().message.find("address of record") != std::string::npos);
    CHECK(node.put_user({"eve@acme.example", {"201"}, {}, {}}, offices.now()).error().message.find("bob@acme.example") != std::string::npos);
    CHECK(node.put_user({"eve@acme.example", {}, {"paris"}, {}}, offices.now()).error().message.find("paris") != std::string::npos);
    CHECK_FALSE(node.remove_user("eve@acme.example", offices.now()));
    CHECK(node.view().users.size() == 1);
}

TEST_CASE("bindings spread within a tenth of a second, count where allowed, and vanish when taken back") {
    Offices offices(36);
    offices.done(offices.trento, offices.trento.node->put_user({"bob@acme.example", {}, {"munich"}, {}}, offices.now()));
    offices.run(1s);
    const auto until = net::unix_seconds(offices.now().wall) + 120;
    offices.munich.node->set_binding("bob@acme.example", until, offices.now());
    offices.london.node->set_binding("bob@acme.example", until, offices.now());  // not its own user
    offices.drain(offices.munich);
    offices.drain(offices.london);
    offices.run(200ms);
    const std::vector munich{offices.munich.node->key()};
    CHECK(offices.trento.node->nodes_for("bob@acme.example", offices.now().wall) == munich);
    CHECK(offices.london.node->nodes_for("bob@acme.example", offices.now().wall) == munich);
    offices.munich.node->set_binding("bob@acme.example", std::nullopt, offices.now());
    offices.run(300ms);
    CHECK(offices.munich.node->nodes_for("bob@acme.example", offices.now().wall).empty());
    CHECK(offices.trento.node->nodes_for("bob@acme.example", offices.now().wall).empty());
}

TEST_CASE("a binding of before the clock was set does not cut those short that share its shard") {
    Offices offices(42);
    const std::string bob = "bob@acme.example";
    std::string mate;
    for (int i = 0; mate.empty() || shard_of(mate) != shard_of(bob); ++i) mate = "user" + std::to_string(i) + "@acme.example";
    offices.done(offices.trento, offices.trento.node->put_user({bob, {}, {"munich"}, {}}, offices.now()));
    offices.run(1s);
    offices.munich.node->set_binding(mate, 120, offices.now());  // of 1970
    offices.munich.node->set_binding(bob, net::unix_seconds(offices.now().wall) + 120, offices.now());
    offices.run(300ms);
    CHECK(offices.trento.node->nodes_for(bob, offices.now().wall) == std::vector{offices.munich.node->key()});
}

TEST_CASE("a phone that comes by when its binding was already left out as over is told of again") {
    Offices offices(43);
    const std::string bob = "bob@acme.example";
    std::string mate;
    for (int i = 0; mate.empty() || shard_of(mate) != shard_of(bob); ++i) mate = "user" + std::to_string(i) + "@acme.example";
    offices.done(offices.trento, offices.trento.node->put_user({bob, {}, {"munich"}, {}}, offices.now()));
    offices.run(1s);
    const auto bind = [&](const std::string& aor, int seconds) {
        offices.munich.node->set_binding(aor, net::unix_seconds(offices.now().wall) + seconds, offices.now());
    };
    bind(bob, 2);
    offices.run(3s);
    bind(mate, 120);
    offices.run(300ms);
    REQUIRE(offices.trento.node->nodes_for(bob, offices.now().wall).empty());
    bind(bob, 120);
    offices.run(300ms);
    CHECK(offices.trento.node->nodes_for(bob, offices.now().wall) == std::vector{offices.munich.node->key()});
}

TEST_CASE("a node whose clock is set signs its bindings at once by the new one, and they last as long as before") {
    const auto step = GENERATE(-365 * 24h, -1h, 1h, 365 * 24h);
    Offices offices(44);
    const std::string bob = "bob@acme.example", eve = "eve@acme.example";
    for (const auto& user : {bob, eve}) {
        offices.done(offices.trento, offices.trento.node->put_user({user, {}, {"munich"}, {}}, offices.now()));
    }
    offices.run(1s);
    auto& munich = *offices.munich.node;
    const auto wall = [&] { return offices.now_of(offices.munich).wall; };
    munich.set_binding(bob, net::unix_seconds(wall()) + 120, offices.now_of(offices.munich));
    offices.run(300ms);
    offices.munich.clock_ahead = step;
    const bool told_first = GENERATE(true, false);
    // What is told before the node has looked at its clock is by the new one already.
    if (told_first) munich.set_binding(eve, net::unix_seconds(wall()) + 120, offices.now_of(offices.munich));
    offices.run(11s);
    if (!told_first) munich.set_binding(eve, net::unix_seconds(wall()) + 120, offices.now_of(offices.munich));
    offices.run(300ms);
    const auto until = [&](const std::string& aor) {
        const auto subject = as_subject(munich.key().view()) + static_cast<char>(shard_of(aor));
        const auto& record = *offices.trento.node->roster().counting(RecordType::bindings, subject);
        return std::get<Bindings>(*decode(record.key, record.body())).bindings.front().until - net::unix_seconds(wall());
    };
    CHECK(until(bob) > 100);
    CHECK(until(bob) <= 120);
    CHECK(until(eve) > 100);
    CHECK(until(eve) <= 120);
    offices.run(130s);
    CHECK(munich.nodes_for(bob, wall()).empty());
    CHECK(munich.nodes_for(eve, wall()).empty());
}

TEST_CASE("a phone that only stays costs a signature now and then, and is never thought gone") {
    Offices offices(37);
    offices.done(offices.trento, offices.trento.node->put_user({"bob@acme.example", {}, {"munich"}, {}}, offices.now()));
    offices.run(1s);
    auto& munich = *offices.munich.node;
    const auto subject = as_subject(munich.key().view()) + static_cast<char>(shard_of("bob@acme.example"));
    const auto sequence = [&] { return munich.roster().counting(RecordType::bindings, subject)->sequence; };
    munich.set_binding("bob@acme.example", net::unix_seconds(offices.now().wall) + 30, offices.now());
    offices.run(300ms);
    unsigned signatures = 0;
    auto last = sequence();
    for (int turn = 0; turn < 100; ++turn) {
        munich.set_binding("bob@acme.example", net::unix_seconds(offices.now().wall) + 30, offices.now());
        offices.drain(offices.munich);
        offices.run(1s);
        signatures += sequence() == last ? 0 : 1;
        last = sequence();
        REQUIRE(offices.trento.node->nodes_for("bob@acme.example", offices.now().wall).size() == 1);
    }
    CHECK(signatures >= 5);
    CHECK(signatures <= 8);
}

TEST_CASE("a storm of new phones is signed at a bounded rate, and all of it") {
    Offices offices(39);
    auto& munich = *offices.munich.node;
    const auto until = net::unix_seconds(offices.now().wall) + 120;
    for (int i = 0; i < 2000; ++i) munich.set_binding("user" + std::to_string(i) + "@acme.example", until, offices.now());
    const auto shards = [&] {
        std::size_t count = 0;
        for (const auto& [key, entry] : munich.roster().entries()) {
            count += key.type == RecordType::bindings && key.signer == munich.key() ? 1 : 0;
        }
        return count;
    };
    offices.run(500ms);
    CHECK(shards() > 60);
    CHECK(shards() < 200);
    offices.run(1s);
    CHECK(shards() == Node::kShards);
}

TEST_CASE("20,000 phones of one office are told to another, each of them") {
    Offices offices(41);
    auto& munich = *offices.munich.node;
    const auto until = net::unix_seconds(offices.now().wall) + 120;
    const auto aor = [](int i) { return "user" + std::to_string(i) + "@acme.example"; };
    std::set<std::uint64_t> all;
    for (int i = 0; i < 20000; ++i) {
        if (i % 2000 == 0) offices.done(offices.trento, offices.trento.node->put_user({aor(i), {}, {"munich"}, {}}, offices.now()));
        munich.set_binding(aor(i), until, offices.now());
        all.insert(user_id(aor(i)));
    }
    offices.run(3s);
    std::set<std::uint64_t> told;
    std::size_t bytes = 0;
    for (const auto& [key, entry] : offices.trento.node->roster().entries()) {
        if (key.type != RecordType::bindings || key.signer != munich.key()) continue;
        bytes += entry.record.wire.size();
        for (const auto& binding : std::get<Bindings>(entry.body).bindings) told.insert(binding.user);
    }
    CHECK(told == all);
    CHECK(bytes < 300'000);
    for (int i = 0; i < 20000; i += 2000) CHECK(offices.trento.node->nodes_for(aor(i), offices.now().wall).size() == 1);
    CHECK(offices.trento.node->roster().bound_users(offices.now().wall).size() == 10);
}

TEST_CASE("what an earlier life said of its phones is taken back") {
    Offices offices(40);
    offices.munich.node->set_binding("bob@acme.example", net::unix_seconds(offices.now().wall) + 120, offices.now());
    offices.run(300ms);
    offices.crash(offices.munich);
    offices.start(offices.munich);
    offices.run(300ms);
    const auto subject = as_subject(offices.munich.node->key().view()) + static_cast<char>(shard_of("bob@acme.example"));
    const auto entry = offices.munich.node->roster().entries().find({RecordType::bindings, subject, offices.munich.node->key()});
    REQUIRE(entry != offices.munich.node->roster().entries().end());
    CHECK(std::get<Bindings>(entry->second.body).bindings.empty());
}

TEST_CASE("a stock peer is admitted with all that its configuration needs") {
    Offices offices(38);
    const auto stock = offices.trento.node->admit_stock("phone", std::nullopt, offices.now());
    offices.done(offices.trento, stock);
    REQUIRE(stock->secret);
    CHECK(public_key(*stock->secret) == stock->public_key);
    CHECK(stock->addresses.size() == 2);
    CHECK(stock->gateway == public_key(offices.trento.identity->tunnel_secret));
    CHECK(stock->gateway_endpoints == std::vector{offices.trento.endpoint});
    CHECK(stock->allowed_ips.size() == 3);  // /48, pool, trento's subnet
    CHECK(stock->others.size() == 2);
    offices.run(1s);
    const auto* known = offices.london.node->view().by_name("phone");
    REQUIRE(known != nullptr);
    CHECK(known->says.stock);

    // It is one: a WireGuard of its own, with nothing but that configuration.
    auto& machine = offices.add("phone");
    WireGuard wireguard(*stock->secret, machine.random, {});
    PeerSettings settings;
    settings.key = stock->gateway;
    settings.follows_endpoint = true;
    wireguard.set_peer(settings);
    wireguard.set_endpoint(settings.key, stock->gateway_endpoints.front());
    wireguard.connect(settings.key, offices.now());
    for (const auto& event : wireguard.take_events())
        if (const auto* stamp = std::get_if<StampToPersist>(&event)) wireguard.stamp_persisted(stamp->stamp);
    wireguard.tick(offices.now());
    auto out = wireguard.take_datagrams();
    REQUIRE(out.size() == 1);
    const auto sent = offices.trento.sent_datagrams;
    offices.send_raw(machine.endpoint, out[0].to, out[0].bytes);
    offices.run(50ms);
    CHECK(offices.trento.sent_datagrams > sent);  // the answer
}

TEST_CASE("names and subnets that cannot be are refused in words") {
    Offices offices(39);
    auto& node = *offices.trento.node;
    CHECK_FALSE(node.invite({"munich", {}}, offices.now()));
    CHECK_FALSE(node.invite({"Not a name", {}}, offices.now()));
    CHECK_FALSE(node.invite({"paris", {*net::Prefix::parse("10.73.4.0/24")}}, offices.now()));
    CHECK_FALSE(node.revoke("paris", offices.now()));
    CHECK_FALSE(node.revoke("trento", offices.now()));
    net::SeededRandom random(1);
    CHECK_FALSE(Node::create_mesh({"ACME", "trento", *net::Prefix::parse("10.0.0.0/16"), {}}, random, offices.now()));
    CHECK_FALSE(Node::create_mesh({"acme", "trento", *net::Prefix::parse("fd00::/48"), {}}, random, offices.now()));
}

TEST_CASE("a subnet that only overlaps another member's is refused with whose it is, unless that is meant") {
    Offices offices(40);
    auto& node = *offices.trento.node;
    InviteRequest request;
    request.name = "paris";
    const auto refused = [&](const char* subnet) {
        request.subnets = {*net::Prefix::parse(subnet)};
        const auto token = node.invite(request, offices.now());
        return token ? std::string() : token.error().message;
    };
    const auto within = refused("192.168.1.128/25"), around = refused("192.168.0.0/16");
    for (const auto* part : {"192.168.1.0/24", "trento", "--force", "within"}) CHECK(within.find(part) != std::string::npos);
    CHECK(around.find("around") != std::string::npos);
    CHECK(node.view().invitations.size() == 2);  // those of munich and london
    request.may_overlap = true;
    const auto meant = node.invite(request, offices.now());
    REQUIRE(meant);
    REQUIRE(meant->notes.size() == 1);
    CHECK(meant->notes[0].find("192.168.1.0/24, which trento routes") != std::string::npos);
}

TEST_CASE("a second gateway to the very same subnet is welcome, and takes over when the first is gone") {
    Offices offices(41);
    const auto lan = *net::Prefix::parse("192.168.1.0/24");
    InviteRequest request;
    request.name = "backup";
    request.subnets = {lan};
    const auto token = offices.trento.node->invite(request, offices.now());
    REQUIRE(token);
    REQUIRE(token->notes.size() == 1);
    CHECK(token->notes[0].find("trento routes 192.168.1.0/24, too") != std::string::npos);
    offices.drain(offices.trento);
    offices.join("backup", *token);
    REQUIRE(offices.run_until([&] { return offices.all_up({"trento", "munich", "london", "backup"}); }, 10s));
    offices.run(10s);
    offices.crash(offices.trento);
    offices.run(20s);
    const auto table = offices.london.node->table();
    const auto* gateway = table->route(net::IpAddress::v4(192, 168, 1, 7));
    REQUIRE(gateway != nullptr);
    CHECK(gateway->key == offices.machine("backup").node->self().says.tunnel_key);
}

TEST_CASE("a second invitation for one name replaces the first, whose token says so") {
    Offices offices(42);
    InviteRequest request;
    request.name = "paris";
    const auto first = offices.trento.node->invite(request, offices.now());
    REQUIRE(first);
    CHECK(first->notes.empty());
    const auto second = offices.trento.node->invite(request, offices.now());
    REQUIRE(second);
    REQUIRE(second->notes.size() == 1);
    CHECK(second->notes[0].find("replaces") != std::string::npos);
    offices.run(1s);
    offices.begin_join("thief", *first);
    auto& thief = offices.machine("thief");
    REQUIRE(offices.run_until([&] { return thief.joiner && thief.joiner->state() == Joiner::State::failed; }, 30s));
    CHECK(thief.joiner->status().find("replaced: ask an admin for a new one") != std::string::npos);
    CHECK(offices.join("paris", *second).node->self().says.name == "paris");
}
