// How large a packet each member's path takes: path_mtu.hpp decides, here its probes go out and their answers come in.
//
//   up, or elsewhere than before --find_mtu()--> PathMtu::start() --run_mtu()--> MtuProbe, padded to a size, unfragmented
//   its reply --heard_mtu()--> PathMtu::acknowledged()            whatever is known --> WireGuard::set_path_mtu()
#include <algorithm>

#include "mesh/node.hpp"

namespace mesh {
namespace {

// How long an answer may take: twice the round trip, within these.
constexpr auto kLeastPatience = std::chrono::milliseconds(200);
constexpr auto kMostPatience = std::chrono::seconds(2);
constexpr auto kUsualPatience = std::chrono::seconds(1);

net::Duration patience(const PeerLink& peer) {
    if (!peer.rtt) return kUsualPatience;
    return std::clamp<net::Duration>(2 * *peer.rtt + kLeastPatience / 2, kLeastPatience, kMostPatience);
}

// While a search is under way, what routers say may be true.
void publish_mtu(WireGuard& wireguard, const PeerLink& peer) {
    const bool proven = peer.mtu.state() == PathMtu::State::settled && peer.mtu.mtu_bytes() != 0;
    wireguard.set_path_mtu(peer.tunnel_key, peer.mtu.mtu_bytes(), proven);
}

}  // namespace

/// Begins where the path is another one, or has not been looked at.
void Node::find_mtu(PeerLink& peer, net::Now now) {
    if (peer.stock || peer.state != PeerLink::State::up) return;
    if ((peer.capabilities & static_cast<std::uint32_t>(Capability::mtu_probe)) == 0) {
        peer.mtu.forget();
    } else if (peer.mtu.state() == PathMtu::State::off || peer.mtu.path() != peer.endpoint) {
        peer.mtu.start(peer.endpoint, most_mtu(peer), now.steady);
    }
    publish_mtu(wireguard_, peer);
}

/// What the device asks for, or what fits the session with the member that passes it on.
std::size_t Node::most_mtu(const PeerLink& peer) const {
    const auto is = VirtualEndpoint::of(peer.endpoint);
    if (!is || is->kind != VirtualEndpoint::Kind::relay) return wireguard_.mtu();
    const auto* const relay = const_cast<Node*>(this)->link_number(is->relay);
    const auto room = relay == nullptr ? wireguard_.mtu() : wireguard_.path_mtu(relay->tunnel_key);
    constexpr auto kOverhead = relayed_bytes(kMinDataBytes);
    return std::max(PathMtu::kFloorBytes, std::min(wireguard_.mtu(), room > kOverhead ? room - kOverhead : 0));
}

void Node::run_mtu(PeerLink& peer, net::Now now) {
    if (now.steady < peer.mtu.next_deadline()) return;
    const auto status = wireguard_.status(peer.tunnel_key);
    for (const auto& probe : peer.mtu.tick(now.steady, patience(peer), status ? status->tx_bytes : 0, random_)) {
        auto payload = encode(MtuProbe{probe.token, static_cast<std::uint16_t>(probe.bytes), false});
        payload.resize(probe.bytes);
        wireguard_.send_probe(peer.tunnel_key, payload, now);
    }
    publish_mtu(wireguard_, peer);
}

void Node::heard_mtu(PeerLink& peer, const MtuProbe& probe, net::Now now) {
    if (!probe.reply) return send(peer, MtuProbe{probe.token, probe.bytes, true}, now);
    peer.mtu.acknowledged(probe.token, probe.bytes, now.steady);
    run_mtu(peer, now);
    publish_mtu(wireguard_, peer);
}

void Node::refused(const Datagram& datagram, net::Now now) {
    auto* const peer = link_at(datagram.to);
    if (peer == nullptr || !datagram.never_fragment || datagram.bytes.size() < kMinDataBytes) return;
    peer->mtu.refused(datagram.bytes.size() - kMinDataBytes, now.steady);
    publish_mtu(wireguard_, *peer);
}

void Node::told_too_big(const net::Endpoint& to, std::size_t underlay_bytes, net::Now now) {
    auto* const peer = link_at(to);
    if (peer == nullptr) return;
    peer->mtu.told_too_big(inner_bytes(underlay_bytes, to), now.steady);
    publish_mtu(wireguard_, *peer);
}

PeerLink* Node::link_at(const net::Endpoint& endpoint) {
    for (auto& [_, peer] : links_)
        if (peer.state == PeerLink::State::up && peer.mtu.path() == endpoint) return &peer;
    return nullptr;
}

}  // namespace mesh
