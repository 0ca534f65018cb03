// What a member gains that lies about endpoints, floods what is passed on, or has others probe strangers: little, and stated.
#include "mesh/virtual_endpoint.hpp"
#include "mesh_in_memory.hpp"

using namespace mesh;
using namespace mesh::testing;

namespace {

const auto kVictim = net::IpAddress::v4(203, 0, 113, 66);

net::TunnelKey tunnel_key(const Machine& machine) { return public_key(machine.identity->tunnel_secret); }
net::NodeKey node_key(const Machine& machine) { return machine.node->key(); }

/// Says something in its own session, as a changed meshd could. Gives the bytes of the IP packet.
std::size_t slip_in(Network& network, Machine& from, const Machine& to, const Frame& frame, std::size_t pad_to = 0) {
    const auto before = from.bytes_to[to.endpoint.address];
    from.node->wireguard().send(tunnel_key(to), encode(frame, pad_to), network.now());
    from.node->tick(network.now());
    network.drain(from);
    return from.bytes_to[to.endpoint.address] - before;
}

struct Three {
    explicit Three(std::uint64_t seed) : network(seed) {
        trento = &network.create("trento");
        munich = &network.invite_and_join(*trento, "munich");
        london = &network.invite_and_join(*trento, "london");
        REQUIRE(network.run_until([&] { return network.all_up({"trento", "munich", "london"}) &&
                                               network.same_view({"trento", "munich", "london"}); }, 30s));
        network.run(20s);
    }
    /// Munich and Trento reach each other through London only, so that Trento looks for better ways.
    void relay_munich() {
        network.passes = [](const Machine& from, const Machine& to) {
            return !(from.name == "munich" && to.name == "trento") && !(from.name == "trento" && to.name == "munich");
        };
        REQUIRE(network.run_until([&] { return by_relay(*munich, *trento) && by_relay(*trento, *munich); }, 60s));
        network.run(60s);
    }
    bool by_relay(Machine& from, Machine& to) {
        for (const auto& peer : from.node->peers(network.now()))
            if (peer.key == to.node->key()) return peer.state == PeerState::session && peer.rank == Rank::relay;
        return false;
    }
    std::uint64_t refused(Machine& at) { return at.node->wireguard().drops().get(Drop::relay_refused); }
    Network network;
    Machine *trento, *munich, *london;
};

/// Some WireGuard message of so many bytes.
net::Bytes message(std::size_t size) {
    net::Bytes out(size);
    out[0] = std::byte{4};
    return out;
}

}  // namespace

TEST_CASE("who asks for probes at a stranger pays a fourth of what the stranger gets") {
    for (const std::size_t padding : {std::size_t{0}, kMaxFrameBytes}) {
        for (const auto& [calls, every] : {std::pair(3, 5000ms), std::pair(300, 100ms)}) {
            CAPTURE(padding, calls);
            Three three(720);
            three.relay_munich();
            std::size_t paid = 0;
            for (int i = 0; i < calls; ++i) {
                Punch punch;
                punch.answer_wanted = true;
                for (std::uint16_t port = 1; port <= kMaxPunch; ++port) {
                    punch.candidates.push_back({{kVictim, static_cast<std::uint16_t>(1000 * port + i)}, 0});
                }
                const auto before = three.munich->sent_bytes;
                slip_in(three.network, *three.munich, *three.trento, punch, padding);
                paid += three.munich->sent_bytes - before;
                three.network.run(every);
            }
            three.network.run(10s);
            const auto got = three.trento->bytes_to[kVictim];
            if (padding != 0) CHECK(got > 0);  // calls that are not padded pay for none
            CHECK(got <= kReplyFactor * paid);
            CHECK(got <= (2 * Paths::kMax + 4 * 45) * 108);  // and whatever it pays, so many probes of one member's
        }
    }
}

TEST_CASE("who asks for guesses at a stranger's ports pays a fourth of what the stranger gets, and has two attempts of them") {
    for (const std::size_t padding : {std::size_t{0}, kMaxFrameBytes}) {
        for (const auto& [calls, every] : {std::pair(20, 500ms), std::pair(1000, 20ms)}) {
            CAPTURE(padding, calls);
            Three three(730);
            three.relay_munich();
            std::size_t paid = 0;
            const auto sent = three.trento->sent_bytes;
            for (int i = 0; i < calls; ++i) {
                const auto before = three.munich->sent_bytes;
                slip_in(three.network, *three.munich, *three.trento, Birthday{Birthday::Kind::guess, {kVictim, 7}}, padding);
                slip_in(three.network, *three.munich, *three.trento, Birthday{Birthday::Kind::open, {kVictim, 7}}, padding);
                paid += (three.munich->sent_bytes - before) / 2;  // of these two the first is followed
                three.network.run(every);
            }
            const auto got = three.trento->bytes_to[kVictim];
            CHECK((padding != 0) == (got > 0));
            CHECK(got <= kReplyFactor * paid);
            CHECK(got <= 82 * kGuesses * 108);
            if (padding != 0) CHECK(three.trento->sent_bytes - sent <= 2 * 60'000 + kReplyFactor * paid);  // with all else that it says
        }
    }
}

TEST_CASE("a member that is never there and signs a record a second has little sent to where it says it is") {
    Three three(731);
    three.network.passes = [](const Machine& from, const Machine& to) {
        return !(from.name == "munich" && to.name == "trento") && !(from.name == "trento" && to.name == "munich");
    };
    three.london->settings.relay_bytes_per_s = 0;
    three.network.run(30s);
    for (int i = 0; i < 600; ++i) {
        std::vector<net::Endpoint> endpoints;
        for (std::uint16_t port = 1; port <= 16; ++port) endpoints.push_back({kVictim, static_cast<std::uint16_t>(100 * port + i % 100)});
        three.munich->node->set_mapped(endpoints, three.network.now());
        three.network.run(1s);
    }
    const auto ten_minutes = three.trento->bytes_to[kVictim];
    CAPTURE(ten_minutes);
    CHECK(ten_minutes < 10 * 60 * 1500);
}

TEST_CASE("a member whose record names a stranger's endpoints has it probed a little, and ever more rarely") {
    Three three(721);
    three.munich->settings.advertise.clear();
    for (std::uint16_t port = 1; port <= 16; ++port) three.munich->settings.advertise.push_back({kVictim, port});
    three.network.crash(*three.munich);
    three.network.start(*three.munich);
    three.network.run(10min);
    const auto first = three.trento->bytes_to[kVictim];
    three.network.run(1h);
    const auto hour = three.trento->bytes_to[kVictim] - first;
    CHECK(first < 30'000);
    CHECK(hour < 50'000);
}

TEST_CASE("what is passed on for one member has a rate, and a member without the role passes on a trickle") {
    for (const bool role : {true, false}) {
        CAPTURE(role);
        Network network(722);
        auto& trento = network.create("trento");
        InviteRequest plain;
        plain.relay = role;
        auto& relay = network.add("relay");
        relay.settings.relay_bytes_per_s = 100'000;
        plain.name = "relay";
        const auto token = trento.node->invite(plain, network.now());
        REQUIRE(token);
        network.drain(trento);
        network.join("relay", *token);
        auto& munich = network.invite_and_join(trento, "munich");
        REQUIRE(network.run_until([&] { return network.all_up({"trento", "munich", "relay"}); }, 30s));
        network.run(5s);
        const auto before = relay.bytes_to[trento.endpoint.address];
        for (int i = 0; i < 10'000; ++i) {
            Relayed flood;
            flood.member = node_key(trento);
            flood.message = message(1000);
            slip_in(network, munich, relay, flood);
            network.run(1ms);
        }
        const auto passed = relay.bytes_to[trento.endpoint.address] - before;
        const double most = role ? 100'000.0 * 10 + 25'000 : 4096.0 * 10 + 16384;
        CHECK(static_cast<double>(passed) < 1.2 * most + 20'000);
        CHECK(static_cast<double>(passed) > 0.7 * most);
        CHECK(network.all_up({"trento", "munich", "relay"}));
    }
}

TEST_CASE("what is passed on in many small messages has no larger rate, with all that is put around them") {
    Network network(727);
    auto& trento = network.create("trento");
    auto& relay = network.add("relay");
    relay.settings.relay_bytes_per_s = 100'000;
    InviteRequest request;
    request.name = "relay";
    const auto token = trento.node->invite(request, network.now());
    REQUIRE(token);
    network.drain(trento);
    network.join("relay", *token);
    auto& munich = network.invite_and_join(trento, "munich");
    REQUIRE(network.run_until([&] { return network.all_up({"trento", "munich", "relay"}); }, 30s));
    network.run(5s);
    const auto before = relay.bytes_to[trento.endpoint.address];
    for (int i = 0; i < 50'000; ++i) {
        Relayed flood;
        flood.member = node_key(trento);
        flood.message = message(32);
        slip_in(network, munich, relay, flood);
        if (i % 10 == 0) network.run(1ms);
    }
    const auto passed = static_cast<double>(relay.bytes_to[trento.endpoint.address] - before);
    CHECK(passed < 1.05 * (100'000.0 * 5 + 25'000) + 5'000);
    CHECK(passed > 0.7 * 100'000 * 5);
}

TEST_CASE("what all may have passed on together has a rate, of which each has its part, and what others leave") {
    Network network(728);
    auto& trento = network.create("trento");
    auto& relay = network.add("relay");
    relay.settings.relay_total_bytes_per_s = 200'000;
    InviteRequest request;
    request.name = "relay";
    const auto token = trento.node->invite(request, network.now());
    REQUIRE(token);
    network.drain(trento);
    network.join("relay", *token);
    auto& munich = network.invite_and_join(trento, "munich");
    auto& london = network.invite_and_join(trento, "london");
    REQUIRE(network.run_until([&] { return network.all_up({"trento", "munich", "london", "relay"}); }, 30s));
    network.run(5s);
    const auto flood = [&](int seconds, bool london_too) {
        std::map<Machine*, double> sent;
        const auto say = [&](Machine& from, Machine& to, std::size_t size) {
            Relayed frame;
            frame.member = node_key(to);
            frame.message = message(size);
            slip_in(network, from, relay, frame);
        };
        const auto to_trento = relay.bytes_to[trento.endpoint.address], to_munich = relay.bytes_to[munich.endpoint.address];
        for (int i = 0; i < seconds * 1000; ++i) {
            say(munich, trento, 1000);             // ten times as much as there is
            say(munich, trento, 1000);
            if (london_too && i % 15 == 0) say(london, munich, 1000);  // a third of it
            network.run(1ms);
        }
        sent[&munich] = static_cast<double>(relay.bytes_to[trento.endpoint.address] - to_trento);
        sent[&london] = static_cast<double>(relay.bytes_to[munich.endpoint.address] - to_munich);
        return std::pair(sent[&munich], sent[&london]);
    };
    const auto [alone, nothing] = flood(10, false);
    CHECK(alone > 0.9 * 200'000 * 10);
    CHECK(alone < 1.05 * (200'000 * 10 + 50'000));
    CHECK(nothing < 20'000);
    const auto [much, modest] = flood(10, true);
    CHECK(modest > 0.95 * 1000.0 / 15 * 1000 * 10);  // all that it asked for
    CHECK(much > 0.5 * 200'000 * 10);                // the rest
    CHECK(much + modest < 1.05 * (200'000 * 10 + 50'000));
}

TEST_CASE("what is passed on is bulk or is not, as it was where it began, on both its legs") {
    Three three(729);
    three.relay_munich();
    const auto packet = [&](std::uint8_t traffic_class) {
        net::Writer out;
        out.u8(0x45).u8(traffic_class).u16be(24).u32be(0).u8(64).u8(17).u16be(0);
        out.bytes(three.munich->node->self().says.addresses[1].bytes()).bytes(three.trento->node->self().says.addresses[1].bytes());
        return out.zeros(4).take();
    };
    for (const bool bulk : {true, false}) {
        CAPTURE(bulk);
        three.network.drain(*three.munich);
        three.munich->node->send_ip(packet(bulk ? 0 : 46 << 2), three.network.now());
        auto sent = three.munich->node->take_datagrams();
        REQUIRE(sent.size() == 1);
        CHECK(sent.front().to == three.london->endpoint);
        CHECK(sent.front().bulk == bulk);
        three.network.drain(*three.london);
        const auto passed_on = three.london->node->passed_on_bytes();
        three.london->node->receive(sent.front().bytes, three.munich->endpoint, three.network.now());
        auto passed = three.london->node->take_datagrams();
        REQUIRE(passed.size() == 1);
        CHECK(passed.front().to == three.trento->endpoint);
        CHECK(passed.front().bulk == bulk);
        CHECK(three.london->node->passed_on_bytes() == passed_on + passed.front().bytes.size() + 28);
        three.trento->packets.clear();
        three.trento->node->receive(passed.front().bytes, three.london->endpoint, three.network.now());
        CHECK(three.trento->node->take_packets().size() == 1);
    }
}

TEST_CASE("nothing is passed on a second time, to its sender, to nobody's, or if it is no WireGuard message") {
    Three three(723);
    const auto refuses = [&](Relayed frame) {
        const auto refused = three.refused(*three.trento), sent = three.trento->bytes_to[three.london->endpoint.address];
        slip_in(three.network, *three.munich, *three.trento, frame);
        three.network.run(50ms);
        CHECK(three.refused(*three.trento) == refused + 1);
        CHECK(three.trento->bytes_to[three.london->endpoint.address] < sent + 400);  // there may have been a ping or two
    };
    Relayed frame;
    frame.message = message(100);
    frame.member = node_key(*three.munich);
    refuses(frame);
    frame.member = {};
    refuses(frame);
    frame.member = node_key(*three.trento);
    refuses(frame);
    frame.member = node_key(*three.london);
    frame.message[0] = std::byte{9};
    refuses(frame);
    frame.message = net::Bytes(31, std::byte{4});
    refuses(frame);
    // Delivered in the name of whoever delivers it.
    frame.kind = Relayed::Kind::delivered;
    frame.message = message(100);
    frame.member = node_key(*three.munich);
    refuses(frame);
}

TEST_CASE("a frame that comes through a relay cannot ask to be passed on, so nothing goes in circles") {
    Three three(724);
    // Munich has a session with London, and speaks in it through Trento.
    const auto refused = three.refused(*three.london);
    Relayed inner;
    inner.member = node_key(*three.trento);
    inner.message = message(100);
    std::vector<net::Bytes> caught;
    three.munich->node->wireguard().send(tunnel_key(*three.london), encode(inner), three.network.now());
    for (auto& datagram : three.munich->node->wireguard().take_datagrams()) {
        if (datagram.to == three.london->endpoint) caught.push_back(std::move(datagram.bytes));
    }
    REQUIRE(caught.size() == 1);
    Relayed outer;
    outer.member = node_key(*three.london);
    outer.message = caught.front();
    slip_in(three.network, *three.munich, *three.trento, outer);
    three.network.run(50ms);
    CHECK(three.refused(*three.london) == refused + 1);
}

TEST_CASE("a relay that delivers floods of handshakes in others' names makes us answer few of them") {
    Three three(725);
    const auto limited = three.trento->node->wireguard().drops().get(Drop::rate_limited);
    for (int i = 0; i < 1000; ++i) {
        Relayed flood;
        flood.kind = Relayed::Kind::delivered;
        flood.member = node_key(*three.london);
        flood.message = net::Bytes(kInitiationBytes);
        flood.message[0] = std::byte{1};
        slip_in(three.network, *three.munich, *three.trento, flood);
        three.network.run(1ms);
    }
    CHECK(three.trento->node->wireguard().drops().get(Drop::rate_limited) >= limited + 1000 - 60 - 20 * 2);
    CHECK(three.network.all_up({"trento", "munich", "london"}));
}

TEST_CASE("an answer that claims to have seen us at a virtual endpoint or at none changes nothing") {
    Three three(726);
    const auto before = three.trento->node->own_endpoints();
    for (const auto& lie : {net::Endpoint{}, stream_endpoint(4), net::Endpoint{net::IpAddress::v4(224, 0, 0, 1), 9}}) {
        Hello hello;
        hello.nonce = 5;
        hello.wall = net::unix_seconds(three.network.now().wall);
        hello.observed = lie;
        slip_in(three.network, *three.munich, *three.trento, hello);
        three.network.run(2s);
        CHECK(three.trento->node->own_endpoints() == before);
    }
}
