// Timers (whitepaper section 6): what is due for a peer, and when the next thing is.
#include <algorithm>

#include "mesh/wireguard_core.hpp"

namespace mesh {

namespace {

// Times that may be "never" or "not yet" plus a while.
net::Steady after(net::Steady since, net::Duration while_) {
    return since == net::kNever ? net::kNever : since == net::Steady::min() ? since : since + while_;
}

net::Steady last_traversal(const WireGuardPeer& peer) {
    return std::max(peer.activity->last_sent(), peer.activity->last_received());
}

bool handshake_is_wanted(const WireGuardPeer& peer) {
    return peer.attempt || peer.begin_at != net::kNever || peer.waits_for_stamp;
}

}  // namespace

void WireGuardCore::tick(Peer& peer, net::Now now) {
    look_at_data_path(peer, now);
    check_ages(peer, now.steady);
    check_silence(peer, now);
    send_due_keepalives(peer, now);
    check_attempt(peer, now);
    promise(peer);
}

void WireGuardCore::look_at_data_path(Peer& peer, net::Now now) {
    if (peer.next && peer.next->confirmed()) promote_next(peer, now);
    if (const auto move = peer.activity->take_seen_from(now.steady)) {
        peer.moves = move->moves;
        changed(peer);
        if (peer.settings.follows_endpoint) {
            move_endpoint(peer, move->from);
        } else if (move->from != peer.endpoint) {
            emit(Nominated{peer.settings.key, move->from});
        }
    }
    if (peer.activity->rekey_wanted() && !handshake_is_wanted(peer)) {
        // A packet that went by the table before may ask for what has come already.
        if (peer.current && (peer.current->wants_rekey_after_sending(now.steady) ||
                             peer.current->wants_rekey_after_receiving(now.steady))) {
            want_handshake(peer, now, false);
        } else {
            peer.activity->forget_rekey();
        }
    }
}

void WireGuardCore::check_ages(Peer& peer, net::Steady now) {
    if (peer.told_up && !has_session(peer, now)) {
        peer.told_up = false;
        changed(peer);
        emit(SessionDown{peer.settings.key});
    }
    if (peer.newest_session != net::kNever && now - peer.newest_session >= kZeroKeysAfterTime) end_all_sessions(peer);
}

void WireGuardCore::check_silence(Peer& peer, net::Now now) {
    if (now.steady < after(peer.activity->unanswered_since(), kNewHandshakeTime + peer.silence_jitter)) return;
    peer.activity->forget_unanswered();
    peer.silence_jitter = jitter();
    emit(PeerSilent{peer.settings.key});
    want_handshake(peer, now, true);
}

void WireGuardCore::send_due_keepalives(Peer& peer, net::Now now) {
    const bool passive = now.steady >= after(peer.activity->unconfirmed_since(), kKeepaliveTimeout);
    const net::Duration interval = peer.settings.persistent_keepalive;
    const bool persistent = interval.count() > 0 && now.steady >= after(last_traversal(peer), interval);
    if (!passive && !persistent) return;
    peer.activity->forget_unconfirmed();
    if (has_session(peer, now.steady)) {
        transmit(peer, {}, now, std::nullopt);
    } else {
        want_handshake(peer, now, false);
    }
}

void WireGuardCore::check_attempt(Peer& peer, net::Now now) {
    if (peer.waits_for_stamp || now.steady >= peer.begin_at) return send_initiation(peer, now);
    if (!peer.attempt || now.steady < peer.attempt->retry_at) return;
    if (now.steady - peer.tries_began >= kRekeyAttemptTime) {
        abandon_attempt(peer);
        peer.activity->forget_rekey();
        drop_staged(peer, Drop::handshake_gave_up);
        emit(HandshakeFailed{peer.settings.key});
        return;
    }
    peer.everywhere = true;  // the endpoint alone did not answer
    send_initiation(peer, now);
}

net::Steady WireGuardCore::deadline(const Peer& peer) const {
    const auto& activity = *peer.activity;
    auto next = std::min(after(activity.unanswered_since(), kNewHandshakeTime + peer.silence_jitter),
                         after(activity.unconfirmed_since(), kKeepaliveTimeout));
    next = std::min(next, peer.begin_at);
    if (peer.waits_for_stamp) {
        next = std::min(next, stamps_.patience_ends());
    } else if (peer.attempt) {
        next = std::min(next, peer.attempt->retry_at);
    }
    // An attempt under way does what a keepalive would: it keeps the mapping open, and brings a session or an end.
    if (peer.settings.persistent_keepalive.count() > 0 && !handshake_is_wanted(peer)) {
        next = std::min(next, after(last_traversal(peer), peer.settings.persistent_keepalive));
    }
    if (peer.told_up) next = std::min(next, peer.current ? peer.current->created() + kRejectAfterTime : net::Steady::min());
    next = std::min(next, after(peer.newest_session, kZeroKeysAfterTime));
    return next;
}

void WireGuardCore::promise(Peer& peer) {
    // The data path writes first and looks at our promise then; we promise first and look then. So one of us sees.
    peer.activity->promise_look(deadline(peer));
    const bool confirmed = peer.next && peer.next->confirmed();
    const bool rekey = peer.activity->rekey_wanted() && !handshake_is_wanted(peer);
    (void)peer.activity->look_by(confirmed || rekey ? net::Steady::min()
                                                    : std::min(deadline(peer), peer.activity->elsewhere_due()));
}

}  // namespace mesh
