// Handshakes: initiations to one or many endpoints, answers, cookies.
#include <algorithm>

#include "mesh/wireguard_core.hpp"

namespace mesh {

namespace {

constexpr std::size_t kMaxSentTo = 2 * WireGuard::kMaxCandidates;  // of one initiation

}  // namespace

void WireGuardCore::want_handshake(Peer& peer, net::Now now, bool everywhere) {
    peer.everywhere |= everywhere;
    if (peer.attempt) {
        if (everywhere) spread_initiation(peer, now.steady);
        return;
    }
    if (peer.begin_at != net::kNever || peer.waits_for_stamp) return;
    peer.tries_began = now.steady;
    peer.begin_at = peer.last_initiation ? std::max(now.steady, *peer.last_initiation + kRekeyTimeout) : now.steady;
    if (peer.begin_at <= now.steady) send_initiation(peer, now);
}

void WireGuardCore::send_initiation(Peer& peer, net::Now now) {
    peer.begin_at = net::kNever;
    const auto stamp = stamps_.next(now);
    if (const auto mark = stamps_.wanted()) emit(StampToPersist{*mark});
    peer.waits_for_stamp = !stamp;
    if (!stamp) return;

    if (peer.attempt) release_index(peer.attempt->index);
    Peer::Attempt attempt;
    attempt.index = claim_index(peer);
    if (!start_initiation(attempt.noise, attempt.message, own_, peer.settings.key, peer.static_static,
                          make_tunnel_secret(random_), attempt.index, *stamp)) {
        release_index(attempt.index);  // only for a key that add() has refused
        return;
    }
    peer.jar.put_macs(attempt.message, now.steady);
    attempt.sent = now.steady;
    attempt.retry_at = now.steady + kRekeyTimeout + jitter();
    peer.attempt = std::move(attempt);
    peer.last_initiation = now.steady;
    published_ = nullptr;  // it lists the indices of handshakes
    spread_initiation(peer, now.steady);
}

void WireGuardCore::spread_initiation(Peer& peer, net::Steady now) {
    auto& attempt = *peer.attempt;
    const auto send_to = [&](const net::Endpoint& endpoint) {
        if (endpoint.is_none() ||
            std::find(attempt.sent_to.begin(), attempt.sent_to.end(), endpoint) != attempt.sent_to.end()) {
            return;
        }
        // Candidates are others' word: one that names new ones again and again does not make us flood them.
        if (attempt.sent_to.size() == kMaxSentTo || !may_be_endpoint(endpoint)) return;
        attempt.sent_to.push_back(endpoint);
        outbox_.push_back({endpoint, net::Bytes(attempt.message.begin(), attempt.message.end())});
        (void)peer.activity->sent(now, attempt.message.size(), false);
    };
    send_to(peer.endpoint);
    if (peer.everywhere || peer.endpoint.is_none()) {
        for (const auto& candidate : peer.candidates) send_to(candidate);
    }
}

void WireGuardCore::abandon_attempt(Peer& peer) {
    if (peer.attempt) {
        release_index(peer.attempt->index);
        peer.attempt.reset();
        published_ = nullptr;
    }
    peer.begin_at = net::kNever;
    peer.tries_began = net::kNever;
    peer.waits_for_stamp = false;
    peer.everywhere = false;
}

bool WireGuardCore::admit(net::ByteView message, const net::Endpoint& from, net::Steady now, bool under_load) {
    if (!mac1_valid(message, mac1_key_)) {
        drops_->add(Drop::bad_mac1);
        return false;
    }
    if (!under_load) return true;
    if (!checker_.mac2_valid(message, from, now)) {
        const auto reply = checker_.reply(message, from, now);
        outbox_.push_back({from, net::Bytes(reply.begin(), reply.end())});
        drops_->add(Drop::no_cookie);
        return false;
    }
    if (!rate_limit_.allow(from.address, now)) {
        drops_->add(Drop::rate_limited);
        return false;
    }
    return true;
}

void WireGuardCore::receive_initiation(net::ByteView message, const net::Endpoint& from, net::Now now) {
    const auto initiation = read_initiation(own_, message.first<kInitiationBytes>());
    if (!initiation) return drops_->add(Drop::bad_handshake);
    auto* const peer = find(initiation->peer);
    if (peer == nullptr) return drops_->add(Drop::unknown_peer);
    if (initiation->stamp == peer->greatest_stamp && answer_again(*peer, message, from, now.steady)) return;
    if (initiation->stamp <= peer->greatest_stamp) return drops_->add(Drop::stale_stamp);
    if (peer->last_consumed && now.steady - *peer->last_consumed < kInitiationInterval) {
        return drops_->add(Drop::initiation_flood);
    }
    const auto index = claim_index(*peer);
    std::array<std::byte, kResponseBytes> response{};
    const auto keys = answer(*initiation, response, peer->settings.psk, make_tunnel_secret(random_), index);
    if (!keys) {
        release_index(index);
        return drops_->add(Drop::bad_handshake);
    }
    peer->greatest_stamp = initiation->stamp;
    peer->last_consumed = now.steady;
    peer->jar.put_macs(response, now.steady);
    begin_as_responder(*peer, std::make_shared<Session>(*keys, Session::Role::responder, index,
                                                        initiation->state.remote_index, now.steady));
    peer->newest_session = now.steady;
    peer->answered_to = {from};
    std::copy_n(message.begin(), peer->answered.size(), peer->answered.begin());
    peer->response = response;
    (void)peer->activity->received(now.steady, message.size(), false);
    (void)peer->activity->sent(now.steady, response.size(), false);
    outbox_.push_back({from, net::Bytes(response.begin(), response.end())});
    promise(*peer);
}

bool WireGuardCore::answer_again(Peer& peer, net::ByteView message, const net::Endpoint& from, net::Steady now) {
    const bool waits = peer.next && !peer.next->confirmed() && now - *peer.last_consumed < kRekeyTimeout;
    if (!waits || !std::equal(peer.answered.begin(), peer.answered.end(), message.begin())) return false;
    const auto& to = peer.answered_to;
    if (to.size() == WireGuard::kMaxCandidates || std::find(to.begin(), to.end(), from) != to.end()) return false;
    peer.answered_to.push_back(from);
    (void)peer.activity->sent(now, peer.response.size(), false);
    outbox_.push_back({from, net::Bytes(peer.response.begin(), peer.response.end())});
    return true;
}

void WireGuardCore::receive_response(net::ByteView message, const net::Endpoint& from, net::Now now) {
    const auto found = indices_.find(net::Reader(message.subspan(8)).u32le());
    auto* const peer = found == indices_.end() ? nullptr : found->second;
    if (peer == nullptr || !peer->attempt || peer->attempt->index != found->first) {
        return drops_->add(Drop::unknown_index);
    }
    const auto keys = finish(peer->attempt->noise, own_, peer->settings.psk, message.first<kResponseBytes>());
    if (!keys) return drops_->add(Drop::bad_handshake);

    const auto remote_index = net::Reader(message.subspan(4)).u32le();
    const auto index = peer->attempt->index;
    const auto& asked = peer->attempt->sent_to;
    const bool answered_there = std::find(asked.begin(), asked.end(), from) != asked.end();
    peer->attempt.reset();  // its index lives on as the session's
    abandon_attempt(*peer);
    (void)peer->activity->received(now.steady, message.size(), false);
    if (answered_there || peer->settings.follows_endpoint || peer->endpoint.is_none()) {
        move_endpoint(*peer, from);
    } else if (from != peer->endpoint) {
        emit(Nominated{peer->settings.key, from});
    }
    peer->newest_session = now.steady;
    begin_as_initiator(*peer,
                       std::make_shared<Session>(*keys, Session::Role::initiator, index, remote_index, now.steady), now);
    promise(*peer);
}

void WireGuardCore::receive_cookie(net::ByteView message, net::Steady now) {
    const auto found = indices_.find(net::Reader(message.subspan(4)).u32le());
    if (found == indices_.end()) return drops_->add(Drop::unknown_index);
    if (!found->second->jar.receive(message, now)) drops_->add(Drop::bad_cookie);
}

}  // namespace mesh
