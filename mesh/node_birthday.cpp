// Birthday probing: a way between one whose NAT maps each remote to another port, and one whose NAT lets in only ports that
// it has sent to. The first opens many ports toward the second, who guesses at random where they are: 256 mappings among
// some 64,000 ports are found by 1,200 guesses in 99 of 100 attempts.
//
//   ours, endpoint-dependent                                                  theirs
//   guess (padded: it pays for what follows) ------- by the relay ----------> probes 30 random ports of our address
//                                            <------ by the relay ---------- open: where their NAT is
//   a probe from each of 40 new sockets ------------ by UDP ----------------> (refused by their NAT, but ours is open now)
//                                            <------ by UDP ----------------- one of the next probes hits
//
// The socket that was hit becomes a way like any other; the rest are closed.
#include <algorithm>
#include <set>

#include "mesh/attached.hpp"
#include "mesh/node.hpp"

namespace mesh {
namespace {

constexpr std::size_t kSockets = 256;
constexpr unsigned kCalls = 40;
constexpr auto kCallEvery = std::chrono::milliseconds(100);
constexpr auto kLastAnswers = std::chrono::seconds(2);
constexpr unsigned kRoundsBefore = 2;  // of ordinary probing in vain
constexpr auto kPause = std::chrono::minutes(10), kLongestPause = std::chrono::minutes(120);
constexpr auto kUnusedSocketFor = std::chrono::seconds(60), kSocketLook = std::chrono::seconds(5);
// What a member has of us: two attempts at once and one every five minutes; what all have together, in probes.
constexpr double kCallBurst = 2.0 * kCalls, kCallsPerSecond = kCalls / 300.0;
constexpr double kGuessBurst = 1200, kGuessesPerSecond = 600;
constexpr std::uint32_t kFirstPort = 1024;

bool is_outside(const net::Endpoint& endpoint) {
    return endpoint.address.is_v4() && Paths::usable(endpoint) && !endpoint.address.is_private();
}

}  // namespace

void Node::consider_birthday(PeerLink& peer, net::Now now) {
    if (birthday_ || now.steady < peer.next_birthday || peer.state != PeerLink::State::up || is_direct(peer.paths.used_rank())) return;
    const auto ours = nat_mapping(false);
    if (ours == NatMapping::none || ours == NatMapping::endpoint_independent) return;
    if (peer.paths.rounds() < kRoundsBefore) return;
    const auto* const member = view().member(peer.key);
    if (member == nullptr || !member->node || member->node->nat == NatMapping::endpoint_dependent) return;
    const auto& its = member->node->endpoints;
    if (std::none_of(its.begin(), its.end(), is_outside)) return;
    const auto told = own_endpoints_told();
    const auto own = std::find_if(told.begin(), told.end(), [](const auto& one) { return one.found == Found::seen && is_outside(one.endpoint); });
    if (own == told.end()) return;
    birthday_ = BirthdayAttempt{.peer = peer.tunnel_key, .outside = own->endpoint.address};
    peer.next_birthday = now.steady + std::min<net::Duration>(kPause * (1 << std::min(peer.birthdays, 4U)), kLongestPause);
    ++peer.birthdays;
    events_.push_back(SocketsWanted{kSockets});
}

void Node::sockets_opened(std::uint32_t first, std::size_t count, net::Now now) {
    if (!birthday_ || birthday_->count != 0 || count == 0) {
        std::vector<std::uint32_t> unwanted;
        for (std::size_t i = 0; i < count; ++i) unwanted.push_back(first + static_cast<std::uint32_t>(i));
        if (count == 0) birthday_.reset();
        return close_sockets(unwanted);
    }
    birthday_->first = first;
    birthday_->count = count;
    birthday_->next = now.steady;
}

void Node::run_birthday(net::Now now) {
    const auto found = links_.find(birthday_->peer);
    if (found == links_.end() || !found->second.session || is_direct(found->second.paths.used_rank()) || birthday_->calls == kCalls) {
        return end_birthday(now);
    }
    ++birthday_->calls;
    birthday_->next = now.steady + (birthday_->calls == kCalls ? net::Duration(kLastAnswers) : net::Duration(kCallEvery));
    wireguard_.send(birthday_->peer, encode(Birthday{Birthday::Kind::guess, {birthday_->outside, 1}}, kMaxFrameBytes), now);
}

/// The sockets that have become ways stay.
void Node::end_birthday(net::Now now) {
    if (!birthday_) return;
    const auto found = links_.find(birthday_->peer);
    std::vector<std::uint32_t> unwanted;
    for (std::size_t i = 0; i < birthday_->count; ++i) {
        const auto socket = birthday_->first + static_cast<std::uint32_t>(i);
        const auto used = found == links_.end() ? std::nullopt : VirtualEndpoint::of(found->second.endpoint);
        if (used && used->kind == VirtualEndpoint::Kind::socket && used->relay == socket) {
            sockets_.emplace(socket, now.steady);
            next_socket_look_ = std::min(next_socket_look_, now.steady + kSocketLook);
            found->second.birthdays = 0;
        } else {
            unwanted.push_back(socket);
        }
    }
    birthday_.reset();
    close_sockets(unwanted);
}

void Node::heard_birthday(PeerLink& peer, const Birthday& frame, std::size_t bytes, net::Now now) {
    if (bytes < kMaxFrameBytes || !is_outside(frame.at) || routed_through_mesh(frame.at.address) || !has_family_of(settings_.local_endpoints, frame.at)) return;
    if (frame.kind == Birthday::Kind::open) {
        if (!birthday_ || birthday_->peer != peer.tunnel_key) return;
        for (std::size_t i = 0; i < kOpened && birthday_->opened < birthday_->count; ++i) {
            const auto socket = birthday_->first + static_cast<std::uint32_t>(birthday_->opened++);
            send(peer, PathChallenge{random_.u64() | 1, false, {}}, now, socket_endpoint(socket, frame.at));
        }
        return;
    }
    if (peer.state != PeerLink::State::up || is_direct(peer.paths.used_rank())) return;
    if (!peer.birthday_budget.spend(1, kCallsPerSecond, kCallBurst, now.steady)) return;
    if (!guess_budget_.spend(kGuesses, kGuessesPerSecond, kGuessBurst, now.steady)) return;
    for (const auto& own : own_endpoints_told()) {
        if (!is_outside(own.endpoint)) continue;
        wireguard_.send(peer.tunnel_key, encode(Birthday{Birthday::Kind::open, own.endpoint}, kMaxFrameBytes), now);
        break;
    }
    for (std::size_t i = 0; i < kGuesses; ++i) {
        const auto port = static_cast<std::uint16_t>(kFirstPort + random_.below(65536 - kFirstPort));
        send(peer, PathChallenge{random_.u64() | 1, false, {}}, now, net::Endpoint{frame.at.address, port, 0});
    }
}

void Node::drop_unused_sockets(net::Now now) {
    std::vector<std::uint32_t> unwanted;
    for (auto& [socket, used] : sockets_) {
        const bool in_use = std::any_of(links_.begin(), links_.end(), [number = socket](const auto& one) {
            const auto way = VirtualEndpoint::of(one.second.endpoint);
            return one.second.state == PeerLink::State::up && way && way->kind == VirtualEndpoint::Kind::socket && way->relay == number;
        });
        if (in_use) used = now.steady;
        if (now.steady - used >= kUnusedSocketFor) unwanted.push_back(socket);
    }
    close_sockets(unwanted);
    next_socket_look_ = sockets_.empty() ? net::kNever : now.steady + kSocketLook;
}

void Node::close_sockets(const std::vector<std::uint32_t>& sockets) {
    if (sockets.empty()) return;
    const std::set<std::uint32_t> closed(sockets.begin(), sockets.end());
    for (auto& [_, peer] : links_) {
        std::vector<net::Endpoint> ways;
        for (const auto& path : peer.paths.all())
            if (const auto way = VirtualEndpoint::of(path.to); way && way->kind == VirtualEndpoint::Kind::socket && closed.contains(way->relay))
                ways.push_back(path.to);
        for (const auto& way : ways) peer.paths.remove(way);
    }
    std::erase_if(sockets_, [&](const auto& one) { return closed.contains(one.first); });
    events_.push_back(SocketsUnwanted{sockets});
}

}  // namespace mesh
