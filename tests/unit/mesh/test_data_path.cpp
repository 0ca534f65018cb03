#include <catch2/catch.hpp>

#include "tests/unit/mesh/wire_pair.hpp"

using namespace wire_pair;
using mesh::Drop;
using mesh::Inbound;
using mesh::Outbound;

namespace {

// What bob makes of a payload that alice seals.
Inbound receive(Pair& pair, net::ByteView payload, net::Bytes& message) {
    message.assign(mesh::kMinDataBytes + payload.size(), std::byte{0});
    std::copy(payload.begin(), payload.end(), message.begin() + mesh::kDataHeaderBytes);
    REQUIRE(pair.alice.wireguard.table()->peers[0]->session->seal(message, pair.wire.now.steady));
    return mesh::inbound(*pair.bob.wireguard.table(), message, pair.alice.endpoint, pair.wire.now.steady);
}

Outbound send(Node& node, net::ByteView packet, net::Now now) {
    net::Bytes storage(mesh::PacketBuffer::kHeadroomBytes + packet.size() + mesh::PacketBuffer::kTailroomBytes);
    std::copy(packet.begin(), packet.end(), storage.begin() + mesh::PacketBuffer::kHeadroomBytes);
    return mesh::outbound(*node.wireguard.table(), {storage, mesh::PacketBuffer::kHeadroomBytes, packet.size()},
                          now.steady);
}

}  // namespace

TEST_CASE("an inner source that is not the member's own is dropped") {
    Pair pair;
    pair.connect();
    net::Bytes buffer;
    CHECK(receive(pair, ip_packet("10.0.0.1", "10.0.0.2"), buffer).verdict == Inbound::Verdict::tun);
    CHECK(receive(pair, ip_packet("10.0.0.3", "10.0.0.2"), buffer).reason == Drop::bad_source);
    CHECK(receive(pair, ip_packet("10.0.0.2", "10.0.0.2"), buffer).reason == Drop::bad_source);
    CHECK(pair.bob.dropped(Drop::bad_source) == 2);
}

TEST_CASE("where members' prefixes overlap each may send from its own record, whoever the route goes to") {
    Pair pair;
    Node carol(3, "192.0.2.3:51820");
    pair.bob.wireguard.set_peer(member(carol, "10.0.0.0/24"));
    pair.bob.wireguard.set_routes({{prefix("10.0.0.0/24"), carol.wireguard.own_key()},
                                   {prefix("10.0.0.1/32"), carol.wireguard.own_key()}});
    pair.connect();
    net::Bytes buffer;
    CHECK(receive(pair, ip_packet("10.0.0.1", "10.0.0.2"), buffer).verdict == Inbound::Verdict::tun);
    const auto result = send(pair.bob, ip_packet("10.0.0.2", "10.0.0.1"), pair.wire.now);
    CHECK(result.verdict == Outbound::Verdict::no_session);
    CHECK(result.peer == carol.wireguard.own_key());
}

TEST_CASE("stock peers follow WireGuard's rule: the last assignment of a prefix replaces") {
    Pair pair;
    Node carol(3, "192.0.2.3:51820");
    auto stock_alice = member(pair.alice, "10.0.0.0/24");
    stock_alice.follows_endpoint = true;
    pair.bob.wireguard.set_routes({});
    pair.bob.wireguard.set_peer(stock_alice);
    pair.connect();
    net::Bytes buffer;
    CHECK(send(pair.bob, ip_packet("10.0.0.2", "10.0.0.1"), pair.wire.now).peer == pair.alice_key());
    CHECK(receive(pair, ip_packet("10.0.0.1", "10.0.0.2"), buffer).verdict == Inbound::Verdict::tun);

    auto stock_carol = member(carol, "10.0.0.1/32");
    stock_carol.follows_endpoint = true;
    pair.bob.wireguard.set_peer(stock_carol);  // a longer prefix takes its part
    CHECK(send(pair.bob, ip_packet("10.0.0.2", "10.0.0.1"), pair.wire.now).peer == carol.wireguard.own_key());
    CHECK(receive(pair, ip_packet("10.0.0.1", "10.0.0.2"), buffer).reason == Drop::bad_source);
    CHECK(receive(pair, ip_packet("10.0.0.7", "10.0.0.2"), buffer).verdict == Inbound::Verdict::tun);

    stock_carol.allowed_ips = {prefix("10.0.0.0/24")};
    pair.bob.wireguard.set_peer(stock_carol);
    CHECK(receive(pair, ip_packet("10.0.0.7", "10.0.0.2"), buffer).reason == Drop::bad_source);
    pair.bob.wireguard.remove_peer(carol.wireguard.own_key());
    CHECK(send(pair.bob, ip_packet("10.0.0.2", "10.0.0.7"), pair.wire.now).reason == Drop::no_route);
    pair.bob.wireguard.set_peer(stock_alice);
    CHECK(receive(pair, ip_packet("10.0.0.7", "10.0.0.2"), buffer).verdict == Inbound::Verdict::tun);
}

TEST_CASE("a joiner may send control frames and never IP, and no IP is routed to it") {
    Pair pair;
    auto joiner = member(pair.alice, "10.0.0.1/32");
    joiner.carries_ip = false;
    pair.bob.wireguard.set_peer(joiner);
    pair.connect();
    net::Bytes buffer;
    CHECK(receive(pair, ip_packet("10.0.0.1", "10.0.0.2"), buffer).reason == Drop::ip_from_joiner);
    const auto control = receive(pair, net::as_bytes("\x10please"), buffer);
    CHECK(control.verdict == Inbound::Verdict::control);
    CHECK(control.peer == pair.alice_key());
    CHECK(net::as_text(control.bytes) == "\x10please");
    CHECK(send(pair.bob, ip_packet("10.0.0.2", "10.0.0.1"), pair.wire.now).reason == Drop::no_route);
}

TEST_CASE("a stock peer neither gets nor gives control frames") {
    Pair pair;
    auto stock = member(pair.alice, "10.0.0.1/32");
    stock.follows_endpoint = true;
    pair.bob.wireguard.set_peer(stock);
    pair.connect();
    net::Bytes buffer;
    CHECK(receive(pair, net::as_bytes("\x10hello"), buffer).reason == Drop::bad_inner_packet);
    pair.bob.wireguard.send(pair.alice_key(), net::as_bytes("\x10hello"), pair.wire.now);
    CHECK(pair.bob.wireguard.take_datagrams().empty());
    CHECK(pair.bob.dropped(Drop::not_for_stock) == 1);
    pair.bob.wireguard.send(pair.alice_key(), ip_packet("10.0.0.2", "10.0.0.1"), pair.wire.now);
    CHECK(pair.bob.wireguard.take_datagrams().size() == 1);
}

TEST_CASE("a control frame may go to another endpoint than the peer's") {
    Pair pair;
    pair.connect();
    pair.alice.wireguard.send(pair.bob_key(), net::as_bytes("\x10proof"), pair.wire.now, at("203.0.113.77:5"));
    const auto out = pair.alice.wireguard.take_datagrams();
    REQUIRE(out.size() == 1);
    CHECK(out[0].to == at("203.0.113.77:5"));
    CHECK(pair.alice.wireguard.endpoint(pair.bob_key()) == pair.bob.endpoint);
}

TEST_CASE("an inner packet is cut to the length its header says, and a lie about it is dropped") {
    Pair pair;
    pair.connect();
    auto packet = ip_packet("10.0.0.1", "10.0.0.2", 60);
    packet.resize(64);  // padded
    net::Bytes buffer;
    const auto result = receive(pair, packet, buffer);
    CHECK(result.verdict == Inbound::Verdict::tun);
    CHECK(result.bytes.size() == 60);
    packet[3] = std::byte{65};
    CHECK(receive(pair, packet, buffer).reason == Drop::bad_inner_packet);
    CHECK(receive(pair, net::Bytes{std::byte{0x45}}, buffer).reason == Drop::bad_inner_packet);
    CHECK(receive(pair, net::Bytes(39, std::byte{0x60}), buffer).reason == Drop::bad_inner_packet);
}

TEST_CASE("a data message is taken once") {
    Pair pair;
    pair.connect();
    net::Bytes copy;
    pair.wire.filter = [&](Wire::Flying& one) {
        copy = one.bytes;
        return true;
    };
    pair.alice_sends();
    CHECK(pair.bob.received.size() == 1);
    CHECK(pair.wire.inject(pair.bob, copy, pair.alice.endpoint).reason == Drop::replayed);
    CHECK(pair.bob.received.size() == 1);
    copy[4] ^= std::byte{1};
    CHECK(pair.wire.inject(pair.bob, copy, pair.alice.endpoint).reason == Drop::unknown_index);
}

TEST_CASE("a packet of every size up to the MTU arrives as it left") {
    Pair pair;
    pair.connect();
    for (std::size_t size = 20; size <= 1420; ++size) {
        const auto packet = ip_packet("10.0.0.1", "10.0.0.2", size);
        pair.wire.send_ip(pair.alice, packet);
        REQUIRE(pair.bob.received.back() == packet);
    }
}

TEST_CASE("what has no route, no room or is no packet is dropped with its reason") {
    Pair pair;
    pair.connect();
    CHECK(send(pair.alice, ip_packet("10.0.0.1", "10.9.9.9"), pair.wire.now).reason == Drop::no_route);
    CHECK(send(pair.alice, net::Bytes(10), pair.wire.now).reason == Drop::bad_inner_packet);
    CHECK(send(pair.alice, {}, pair.wire.now).reason == Drop::bad_inner_packet);
    auto packet = ip_packet("10.0.0.1", "10.0.0.2");
    CHECK(mesh::outbound(*pair.alice.wireguard.table(), {packet, 0, packet.size()}, pair.wire.now.steady).reason ==
          Drop::too_big);
    net::Bytes tight(mesh::PacketBuffer::kHeadroomBytes);
    tight.insert(tight.end(), packet.begin(), packet.end());
    CHECK(mesh::outbound(*pair.alice.wireguard.table(), {tight, mesh::PacketBuffer::kHeadroomBytes, packet.size()},
                         pair.wire.now.steady)
              .reason == Drop::too_big);
    pair.alice.wireguard.set_endpoint(pair.bob_key(), {});
    CHECK(send(pair.alice, packet, pair.wire.now).verdict == Outbound::Verdict::no_session);
    pair.alice.wireguard.send(pair.bob_key(), packet, pair.wire.now);
    CHECK(pair.alice.dropped(Drop::no_endpoint) == 1);
}

TEST_CASE("the answer to the packet that confirms a session goes by that session, whatever the control thread does") {
    Pair pair;
    pair.connect();
    pair.wire.run(6s);
    pair.wire.filter = [](Wire::Flying& one) { return one.type() != 4; };
    pair.alice.wireguard.rekey(pair.bob_key(), pair.wire.now);
    pair.wire.settle();  // alice's keepalive is lost, so bob's new session waits
    const auto table = pair.bob.wireguard.table();
    auto keepalive = pair.wire.log.back().bytes;
    REQUIRE(keepalive.size() == mesh::kMinDataBytes);
    REQUIRE(mesh::inbound(*table, keepalive, pair.alice.endpoint, pair.wire.now.steady).wake);
    auto packet = ip_packet("10.0.0.2", "10.0.0.1");
    net::Bytes storage(128);
    std::copy(packet.begin(), packet.end(), storage.begin() + 16);
    const auto answer = mesh::outbound(*table, {storage, 16, packet.size()}, pair.wire.now.steady);
    REQUIRE(answer.verdict == Outbound::Verdict::send);
    auto bytes = net::copy(answer.bytes);
    const auto newest = pair.alice.wireguard.table()->peers[0]->session->local_index();
    CHECK(net::Reader(net::ByteView(bytes).subspan(4)).u32le() == newest);

    // Had it come from elsewhere, the control thread would decide where to.
    Pair other;
    other.wire.filter = [](Wire::Flying& one) { return one.type() != 4; };
    other.connect();
    auto moved = other.wire.log.back().bytes;
    const auto old_table = other.bob.wireguard.table();
    REQUIRE(mesh::inbound(*old_table, moved, at("203.0.113.1:5"), other.wire.now.steady).wake);
    std::copy(packet.begin(), packet.end(), storage.begin() + 16);
    CHECK(mesh::outbound(*old_table, {storage, 16, packet.size()}, other.wire.now.steady).verdict ==
          Outbound::Verdict::no_session);
    other.bob.wireguard.send(other.alice_key(), packet, other.wire.now);
    CHECK(other.bob.seen<mesh::SessionUp>().empty());  // still in its outbox of events
    other.wire.settle();
    CHECK(other.bob.seen<mesh::SessionUp>().size() == 1);
}

TEST_CASE("the answer to a stock peer that has roamed follows it, by a table from before too") {
    Pair pair;
    auto stock = member(pair.alice, "10.0.0.1/32");
    stock.follows_endpoint = true;
    pair.bob.wireguard.set_peer(stock);
    pair.connect();
    const auto table = pair.bob.wireguard.table();
    const auto answer_goes_to = [&] {
        auto packet = ip_packet("10.0.0.2", "10.0.0.1");
        net::Bytes storage(128);
        std::copy(packet.begin(), packet.end(), storage.begin() + 16);
        return mesh::outbound(*table, {storage, 16, packet.size()}, pair.wire.now.steady).endpoint;
    };
    CHECK(answer_goes_to() == pair.alice.endpoint);
    for (const auto* const text : {"203.0.113.1:5", "203.0.113.2:6", "192.0.2.1:51820"}) {
        net::Bytes message(mesh::kMinDataBytes);
        REQUIRE(pair.alice.wireguard.table()->peers[0]->session->seal(message, pair.wire.now.steady));
        REQUIRE(mesh::inbound(*table, message, at(text), pair.wire.now.steady).verdict == Inbound::Verdict::nothing);
        CHECK(answer_goes_to() == at(text));
    }
}

TEST_CASE("traffic wakes the control thread when it begins, not by the packet") {
    Pair pair;
    pair.connect();
    pair.wire.run(1s);
    int wakes = 0;
    for (int i = 0; i < 1000; ++i) {
        pair.wire.now.steady += 1ms;
        wakes += send(pair.alice, ip_packet("10.0.0.1", "10.0.0.2"), pair.wire.now).wake;
    }
    CHECK(wakes == 1);
    CHECK(pair.alice.wireguard.next_deadline() < pair.wire.now.steady + 16s);
}

TEST_CASE("every reason for a drop has a name of its own") {
    std::vector<std::string_view> names;
    for (std::size_t i = 0; i < mesh::kDropReasons; ++i) {
        const auto name = mesh::name_of(static_cast<Drop>(i));
        CHECK(name != "unknown");
        CHECK(std::find(names.begin(), names.end(), name) == names.end());
        names.push_back(name);
    }
}

TEST_CASE("a packet for a peer at a virtual endpoint is the control thread's, which sends it there") {
    Pair pair;
    pair.connect();
    const auto stream = mesh::stream_endpoint(7);
    pair.alice.wireguard.set_endpoint(pair.bob_key(), stream);
    const auto packet = ip_packet("10.0.0.1", "10.0.0.2");
    const auto result = send(pair.alice, packet, pair.wire.now);
    CHECK(result.verdict == Outbound::Verdict::no_session);
    CHECK(result.carried());
    CHECK(result.peer == pair.bob_key());

    auto voice = packet;
    voice[1] = std::byte{46 << 2};
    pair.alice.wireguard.send(pair.bob_key(), packet, pair.wire.now);
    pair.alice.wireguard.send(pair.bob_key(), voice, pair.wire.now);
    pair.alice.wireguard.send(pair.bob_key(), net::as_bytes("\x01hello"), pair.wire.now);
    auto datagrams = pair.alice.wireguard.take_datagrams();
    REQUIRE(datagrams.size() == 3);
    for (const auto& datagram : datagrams) CHECK(datagram.to == stream);
    CHECK(datagrams[0].bulk);
    CHECK_FALSE(datagrams[1].bulk);
    CHECK_FALSE(datagrams[2].bulk);
    for (auto& datagram : datagrams) (void)pair.wire.inject(pair.bob, std::move(datagram.bytes), mesh::stream_endpoint(1));
    REQUIRE(pair.bob.received.size() == 2);
    CHECK(pair.bob.received[0] == packet);
    CHECK(pair.bob.control_frames.size() == 1);
}

TEST_CASE("without a session a packet for a virtual endpoint waits as any other does") {
    Pair pair;
    pair.alice.wireguard.set_endpoint(pair.bob_key(), mesh::stream_endpoint(7));
    const auto result = send(pair.alice, ip_packet("10.0.0.1", "10.0.0.2"), pair.wire.now);
    CHECK(result.verdict == Outbound::Verdict::no_session);
    CHECK_FALSE(result.carried());
}

TEST_CASE("what can be for us is told without opening it: a valid mac1, or an index of ours") {
    Pair pair;
    std::vector<net::Bytes> said;
    pair.wire.filter = [&](Wire::Flying& one) {
        if (one.sender == &pair.alice) {
            CHECK(mesh::can_be_for_us(*pair.bob.wireguard.table(), one.bytes));
            CHECK_FALSE(mesh::can_be_for_us(*pair.alice.wireguard.table(), one.bytes));
            said.push_back(one.bytes);
        } else {
            CHECK(mesh::can_be_for_us(*pair.alice.wireguard.table(), one.bytes));
        }
        return true;
    };
    pair.connect();
    pair.alice_sends();
    REQUIRE(said.size() == 3);  // an initiation, the keepalive that confirms, data
    const auto table = pair.bob.wireguard.table();
    for (auto bytes : said) {
        bytes[bytes[0] == std::byte{4} ? 5 : 120] ^= std::byte{1};  // the index, or what mac1 is over
        CHECK_FALSE(mesh::can_be_for_us(*table, bytes));
    }
    for (const std::size_t size : {0, 3, 31, 1000}) CHECK_FALSE(mesh::can_be_for_us(*table, net::Bytes(size)));
}
