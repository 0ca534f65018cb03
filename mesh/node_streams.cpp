// Streams (TLS over TCP) as ways to members, for where UDP is blocked: when one is wanted, and whose it is. The owner of the
// node dials, listens and carries; the session inside proves who is at the other end.
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
constexpr unsigned kAttemptsByUdp = 3, kAttemptsCutOff = 1;  // before a member is tried by a stream
constexpr auto kProvesItself = std::chrono::seconds(3);      // a stream whose member is not up by then leads nowhere
constexpr std::size_t kMostWanted = 2;     // members at a time, who reach the others for us
constexpr auto kUnusedFor = std::chrono::seconds(60);
constexpr std::size_t kMostStreams = 1024;

}  // namespace

void Node::stream_opened(StreamId id, const net::Endpoint& remote, net::Now now) {
    if (streams_.size() >= kMostStreams) return;
    auto& stream = streams_[id];
    stream.used = stream.opened = now.steady;
    stream.remote = remote;
    const auto dial = std::find_if(dials_.begin(), dials_.end(), [&](const auto& one) {
        return one.second.under_way && one.second.to == remote;
    });
    if (dial == dials_.end()) return;  // who is there tells us by a handshake
    dial->second.under_way = false;
    stream.dialled = true;
    auto* const peer = link(dial->first);
    if (peer == nullptr) return;
    peer->paths.add(stream_endpoint(id), Source::stream, Found::unsaid, now.steady);
    if (peer->state == PeerLink::State::connecting) {
        connect(*peer, now);
    } else if (peer->session) {
        peer->paths.begin_round(now.steady, false);
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
    drain(now);
}

void Node::stream_failed(const net::Endpoint& to, net::Now now) {
    for (auto& [_, dial] : dials_)
        if (dial.under_way && dial.to == to) dial_failed(dial, now);
}

void Node::dial_failed(Dial& dial, net::Now now) {
    dial.under_way = false;
    dial.pause = std::clamp<net::Duration>(2 * dial.pause, kFirstPause, kLongestPause);
    dial.next = now.steady + dial.pause;
}

void Node::set_stream_endpoints(std::vector<net::Endpoint> endpoints, net::Now now) {
    if (endpoints.size() > kMaxStreams) endpoints.resize(kMaxStreams);
    if (endpoints == stream_endpoints_) return;
    stream_endpoints_ = std::move(endpoints);
    next_node_record_ = now.steady;
}

/// Whether a stream that may still stand goes to that member. One that has had its time is closed.
bool Node::leads_on_a_stream(PeerLink& peer, net::Steady now) {
    bool leads = false;
    std::vector<net::Endpoint> dead;
    for (const auto& path : peer.paths.all()) {
        const auto is = VirtualEndpoint::of(path.to);
        if (!is || is->kind != VirtualEndpoint::Kind::stream) continue;
        const auto stream = streams_.find(is->id);
        if (stream != streams_.end() && now - stream->second.opened < kProvesItself) {
            leads = true;
        } else {
            dead.push_back(path.to);
            if (stream != streams_.end() && stream->second.dialled) events_.push_back(StreamUnwanted{is->id});
        }
    }
    for (const auto& way : dead) peer.paths.remove(way);
    return leads;
}

/// A stream is wanted to a member that nothing else leads to, and to somebody at least where no UDP leads to anybody.
void Node::look_at_streams(net::Now now) {
    next_stream_look_ = now.steady + kLookEvery;
    std::erase_if(dials_, [&](const auto& one) { return link(one.first) == nullptr; });
    bool udp_works = false;
    std::size_t by_stream = 0;
    for (const auto& [_, peer] : links_) {
        if (peer.state != PeerLink::State::up) continue;
        udp_works |= !is_virtual(peer.endpoint);
        by_stream += peer.paths.used_rank() == Rank::stream ? 1 : 0;
    }
    for (auto& [_, dial] : dials_)
        if (dial.under_way && now.steady >= dial.until) dial_failed(dial, now);
    std::size_t under_way = static_cast<std::size_t>(
        std::count_if(dials_.begin(), dials_.end(), [](const auto& one) { return one.second.under_way; }));
    for (auto& [_, peer] : links_) {
        if (peer.state != PeerLink::State::connecting || peer.stock) continue;
        if (peer.attempts < (udp_works ? kAttemptsByUdp : kAttemptsCutOff)) continue;
        if (under_way + by_stream >= kMostWanted && !udp_works) break;
        if (under_way >= kMostWanted) break;
        const auto* const member = view().member(peer.key);
        if (member == nullptr || !member->node || member->node->streams.empty()) continue;
        if (leads_on_a_stream(peer, now.steady)) continue;
        auto& dial = dials_[peer.key];
        if (!udp_works) dial.next = std::min(dial.next, now.steady + kLongestPauseCutOff);
        if (dial.under_way || now.steady < dial.next) continue;
        std::vector<net::Endpoint> streams;
        for (const auto& one : member->node->streams)
            if (Paths::usable(one) && has_family_of(settings_.local_endpoints, one) && !routed_through_mesh(one.address)) streams.push_back(one);
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
            return one.second.endpoint == way || one.second.state == PeerLink::State::connecting;
        });
        if (used) stream.used = now.steady;
        if (stream.dialled && now.steady - stream.used >= kUnusedFor) {
            stream.used = now.steady;
            events_.push_back(StreamUnwanted{id});
        }
    }
}

}  // namespace mesh
