// A node's tunnels: which there should be, over which paths, and who is there.
#include <algorithm>

#include "mesh/introduction.hpp"
#include "mesh/node.hpp"
#include "mesh/virtual_endpoint.hpp"

namespace mesh {
namespace {

constexpr unsigned kIntroductionsPerSecond = 5;
constexpr std::size_t kIntroducedTo = 4;  // endpoints
constexpr auto kNewsEvery = std::chrono::seconds(3);
constexpr std::size_t kRing = 8;          // neighbours in a mesh too large to be full

std::vector<Paths::Told> told_of(const NodeInfo& node) {
    std::vector<Paths::Told> out;
    for (std::size_t i = 0; i < node.endpoints.size(); ++i)
        out.push_back({node.endpoints[i], i < node.found.size() ? node.found[i] : Found::unsaid});
    return out;
}

}  // namespace

// Which tunnels.

void Node::settle_peers(net::Now now) {
    std::set<net::TunnelKey> stay;
    if (standing_ != Standing::revoked) {
        for (const auto& [key, member] : view().members)
            if (key != key_ && !member.expired && member.says.tunnel_key != tunnel_key_) stay.insert(member.says.tunnel_key);
    }
    std::vector<net::TunnelKey> gone;
    for (const auto& [key, _] : links_)
        if (!stay.contains(key)) gone.push_back(key);
    for (const auto& key : gone) forget(key);
    for (const auto& [key, member] : view().members) {
        if (!stay.contains(member.says.tunnel_key)) continue;
        const auto [found, is_new] = links_.try_emplace(member.says.tunnel_key);
        auto& peer = found->second;
        if (is_new) by_number_[peer.number = ++last_number_] = found->first;
        auto allowed = subnets_of(member.says);
        for (const auto& address : member.says.addresses) allowed.push_back(net::Prefix::host(address));
        const bool carries_ip = standing_ == Standing::member;
        const bool exit = member.says.name == exit_ && no_exit(exit_).empty();
        if (is_new || peer.allowed_ips != allowed || peer.carries_ip != carries_ip || peer.exit != exit) {
            PeerSettings settings;
            settings.key = member.says.tunnel_key;
            settings.allowed_ips = peer.allowed_ips = allowed;
            settings.follows_endpoint = member.says.stock;
            settings.carries_ip = peer.carries_ip = carries_ip;
            settings.exit = peer.exit = exit;
            wireguard_.set_peer(settings);
        }
        peer.key = key;
        peer.tunnel_key = member.says.tunnel_key;
        peer.name = member.says.name;
        peer.stock = member.says.stock;
        tunnel_keys_[key] = peer.tunnel_key;
        const bool news = member.node && peer.paths.replace(Source::gossip, told_of(*member.node), now.steady);
        if (is_new && !peer.stock && wanted(peer)) {
            peer.state = PeerLink::State::connecting;
            peer.connecting_since = now.steady;
            connect(peer, now);
        } else if (news && peer.state == PeerLink::State::connecting) {
            // Whoever signs a record a second makes nobody send much.
            if (now.steady >= peer.next_for_news) {
                connect(peer, now);
            } else {
                peer.next_attempt = std::min(peer.next_attempt, peer.next_for_news);
            }
            peer.next_for_news = std::max(peer.next_for_news, now.steady + kNewsEvery);
        } else if (news && peer.state == PeerLink::State::up && !is_direct(peer.paths.used_rank())) {
            peer.paths.begin_round(now.steady, true);
        }
    }
}

void Node::forget(const net::TunnelKey& key) {
    const auto found = links_.find(key);
    auto& peer = found->second;
    if (peer.state == PeerLink::State::up) {
        gossip_.peer_down(peer.key);
        events_.push_back(PeerDown{peer.key, peer.name});
    }
    clock_.forget(peer.key);
    if (const auto known = tunnel_keys_.find(peer.key); known != tunnel_keys_.end() && known->second == key)
        tunnel_keys_.erase(known);
    wireguard_.remove_peer(key);
    by_number_.erase(peer.number);
    links_.erase(found);
}

/// Tunnels to all in a small mesh; in a large one to the next few on the ring of keys, to gateways that back each other
/// up, and to others when needed.
bool Node::wanted(const PeerLink& peer) const {
    const auto& members = view().members;
    if (members.size() <= settings_.full_mesh || peer.shares_subnet) return true;
    auto next = members.find(key_);
    for (std::size_t i = 0; i < kRing; ++i) {
        if (next == members.end() || ++next == members.end()) next = members.begin();
        if (next->first == peer.key) return true;
    }
    return false;
}

// Paths.

void Node::run_peer(PeerLink& peer, net::Now now) {
    switch (peer.state) {
        case PeerLink::State::idle: break;
        case PeerLink::State::connecting:
            if (now.steady >= peer.next_attempt && now.steady >= peer.asked_until && !wanted(peer)) {
                peer.state = PeerLink::State::idle;
                peer.next_attempt = peer.next_detour = net::kNever;
                break;
            }
            if (now.steady >= peer.next_attempt) connect(peer, now);
            if (now.steady >= peer.next_detour) detour(peer, now);
            break;
        case PeerLink::State::up:
            run_pings(peer, now);
            run_mtu(peer, now);
            run_canary(peer, now);
            break;
    }
    if (now.steady >= peer.next_hello) say_hello(peer, now);
    if (now.steady >= peer.paths.next_deadline()) run_paths(peer, now);
}

void Node::run_pings(PeerLink& peer, net::Now now) {
    if (peer.stock) return;
    if (now.steady >= peer.next_look) look_at_traffic(peer, now);
    if (now.steady < peer.next_ping) return;
    const bool waits = peer.unanswered_since != net::kNever;
    if (waits && now.steady - peer.unanswered_since >= peer.lost_after()) return down(peer, now);
    if (!waits) peer.unanswered_since = peer.ping_sent = now.steady;
    if (waits && ++peer.unanswered_pings == PeerLink::kDoubtAfter) {
        choose(peer, now);  // what was proven just now
        if (peer.unanswered_pings != 0) search(peer, now);
    } else if (waits && !peer.tried_elsewhere && now.steady - peer.unanswered_since >= peer.lost_after() / 2) {
        // No way answers in this session: it may know nothing of it any more.
        peer.tried_elsewhere = true;
        wireguard_.rekey(peer.tunnel_key, now);
        wireguard_.set_candidates(peer.tunnel_key, endpoints_for(peer));
    }
    const auto token = random_.u64() | 1;
    peer.paths.probed_used(token, now.steady);
    peer.next_ping = peer.ping_again(now.steady, waits);
    send(peer, Ping{token, roster_.summary(), false}, now);
}

/// Whoever sends and gets nothing for a while had better ask.
void Node::look_at_traffic(PeerLink& peer, net::Now now) {
    peer.next_look = now.steady + PeerLink::kLookEvery;
    const auto status = wireguard_.status(peer.tunnel_key);
    if (!status || peer.unanswered_since != net::kNever) return;
    if (status->tx_bytes == std::exchange(peer.looked_tx_bytes, status->tx_bytes)) {
        peer.next_look = net::kNever;  // until the next ping is answered
    } else if (status->unanswered_since && now.steady - *status->unanswered_since >= PeerLink::kSilence) {
        peer.next_ping = now.steady;
    }
}

void Node::session_up(const SessionUp& event, net::Now now) {
    if (const auto newcomer = newcomers_.find(event.peer); newcomer != newcomers_.end()) {
        newcomer->second = {event.handshake_hash, event.endpoint};
        return;
    }
    const auto found = links_.find(event.peer);
    if (found == links_.end()) return;
    auto& peer = found->second;
    peer.session = true;
    peer.endpoint = event.endpoint;
    if (const auto anybody = anybody_.find(event.endpoint); anybody != anybody_.end())
        peer.paths.add(event.endpoint, anybody->second, Found::unsaid, now.steady);
    peer.paths.good(event.endpoint, now.steady);
    peer.paths.use(event.endpoint);
    note_move(peer, event.renewed ? "a handshake was answered there first" : "the session began there", now);
    find_mtu(peer, now);
    watch_trains(peer, now);
    if (!peer.stock) peer.paths.begin_round(now.steady, !event.renewed);
    if (peer.stock) return up(peer, now);
    if (peer.state == PeerLink::State::idle) {
        peer.state = PeerLink::State::connecting;
        peer.asked_until = now.steady + PeerLink::kAskedFor;
        peer.next_attempt = peer.asked_until;
    }
    peer.hello_nonce = random_.u64() | 1;
    peer.hello_acknowledged = false;
    peer.hellos = 0;
    say_hello(peer, now);
}

void Node::say_hello(PeerLink& peer, net::Now now) {
    peer.next_hello = net::kNever;
    if (!peer.session) return;
    Hello hello;
    hello.nonce = peer.hello_nonce;
    hello.acknowledged = peer.heard_nonce;
    hello.capabilities = own_info().capabilities;
    hello.wall = net::unix_seconds(now.wall);
    hello.synchronised = settings_.clock_synchronised;
    hello.answer_wanted = !peer.hello_acknowledged;
    if (!is_virtual(peer.endpoint)) hello.observed = peer.endpoint;
    hello.observed.scope = 0;
    hello.summary = roster_.summary();
    send(peer, hello, now);
    if (!peer.hello_acknowledged && ++peer.hellos < PeerLink::kMaxHellos) peer.next_hello = now.steady + PeerLink::kHelloEvery;
}

// What a peer says.

void Node::heard(PeerLink& peer, Frame& frame, const net::Endpoint& from, std::size_t bytes, net::Now now) {
    if (const auto* hello = std::get_if<Hello>(&frame)) return heard_hello(peer, *hello, now);
    if (peer.state == PeerLink::State::connecting && peer.session && peer.next_hello == net::kNever) {
        peer.hello_acknowledged = false;  // we had given it up, and there it is
        peer.hellos = 0;
        say_hello(peer, now);
    }
    if (const auto* ping = std::get_if<Ping>(&frame)) return heard_ping(peer, *ping, now);
    if (const auto* path = std::get_if<PathChallenge>(&frame)) return heard_path(peer, *path, from, now);
    if (const auto* call = std::get_if<Punch>(&frame)) return heard_punch(peer, *call, bytes, now);
    if (const auto* birthday = std::get_if<Birthday>(&frame)) return heard_birthday(peer, *birthday, bytes, now);
    if (auto* relayed = std::get_if<Relayed>(&frame)) return heard_relayed(peer, *relayed, from, now);
    if (const auto* probe = std::get_if<MtuProbe>(&frame)) return heard_mtu(peer, *probe, now);
    if (const auto* probe = std::get_if<TrainProbe>(&frame)) return heard_train(peer, *probe, now);
    if (const auto* request = std::get_if<JoinRequest>(&frame)) return join_request(peer, *request, now);
    if (const auto* reply = std::get_if<JoinReply>(&frame)) return join_reply(peer, *reply, now);
    if (std::holds_alternative<Leaving>(frame)) return down(peer, now);
    // What is signed here and not on the disk yet must not get out by being asked for either. It will be asked for again.
    if (!held_pushes_.empty() && (std::holds_alternative<Want>(frame) || std::holds_alternative<Inventory>(frame))) return;
    learnt(gossip_.receive(peer.key, frame, bytes, now), now);
}

void Node::heard_hello(PeerLink& peer, const Hello& hello, net::Now now) {
    peer.heard_nonce = hello.nonce;
    clock_.witness(peer.key, hello.wall, now);
    heard_observed(peer, peer.endpoint, hello.observed, now);
    if (hello.acknowledged == peer.hello_nonce && peer.hello_nonce != 0) {
        peer.hello_acknowledged = true;
        peer.next_hello = net::kNever;
        // Only what answers our own of this session is of the life that the peer has now.
        peer.capabilities = hello.capabilities;
        const bool aes = settings_.aes && (hello.capabilities & static_cast<std::uint32_t>(Capability::aes)) != 0;
        const bool queues = (hello.capabilities & static_cast<std::uint32_t>(Capability::queues)) != 0;
        if (aes && peer.session) wireguard_.allow_aes(peer.tunnel_key, queues);
        if (peer.state == PeerLink::State::connecting) up(peer, now);
        peer.answered();
        find_mtu(peer, now);
        watch_trains(peer, now);
    }
    gossip_.heard_summary(peer.key, hello.summary, now);
    if (hello.answer_wanted) say_hello(peer, now);
}

void Node::heard_ping(PeerLink& peer, const Ping& ping, net::Now now) {
    gossip_.heard_summary(peer.key, ping.summary, now);
    if (!ping.reply) return send(peer, Ping{ping.token, roster_.summary(), true}, now);
    if (peer.state != PeerLink::State::up) return;  // given up meanwhile
    // It comes by the peer's own way, which may be another one.
    if (!peer.paths.answered(ping.token, peer.endpoint, now.steady)) return;
    peer.rtt = peer.paths.find(peer.endpoint)->rtt;
    peer.answered();
    peer.next_ping = peer.ping_after_answer(now.steady, settings_.ping_every);
    if (peer.next_look == net::kNever) peer.next_look = now.steady + PeerLink::kLookEvery;
}

void Node::up(PeerLink& peer, net::Now now) {
    const bool was_up = peer.state == PeerLink::State::up;
    peer.state = PeerLink::State::up;
    peer.ever_up = true;
    if (peer.paths.used() != peer.endpoint) peer.paths.use(peer.endpoint);
    peer.attempts = 0;
    peer.introductions = 0;
    peer.next_introduction = net::Steady::min();
    peer.next_attempt = peer.next_detour = net::kNever;
    peer.answered();
    reached(peer);
    if (was_up) return;
    if (!peer.stock && !is_direct(peer.paths.used_rank())) punch(peer, true, now);
    if (!peer.stock) {
        peer.next_ping = now.steady + std::chrono::milliseconds(100);  // the first round trip time
        gossip_.peer_up(peer.key, now);
    }
    events_.push_back(PeerUp{peer.key, peer.endpoint});
    if (!is_virtual(peer.endpoint)) events_.push_back(EndpointGood{peer.key, peer.tunnel_key, peer.endpoint});
    hurry_others(now);
    settle_routes();
}

void Node::down(PeerLink& peer, net::Now now) {
    peer.next_ping = peer.next_hello = peer.next_look = net::kNever;
    peer.answered();
    peer.rtt.reset();
    peer.mtu.stop();
    peer.canary.stop();
    peer.paths.stop();
    peer.observed.fill({});
    if (peer.state != PeerLink::State::up) return;
    gossip_.peer_down(peer.key);
    events_.push_back(PeerDown{peer.key, peer.name});
    peer.state = peer.stock || !wanted(peer) ? PeerLink::State::idle : PeerLink::State::connecting;
    peer.attempts = 0;
    peer.connecting_since = now.steady;
    if (peer.state == PeerLink::State::connecting) peer.next_attempt = now.steady + backoff(peer, now);
    relay_lost(peer, now);
    settle_routes();
}

// Introductions.

void Node::introduce(PeerLink& peer, net::Now now) {
    std::vector<net::ByteView> wires;
    const auto* mine = roster_.find({RecordType::member, as_subject(key_.view()), self_.signer});
    if (mine == nullptr) return;
    wires.emplace_back(mine->wire);
    if (self_.signer != identity_.mesh_id) {
        const auto* signer = roster_.find({RecordType::member, as_subject(self_.signer.view()), identity_.mesh_id});
        if (signer != nullptr) wires.emplace_back(signer->wire);
    }
    const auto datagram = make_introduction(peer.tunnel_key, wires, random_, now);
    if (!datagram) return;
    const auto endpoints = endpoints_for(peer);
    for (std::size_t i = 0; i < std::min(kIntroducedTo, endpoints.size()); ++i) datagrams_.push_back({endpoints[i], *datagram});
}

void Node::receive_introduction(net::ByteView datagram, const net::Endpoint& from, net::Now now) {
    if (now.steady - introductions_from_ >= std::chrono::seconds(1)) {
        introductions_from_ = now.steady;
        introductions_ = 0;
    }
    if (++introductions_ > kIntroductionsPerSecond) return;
    const auto wires = open_introduction(identity_.tunnel_secret, datagram);
    if (!wires) return;
    for (const auto& added : roster_.add_all(*wires)) {
        if (!added.changed || added.key.type != RecordType::member) continue;
        gossip_.push(std::span(&added.key, 1));
        if (roster_.take_view_changed()) after_roster_change(now);
        if (const auto key = node_key(added.key.subject); key && *key != key_) add_candidate(*key, from, Source::gossip, now);
    }
}

}  // namespace mesh
