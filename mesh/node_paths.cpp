// Which way to each member: what is probed, what is proven, and when another way is taken.
//
//   session up --begin_round()--> challenges to all endpoints --an answer--> Paths::choose() --switch_to()-->
//   not direct: Punch, by which the other end probes at the same moment, so that both NATs open
//   pings unanswered --search()--> challenges to all, other members included --the first answer--> that way
#include <algorithm>

#include "mesh/attached.hpp"
#include "mesh/nat.hpp"
#include "mesh/node.hpp"
#include "mesh/virtual_endpoint.hpp"

namespace mesh {
namespace {

constexpr std::size_t kOwnEndpoints = 5;  // of WireGuard::kMaxCandidates; the rest is for other members and addresses of nobody known
constexpr auto kAwayPause = std::chrono::seconds(30), kNeverTherePause = std::chrono::seconds(300);
constexpr auto kIntroduceAgain = std::chrono::seconds(5), kIntroduceRarely = std::chrono::seconds(600);
constexpr auto kPunchEvery = std::chrono::seconds(1);  // that one member may ask for
constexpr std::size_t kBytesPerCandidate = 4 * 108;          // what a round of probes to it costs at most, headers included
constexpr double kProbesPerSecond = 100, kMostProbes = 400;  // to endpoints that never answered, of all members

}  // namespace

// Connecting.

std::vector<net::Endpoint> Node::endpoints_for(const PeerLink& peer) const {
    const auto& own = settings_.local_endpoints;
    std::vector<net::Endpoint> out;
    const auto add = [&](const net::Endpoint& endpoint) {
        if (out.size() == WireGuard::kMaxCandidates || routed_through_mesh(endpoint.address) || !has_family_of(own, endpoint)) return;
        if (std::find(own.begin(), own.end(), endpoint) == own.end() && std::find(out.begin(), out.end(), endpoint) == out.end())
            out.push_back(endpoint);
    };
    std::vector<net::Endpoint> detours;
    const auto ways = peer.paths.best(Paths::kMax);
    // A stream has been opened for nothing else.
    for (const auto& endpoint : ways)
        if (const auto is = VirtualEndpoint::of(endpoint); is && is->kind == VirtualEndpoint::Kind::stream) add(endpoint);
    for (const auto& endpoint : ways) {
        const auto is = VirtualEndpoint::of(endpoint);
        if (is && is->kind == VirtualEndpoint::Kind::relay) {
            detours.push_back(endpoint);
        } else if (out.size() < (anybody_.empty() && relays_for(peer).empty() ? WireGuard::kMaxCandidates : kOwnEndpoints)) {
            add(endpoint);
        }
    }
    // Those that knew no way lately come last: another may.
    std::stable_sort(detours.begin(), detours.end(), [&](const auto& a, const auto& b) {
        return peer.paths.find(a)->refused < peer.paths.find(b)->refused;
    });
    if (peer.next_detour == net::kNever)
        for (std::size_t i = 0; i < detours.size() && i < Paths::kWarm; ++i) add(detours[i]);
    std::vector<net::Endpoint> untried;
    for (const auto& [endpoint, source] : anybody_) {
        const bool taken = std::any_of(links_.begin(), links_.end(), [at = &endpoint](const auto& one) {
            return one.second.state == PeerLink::State::up && one.second.endpoint == *at;
        });
        if (!taken) untried.push_back(endpoint);
    }
    // There may be room for a few only: each attempt begins with another.
    for (std::size_t i = 0; i < untried.size(); ++i) add(untried[(peer.attempts + i) % untried.size()]);
    return out;
}

void Node::connect(PeerLink& peer, net::Now now) {
    peer.next_attempt = now.steady + backoff(peer, now);
    // What is direct goes first; only if that brings nothing within a moment others are asked to pass it on.
    peer.next_detour = peer.attempts == 0 ? now.steady + PeerLink::kDetourAfter : net::kNever;
    if (peer.attempts > 0) add_relays(peer, now);
    const auto endpoints = endpoints_for(peer);
    ++peer.attempts;
    if (endpoints.empty()) return;
    // In this order: an initiation under way that went there first would have this one taken for a flood.
    wireguard_.rekey(peer.tunnel_key, now);
    wireguard_.set_candidates(peer.tunnel_key, endpoints);
    if (!peer.ever_up && peer.attempts % 2 == 0 && now.steady >= peer.next_introduction) {
        peer.next_introduction = now.steady + std::min<net::Duration>(kIntroduceAgain * (1U << std::min(peer.introductions++, 10U)), kIntroduceRarely);
        introduce(peer, now);
    }
}

/// Somebody here has a packet for it: it is looked for like those with whom there always is a tunnel, for a while.
void Node::ask_for(PeerLink& peer, net::Now now) {
    peer.asked_until = now.steady + PeerLink::kAskedFor;
    if (peer.state != PeerLink::State::idle || peer.stock) {
        return wireguard_.set_candidates(peer.tunnel_key, endpoints_for(peer));
    }
    peer.state = PeerLink::State::connecting;
    peer.attempts = 0;
    peer.connecting_since = now.steady;
    connect(peer, now);
}

/// The initiation under way goes through other members, too.
void Node::detour(PeerLink& peer, net::Now now) {
    peer.next_detour = net::kNever;
    add_relays(peer, now);
    wireguard_.set_candidates(peer.tunnel_key, endpoints_for(peer));
    wireguard_.connect(peer.tunnel_key, now);
}

/// 1, 2, 4, 8 s; then by how many are looked for: each of few every 8 s, and of many together one every 2 s. One that has
/// long been away less often, and one that was never there least: if it comes, it looks for us.
net::Duration Node::backoff(const PeerLink& peer, net::Now now) const {
    if (peer.attempts < 3) return std::chrono::seconds(1 << peer.attempts);
    const auto away = std::min<net::Duration>((now.steady - peer.connecting_since) / 60, peer.ever_up ? kAwayPause : kNeverTherePause);
    const auto looked_for = std::count_if(links_.begin(), links_.end(), [](const auto& one) {
        return one.second.state == PeerLink::State::connecting;
    });
    return std::max(away, std::clamp<net::Duration>(std::chrono::seconds(2 * looked_for), std::chrono::seconds(8), std::chrono::seconds(60)));
}

/// What has kept us from one member may be over for all.
void Node::hurry_others(net::Now now) {
    for (auto& [_, peer] : links_) {
        if (peer.state != PeerLink::State::connecting || peer.stock) continue;
        const auto soon = now.steady + std::chrono::milliseconds(random_.below(500));
        if (peer.next_attempt > soon + std::chrono::milliseconds(500)) peer.next_attempt = soon;
    }
}

// A session: probing.

void Node::run_paths(PeerLink& peer, net::Now now) {
    if (!peer.session || peer.stock) return peer.paths.stop();
    const auto relayed = !is_direct(peer.paths.used_rank());
    for (const auto& probe : peer.paths.due(now.steady, random_)) {
        if (routed_through_mesh(probe.to.address) || !has_family_of(settings_.local_endpoints, probe.to)) continue;
        const auto* const path = peer.paths.find(probe.to);
        const bool stranger = path != nullptr && !path->ever_proven() && !is_virtual(probe.to);
        if (stranger && !probe_budget_.spend(1, kProbesPerSecond, kMostProbes, now.steady)) continue;
        send(peer, PathChallenge{probe.token, false, {}}, now, probe.to);
    }
    if (peer.paths.take_call() && relayed) {
        add_relays(peer, now);
        punch(peer, true, now);
        consider_birthday(peer, now);
    }
}

/// All ways at once, the one in use too: it does not answer, or everything may have changed.
void Node::search(PeerLink& peer, net::Now now) {
    if (!peer.session || peer.stock) return;
    add_relays(peer, now);
    peer.paths.begin_round(now.steady, true);
    const auto token = random_.u64() | 1;
    peer.paths.probed_used(token, now.steady);
    send(peer, PathChallenge{token, false, {}}, now);
    run_paths(peer, now);
}

void Node::nominated(const Nominated& event, net::Now now) {
    const auto found = links_.find(event.peer);
    if (found == links_.end()) return;
    auto& peer = found->second;
    if (event.endpoint == peer.endpoint || routed_through_mesh(event.endpoint.address)) return;
    const auto* const known = peer.paths.find(event.endpoint);
    const bool is_new = known == nullptr;
    if (!is_new && known->ever_proven() && now.steady - known->proven < Paths::kFresh) return;
    if (is_new) peer.paths.heard_from(event.endpoint, now.steady);
    // It has moved there, or is there as well: a proof tells which. Where it was may be silent: what comes from the new
    // place would hide that.
    if (is_new && peer.unanswered_since == net::kNever && peer.state == PeerLink::State::up) peer.next_ping = now.steady;
    peer.paths.begin_round(now.steady, is_new);
    run_paths(peer, now);
}

void Node::heard_path(PeerLink& peer, const PathChallenge& frame, const net::Endpoint& from, net::Now now) {
    if (!frame.reply) {
        auto observed = is_virtual(from) ? net::Endpoint{} : from;
        observed.scope = 0;
        send(peer, PathChallenge{frame.token, true, observed}, now, from);
        return;
    }
    if (!peer.paths.answered(frame.token, from, now.steady)) return;
    if (peer.state != PeerLink::State::up) return;
    heard_observed(peer, from, frame.observed, now);
    if (from == peer.endpoint) {
        peer.rtt = peer.paths.find(from)->rtt;
        peer.answered();
        peer.next_ping = std::max(peer.next_ping, now.steady + PeerLink::kMostPatience);
        return;
    }
    choose(peer, now);
}

void Node::choose(PeerLink& peer, net::Now now) {
    const bool was_dead = peer.unanswered_pings >= PeerLink::kDoubtAfter;
    if (was_dead) peer.paths.used_is_dead(now.steady);
    rate_relays(peer);
    const auto before = peer.paths.used_rank();
    const auto better = peer.paths.choose(now.steady);
    if (!better) return;
    const auto* const path = peer.paths.find(*better);
    switch_to(peer, *better,
              was_dead ? "the way before was silent"
                       : path->rank() < before ? "it is better than the way before" : "it is shorter than the way before",
              now);
}

void Node::switch_to(PeerLink& peer, const net::Endpoint& to, std::string_view why, net::Now now) {
    peer.endpoint = to;
    peer.paths.use(to);
    note_move(peer, why, now);
    wireguard_.set_endpoint(peer.tunnel_key, to);
    const auto* const path = peer.paths.find(to);
    if (path != nullptr) peer.rtt = path->rtt;
    // Where another waits to take a subnet over, a way that was proven before the silence began gives no time anew.
    const auto silent_since = peer.unanswered_since;
    peer.answered();
    if (peer.backed_up && (path == nullptr || path->proven < silent_since)) peer.unanswered_since = silent_since;
    peer.next_ping = std::min(peer.next_ping, now.steady + PeerLink::kMostPatience);
    find_mtu(peer, now);
    watch_trains(peer, now);
    if (!is_virtual(to)) events_.push_back(EndpointGood{peer.key, peer.tunnel_key, to});
}

void Node::note_move(PeerLink& peer, std::string_view why, net::Now now) {
    if (!peer.moves.empty() && peer.moves.back().to == peer.endpoint) return;
    if (peer.moves.size() == PeerLink::kMoves) peer.moves.pop_front();
    peer.moves.push_back({now.wall, peer.endpoint, why});
}

// Hole punching.

void Node::punch(PeerLink& peer, bool answer_wanted, net::Now now) {
    if ((peer.capabilities & static_cast<std::uint32_t>(Capability::relays)) == 0) return;
    Punch frame;
    frame.answer_wanted = answer_wanted;
    for (const auto& own : own_endpoints_told())
        if (frame.candidates.size() < kMaxPunch) frame.candidates.push_back({own.endpoint, static_cast<std::uint8_t>(own.found)});
    wireguard_.send(peer.tunnel_key, encode(frame, kMaxFrameBytes), now);
}

void Node::heard_punch(PeerLink& peer, const Punch& frame, std::size_t bytes, net::Now now) {
    if (peer.punched != net::Steady::min() && now.steady - peer.punched < kPunchEvery) return;
    peer.punched = now.steady;
    std::size_t paid = bytes * kReplyFactor / kBytesPerCandidate;
    for (const auto& one : frame.candidates) {
        if (paid-- == 0) break;
        if (!Paths::usable(one.endpoint) || routed_through_mesh(one.endpoint.address)) continue;
        const auto found = one.found <= static_cast<std::uint8_t>(Found::seen) ? static_cast<Found>(one.found) : Found::unsaid;
        peer.paths.add(one.endpoint, Source::told, found, now.steady);
    }
    if (bytes < kMaxFrameBytes) return;  // it pays for nothing
    if (frame.answer_wanted) punch(peer, false, now);
    if (!peer.paths.in_round()) peer.paths.begin_round(now.steady, false);
    run_paths(peer, now);
}

// What others see of us.

void Node::heard_observed(PeerLink& peer, const net::Endpoint& from, const net::Endpoint& said, net::Now now) {
    // It goes into our own record, which with an endpoint in it that is none would be refused everywhere.
    if (is_virtual(from) || !Paths::usable(said)) return;
    auto& one = peer.observed[said.address.is_v6() ? 1 : 0];
    one.from = from;
    if (std::exchange(one.seen, said) == said) return;
    next_node_record_ = std::min(next_node_record_, now.steady + std::chrono::seconds(1));
}

NatMapping Node::nat_mapping(bool v6) const {
    std::vector<Observation> observations;
    for (const auto& [_, peer] : links_)
        for (const auto& one : peer.observed)
            if (peer.state == PeerLink::State::up && !one.seen.is_none()) observations.push_back({one.from, one.seen});
    return judge_mapping(observations, settings_.local_endpoints, v6);
}

void Node::network_changed(net::Now now) {
    next_node_record_ = now.steady;
    end_birthday(now);
    dial_anew(now.steady);
    for (auto& [key, peer] : links_) {
        if (peer.stock) continue;
        peer.paths.forgive();
        peer.next_birthday = net::Steady::min();
        peer.birthdays = 0;
        peer.observed.fill({});
        if (peer.state == PeerLink::State::connecting) {
            peer.attempts = 0;
            peer.connecting_since = now.steady;
            peer.next_introduction = net::Steady::min();
            connect(peer, now);
        } else if (peer.state == PeerLink::State::up) {
            peer.next_ping = now.steady;  // is it still there, and does it see us elsewhere?
            search(peer, now);
        }
    }
    drain(now);
}

}  // namespace mesh
