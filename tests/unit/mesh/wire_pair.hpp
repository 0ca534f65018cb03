/// WireGuard objects on a wire in memory, under a virtual clock: what tests of handshakes and timers stand on.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "mesh/data_path.hpp"
#include "mesh/wireguard.hpp"

namespace wire_pair {

using namespace std::chrono_literals;

/// 2024-07-01 and a steady clock that has run for a day.
inline net::Now begin() { return {net::Steady(24h), net::from_unix_seconds(1719792000)}; }

inline net::Endpoint at(std::string_view text) { return *net::Endpoint::parse(text); }
inline net::Prefix prefix(std::string_view text) { return *net::Prefix::parse(text); }

/// An IPv4 packet of `total_bytes` from one address to another, its payload counted up.
inline net::Bytes ip_packet(std::string_view from, std::string_view to, std::size_t total_bytes = 60) {
    net::Writer out;
    out.u8(0x45).u8(0).u16be(static_cast<std::uint16_t>(total_bytes)).zeros(4).u8(64).u8(17).u16be(0);
    out.bytes(net::IpAddress::parse(from)->bytes()).bytes(net::IpAddress::parse(to)->bytes());
    while (out.size() < total_bytes) out.u8(static_cast<std::uint8_t>(out.size() & 0xff));
    return out.take();
}

struct Node {
    Node(std::uint64_t seed, std::string_view own, mesh::Tai64n stamp = {})
        : random(seed), secret(mesh::make_tunnel_secret(random)), wireguard(secret, random, stamp), endpoint(at(own)) {}

    template <class Event>
    std::vector<Event> seen() const {
        std::vector<Event> out;
        for (const auto& event : events) {
            if (const auto* const found = std::get_if<Event>(&event)) out.push_back(*found);
        }
        return out;
    }
    std::uint64_t dropped(mesh::Drop reason) const { return wireguard.drops().get(reason); }

    net::SeededRandom random;
    net::TunnelSecret secret;
    mesh::WireGuard wireguard;
    net::Endpoint endpoint;
    std::vector<mesh::Event> events;
    std::vector<net::Bytes> received;        ///< IP packets
    std::vector<net::Bytes> control_frames;  ///< padding included
    bool under_load = false;
    bool stores_stamps = true;
};

/// Datagrams arrive at once and in order, unless `filter` takes them. `sent` counts by message type.
class Wire {
public:
    void add(Node& node) { nodes_[node.endpoint] = &node; }
    void move(Node& node, std::string_view to) {
        nodes_.erase(node.endpoint);
        node.endpoint = at(to);
        nodes_[node.endpoint] = &node;
    }

    /// Runs until nothing moves any more at this moment.
    void settle() {
        for (bool moved = true; moved;) {
            moved = false;
            for (auto* const node : all()) moved |= drain(*node);
            while (!flying_.empty()) {
                auto next = std::move(flying_.front());
                flying_.erase(flying_.begin());
                deliver(next);
                moved = true;
            }
        }
    }
    /// Lets time pass, firing every deadline on its way.
    void run(net::Duration span) {
        const auto end = now.steady + span;
        settle();
        for (;;) {
            auto next = end;
            for (auto* const node : all()) next = std::min(next, node->wireguard.next_deadline());
            next = std::max(next, now.steady);
            now.wall += next - now.steady;
            now.steady = next;
            for (auto* const node : all()) {
                if (node->wireguard.next_deadline() <= now.steady) node->wireguard.tick(now);
            }
            settle();
            if (now.steady >= end && !due()) return;
        }
    }
    /// A packet comes from `node`'s device.
    void send_ip(Node& node, net::ByteView packet) {
        net::Bytes storage(mesh::PacketBuffer::kHeadroomBytes + packet.size() + mesh::PacketBuffer::kTailroomBytes);
        std::copy(packet.begin(), packet.end(), storage.begin() + mesh::PacketBuffer::kHeadroomBytes);
        const auto result = mesh::outbound(
            *node.wireguard.table(), {storage, mesh::PacketBuffer::kHeadroomBytes, packet.size()}, now.steady);
        if (result.wake) node.wireguard.tick(now);
        if (result.verdict == mesh::Outbound::Verdict::send) fly(node, {result.endpoint, net::copy(result.bytes)});
        if (result.verdict == mesh::Outbound::Verdict::no_session) node.wireguard.send(result.peer, packet, now);
        settle();
    }
    /// A datagram reaches `node`, from wherever.
    mesh::Inbound inject(Node& node, net::Bytes bytes, const net::Endpoint& from) {
        const auto table = node.wireguard.table();
        const auto result = mesh::inbound(*table, bytes, from, now.steady);
        if (result.wake) node.wireguard.tick(now);
        switch (result.verdict) {
            case mesh::Inbound::Verdict::tun: node.received.push_back(net::copy(result.bytes)); break;
            case mesh::Inbound::Verdict::control: node.control_frames.push_back(net::copy(result.bytes)); break;
            case mesh::Inbound::Verdict::handshake:
                node.wireguard.receive_handshake(result.bytes, from, now, node.under_load);
                break;
            case mesh::Inbound::Verdict::nothing:
            case mesh::Inbound::Verdict::drop: break;
        }
        return result;
    }

    struct Flying {
        Node* sender;
        net::Endpoint from, to;
        net::Bytes bytes;
        int type() const { return std::to_integer<int>(bytes[0]); }
    };
    net::Now now = begin();
    std::function<bool(Flying&)> filter = [](Flying&) { return true; };  ///< false: lost
    std::map<int, int> sent;
    std::vector<Flying> log;

private:
    std::vector<Node*> all() {
        std::vector<Node*> out;
        for (const auto& [endpoint, node] : nodes_) out.push_back(node);
        return out;
    }
    bool due() {
        for (auto* const node : all()) {
            if (node->wireguard.next_deadline() <= now.steady) return true;
        }
        return false;
    }
    void fly(Node& node, mesh::Datagram datagram) {
        Flying one{&node, node.endpoint, datagram.to, std::move(datagram.bytes)};
        ++sent[one.type()];
        log.push_back(one);
        if (filter(one)) flying_.push_back(std::move(one));
    }
    bool drain(Node& node) {
        bool moved = false;
        for (auto& event : node.wireguard.take_events()) {
            if (const auto* const stamp = std::get_if<mesh::StampToPersist>(&event); stamp && node.stores_stamps) {
                node.wireguard.stamp_persisted(stamp->stamp);
                node.wireguard.tick(now);
                moved = true;
            }
            node.events.push_back(std::move(event));
        }
        for (auto& datagram : node.wireguard.take_datagrams()) {
            fly(node, std::move(datagram));
            moved = true;
        }
        return moved;
    }
    void deliver(Flying& one) {
        if (const auto to = nodes_.find(one.to); to != nodes_.end()) inject(*to->second, std::move(one.bytes), one.from);
    }

    std::map<net::Endpoint, Node*> nodes_;
    std::vector<Flying> flying_;
};

inline mesh::PeerSettings member(const Node& node, std::string_view allowed) {
    mesh::PeerSettings settings;
    settings.key = node.wireguard.own_key();
    settings.allowed_ips = {prefix(allowed)};
    return settings;
}

/// alice 10.0.0.1 at 192.0.2.1, bob 10.0.0.2 at 192.0.2.2: members that know each other's endpoints.
struct Pair {
    Pair() {
        mesh::start_crypto();
        wire.add(alice);
        wire.add(bob);
        introduce(alice, bob, "10.0.0.2/32");
        introduce(bob, alice, "10.0.0.1/32");
    }
    static void introduce(Node& to, const Node& peer, std::string_view allowed) {
        to.wireguard.set_peer(member(peer, allowed));
        to.wireguard.set_routes({{prefix(allowed), peer.wireguard.own_key()}});
        to.wireguard.set_endpoint(peer.wireguard.own_key(), peer.endpoint);
    }
    void connect() {
        alice.wireguard.connect(bob_key(), wire.now);
        wire.settle();
    }
    void alice_sends() { wire.send_ip(alice, ip_packet("10.0.0.1", "10.0.0.2")); }
    void bob_sends() { wire.send_ip(bob, ip_packet("10.0.0.2", "10.0.0.1")); }
    const net::TunnelKey& alice_key() const { return alice.wireguard.own_key(); }
    const net::TunnelKey& bob_key() const { return bob.wireguard.own_key(); }

    Wire wire;
    Node alice{1, "192.0.2.1:51820"};
    Node bob{2, "192.0.2.2:51820"};
};

}  // namespace wire_pair
