#include <catch2/catch.hpp>

#include "mesh/rate_limit.hpp"
#include "tests/unit/mesh/wire_pair.hpp"

using namespace wire_pair;
using mesh::Drop;
using mesh::Inbound;
using mesh::PeerStatus;

namespace {

constexpr int kInitiation = 1, kResponse = 2, kCookie = 3, kData = 4;

const net::Bytes& last_of(const Wire& wire, int type) {
    for (auto one = wire.log.rbegin(); one != wire.log.rend(); ++one) {
        if (one->type() == type) return one->bytes;
    }
    throw std::logic_error("no such message");
}

}  // namespace

TEST_CASE("a handshake takes three messages and tells both sides of one hash") {
    Pair pair;
    pair.connect();
    CHECK(pair.wire.log.size() == 3);
    CHECK(pair.wire.log[2].bytes.size() == mesh::kMinDataBytes);
    const auto alices = pair.alice.seen<mesh::SessionUp>(), bobs = pair.bob.seen<mesh::SessionUp>();
    REQUIRE(alices.size() == 1);
    REQUIRE(bobs.size() == 1);
    CHECK(alices[0].initiator);
    CHECK_FALSE(bobs[0].initiator);
    CHECK(alices[0].handshake_hash == bobs[0].handshake_hash);
    CHECK_FALSE(alices[0].handshake_hash.is_zero());
    pair.alice_sends();
    pair.bob_sends();
    CHECK(pair.bob.received == std::vector<net::Bytes>{ip_packet("10.0.0.1", "10.0.0.2")});
    CHECK(pair.alice.received == std::vector<net::Bytes>{ip_packet("10.0.0.2", "10.0.0.1")});
}

TEST_CASE("data is padded to 16 bytes, but not beyond the MTU") {
    Pair pair;
    pair.connect();
    pair.wire.send_ip(pair.alice, ip_packet("10.0.0.1", "10.0.0.2", 61));
    CHECK(last_of(pair.wire, kData).size() == 32 + 64);
    pair.wire.send_ip(pair.alice, ip_packet("10.0.0.1", "10.0.0.2", 1420));
    CHECK(last_of(pair.wire, kData).size() == 32 + 1420);
    CHECK(pair.bob.received.back().size() == 1420);
    pair.alice.wireguard.send(pair.bob_key(), net::as_bytes("\x01hello"), pair.wire.now);
    pair.wire.settle();
    CHECK(last_of(pair.wire, kData).size() == 32 + 16);
    REQUIRE(pair.bob.control_frames.size() == 1);
    CHECK(pair.bob.control_frames[0].size() == 16);
    CHECK(net::as_text(pair.bob.control_frames[0]).starts_with("\x01hello"));
}

TEST_CASE("a session stands only between equal preshared keys") {
    Pair pair;
    const net::PresharedKey psk(mesh::make_tunnel_secret(pair.alice.random));
    auto settings = member(pair.bob, "10.0.0.2/32");
    settings.psk = psk;
    pair.alice.wireguard.set_peer(settings);
    pair.connect();
    CHECK(pair.alice.seen<mesh::SessionUp>().empty());
    CHECK(pair.alice.dropped(Drop::bad_handshake) == 1);
    settings = member(pair.alice, "10.0.0.1/32");
    settings.psk = psk;
    pair.bob.wireguard.set_peer(settings);
    pair.wire.run(6s);
    CHECK(pair.alice.seen<mesh::SessionUp>().size() == 1);
}

TEST_CASE("what left by the session before still arrives when the new one stands, at either side") {
    Pair pair;
    pair.connect();
    pair.wire.run(6s);
    std::vector<net::Bytes> held;
    pair.wire.filter = [&](Wire::Flying& one) {
        held.push_back(one.bytes);
        return false;
    };
    pair.alice_sends();
    pair.bob_sends();
    pair.wire.filter = [](Wire::Flying&) { return true; };
    pair.alice.wireguard.rekey(pair.bob_key(), pair.wire.now);
    pair.wire.settle();
    REQUIRE(pair.bob.seen<mesh::SessionUp>().size() == 2);
    CHECK(pair.wire.inject(pair.bob, held[0], pair.alice.endpoint).verdict == Inbound::Verdict::tun);
    CHECK(pair.wire.inject(pair.alice, held[1], pair.bob.endpoint).verdict == Inbound::Verdict::tun);
    pair.wire.run(6s);
    pair.alice.wireguard.rekey(pair.bob_key(), pair.wire.now);  // two sessions back is gone
    pair.wire.settle();
    CHECK(pair.wire.inject(pair.bob, held[0], pair.alice.endpoint).reason == Drop::unknown_index);
    CHECK(pair.wire.inject(pair.alice, held[1], pair.bob.endpoint).reason == Drop::unknown_index);
}

TEST_CASE("a replayed initiation is dropped") {
    Pair pair;
    pair.connect();
    pair.wire.run(1s);
    const auto initiation = pair.wire.log[0].bytes;
    const auto messages = pair.wire.log.size();
    pair.wire.inject(pair.bob, initiation, at("198.51.100.66:1"));
    pair.wire.settle();
    CHECK(pair.bob.dropped(Drop::stale_stamp) == 1);
    CHECK(pair.wire.log.size() == messages);
}

TEST_CASE("an initiation that comes by several ways is answered by each, so that one that leads both ways suffices") {
    Pair pair;
    const auto detour = at("198.51.100.77:7");
    // What goes straight arrives, and its answers do not.
    pair.wire.filter = [&](Wire::Flying& one) { return one.type() != kResponse || one.to == detour; };
    pair.alice.wireguard.connect(pair.bob_key(), pair.wire.now);
    pair.wire.settle();
    REQUIRE(last_of(pair.wire, kInitiation).size() == mesh::kInitiationBytes);
    REQUIRE(pair.alice.seen<mesh::SessionUp>().empty());
    const auto initiation = last_of(pair.wire, kInitiation);
    const auto sent = pair.wire.sent[kResponse];
    pair.wire.inject(pair.bob, initiation, detour);
    pair.wire.settle();
    CHECK(pair.wire.sent[kResponse] == sent + 1);
    pair.wire.inject(pair.bob, initiation, detour);  // but once
    auto other = initiation;
    other[8] ^= std::byte{1};
    pair.wire.inject(pair.bob, other, at("198.51.100.78:7"));
    pair.wire.settle();
    CHECK(pair.wire.sent[kResponse] == sent + 1);
    // Bounded, wherever it seems to come from.
    for (std::uint16_t i = 0; i < 50; ++i) pair.wire.inject(pair.bob, initiation, {net::IpAddress::v4(203, 0, 113, 1), static_cast<std::uint16_t>(1000 + i)});
    pair.wire.settle();
    CHECK(pair.wire.sent[kResponse] <= static_cast<int>(mesh::WireGuard::kMaxCandidates));
    // And the answer that came round completes the handshake.
    pair.wire.inject(pair.alice, last_of(pair.wire, kResponse), pair.bob.endpoint);
    pair.wire.settle();
    CHECK(pair.alice.seen<mesh::SessionUp>().size() == 1);
    CHECK(pair.bob.seen<mesh::SessionUp>().size() == 1);
}

TEST_CASE("a replayed response answers nothing") {
    Pair pair;
    pair.connect();
    pair.wire.inject(pair.alice, pair.wire.log[1].bytes, pair.bob.endpoint);
    CHECK(pair.alice.dropped(Drop::unknown_index) == 1);
    CHECK(pair.alice.seen<mesh::SessionUp>().size() == 1);
}

TEST_CASE("of initiations that come faster than 20 ms apart all but the first are dropped") {
    Pair pair;
    pair.connect();
    pair.wire.now.steady += 1s;
    pair.wire.now.wall += 1s;
    pair.alice.wireguard.rekey(pair.bob_key(), pair.wire.now);
    pair.wire.settle();
    CHECK(pair.bob.dropped(Drop::initiation_flood) == 0);
    pair.wire.now.steady += 19ms;
    pair.wire.now.wall += 19ms;
    pair.alice.wireguard.rekey(pair.bob_key(), pair.wire.now);
    pair.wire.settle();
    CHECK(pair.bob.dropped(Drop::initiation_flood) == 1);
}

TEST_CASE("a stranger gets no answer, with or without our key") {
    Pair pair;
    Node mallory(66, "198.51.100.66:1");
    pair.wire.add(mallory);
    Pair::introduce(mallory, pair.bob, "10.0.0.2/32");
    mallory.wireguard.connect(pair.bob_key(), pair.wire.now);
    pair.wire.settle();
    CHECK(pair.bob.dropped(Drop::unknown_peer) == 1);
    auto message = pair.wire.log.back().bytes;
    message[120] ^= std::byte{1};
    CHECK(pair.wire.inject(pair.bob, message, mallory.endpoint).reason == Drop::bad_mac1);
    CHECK(std::none_of(pair.wire.log.begin(), pair.wire.log.end(),
                       [&](const auto& one) { return one.sender == &pair.bob; }));
}

TEST_CASE("under load a handshake takes a cookie, and then succeeds") {
    Pair pair;
    pair.bob.under_load = true;
    pair.connect();
    CHECK(pair.wire.sent[kCookie] == 1);
    CHECK(pair.wire.sent[kResponse] == 0);
    CHECK(pair.bob.dropped(Drop::no_cookie) == 1);
    pair.wire.run(6s);  // the cookie is used in the next attempt
    CHECK(pair.alice.seen<mesh::SessionUp>().size() == 1);
    CHECK(pair.wire.sent[kCookie] == 1);
}

TEST_CASE("a loaded initiator has its responder prove its address too") {
    Pair pair;
    pair.alice.under_load = true;
    pair.connect();
    CHECK(pair.wire.sent[kCookie] == 1);
    CHECK(pair.alice.seen<mesh::SessionUp>().empty());
    pair.wire.run(6s);
    CHECK(pair.alice.seen<mesh::SessionUp>().size() == 1);
    CHECK(pair.bob.dropped(Drop::bad_cookie) == 0);
}

TEST_CASE("a forged cookie reply changes nothing") {
    Pair pair;
    pair.bob.under_load = true;
    pair.wire.filter = [](Wire::Flying& one) { return one.type() != kCookie; };
    pair.connect();
    auto forged = last_of(pair.wire, kCookie);
    forged[50] ^= std::byte{1};
    pair.wire.inject(pair.alice, forged, pair.bob.endpoint);
    CHECK(pair.alice.dropped(Drop::bad_cookie) == 1);
    auto elsewhere = last_of(pair.wire, kCookie);
    elsewhere[4] ^= std::byte{1};
    CHECK(pair.wire.inject(pair.alice, elsewhere, pair.bob.endpoint).reason == Drop::unknown_index);
}

TEST_CASE("under load one source gets five handshakes and then twenty a second") {
    mesh::RateLimit limit;
    const net::Steady start(1h);
    const auto source = *net::IpAddress::parse("192.0.2.1");
    int allowed = 0;
    for (int i = 0; i < 100; ++i) allowed += limit.allow(source, start);
    CHECK(allowed == 5);
    CHECK(limit.allow(*net::IpAddress::parse("192.0.2.2"), start));
    CHECK_FALSE(limit.allow(source, start + 49ms));
    CHECK(limit.allow(source, start + 50ms));
    allowed = 0;
    for (int i = 0; i < 1000; ++i) allowed += limit.allow(source, start + 1s + i * 1ms);
    CHECK(allowed >= 20);
    CHECK(allowed <= 25);
    for (int i = 0; i < 5; ++i) CHECK(limit.allow(*net::IpAddress::parse("2001:db8::1"), start));
    CHECK_FALSE(limit.allow(*net::IpAddress::parse("2001:db8::2"), start));  // the same /64
}

TEST_CASE("the table of sources is bounded and forgets") {
    mesh::RateLimit limit;
    const net::Steady start(1h);
    for (std::uint32_t i = 0; i < mesh::RateLimit::kMaxSources; ++i) {
        REQUIRE(limit.allow(net::IpAddress::v4(0x0a000000U + i), start));
    }
    CHECK_FALSE(limit.allow(net::IpAddress::v4(0x0b000000U), start));
    CHECK(limit.sources() == mesh::RateLimit::kMaxSources);
    CHECK(limit.allow(net::IpAddress::v4(0x0b000000U), start + 1s));
    CHECK(limit.sources() == 1);
}

TEST_CASE("initiations go to all candidates at once and the first to answer is the endpoint") {
    Pair pair;
    pair.alice.wireguard.set_endpoint(pair.bob_key(), {});
    std::vector<net::Endpoint> candidates;
    for (int i = 10; i < 19; ++i) candidates.push_back(at("198.51.100." + std::to_string(i) + ":51820"));
    candidates[3] = pair.bob.endpoint;
    pair.alice.wireguard.set_candidates(pair.bob_key(), candidates);
    pair.connect();
    CHECK(pair.wire.sent[kInitiation] == static_cast<int>(mesh::WireGuard::kMaxCandidates));
    CHECK(pair.wire.log[0].bytes == pair.wire.log[7].bytes);
    CHECK(pair.alice.seen<mesh::SessionUp>().size() == 1);
    CHECK(pair.alice.wireguard.endpoint(pair.bob_key()) == pair.bob.endpoint);
    CHECK(pair.bob.wireguard.endpoint(pair.alice_key()) == pair.alice.endpoint);
}

TEST_CASE("a candidate that turns up while a handshake is under way gets it at once") {
    Pair pair;
    pair.alice.wireguard.set_endpoint(pair.bob_key(), {});
    pair.connect();
    CHECK(pair.wire.log.empty());
    pair.alice.wireguard.set_candidates(pair.bob_key(), {pair.bob.endpoint});
    pair.wire.settle();
    CHECK(pair.alice.seen<mesh::SessionUp>().size() == 1);
}

TEST_CASE("a dead endpoint is left for a candidate with the second attempt") {
    Pair pair;
    pair.connect();
    pair.wire.run(300s);
    pair.wire.move(pair.bob, "203.0.113.9:4000");
    pair.alice.wireguard.set_candidates(pair.bob_key(), {at("203.0.113.9:4000")});
    pair.alice_sends();  // no session any more, so all are asked
    CHECK(pair.bob.received.size() == 1);
    CHECK(pair.alice.wireguard.endpoint(pair.bob_key()) == pair.bob.endpoint);
}

TEST_CASE("a session that fails finds the new endpoint within the 15 s of silence") {
    Pair pair;
    pair.connect();
    pair.wire.run(6s);
    pair.wire.move(pair.bob, "203.0.113.9:4000");
    pair.alice.wireguard.set_candidates(pair.bob_key(), {at("203.0.113.9:4000")});
    pair.alice_sends();
    pair.wire.run(15400ms);
    CHECK(pair.alice.wireguard.endpoint(pair.bob_key()) == pair.bob.endpoint);
    CHECK(pair.alice.seen<mesh::SessionUp>().size() == 2);
}

TEST_CASE("a stock peer's endpoint follows its packets, a member's is only nominated") {
    Pair pair;
    auto stock = member(pair.alice, "10.0.0.1/32");
    const bool follows = GENERATE(true, false);
    stock.follows_endpoint = follows;
    pair.bob.wireguard.set_peer(stock);
    pair.connect();
    const auto before = pair.alice.endpoint;
    pair.wire.move(pair.alice, "203.0.113.5:9");
    pair.alice_sends();
    CHECK(pair.bob.wireguard.endpoint(pair.alice_key()) == (follows ? pair.alice.endpoint : before));
    CHECK(pair.bob.seen<mesh::Nominated>().size() == (follows ? 0U : 1U));
    pair.bob_sends();
    CHECK(pair.alice.received.size() == (follows ? 1U : 0U));
    if (follows) return;
    CHECK(pair.bob.seen<mesh::Nominated>()[0].endpoint == pair.alice.endpoint);
    for (int i = 0; i < 10; ++i) pair.alice_sends();
    CHECK(pair.bob.seen<mesh::Nominated>().size() == 1);  // told once a second
    pair.bob.wireguard.set_endpoint(pair.alice_key(), pair.alice.endpoint);
    pair.bob_sends();
    CHECK(pair.alice.received.size() == 1);
}

TEST_CASE("a peer that is elsewhere with each packet has a table built four times a second, and is answered where it is") {
    Pair pair;
    auto stock = member(pair.alice, "10.0.0.1/32");
    stock.follows_endpoint = GENERATE(true, false);
    pair.bob.wireguard.set_peer(stock);
    pair.connect();
    pair.wire.settle();
    auto table = pair.bob.wireguard.table();
    int tables = 0, wakes = 0;
    const auto answer_goes_to = [&] {
        auto packet = ip_packet("10.0.0.2", "10.0.0.1");
        net::Bytes storage(128);
        std::copy(packet.begin(), packet.end(), storage.begin() + 16);
        return mesh::outbound(*table, {storage, 16, packet.size()}, pair.wire.now.steady).endpoint;
    };
    const auto heard_from = [&](const net::Endpoint& from) {
        net::Bytes message(mesh::kMinDataBytes);
        REQUIRE(pair.alice.wireguard.table()->peers[0]->session->seal(message, pair.wire.now.steady));
        wakes += pair.wire.inject(pair.bob, message, from).wake;
        if (const auto now = pair.bob.wireguard.table(); now != table) ++tables;
        table = pair.bob.wireguard.table();
    };
    net::Endpoint last;
    for (int i = 0; i < 10000; ++i) {
        last = at(i % 2 == 0 ? "203.0.113.1:5" : "203.0.113.2:6");
        heard_from(last);
        if (stock.follows_endpoint) REQUIRE(answer_goes_to() == last);
        pair.wire.run(1ms);
        if (const auto now = pair.bob.wireguard.table(); now != table) ++tables;
        table = pair.bob.wireguard.table();
    }
    CHECK(tables <= 10 * 4 + 4);
    CHECK(wakes <= 10 * 4 + 4);
    CHECK(pair.bob.seen<mesh::EndpointMoved>().size() + pair.bob.seen<mesh::Nominated>().size() <= 10 * 4 + 4);
    pair.wire.run(300ms);
    if (stock.follows_endpoint) CHECK(pair.bob.wireguard.endpoint(pair.alice_key()) == last);
}

TEST_CASE("a handshake that falls due while a train leaves is none of it") {
    Pair pair;
    pair.connect();
    pair.wire.run(119s);
    pair.wire.now.steady += 2s;
    const std::vector<net::Bytes> probes(8, net::Bytes(100, std::byte{1}));
    pair.alice.wireguard.send_train(pair.bob_key(), probes, pair.wire.now);
    const auto datagrams = pair.alice.wireguard.take_datagrams();
    REQUIRE(datagrams.size() == 9);
    for (std::size_t i = 0; i < 8; ++i) {
        CHECK(datagrams[i].train != 0);
        CHECK(datagrams[i].bytes.size() == datagrams[0].bytes.size());
    }
    CHECK(datagrams[8].train == 0);
    CHECK(datagrams[8].bytes.size() == mesh::kInitiationBytes);
}

TEST_CASE("a member that begins anew from another address is answered and confirmed there") {
    Pair pair;
    pair.connect();
    pair.wire.run(6s);
    pair.wire.move(pair.alice, "203.0.113.5:9");
    pair.alice.wireguard.rekey(pair.bob_key(), pair.wire.now);
    pair.wire.settle();
    CHECK(pair.bob.wireguard.endpoint(pair.alice_key()) == pair.alice.endpoint);
    pair.bob_sends();
    CHECK(pair.alice.received.size() == 1);
}

TEST_CASE("an endpoint inside the overlay is never sent to") {
    Pair pair;
    pair.alice.wireguard.set_overlay({prefix("192.0.2.0/24")});
    pair.alice.wireguard.connect(pair.bob_key(), pair.wire.now);
    pair.wire.settle();
    CHECK(pair.wire.log.empty());
    CHECK(pair.alice.dropped(Drop::underlay_loop) > 0);
    CHECK(pair.alice.wireguard.endpoint(pair.bob_key()) == pair.bob.endpoint);
    pair.alice.wireguard.set_endpoint(pair.bob_key(), at("192.0.2.9:1"));
    CHECK(pair.alice.wireguard.endpoint(pair.bob_key()) == pair.bob.endpoint);

    Pair late;
    late.connect();
    late.alice.wireguard.set_overlay({prefix("192.0.2.0/24")});
    const auto messages = late.wire.log.size();
    late.alice_sends();
    CHECK(late.wire.log.size() == messages);
}

TEST_CASE("a removed peer's sessions end at once, even by a table published before") {
    Pair pair;
    pair.connect();
    const auto old_table = pair.bob.wireguard.table();
    net::Bytes held;
    pair.wire.filter = [&](Wire::Flying& one) {
        held = one.bytes;
        return false;
    };
    pair.alice_sends();
    pair.bob.wireguard.remove_peer(pair.alice_key());
    CHECK(mesh::inbound(*old_table, held, pair.alice.endpoint, pair.wire.now.steady).reason == Drop::expired_session);
    CHECK(pair.wire.inject(pair.bob, held, pair.alice.endpoint).reason == Drop::unknown_index);
    CHECK_FALSE(pair.bob.wireguard.has_peer(pair.alice_key()));
    pair.wire.filter = [](Wire::Flying&) { return true; };
    pair.alice.wireguard.rekey(pair.bob_key(), pair.wire.now);
    pair.wire.settle();
    CHECK(pair.bob.dropped(Drop::unknown_peer) == 1);
}

TEST_CASE("our own key and keys of small order are no peers") {
    Pair pair;
    mesh::PeerSettings settings;
    pair.alice.wireguard.set_peer(settings);
    settings.key = pair.alice_key();
    pair.alice.wireguard.set_peer(settings);
    CHECK(pair.alice.wireguard.peers() == std::vector<net::TunnelKey>{pair.bob_key()});
}

TEST_CASE("indices that collide are drawn again") {
    // Every index this generator gives comes four times.
    class Repeating final : public net::Random {
    public:
        void fill(net::MutableBytes out) override {
            if (out.size() != 8) return inner_.fill(out);
            if (uses_++ % 4 == 0) inner_.fill(value_);
            std::copy(value_.begin(), value_.end(), out.begin());
        }

    private:
        net::SeededRandom inner_{9};
        net::Bytes value_ = net::Bytes(8);
        int uses_ = 0;
    };
    mesh::start_crypto();
    Repeating random;
    net::SeededRandom keys(10);
    mesh::WireGuard wireguard(mesh::make_tunnel_secret(keys), random, {});
    const auto now = begin();
    for (int i = 0; i < 20; ++i) {
        mesh::PeerSettings settings;
        settings.key = mesh::public_key(mesh::make_tunnel_secret(keys));
        wireguard.set_peer(settings);
        wireguard.set_endpoint(settings.key, at("192.0.2.7:1"));
        wireguard.connect(settings.key, now);
    }
    for (const auto& event : wireguard.take_events()) {
        wireguard.stamp_persisted(std::get<mesh::StampToPersist>(event).stamp);
    }
    wireguard.tick(now);
    CHECK(wireguard.take_datagrams().size() == 20);
    CHECK(wireguard.table()->handshakes.size() == 20);
}

TEST_CASE("datagrams of every length and type are dropped without harm") {
    Pair pair;
    pair.connect();
    net::SeededRandom random(11);
    const auto index = pair.bob.wireguard.table()->receivers.begin()->first;
    const auto sessions = pair.bob.seen<mesh::SessionUp>().size();
    for (std::size_t size = 0; size < 300; ++size) {
        for (unsigned type = 0; type < 8; ++type) {
            net::Bytes bytes(size);
            random.fill(bytes);
            const net::Bytes header = net::Writer().u32le(type).u32le(index).take();
            std::copy_n(header.begin(), std::min(header.size(), size), bytes.begin());
            const auto from = at("198.51.100.1:7");
            const auto result = pair.wire.inject(pair.bob, bytes, from);
            const bool cookie = type == 3 && size == mesh::kCookieReplyBytes;  // to an index of ours
            CHECK(result.verdict == (cookie ? Inbound::Verdict::handshake : Inbound::Verdict::drop));
            pair.bob.wireguard.receive_handshake(bytes, from, pair.wire.now, type % 2 == 0);
        }
    }
    pair.wire.settle();
    CHECK(pair.bob.wireguard.take_datagrams().empty());
    CHECK(pair.bob.seen<mesh::SessionUp>().size() == sessions);
    CHECK(pair.bob.wireguard.endpoint(pair.alice_key()) == pair.alice.endpoint);
    pair.alice_sends();
    CHECK(pair.bob.received.size() == 1);
}

TEST_CASE("every cut and every changed byte of a real exchange is dropped") {
    Pair pair;
    pair.alice_sends();
    REQUIRE(pair.bob.received.size() == 1);
    const auto log = pair.wire.log;
    for (const auto& one : log) {
        auto& node = one.sender == &pair.alice ? pair.bob : pair.alice;
        for (std::size_t at_byte = 0; at_byte < one.bytes.size(); ++at_byte) {
            auto changed = one.bytes;
            changed[at_byte] ^= std::byte{0x80};
            pair.wire.inject(node, changed, one.from);
            pair.wire.inject(node, net::copy(net::ByteView(one.bytes).first(at_byte)), one.from);
        }
        pair.wire.inject(node, one.bytes, one.from);
    }
    pair.wire.settle();
    CHECK(pair.bob.received.size() == 1);
    CHECK(pair.alice.seen<mesh::SessionUp>().size() == 1);
    CHECK(pair.bob.seen<mesh::SessionUp>().size() == 1);
}
