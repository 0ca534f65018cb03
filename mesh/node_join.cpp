// Newcomers, as the members they reach and the admins that invited them see them: join.hpp.
#include <algorithm>

#include "mesh/node.hpp"

namespace mesh {
namespace {

constexpr std::size_t kMaxNewcomers = 64, kMaxCarried = 64;  // the former of each kind
/// An invitation that is over is still answered for so long: its newcomer shall read why.
constexpr std::int64_t kExplainFor_s = 24 * 3600;
constexpr auto kCarriedFor = std::chrono::seconds(10);

}  // namespace

void Node::settle_newcomers() {
    // Those that are used wait only for a newcomer that has lost the answer, and revoked ones to tell why: neither takes
    // the place of one that is open, nor an old one that of the latest.
    std::vector<std::pair<std::int64_t, net::TunnelKey>> open, used, revoked;
    for (const auto& [key, invitation] : view().invitations) {
        if (standing_ != Standing::member || invitation.says.until + kExplainFor_s <= net::unix_seconds(seen_.wall)) continue;
        if (invitation.revoked) {
            revoked.emplace_back(-invitation.says.until, key);
        } else if (invitation.spent_by) {
            const auto* member = view().member(*invitation.spent_by);
            used.emplace_back(member == nullptr ? 0 : -member->says.valid_from, key);
        } else {
            open.emplace_back(-invitation.says.until, key);
        }
    }
    std::set<net::TunnelKey> stay;
    for (auto* some : {&open, &used, &revoked}) {
        std::sort(some->begin(), some->end());
        for (std::size_t i = 0; i < std::min(some->size(), kMaxNewcomers); ++i) stay.insert((*some)[i].second);
    }
    for (auto known = newcomers_.begin(); known != newcomers_.end();) {
        const auto here = known++;
        if (stay.contains(here->first)) continue;
        wireguard_.remove_peer(here->first);
        newcomers_.erase(here);
    }
    for (const auto& key : stay) {
        if (links_.contains(key) || !newcomers_.try_emplace(key).second) continue;
        PeerSettings settings;
        settings.key = key;
        settings.carries_ip = false;
        wireguard_.set_peer(settings);
    }
}

void Node::newcomer_heard(const net::TunnelKey& key, net::ByteView payload, net::Now now) {
    auto frame = decode_frame(payload);
    auto* request = frame ? std::get_if<JoinRequest>(&*frame) : nullptr;
    const auto& newcomer = newcomers_.at(key);
    // The signature is over this very session: what was signed for another mesh, token or handshake does not do here.
    if (request == nullptr || !newcomer.handshake || request->invitation != key ||
        request->handshake != *newcomer.handshake || !verify_join(identity_.mesh_id, *request))
        return;
    const auto invitation = view().invitations.find(key);
    if (invitation == view().invitations.end()) return;
    const auto& issuer = invitation->second.says.issuer;
    const bool mine = issuer == key_;
    if (mine) {
        for (const auto& reply : decide_join(*request, key_, now)) send_durably(key, encode(reply), now);
        return;
    }
    JoinReply reply;
    reply.id = request->id;
    if (const auto refusal = refuse_join(view(), *request, now.wall);
        refusal && *refusal != Refusal::invitation_expired) {  // whether it has expired, the issuer's clock says
        reply.reason = text(*refusal);
        wireguard_.send(key, encode(reply), now);
        return;
    }
    auto* to = link(issuer);
    if (to == nullptr || to->state != PeerLink::State::up || carried_.size() >= kMaxCarried) {
        reply.retry = true;
        const auto* member = view().member(issuer);
        reply.reason = "waiting: the node that made the token" +
                       (member != nullptr ? " (" + member->says.name + ")" : std::string()) +
                       " cannot be reached from here now";
        wireguard_.send(key, encode(reply), now);
        return;
    }
    const auto id = random_.u64();
    carried_[id] = {key, request->id, issuer, now.steady + kCarriedFor};
    request->id = id;
    wireguard_.send(to->tunnel_key, encode(*request, kMaxFrameBytes), now);
}

void Node::join_request(PeerLink& from, const JoinRequest& request, net::Now now) {
    if (!verify_join(identity_.mesh_id, request)) return;
    for (const auto& reply : decide_join(request, from.key, now)) send_durably(from.tunnel_key, encode(reply), now);
}

void Node::join_reply(const PeerLink& from, const JoinReply& reply, net::Now now) {
    const auto found = carried_.find(reply.id);
    if (found == carried_.end() || found->second.issuer != from.key) return;
    JoinReply passed = reply;
    passed.id = found->second.newcomer_id;
    if (newcomers_.contains(found->second.invitation)) wireguard_.send(found->second.invitation, encode(passed), now);
    // What it admits is known here at once, so that the newcomer's first handshake finds us ready.
    if (reply.admitted) {
        const auto added = roster_.add_all(reply.wires);
        std::vector<RecordKey> news;
        for (const auto& one : added)
            if (one.changed) news.push_back(one.key);
        gossip_.push(news);
        learnt(added, now);
    }
}

std::vector<Frame> Node::decide_join(const JoinRequest& request, const net::NodeKey& carrier, net::Now now) {
    const auto found = view().invitations.find(request.invitation);
    if (found != view().invitations.end() && found->second.says.issuer != key_) return {};
    if (const auto refusal = refuse_join(view(), request, now.wall)) {
        JoinReply reply;
        reply.id = request.id;
        reply.reason = text(*refusal);
        return {reply};
    }
    return admit(request, carrier, now);
}

std::vector<Frame> Node::admit(const JoinRequest& request, const net::NodeKey& carrier, net::Now now) {
    const auto subject = as_subject(request.node_key.view());
    if (view().member(request.node_key) == nullptr) {
        const auto& says = view().invitations.at(request.invitation).says;
        Member member;
        member.name = says.name;
        member.tunnel_key = request.tunnel_key;
        member.addresses = new_addresses(request.node_key.view());
        member.subnets = says.subnets;
        member.roles = says.roles;
        member.valid_from = net::unix_seconds(now.wall);
        member.invitation = request.invitation;
        const bool as_root = member.roles.has(Role::admin);
        std::vector<Record> records{sign_as_admin(RecordType::member, subject, member, as_root)};
        if (member.roles.has(Role::admin) || member.roles.has(Role::voice)) {
            if (const auto voice_key = newest_voice_key())
                records.push_back(seal_voice_key(voice_key->first, voice_key->second, request.node_key, request.tunnel_key));
        }
        if (!adopt(std::move(records), now)) return {};
        events_.push_back(Admitted{request.node_key, member.name});
    }
    // Its own record, the admins' (the chain), the mesh's, and those of the two it can talk to first.
    std::vector<net::ByteView> wires;
    const auto put = [&](RecordType type, const std::string& about) {
        const auto* record = roster_.counting(type, about);
        if (record == nullptr) return;
        const auto known = [&](net::ByteView wire) { return wire.data() == record->wire.data(); };
        if (std::none_of(wires.begin(), wires.end(), known)) wires.emplace_back(record->wire);
    };
    put(RecordType::member, subject);
    put(RecordType::member, as_subject(key_.view()));
    put(RecordType::policy, std::string(kMeshPolicy));
    if (const auto* member = view().member(carrier); member != nullptr && member->signer != identity_.mesh_id)
        put(RecordType::member, as_subject(member->signer.view()));
    if (const auto* mesh = roster_.counting(RecordType::policy, kMeshPolicy); mesh->key.signer != identity_.mesh_id)
        put(RecordType::member, as_subject(mesh->key.signer.view()));
    put(RecordType::member, as_subject(carrier.view()));
    put(RecordType::node, as_subject(key_.view()));
    put(RecordType::node, as_subject(carrier.view()));
    put(RecordType::policy, std::string(kVoiceKeyPolicy) + subject);

    std::vector<JoinReply> parts(1);
    std::size_t room = kMaxFrameBody - 64;
    for (const auto wire : wires) {
        if (wire.size() + 2 > room) {
            parts.emplace_back();
            room = kMaxFrameBody - 64;
        }
        if (wire.size() + 2 > room) continue;  // gossip brings it later
        room -= wire.size() + 2;
        parts.back().wires.push_back(net::copy(wire));
    }
    std::vector<Frame> out;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        parts[i].id = request.id;
        parts[i].admitted = true;
        parts[i].index = static_cast<std::uint8_t>(i);
        parts[i].count = static_cast<std::uint8_t>(parts.size());
        out.emplace_back(std::move(parts[i]));
    }
    return out;
}

}  // namespace mesh
