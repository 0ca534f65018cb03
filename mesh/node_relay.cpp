// Members that pass on for others: a WireGuard message goes inside the session with the relay, which puts it into its own
// session with the other end. What is passed on stays sealed from end to end.
//
//   A: WireGuard --to a relay's endpoint--> carry() --Relayed pass_on--> R: pass_on() --Relayed delivered--> B: receive()
#include <algorithm>

#include "mesh/node.hpp"
#include "mesh/virtual_endpoint.hpp"

namespace mesh {
namespace {

constexpr std::size_t kRelaysTried = 3;
constexpr auto kRefusalIsNewsAfter = std::chrono::seconds(1);
// Without the role a member passes on handshakes and calls to probe, not what people send.
constexpr double kTrickleBytesPerSecond = 4096, kTrickleBurst = 16384;
constexpr double kHandshakesPerSecond = 20, kHandshakeBurst = 60;

constexpr auto kSharedFor = std::chrono::seconds(1);  // by who asked in it

/// Of a message that is passed on, as it leaves: in a Relayed frame, a session of ours, UDP and IP.
std::size_t leaving_bytes(std::size_t message_bytes) {
    constexpr std::size_t kUdpAndIp = 8 + 20;
    const auto frame = (relayed_bytes(message_bytes) + kPaddingBytes - 1) / kPaddingBytes * kPaddingBytes;
    return frame + kMinDataBytes + kUdpAndIp;
}

bool is_wireguard(net::ByteView message) {
    if (message.size() < kMinDataBytes || message.size() > kMaxDatagramBytes) return false;
    const auto type = std::to_integer<unsigned>(message[0]);
    return type >= 1 && type <= 5;
}

}  // namespace

bool Node::may_relay(const PeerLink& peer) const {
    return peer.state == PeerLink::State::up && !peer.stock && peer.session && !is_relayed(peer) &&
           (peer.capabilities & static_cast<std::uint32_t>(Capability::relays)) != 0;
}

bool Node::is_relayed(const PeerLink& peer) const {
    const auto is = VirtualEndpoint::of(peer.endpoint);
    return is && is->kind == VirtualEndpoint::Kind::relay;
}

/// Those with the role first, then the nearest.
std::vector<const PeerLink*> Node::relays_for(const PeerLink& peer) const {
    std::vector<const PeerLink*> out;
    for (const auto& [_, other] : links_)
        if (&other != &peer && may_relay(other)) out.push_back(&other);
    const auto cost = [&](const PeerLink* one) {
        const auto* member = view().member(one->key);
        const bool role = member != nullptr && member->says.roles.has(Role::relay);
        return std::pair(role ? 0 : 1, one->rtt.value_or(std::chrono::seconds(1)));
    };
    std::stable_sort(out.begin(), out.end(), [&](const auto* a, const auto* b) { return cost(a) < cost(b); });
    return out;
}

/// The best few, and of the others one more each time; those that are gone are forgotten.
void Node::add_relays(PeerLink& peer, net::Now now) {
    if (peer.stock) return;
    const auto relays = relays_for(peer);
    for (std::size_t i = 0; i < std::min(relays.size(), kRelaysTried); ++i) {
        const auto place = i + 1 < kRelaysTried ? i : i + peer.attempts % (relays.size() - i);
        peer.paths.add(way_through(*relays[place], peer), Source::relay, Found::unsaid, now.steady);
    }
}

/// Which of the ways through other members carry more than a trickle: roles come and go with the roster.
void Node::rate_relays(PeerLink& peer) {
    std::vector<std::pair<net::Endpoint, bool>> rated;
    for (const auto& path : peer.paths.all()) {
        const auto relay = relay_at(path.to);
        if (!relay) continue;
        const auto* const member = view().member(*relay);
        rated.emplace_back(path.to, member == nullptr || !member->says.roles.has(Role::relay));
    }
    for (const auto& [to, trickle] : rated) peer.paths.set_trickle(to, trickle);
}

net::Endpoint Node::way_through(const PeerLink& relay, const PeerLink& peer) {
    return VirtualEndpoint{VirtualEndpoint::Kind::relay, relay.number, peer.number}.endpoint();
}

PeerLink* Node::link_number(std::uint32_t number) {
    const auto found = by_number_.find(number);
    return found == by_number_.end() ? nullptr : &links_.at(found->second);
}

/// A datagram of WireGuard's whose endpoint is a relay's.
void Node::carry(const Datagram& datagram, net::Now now) {
    const auto way = VirtualEndpoint::of(datagram.to);
    const auto* const relay = link_number(way->relay);
    const auto* const peer = link_number(way->id);
    if (relay == nullptr || peer == nullptr || !may_relay(*relay)) return wireguard_.shared_drops()->add(Drop::no_endpoint);
    const auto frame = encode(Relayed{Relayed::Kind::pass_on, datagram.never_fragment, datagram.bulk, peer->key, datagram.bytes});
    if (datagram.never_fragment) return wireguard_.send_probe(relay->tunnel_key, frame, now);
    wireguard_.send(relay->tunnel_key, frame, now, std::nullopt, datagram.bulk);
}

void Node::heard_relayed(PeerLink& from, Relayed& frame, const net::Endpoint& at, net::Now now) {
    if (const auto is = VirtualEndpoint::of(at); is && is->kind == VirtualEndpoint::Kind::relay) {
        return wireguard_.shared_drops()->add(Drop::relay_refused);  // one hop
    }
    switch (frame.kind) {
        case Relayed::Kind::pass_on: return pass_on(from, frame, now);
        case Relayed::Kind::delivered: return delivered(from, frame, now);
        case Relayed::Kind::no_way: return no_way(from, frame, now);
    }
}

/// Whether so much of that member's may leave here now. Of what all may have together each has an equal part, and what the
/// others leave: that is there while more than half of a burst is.
bool Node::affords(PeerLink& from, double bytes, net::Steady now) {
    const bool role = self_.says.roles.has(Role::relay);
    const auto burst_of = [](double rate) { return std::max(rate / 4, kTrickleBurst); };
    const auto rate = role ? static_cast<double>(settings_.relay_bytes_per_s) : kTrickleBytesPerSecond;
    if (!from.relay_budget.spend(bytes, rate, role ? burst_of(rate) : kTrickleBurst, now)) return false;
    if (settings_.relay_total_bytes_per_s == 0) return true;
    if (const auto passed = now - relay_second_; passed >= kSharedFor) {
        relayed_for_before_ = passed >= 2 * kSharedFor ? 0 : relayed_for_;
        relayed_for_ = 0;
        relay_second_ = now;
    }
    if (from.relay_asked < relay_second_) ++relayed_for_;
    from.relay_asked = now;
    const auto total = static_cast<double>(settings_.relay_total_bytes_per_s);
    const auto share = total / static_cast<double>(std::max(relayed_for_, relayed_for_before_));
    const bool own = from.relay_share.spend(bytes, share, burst_of(share), now);
    return relay_total_.spend(bytes, total, burst_of(total), now, own ? 0 : burst_of(total) / 2);
}

void Node::pass_on(PeerLink& from, const Relayed& frame, net::Now now) {
    const auto refuse = [&] {
        from.refused_bytes += frame.message.size();
        wireguard_.shared_drops()->add(Drop::relay_refused);
    };
    const auto bytes = leaving_bytes(frame.message.size());
    if (!is_wireguard(frame.message) || !affords(from, static_cast<double>(bytes), now.steady)) return refuse();
    const auto* const to = link(frame.member);
    if (to == nullptr || to == &from || !may_relay(*to)) {
        refuse();
        return send(from, Relayed{Relayed::Kind::no_way, false, false, frame.member, {}}, now);
    }
    from.relayed_bytes += frame.message.size();
    passed_on_bytes_ += bytes;
    const auto out = encode(Relayed{Relayed::Kind::delivered, frame.never_fragment, frame.bulk, from.key, frame.message});
    if (frame.never_fragment) return wireguard_.send_probe(to->tunnel_key, out, now);
    wireguard_.send(to->tunnel_key, out, now, std::nullopt, frame.bulk);
}

void Node::delivered(PeerLink& relay, Relayed& frame, net::Now now) {
    auto* const from = link(frame.member);
    if (from == nullptr || from == &relay || from->stock || !is_wireguard(frame.message)) {
        return wireguard_.shared_drops()->add(Drop::relay_refused);
    }
    // Data must be authentic to cost anything; handshakes cost before that, and a relay may tell us of anybody.
    const bool handshake = std::to_integer<unsigned>(frame.message[0]) <= 3;
    if (handshake && !relay.handshake_budget.spend(1, kHandshakesPerSecond, kHandshakeBurst, now.steady)) {
        return wireguard_.shared_drops()->add(Drop::rate_limited);
    }
    receive(frame.message, way_through(relay, *from), now);
}

void Node::no_way(PeerLink& relay, const Relayed& frame, net::Now now) {
    auto* const peer = link(frame.member);
    if (peer == nullptr) return;
    const auto way = way_through(relay, *peer);
    const auto* const path = peer->paths.find(way);
    // What is probed then goes that way, too: its refusals are no news.
    const bool again = path != nullptr && path->refused != net::Steady::min() && now.steady - path->refused < kRefusalIsNewsAfter;
    if (again) return;
    peer->paths.refused(way, now.steady);
    if (peer->endpoint == way) lost_way(*peer, now);
}

/// The way in use is known to be dead: whatever else was proven is taken at once, and all is probed.
void Node::lost_way(PeerLink& peer, net::Now now) {
    if (peer.state != PeerLink::State::up) return;
    peer.paths.used_is_dead(now.steady);
    peer.unanswered_pings = std::max(peer.unanswered_pings, PeerLink::kDoubtAfter);
    peer.next_ping = now.steady;
    choose(peer, now);
    search(peer, now);
}

/// A member that passed on for us is gone.
void Node::relay_lost(const PeerLink& relay, net::Now now) {
    for (auto& [_, peer] : links_) {
        const auto way = way_through(relay, peer);
        if (&peer == &relay || peer.paths.find(way) == nullptr) continue;
        const bool used = peer.endpoint == way;
        if (!used) peer.paths.remove(way);
        if (used) lost_way(peer, now);
    }
}

}  // namespace mesh
