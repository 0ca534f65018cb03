#include "mesh/join.hpp"

#include <algorithm>

#include "mesh/data_path.hpp"

namespace mesh {

net::Bytes join_statement(const net::NodeKey& mesh_id, const JoinRequest& request) {
    net::Writer out;
    out.bytes(net::as_bytes("meshd join 1")).bytes(mesh_id.view()).bytes(request.handshake.view());
    out.bytes(request.invitation.view()).bytes(request.node_key.view()).bytes(request.tunnel_key.view());
    return out.take();
}

bool verify_join(const net::NodeKey& mesh_id, const JoinRequest& request) {
    const auto statement = join_statement(mesh_id, request);
    return tunnel_key_of(request.token_key) == request.invitation &&
           verify(request.token_key, statement, request.token_signature) &&
           verify(request.node_key, statement, request.signature);
}

std::optional<Refusal> refuse_join(const View& view, const JoinRequest& request, net::Wall now) {
    const auto found = view.invitations.find(request.invitation);
    if (found == view.invitations.end()) return Refusal::invitation_unknown;
    const auto& invitation = found->second;
    if (invitation.spent_by && *invitation.spent_by != request.node_key) return Refusal::invitation_used;
    if (invitation.revoked || view.is_revoked(request.node_key.view())) return Refusal::invitation_revoked;
    if (net::unix_seconds(now) > invitation.says.until) return Refusal::invitation_expired;
    const auto* same_name = view.by_name(invitation.says.name);
    if (same_name != nullptr && same_name->key != request.node_key) return Refusal::name_taken;
    const auto* same_tunnel = view.by_tunnel_key(request.tunnel_key);
    if (same_tunnel != nullptr && same_tunnel->key != request.node_key) return Refusal::malformed;
    const auto* known = view.member(request.node_key);
    if (known != nullptr && known->says.invitation != request.invitation) return Refusal::malformed;
    return std::nullopt;
}

Joiner::Joiner(const Token& token, net::Random& random, net::Now now)
    : token_(token),
      random_(random),
      node_secret_(make_node_secret(random)),
      tunnel_secret_(make_tunnel_secret(random)),
      wireguard_(token.tunnel_secret(), random, Tai64n{}),
      give_up_(now.steady + kGiveUpAfter) {
    if (const auto good = token.check_time(now.wall); !good) fail(good.error().message);
    if (token.contacts.empty()) fail("the token names no endpoint; invite again from a node that others can reach");
    if (state_ == State::failed) return;
    for (const auto& told : token_.contacts) {
        auto found = std::find_if(contacts_.begin(), contacts_.end(), [&](const auto& one) { return one.key == told.key; });
        if (found == contacts_.end()) {
            contacts_.emplace_back().key = told.key;
            found = std::prev(contacts_.end());
        }
        (told.stream ? found->streams : found->endpoints).push_back(told.endpoint);
    }
    for (const auto& contact : contacts_) {
        PeerSettings settings;
        settings.key = contact.key;
        settings.carries_ip = false;
        wireguard_.set_peer(settings);
        wireguard_.set_candidates(contact.key, contact.endpoints);
        wireguard_.connect(contact.key, now);
    }
    next_try_ = now.steady + kAskEvery;
    next_streams_ = now.steady + kStreamsAfter;
    drain(now);
}

void Joiner::stream_opened(StreamId id, const net::Endpoint& remote, net::Now now) {
    for (auto& contact : contacts_) {
        if (std::find(contact.streams.begin(), contact.streams.end(), remote) == contact.streams.end()) continue;
        contact.endpoints.push_back(stream_endpoint(id));
        wireguard_.set_candidates(contact.key, contact.endpoints);
        if (!contact.handshake) wireguard_.rekey(contact.key, now);
    }
    drain(now);
}

void Joiner::stream_closed(StreamId id, net::Now now) {
    for (auto& contact : contacts_) {
        if (std::erase(contact.endpoints, stream_endpoint(id)) == 0) continue;
        wireguard_.set_candidates(contact.key, contact.endpoints);
        if (contact.endpoint != stream_endpoint(id)) continue;
        contact.handshake.reset();  // by whatever way is left
        wireguard_.rekey(contact.key, now);
    }
    drain(now);
}

void Joiner::receive(net::MutableBytes datagram, const net::Endpoint& from, net::Now now) {
    const auto table = wireguard_.table();
    const auto in = inbound(*table, datagram, from, now.steady);
    if (in.wake) wireguard_.tick(now);
    drain(now);
    if (in.verdict == Inbound::Verdict::handshake) wireguard_.receive_handshake(in.bytes, from, now);
    if (in.verdict == Inbound::Verdict::control) {
        const auto frame = decode_frame(in.bytes);
        const auto* reply = frame ? std::get_if<JoinReply>(&*frame) : nullptr;
        for (auto& contact : contacts_)
            if (reply != nullptr && contact.key == in.peer) heard(contact, *reply);
    }
    drain(now);
}

void Joiner::tick(net::Now now) {
    if (state_ == State::joined || state_ == State::failed) return;
    wireguard_.tick(now);
    drain(now);
    for (auto& contact : contacts_)
        if (contact.handshake && now.steady >= contact.next_ask) ask(contact, now);
    if (now.steady >= next_try_) {
        next_try_ = now.steady + (++tries_ < 4 ? kAskEvery : 4 * kAskEvery);
        for (const auto& contact : contacts_)
            if (!contact.handshake) wireguard_.rekey(contact.key, now);
    }
    if (now.steady >= next_streams_) {
        next_streams_ = now.steady + kStreamsAgain;
        const bool answered = std::any_of(contacts_.begin(), contacts_.end(), [](const auto& one) { return one.handshake.has_value(); });
        for (const auto& contact : contacts_)
            if (!answered) streams_wanted_.insert(streams_wanted_.end(), contact.streams.begin(), contact.streams.end());
    }
    drain(now);
    if (now.steady < give_up_) return;
    if (!why_.empty()) return fail(why_);
    std::string where;
    for (const auto& contact : token_.contacts) where += (where.empty() ? "" : ", ") + contact.endpoint.text();
    fail("nobody answered at " + where +
         ": check that this machine can send UDP there, and that the node that made the token is running"
         " (by TLS those are tried that listen for it: \"streams\" in meshd.json)");
}

void Joiner::ask(Contact& contact, net::Now now) {
    JoinRequest request;
    request.id = id_;
    request.node_key = public_key(node_secret_);
    request.tunnel_key = public_key(tunnel_secret_);
    request.handshake = *contact.handshake;
    request.invitation = wireguard_.own_key();
    const auto statement = join_statement(token_.mesh_id, request);
    const auto token_secret = token_.signing_secret();
    request.token_key = public_key(token_secret);
    request.token_signature = sign(token_secret, statement);
    request.signature = sign(node_secret_, statement);
    // Padded, as its answer is longer: nobody gets back more than kReplyFactor times what it sent.
    wireguard_.send(contact.key, encode(request, kMaxFrameBytes), now);
    contact.next_ask = now.steady + kAskEvery;
    state_ = State::asking;
}

void Joiner::drain(net::Now now) {
    for (const auto& event : wireguard_.take_events()) {
        if (const auto* stamp = std::get_if<StampToPersist>(&event)) {
            wireguard_.stamp_persisted(stamp->stamp);  // this key lives for one join: nothing is kept
            wireguard_.tick(now);
        }
        const auto* up = std::get_if<SessionUp>(&event);
        for (auto& contact : contacts_) {
            if (up == nullptr || contact.key != up->peer) continue;
            contact.handshake = up->handshake_hash;
            contact.endpoint = up->endpoint;
            ask(contact, now);
        }
    }
    if (state_ == State::joined || state_ == State::failed) return;
    for (auto& datagram : wireguard_.take_datagrams()) datagrams_.push_back(std::move(datagram));
}

void Joiner::heard(Contact& contact, const JoinReply& reply) {
    if (reply.id != id_ || state_ == State::joined || state_ == State::failed) return;
    if (reply.retry) {
        why_ = reply.reason;
        return;
    }
    if (!reply.admitted) return fail(reply.reason);
    contact.parts[reply.index] = reply.wires;
    if (contact.parts.size() == reply.count) finish(contact);
}

void Joiner::finish(Contact& contact) {
    Joined joined;
    for (const auto& [_, wires] : contact.parts) joined.records.insert(joined.records.end(), wires.begin(), wires.end());
    contact.parts.clear();
    Roster roster(token_.mesh_id);
    roster.add_all(joined.records);
    const auto* self = roster.view().member(public_key(node_secret_));
    if (self == nullptr || self->says.tunnel_key != public_key(tunnel_secret_) || !roster.view().mesh) {
        why_ = "the answer of the mesh does not hold: its records are not signed by an admin of the token's mesh";
        return;
    }
    joined.identity.node_secret = node_secret_;
    joined.identity.tunnel_secret = tunnel_secret_;
    joined.identity.mesh_id = token_.mesh_id;
    joined.identity.mesh_name = roster.view().mesh->name;
    for (const auto& one : contacts_)
        if (one.handshake && !is_virtual(one.endpoint)) joined.contacts.emplace_back(one.key, one.endpoint);
    joined_ = std::move(joined);
    state_ = State::joined;
}

void Joiner::fail(std::string why) {
    why_ = std::move(why);
    state_ = State::failed;
}

std::string Joiner::status() const {
    switch (state_) {
        case State::connecting: return "waiting for an answer from " + token_.contacts.front().endpoint.text();
        case State::asking: return why_.empty() ? "asking to be admitted" : why_;
        case State::joined: return "joined";
        case State::failed: return why_;
    }
    return "";
}

net::Steady Joiner::next_deadline() const {
    if (state_ == State::joined || state_ == State::failed) return net::kNever;
    auto next = std::min({wireguard_.next_deadline(), give_up_, next_try_, next_streams_});
    for (const auto& contact : contacts_)
        if (contact.handshake) next = std::min(next, contact.next_ask);
    return next;
}

std::vector<Datagram> Joiner::take_datagrams() { return std::exchange(datagrams_, {}); }
Joiner::Joined Joiner::take_joined() { return std::move(joined_); }

}  // namespace mesh
