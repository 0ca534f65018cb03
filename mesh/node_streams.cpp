// Streams (TLS over TCP) as ways to members, for where UDP is blocked: when one is wanted, and whose it is. The owner of the
// node dials, listens and carries; the session inside proves who is at the other end. A record may name anybody's endpoint:
// what stands and leads to no member is dialled ever more rarely, and takes no other member's stream.
//
//   StreamWanted --stream_opened()--> a way to each member that it was dialled for --up--> reached()
//   --refused, or no session by it in kProvesItself--> dial_failed(): again after a pause that doubles
#include <algorithm>

#include "mesh/attached.hpp"
#include "mesh/node.hpp"

namespace mesh {
namespace {

constexpr auto kLookEvery = std::chrono::seconds(1);
constexpr auto kDialTime = std::chrono::seconds(10);
// Where UDP works a member that answers to nothing may be off; where it does not, a dial is all there is.
constexpr auto kFirstPause = std::chrono::seconds(2), kLongestPause = std::chrono::seconds(300);
constexpr auto kLongestPauseCutOff = std::chrono::seconds(1);
constexpr auto kLongestPauseAlone = std::chrono::seconds(30);  // with nobody up, of one that led to a stranger
constexpr unsigned kAttemptsByUdp = 3, kAttemptsCutOff = 1;  // before a member is tried by a stream
constexpr auto kProvesItself = std::chrono::seconds(3);      // a stream whose member is not up by then leads nowhere
constexpr std::size_t kMostWanted = 2;     // members at a time, who reach the others for us
constexpr auto kUnusedFor = std::chrono::seconds(60);
constexpr std::size_t kMostStreams = 1024;

}  // namespace

void Node::stream_opened(StreamId id, const net::Endpoint& remote, net::Now now) {
    if (streams_.size() >= kMostStreams) return;
    auto& stream = streams_[id];
    stream.used = now.steady;
    stream.remote = remote;
    // Several members may be there, or say so. Where none was dialled, who is there tells us by a handshake.
    for (auto& [key, dial] : dials_) {
        if (!dial.under_way || dial.to != remote) continue;
        dial.under_way = false;
        stream.dialled = true;
        auto* const peer = link(key);
        if (peer == nullptr) continue;
        peer->paths.add(stream_endpoint(id), Source::stream, Found::unsaid, now.steady);
        if (peer->state == PeerLink::State::connecting) {
            dial.stream = id;
            connect(*peer, now);
        } else if (peer->session) {
            peer->paths.begin_round(now.steady, false);
        }
    }
    drain(now);
}

void Node::stream_closed(StreamId id, net::Now now) {
    streams_.erase(id);
    const auto way = stream_endpoint(id);
    for (auto& [_, peer] : links_) {
        if (peer.paths.find(way) == nullptr) continue;
        const bool used = peer.endpoint == way;
        if (used) lost_way(peer, now);
        peer.paths.remove(way);
    }
    for (auto& [_, dial] : dials_)
        if (dial.stream == id) dial_failed(dial, now.steady);
    drain(now);
}

void Node::stream_failed(const net::Endpoint& to, net::Now now) {
    for (auto& [_, dial] : dials_)
        if (dial.under_way && dial.to == to) dial_failed(dial, now.steady);
}

/// No connection, or one that did not lead to the member.
void Node::dial_failed(Dial& dial, net::Steady now) {
    const bool stood = std::exchange(dial.stream, 0) != 0;
    if (std::exchange(dial.stood, stood) != stood) dial.pause = {};
    dial.under_way = false;
    dial.pause = std::clamp<net::Duration>(2 * dial.pause, kFirstPause, kLongestPause);
    dial.next = now + dial.pause;
}

/// That member is up, by whatever way.
void Node::reached(const PeerLink& peer) {
    const auto dial = dials_.find(peer.key);
    if (dial == dials_.end()) return;
    dial->second.stream = 0;
    dial->second.stood = false;
    dial->second.pause = {};
    dial->second.next = net::Steady::min();
}

/// What led nowhere may lead somewhere now.
void Node::dial_anew(net::Steady now) {
    for (auto& [_, dial] : dials_) {
        dial.stood = false;
        dial.pause = {};
        dial.next = std::min(dial.next, now);
    }
}

/// Something authentic has come from there.
void Node::brought(const net::Endpoint& from) {
    const auto is = VirtualEndpoint::of(from);
    if (!is || is->kind != VirtualEndpoint::Kind::stream) return;
    const auto stream = streams_.find(is->id);
    if (stream == streams_.end() || std::exchange(stream->second.proven, true)) return;
    events_.push_back(StreamProven{is->id});
}

void Node::set_stream_endpoints(std::vector<net::Endpoint> endpoints, net::Now now) {
    if (endpoints.size() > kMaxStreams) endpoints.resize(kMaxStreams);
    if (endpoints == stream_endpoints_) return;
    stream_endpoints_ = std::move(endpoints);
    next_node_record_ = now.steady;
}

/// Others say where they listen: not at this machine, and not where only its own programs are.
bool Node::may_dial(const net::Endpoint& to) const {
    const auto is_own = [&](const net::Endpoint& own) { return own.address == to.address; };
    const auto& own = settings_.local_endpoints;
    return Paths::usable(to) && !to.address.is_loopback() && std::none_of(own.begin(), own.end(), is_own) &&
           std::find(stream_endpoints_.begin(), stream_endpoints_.end(), to) == stream_endpoints_.end() &&
           has_family_of(own, to) && !routed_through_mesh(to.address);
}

/// Whether a stream may still turn out to lead to that member. What has had its time is no way to it any more, and closed if
/// it is nobody else's.
bool Node::leads_on_a_stream(PeerLink& peer, net::Now now) {
    bool leads = false;
    std::vector<net::Endpoint> dead;
    for (const auto& path : peer.paths.all()) {
        const auto is = VirtualEndpoint::of(path.to);
        if (!is || is->kind != VirtualEndpoint::Kind::stream) continue;
        const auto stream = streams_.find(is->id);
        if (stream != streams_.end() && now.steady - path.added < kProvesItself) {
            leads = true;
        } else {
            dead.push_back(path.to);
        }
    }
    for (const auto& way : dead) {
        peer.paths.remove(way);
        const auto stream = streams_.find(VirtualEndpoint::of(way)->id);
        const bool anybodys = std::any_of(links_.begin(), links_.end(), [&](const auto& one) { return one.second.paths.find(way) != nullptr; });
        if (stream != streams_.end() && stream->second.dialled && !anybodys) events_.push_back(StreamUnwanted{stream->first});
    }
    const auto dial = dials_.find(peer.key);
    if (!leads && dial != dials_.end() && dial->second.stream != 0) dial_failed(dial->second, now.steady);
    return leads;
}

/// A stream is wanted to a member that nothing else leads to, and to somebody at least where no UDP leads to anybody.
void Node::look_at_streams(net::Now now) {
    next_stream_look_ = now.steady + kLookEvery;
    std::erase_if(dials_, [&](const auto& one) { return link(one.first) == nullptr; });
    bool udp_works = false, alone = true;
    std::size_t by_stream = 0;
    for (const auto& [_, peer] : links_) {
        if (peer.state != PeerLink::State::up) continue;
        alone = false;
        udp_works |= !udp_endpoint(peer.endpoint).is_none();
        by_stream += peer.paths.used_rank() == Rank::stream ? 1 : 0;
    }
    for (auto& [_, dial] : dials_)
        if (dial.under_way && now.steady >= dial.until) dial_failed(dial, now.steady);
    std::size_t under_way = static_cast<std::size_t>(
        std::count_if(dials_.begin(), dials_.end(), [](const auto& one) { return one.second.under_way; }));
    for (auto& [_, peer] : links_) {
        if (peer.state != PeerLink::State::connecting || peer.stock) continue;
        if (peer.attempts < (udp_works ? kAttemptsByUdp : kAttemptsCutOff)) continue;
        if (leads_on_a_stream(peer, now)) continue;
        if (under_way + by_stream >= kMostWanted && !udp_works) continue;
        if (under_way >= kMostWanted) continue;
        const auto* const member = view().member(peer.key);
        if (member == nullptr || !member->node || member->node->streams.empty()) continue;
        auto& dial = dials_[peer.key];
        if (!udp_works && !dial.stood) dial.next = std::min(dial.next, now.steady + kLongestPauseCutOff);
        if (alone) dial.next = std::min(dial.next, now.steady + kLongestPauseAlone);
        if (dial.under_way || now.steady < dial.next) continue;
        std::vector<net::Endpoint> streams;
        for (const auto& one : member->node->streams)
            if (may_dial(one)) streams.push_back(one);
        if (streams.empty()) continue;
        dial.to = streams[dial.turn++ % streams.size()];
        dial.under_way = true;
        dial.until = now.steady + kDialTime;
        ++under_way;
        events_.push_back(StreamWanted{peer.key, dial.to});
    }
    for (auto& [id, stream] : streams_) {
        const auto way = stream_endpoint(id);
        const bool used = std::any_of(links_.begin(), links_.end(), [&](const auto& one) {
            const bool connecting = one.second.state == PeerLink::State::connecting;
            return connecting ? one.second.paths.find(way) != nullptr : one.second.endpoint == way;
        });
        if (used) stream.used = now.steady;
        if (stream.dialled && now.steady - stream.used >= kUnusedFor) {
            stream.used = now.steady;
            events_.push_back(StreamUnwanted{id});
        }
    }
}

}  // namespace mesh
