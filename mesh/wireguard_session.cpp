// Sessions of a peer, and what goes through them.
#include <algorithm>

#include "mesh/wireguard_core.hpp"
#include "net/packet.hpp"

namespace mesh {

void WireGuardCore::begin_as_initiator(Peer& peer, std::shared_ptr<Session> session, net::Now now) {
    const bool had_one = has_session(peer, now.steady);
    end_session(peer.previous);
    if (peer.next) {
        end_session(peer.current);
        peer.previous = std::move(peer.next);
    } else {
        peer.previous = std::move(peer.current);
    }
    peer.current = std::move(session);
    session_stands(peer, had_one);
    // The responder may not send before it has heard from us.
    if (peer.staged.empty()) transmit(peer, {}, now, std::nullopt);
    flush_staged(peer, now);
}

void WireGuardCore::begin_as_responder(Peer& peer, std::shared_ptr<Session> session) {
    end_session(peer.previous);
    end_session(peer.next);
    peer.next = std::move(session);
    changed(peer);
}

void WireGuardCore::promote_next(Peer& peer, net::Now now) {
    const bool had_one = has_session(peer, now.steady);
    end_session(peer.previous);
    peer.previous = std::move(peer.current);
    peer.current = std::move(peer.next);
    // What we sent to `answered_to` came back from there: that is a path proven both ways.
    const auto from = peer.activity->confirmed_from();
    const auto& answered = peer.answered_to;
    if (std::find(answered.begin(), answered.end(), from) != answered.end() || peer.settings.follows_endpoint || peer.endpoint.is_none()) {
        move_endpoint(peer, from);
    } else if (from != peer.endpoint) {
        emit(Nominated{peer.settings.key, from});
    }
    abandon_attempt(peer);
    session_stands(peer, had_one);
    flush_staged(peer, now);
}

void WireGuardCore::session_stands(Peer& peer, bool had_one) {
    peer.activity->forget_rekey();
    peer.activity->forget_unanswered();
    peer.told_up = true;
    peer.last_handshake = peer.current->created();
    peer.silence_jitter = jitter();
    changed(peer);
    emit(SessionUp{peer.settings.key, peer.endpoint, peer.current->handshake_hash(),
                   peer.current->role() == Session::Role::initiator, had_one});
}

void WireGuardCore::end_session(std::shared_ptr<Session>& session) {
    if (!session) return;
    session->end();
    release_index(session->local_index());
    session.reset();
}

void WireGuardCore::end_all_sessions(Peer& peer) {
    end_session(peer.previous);
    end_session(peer.current);
    end_session(peer.next);
    peer.newest_session = net::kNever;
    changed(peer);
}

void WireGuardCore::stage(Peer& peer, net::ByteView payload, std::optional<net::Endpoint> to, bool bulk) {
    if (payload.size() > WireGuard::kMaxStagedBytes) return drops_->add(Drop::queue_full);
    while (peer.staged.size() >= WireGuard::kMaxStagedPackets ||
           peer.staged_bytes + payload.size() > WireGuard::kMaxStagedBytes) {
        peer.staged_bytes -= peer.staged.front().payload.size();
        peer.staged.pop_front();
        drops_->add(Drop::queue_full);
    }
    peer.staged.push_back({net::copy(payload), to, bulk});
    peer.staged_bytes += payload.size();
}

void WireGuardCore::drop_staged(Peer& peer, Drop reason) {
    if (!peer.staged.empty()) drops_->add(reason, peer.staged.size());
    peer.staged.clear();
    peer.staged_bytes = 0;
}

void WireGuardCore::transmit(Peer& peer, net::ByteView payload, net::Now now, std::optional<net::Endpoint> to,
                             bool is_probe, bool carries_bulk) {
    const auto endpoint = to.value_or(peer.endpoint);
    if (endpoint.is_none()) return drops_->add(Drop::no_endpoint);
    if (!may_be_endpoint(endpoint)) return;
    net::Bytes message(kMinDataBytes + (is_probe ? payload.size() : padded_bytes(payload.size(), mtu_of(peer))));
    std::copy(payload.begin(), payload.end(), message.begin() + kDataHeaderBytes);
    if (!peer.current->seal(message, now.steady)) return drops_->add(Drop::expired_session);
    (void)peer.activity->sent(now.steady, message.size(), !payload.empty());
    const auto inner = net::parse_ip(payload);
    const bool bulk = carries_bulk || (inner && !net::is_voice(inner->traffic_class));
    outbox_.push_back({.to = endpoint, .bytes = std::move(message), .never_fragment = is_probe, .bulk = bulk});
    if (peer.current->wants_rekey_after_sending(now.steady)) want_handshake(peer, now, false);
}

void WireGuardCore::flush_staged(Peer& peer, net::Now now) {
    while (!peer.staged.empty() && has_session(peer, now.steady)) {
        const auto first = std::move(peer.staged.front());
        peer.staged.pop_front();
        peer.staged_bytes -= first.payload.size();
        transmit(peer, first.payload, now, first.to, false, first.bulk);
    }
}

void WireGuardCore::move_endpoint(Peer& peer, const net::Endpoint& to) {
    if (to == peer.endpoint || !may_be_endpoint(to)) return;
    peer.endpoint = to;
    changed(peer);
    emit(EndpointMoved{peer.settings.key, to});
}

bool WireGuardCore::may_be_endpoint(const net::Endpoint& endpoint) {
    for (const auto& prefix : *overlay_) {
        if (!prefix.contains(endpoint.address)) continue;
        drops_->add(Drop::underlay_loop);
        return false;
    }
    return true;
}

}  // namespace mesh
