// Whether trains of datagrams reach each member: canary.hpp decides, here its probes go out and their answers come in.
#include "mesh/node.hpp"

#include <algorithm>

namespace mesh {
namespace {

constexpr std::size_t kMostRemembered = 64;

/// As large as bulk's on that path, as faults may depend on the size of a segment; padding stands behind the frame.
net::Bytes probe_bytes(const TrainProbe& probe, std::size_t path_bytes) {
    auto payload = encode(probe);
    payload.resize(std::clamp(path_bytes, payload.size(), Canary::kMostProbeBytes));
    return payload;
}

}  // namespace

/// Begins where the peer knows such probes and is not watched yet, asks again where it is elsewhere, and ends where it
/// knows them no more.
void Node::watch_trains(PeerLink& peer, net::Now now) {
    const bool knows = (peer.capabilities & static_cast<std::uint32_t>(Capability::train_probe)) != 0;
    if (peer.stock || !knows || !settings_.sends_trains || is_virtual(peer.endpoint) || peer.state != PeerLink::State::up) {
        peer.canary.stop();
    } else {
        const bool begins = peer.canary.next_deadline() == net::kNever;
        if (begins) {
            const auto found = trains_harmful_.find(peer.key);
            const bool remembered = found != trains_harmful_.end() && now.steady < found->second + Canary::kHarmStands;
            peer.canary.start(now.steady, remembered ? std::optional(found->second) : std::nullopt);
        }
        if (peer.canary_path != peer.endpoint) peer.canary.ask_again(now.steady);
        peer.canary_path = peer.endpoint;
    }
    wireguard_.set_trains(peer.tunnel_key, !peer.canary.harmful());
}

void Node::remember_harm(const PeerLink& peer) {
    if (trains_harmful_.size() >= kMostRemembered && !trains_harmful_.contains(peer.key)) {
        trains_harmful_.erase(std::min_element(trains_harmful_.begin(), trains_harmful_.end(),
                                               [](const auto& a, const auto& b) { return a.second < b.second; }));
    }
    trains_harmful_[peer.key] = peer.canary.harmful_since();
}

void Node::set_sends_trains(bool sends, net::Now now) {
    settings_.sends_trains = sends;
    trains_harmful_.clear();
    for (auto& [_, peer] : links_) peer.canary.stop();
    for (auto& [_, peer] : links_) watch_trains(peer, now);
}

bool Node::finds_trains_harmful() const {
    return std::any_of(links_.begin(), links_.end(), [](const auto& link) { return link.second.canary.harmful(); });
}

void Node::not_in_one_send(const Datagram& datagram, net::Now now) {
    for (auto& [_, peer] : links_)
        if (datagram.train != 0 && peer.endpoint == datagram.to) peer.canary.not_in_one_send(now.steady);
}

void Node::run_canary(PeerLink& peer, net::Now now) {
    if (now.steady < peer.canary.next_deadline()) return;
    const auto status = wireguard_.status(peer.tunnel_key);
    const auto due = peer.canary.tick(now.steady, status ? status->tx_bytes : 0, random_);
    std::vector<net::Bytes> train;
    const auto path_bytes = wireguard_.path_mtu(peer.tunnel_key);
    for (const auto& probe : due.train) train.push_back(probe_bytes(probe, path_bytes));
    wireguard_.send_train(peer.tunnel_key, train, now);
    for (const auto& probe : due.alone) {
        const bool asks = probe.kind == TrainProbe::Kind::ask;
        wireguard_.send(peer.tunnel_key, asks ? encode(probe) : probe_bytes(probe, path_bytes), now);
    }
}

void Node::heard_train(PeerLink& peer, const TrainProbe& probe, net::Now now) {
    if (probe.kind == TrainProbe::Kind::counts) {
        const bool was_harmful = peer.canary.harmful();
        peer.canary.counted(probe, now.steady);
        const bool harmful = peer.canary.harmful();
        if (harmful) remember_harm(peer);
        if (harmful == was_harmful) return;
        // Only where it is this member's traffic: it says what it likes.
        wireguard_.set_trains(peer.tunnel_key, !harmful);
        if (harmful) {
            events_.push_back(TrainsHarmful{peer.key, peer.name});
        } else {
            trains_harmful_.erase(peer.key);
            events_.push_back(TrainsWork{peer.key, peer.name});
        }
        return;
    }
    if (const auto answer = peer.canary_count.heard(probe)) send(peer, *answer, now);
}

}  // namespace mesh
