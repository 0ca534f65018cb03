#include <catch2/catch.hpp>

#include "tests/unit/mesh/wire_pair.hpp"

using namespace wire_pair;
using mesh::Drop;
using mesh::PeerStatus;

namespace {

constexpr int kInitiationType = 1, kDataType = 4;

bool first_is_keepalive(const Wire& wire) { return wire.log.back().bytes.size() == mesh::kMinDataBytes; }

}  // namespace

TEST_CASE("a session is renewed by its initiator after 120 s of use, not before") {
    Pair pair;
    pair.connect();
    REQUIRE(pair.wire.sent[kInitiationType] == 1);
    for (int i = 0; i < 119; ++i) {
        pair.wire.run(1s);
        pair.alice_sends();
        pair.bob_sends();
    }
    CHECK(pair.wire.sent[kInitiationType] == 1);
    pair.wire.run(1s);
    pair.bob_sends();  // the responder leaves it alone
    CHECK(pair.wire.sent[kInitiationType] == 1);
    pair.alice_sends();
    pair.wire.run(0s);
    CHECK(pair.wire.sent[kInitiationType] == 2);
    CHECK(pair.wire.log.back().sender == &pair.alice);
    const auto ups = pair.bob.seen<mesh::SessionUp>();
    REQUIRE(ups.size() == 2);
    CHECK_FALSE(ups[0].renewed);
    CHECK(ups[1].renewed);
    CHECK(pair.bob.seen<mesh::SessionDown>().empty());
}

TEST_CASE("an initiator that only receives renews the session after 165 s") {
    Pair pair;
    pair.connect();
    pair.wire.run(160s);
    pair.bob_sends();
    pair.wire.run(4s);
    CHECK(pair.wire.sent[kInitiationType] == 1);
    pair.wire.run(1s);
    pair.bob_sends();
    REQUIRE(pair.wire.sent[kInitiationType] == 2);
    const auto initiation = std::find_if(pair.wire.log.rbegin(), pair.wire.log.rend(),
                                         [](const auto& one) { return one.type() == kInitiationType; });
    CHECK(initiation->sender == &pair.alice);
}

TEST_CASE("a renewal that the data path asks for is not forgotten over something else that comes first") {
    Pair pair;
    pair.connect();
    pair.wire.run(121s);
    auto packet = ip_packet("10.0.0.1", "10.0.0.2");
    net::Bytes storage(128);
    std::copy(packet.begin(), packet.end(), storage.begin() + 16);
    REQUIRE(mesh::outbound(*pair.alice.wireguard.table(), {storage, 16, packet.size()}, pair.wire.now.steady).wake);
    pair.alice.wireguard.set_peer(member(pair.bob, "10.0.0.2/32"));
    pair.wire.run(0s);
    CHECK(pair.wire.sent[kInitiationType] == 2);
}

TEST_CASE("a session is used at 179 s and refused at 180 s, both ways") {
    Pair pair;
    pair.connect();
    pair.wire.run(179s);
    pair.wire.filter = [](Wire::Flying& one) { return one.type() == kDataType; };  // no renewal
    pair.bob_sends();
    CHECK(pair.alice.received.size() == 1);
    const auto held = pair.wire.log.back().bytes;

    // A packet sealed in time, but arriving late.
    net::Bytes late;
    pair.wire.filter = [&](Wire::Flying& one) {
        if (one.type() == kDataType) late = one.bytes;
        return false;
    };
    pair.bob_sends();
    pair.wire.run(1s);
    CHECK(pair.alice.seen<mesh::SessionDown>().size() == 1);
    CHECK(pair.bob.seen<mesh::SessionDown>().size() == 1);
    CHECK(pair.wire.inject(pair.alice, late, pair.bob.endpoint).reason == Drop::expired_session);
    const auto before = pair.wire.sent[kDataType];
    pair.bob_sends();
    CHECK(pair.wire.sent[kDataType] == before);
    CHECK(pair.bob.wireguard.status(pair.alice_key())->state == PeerStatus::State::connecting);
}

TEST_CASE("keys are gone 540 s after the last session began") {
    Pair pair;
    pair.connect();
    const std::weak_ptr<mesh::Session> session = pair.alice.wireguard.table()->receivers.begin()->second.session;
    pair.wire.run(539s);
    CHECK(pair.alice.wireguard.table()->receivers.size() == 1);
    CHECK_FALSE(session.expired());
    pair.wire.run(1s);
    CHECK(pair.alice.wireguard.table()->receivers.empty());
    CHECK(pair.bob.wireguard.table()->receivers.empty());
    CHECK(session.expired());
    CHECK(pair.alice.wireguard.next_deadline() == net::kNever);
}

TEST_CASE("an idle session costs not one message and its end wakes nobody up again") {
    Pair pair;
    pair.connect();
    const auto messages = pair.wire.log.size();
    pair.wire.run(3600s);
    CHECK(pair.wire.log.size() == messages);
}

TEST_CASE("received data is answered by a keepalive after 10 s if by nothing else") {
    Pair pair;
    pair.connect();
    pair.alice_sends();
    const auto messages = pair.wire.log.size();
    pair.wire.run(9999ms);
    CHECK(pair.wire.log.size() == messages);
    pair.wire.run(1ms);
    REQUIRE(pair.wire.log.size() == messages + 1);
    CHECK(pair.wire.log.back().sender == &pair.bob);
    CHECK(first_is_keepalive(pair.wire));
    pair.wire.run(50s);  // a keepalive is not answered
    CHECK(pair.wire.log.size() == messages + 1);

    pair.alice_sends();
    pair.wire.run(5s);
    pair.bob_sends();  // this is the answer; alice owes one now
    const auto again = pair.wire.log.size();
    pair.wire.run(20s);
    REQUIRE(pair.wire.log.size() == again + 1);
    CHECK(pair.wire.log.back().sender == &pair.alice);
}

TEST_CASE("15 s without an answer to data begin a new handshake") {
    Pair pair;
    pair.connect();
    pair.wire.filter = [](Wire::Flying&) { return false; };
    pair.alice_sends();
    pair.wire.run(10s);
    pair.alice_sends();  // does not begin the 15 s anew
    pair.wire.run(4900ms);
    CHECK(pair.wire.sent[kInitiationType] == 1);
    CHECK(pair.alice.seen<mesh::PeerSilent>().empty());
    pair.wire.run(500ms);  // up to a third of a second of jitter
    CHECK(pair.wire.sent[kInitiationType] == 2);
    CHECK(pair.alice.seen<mesh::PeerSilent>().size() == 1);
}

TEST_CASE("an initiation is repeated every 5 s with jitter, each time with new keys, for 90 s") {
    Pair pair;
    std::vector<std::pair<net::Steady, net::Bytes>> seen;
    pair.wire.filter = [&](Wire::Flying& one) {
        seen.emplace_back(pair.wire.now.steady, one.bytes);
        return false;
    };
    pair.alice_sends();
    CHECK(pair.alice.wireguard.status(pair.bob_key())->state == PeerStatus::State::connecting);
    pair.wire.run(89s);
    CHECK(pair.alice.seen<mesh::HandshakeFailed>().empty());
    pair.wire.run(11s);
    REQUIRE(seen.size() >= 17);
    CHECK(seen.size() <= 19);
    bool jittered = false;
    for (std::size_t i = 1; i < seen.size(); ++i) {
        const auto gap = seen[i].first - seen[i - 1].first;
        CHECK(gap >= 5s);
        CHECK(gap <= 5333ms);
        jittered |= gap != 5s;
        CHECK(net::copy(net::ByteView(seen[i].second).subspan(8, 32)) !=
              net::copy(net::ByteView(seen[i - 1].second).subspan(8, 32)));
    }
    CHECK(jittered);
    REQUIRE(pair.alice.seen<mesh::HandshakeFailed>().size() == 1);
    CHECK(pair.alice.dropped(Drop::handshake_gave_up) == 1);
    CHECK(pair.alice.wireguard.status(pair.bob_key())->state == PeerStatus::State::idle);
    const auto count = seen.size();
    pair.wire.run(600s);
    CHECK(seen.size() == count);
    pair.alice_sends();  // and data begins it again
    CHECK(seen.size() == count + 1);
}

TEST_CASE("no two initiations leave within 5 s, whatever asks for them") {
    Pair pair;
    pair.connect();
    pair.alice.wireguard.set_peer([&] {
        auto settings = member(pair.bob, "10.0.0.2/32");
        settings.psk = net::PresharedKey(mesh::make_tunnel_secret(pair.alice.random));
        return settings;
    }());  // ends the session
    pair.alice_sends();
    pair.wire.run(4900ms);
    CHECK(pair.wire.sent[kInitiationType] == 1);
    pair.wire.run(100ms);
    CHECK(pair.wire.sent[kInitiationType] == 2);
}

TEST_CASE("a persistent keepalive leaves when nothing has passed for its interval") {
    Pair pair;
    auto settings = member(pair.bob, "10.0.0.2/32");
    settings.persistent_keepalive = 25s;
    pair.alice.wireguard.set_peer(settings);
    pair.wire.run(0s);
    CHECK(pair.wire.sent[kInitiationType] == 1);  // it brings up a session by itself
    CHECK(pair.alice.wireguard.status(pair.bob_key())->state == PeerStatus::State::session);
    const auto messages = pair.wire.log.size();
    pair.wire.run(24s);
    CHECK(pair.wire.log.size() == messages);
    pair.wire.run(1s);
    CHECK(pair.wire.log.size() == messages + 1);
    CHECK(first_is_keepalive(pair.wire));
    pair.wire.run(20s);
    pair.bob_sends();
    const auto before = pair.wire.log.size();
    pair.wire.run(9s);
    CHECK(pair.wire.log.size() == before);
    pair.wire.run(3600s);  // renewed by its own keepalives, never down
    CHECK(pair.alice.seen<mesh::SessionDown>().empty());
}

TEST_CASE("2^60 messages ask for a new session and 2^64 - 2^13 - 1 end it") {
    Pair pair;
    pair.connect();
    auto session = pair.bob.wireguard.table()->peers[0]->session;
    session->set_counter_for_test(mesh::kRekeyAfterMessages - 2);
    pair.wire.run(6s);
    pair.bob_sends();
    CHECK(pair.wire.sent[kInitiationType] == 1);
    pair.bob_sends();
    CHECK(pair.wire.sent[kInitiationType] == 2);
    CHECK(pair.wire.log.back().sender == &pair.bob);  // the responder too, by number

    Pair other;
    other.connect();
    other.wire.run(6s);
    session = other.bob.wireguard.table()->peers[0]->session;
    session->set_counter_for_test(mesh::kRejectAfterMessages - 1);
    other.wire.filter = [](Wire::Flying& one) { return one.type() == kDataType; };
    other.bob_sends();
    CHECK(other.alice.received.size() == 1);
    other.bob_sends();
    CHECK(other.alice.received.size() == 1);
    net::Bytes message(mesh::kMinDataBytes);
    for (int i = 0; i < 3; ++i) CHECK_FALSE(session->seal(message, other.wire.now.steady));
}

TEST_CASE("packets wait for the session, the oldest goes first when too many do") {
    Pair pair;
    bool through = false;
    pair.wire.filter = [&](Wire::Flying&) { return through; };
    for (std::size_t i = 0; i < mesh::WireGuard::kMaxStagedPackets + 10; ++i) {
        pair.wire.send_ip(pair.alice, ip_packet("10.0.0.1", "10.0.0.2", 30 + i));
    }
    CHECK(pair.alice.dropped(Drop::queue_full) == 10);
    through = true;
    pair.wire.run(6s);
    REQUIRE(pair.bob.received.size() == mesh::WireGuard::kMaxStagedPackets);
    CHECK(pair.bob.received.front().size() == 40);
    CHECK(pair.bob.received.back().size() == 30 + mesh::WireGuard::kMaxStagedPackets + 9);
}

TEST_CASE("the responder sends nothing on a session that has not been confirmed") {
    Pair pair;
    pair.wire.filter = [&](Wire::Flying& one) {
        return one.type() != kDataType && (one.type() != kInitiationType || one.sender == &pair.alice);
    };
    pair.connect();
    CHECK(pair.bob.seen<mesh::SessionUp>().empty());
    pair.bob_sends();
    CHECK(std::none_of(pair.wire.log.begin(), pair.wire.log.end(), [&](const auto& one) {
        return one.sender == &pair.bob && one.type() == kDataType;
    }));
    pair.wire.filter = [](Wire::Flying&) { return true; };
    pair.alice_sends();
    CHECK(pair.bob.seen<mesh::SessionUp>().size() >= 1);
    CHECK(pair.bob.received.size() == 1);
    pair.wire.run(1s);
    CHECK(pair.alice.received.size() == 1);  // what waited at bob's
}

TEST_CASE("two sides that begin at the same moment are in session at once") {
    Pair pair;
    pair.alice.wireguard.connect(pair.bob_key(), pair.wire.now);
    pair.bob.wireguard.connect(pair.alice_key(), pair.wire.now);
    pair.wire.settle();
    CHECK(pair.alice.wireguard.status(pair.bob_key())->state == PeerStatus::State::session);
    CHECK(pair.bob.wireguard.status(pair.alice_key())->state == PeerStatus::State::session);
    pair.alice_sends();
    pair.bob_sends();
    CHECK(pair.alice.received.size() == 1);
    CHECK(pair.bob.received.size() == 1);
    for (int i = 0; i < 300; ++i) {
        pair.wire.run(1s);
        pair.alice_sends();
        pair.bob_sends();
    }
    CHECK(pair.alice.received.size() == 301);
    CHECK(pair.bob.received.size() == 301);
}

TEST_CASE("a restarted peer is in session again as soon as it begins, although its clock has stepped back") {
    Pair pair;
    pair.connect();
    const auto stamp = pair.alice.seen<mesh::StampToPersist>().back().stamp;
    Node again(77, "192.0.2.1:51820", stamp);
    again.wireguard.~WireGuard();
    new (&again.wireguard) mesh::WireGuard(pair.alice.secret, again.random, stamp);
    Pair::introduce(again, pair.bob, "10.0.0.2/32");
    pair.wire.add(again);
    pair.wire.now.steady += 1s;
    pair.wire.now.wall = net::from_unix_seconds(0);
    again.wireguard.connect(pair.bob_key(), pair.wire.now);
    pair.wire.settle();
    CHECK(again.seen<mesh::SessionUp>().size() == 1);
    CHECK(pair.bob.dropped(Drop::stale_stamp) == 0);
}

TEST_CASE("no initiation leaves before its stamp is durable") {
    Pair pair;
    pair.alice.stores_stamps = false;
    pair.connect();
    pair.wire.run(9s);
    CHECK(pair.wire.log.empty());
    const auto wanted = pair.alice.seen<mesh::StampToPersist>();
    REQUIRE(wanted.size() == 1);
    pair.alice.wireguard.stamp_persisted(wanted[0].stamp);
    pair.wire.run(0s);
    CHECK(pair.alice.wireguard.status(pair.bob_key())->state == PeerStatus::State::session);
}

TEST_CASE("a disk that stays full for hours ends no tunnel") {
    Pair pair;
    pair.connect();
    pair.alice.stores_stamps = pair.bob.stores_stamps = false;
    for (int minute = 1; minute <= 240; ++minute) {
        pair.wire.run(1min);
        pair.alice_sends();
        pair.bob_sends();
        pair.wire.settle();
        REQUIRE(pair.alice.received.size() == static_cast<std::size_t>(minute));
        REQUIRE(pair.bob.received.size() == static_cast<std::size_t>(minute));
    }
    CHECK(pair.alice.wireguard.stamps_are_unstored());
    CHECK(pair.alice.seen<mesh::SessionDown>().empty());
    CHECK(pair.bob.dropped(Drop::stale_stamp) == 0);
}

TEST_CASE("a node that starts on a disk that fills up begins its handshakes after ten seconds") {
    Pair pair;
    pair.alice.stores_stamps = pair.bob.stores_stamps = false;
    pair.connect();
    pair.wire.run(9s);
    CHECK(pair.wire.log.empty());
    pair.wire.run(2s);
    CHECK(pair.alice.wireguard.status(pair.bob_key())->state == PeerStatus::State::session);
    CHECK(pair.alice.wireguard.stamps_are_unstored());
}

TEST_CASE("an attempt whose next stamp waits for the disk asks for no tick before it may go on") {
    net::SeededRandom random(1);
    const auto other = mesh::public_key(mesh::make_tunnel_secret(random));
    mesh::WireGuard wireguard(mesh::make_tunnel_secret(random), random, {});
    mesh::PeerSettings settings;
    settings.key = other;
    wireguard.set_peer(settings);
    wireguard.set_endpoint(other, *net::Endpoint::parse("192.0.2.1:51820"));
    const auto store = [&] {
        for (const auto& event : wireguard.take_events())
            if (const auto* stamp = std::get_if<mesh::StampToPersist>(&event)) wireguard.stamp_persisted(stamp->stamp);
    };
    net::Now now{net::Steady(1h), net::from_unix_seconds(1'800'000'000)};
    wireguard.connect(other, now);
    store();
    wireguard.tick(now);
    REQUIRE(wireguard.take_datagrams().size() == 1);
    now.steady += 6s;
    now.wall += 24h;  // set forward, past the mark on the disk
    wireguard.tick(now);
    CHECK(wireguard.take_datagrams().empty());
    CHECK(wireguard.next_deadline() > now.steady);
    store();
    wireguard.tick(now);
    CHECK(wireguard.take_datagrams().size() == 1);
}
