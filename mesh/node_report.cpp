// Why the way to a member is as it is, and what this node knows of its network: for people.
#include <algorithm>

#include "mesh/node.hpp"
#include "mesh/virtual_endpoint.hpp"

namespace mesh {
namespace {

using Ago = std::optional<std::chrono::milliseconds>;

Ago ago(net::Steady at, net::Steady now) {
    if (at == net::Steady::min()) return std::nullopt;
    return std::chrono::duration_cast<std::chrono::milliseconds>(now - at);
}

PeerState state_of(const PeerLink& peer) {
    switch (peer.state) {
        case PeerLink::State::idle: return PeerState::idle;
        case PeerLink::State::connecting: return PeerState::connecting;
        case PeerLink::State::up: return PeerState::session;
    }
    return PeerState::idle;
}

}  // namespace

std::optional<net::Endpoint> Node::stream_at(const net::Endpoint& endpoint) const {
    const auto is = VirtualEndpoint::of(endpoint);
    if (!is || is->kind != VirtualEndpoint::Kind::stream) return std::nullopt;
    const auto found = streams_.find(is->id);
    return found == streams_.end() ? std::nullopt : std::optional(found->second.remote);
}

std::optional<WayReport> Node::why(const net::NodeKey& key, net::Now now) const {
    const auto* const peer = link(key);
    const auto* const member = view().member(key);
    if (peer == nullptr || member == nullptr || peer->stock) return std::nullopt;
    WayReport out;
    out.key = key;
    out.name = peer->name;
    out.state = state_of(*peer);
    out.our_nat = nat_mapping(false);
    if (member->node) {
        out.its_nat = member->node->nat;
        out.listens_for_streams = !member->node->streams.empty();
    }
    const auto asked = peer->state == PeerLink::State::connecting ? endpoints_for(*peer) : std::vector<net::Endpoint>();
    for (const auto& path : peer->paths.all()) {
        WayReport::Way way;
        way.path = path;
        way.relay = relay_at(path.to);
        way.stream = stream_at(path.to);
        way.asked = std::find(asked.begin(), asked.end(), path.to) != asked.end();
        way.used = peer->state == PeerLink::State::up && path.to == peer->endpoint;
        way.loss = path.loss(now.steady);
        way.tried_ago = ago(path.tried, now.steady);
        way.proven_ago = ago(path.proven, now.steady);
        way.refused_ago = ago(path.refused, now.steady);
        out.ways.push_back(std::move(way));
    }
    std::stable_sort(out.ways.begin(), out.ways.end(), [](const auto& a, const auto& b) {
        const auto order = [](const auto& way) {
            return std::tuple(!way.used, !way.path.ever_proven(), way.path.rank());
        };
        return order(a) < order(b);
    });
    for (const auto& move : peer->moves) out.moves.push_back({move, relay_at(move.to), stream_at(move.to)});
    out.attempts = peer->attempts;
    if (peer->state == PeerLink::State::connecting && peer->next_attempt != net::kNever) {
        out.next_attempt_in = std::chrono::duration_cast<std::chrono::milliseconds>(peer->next_attempt - now.steady);
    }
    return out;
}

NetworkReport Node::network(net::Now) const {
    NetworkReport out;
    out.v4 = nat_mapping(false);
    out.v6 = nat_mapping(true);
    out.local = settings_.local_endpoints;
    out.streams = stream_endpoints_;
    for (const auto& [_, peer] : links_) {
        if (peer.stock) continue;
        if (peer.state == PeerLink::State::connecting) ++out.connecting;
        if (peer.state != PeerLink::State::up) continue;
        const auto rank = peer.paths.used_rank();
        if (is_direct(rank)) {
            ++out.direct;
            for (const auto& one : peer.observed)
                if (!one.seen.is_none()) out.seen.push_back({peer.key, one.from, one.seen});
        } else {
            ++(rank == Rank::stream ? out.by_stream : out.relayed);
        }
    }
    out.udp_works = out.direct != 0;
    return out;
}

}  // namespace mesh
