#include "voice/call.hpp"

#include <algorithm>

namespace voice {

namespace {

constexpr auto kLookEvery = std::chrono::seconds(5);
constexpr int kHoldFactor = 15;  // of the media time-out: how long a call may be silent that need not be heard

std::uint64_t packets_of(const Call& call, bool far_only) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < call.media.streams(); ++i) {
        const auto stats = call.media.stats(i);
        if (!stats) continue;
        for (const auto* leg : {&stats->near, &stats->far}) {
            if (leg == &stats->far || !far_only) sum += leg->packets + leg->rtcp_packets;
        }
    }
    return sum;
}

}  // namespace

std::string Calls::key_of(std::string_view call_id, std::string_view caller_tag, bool caller_near) {
    return std::string(call_id) + '\n' + std::string(caller_tag) + (caller_near ? "\nnear" : "\nfar");
}

bool Calls::is_fork(const Call& call, const Message& invite, const Flow& from) {
    return from.side == Side::centre && call.forks > 0 && call.invite && call.invite->cseq().number == invite.cseq().number &&
           call.invite->uri() != invite.uri();
}

Call* Calls::open(const Message& invite, const Flow& from, const Aor& caller, const Aor& callee, net::Now now, bool always) {
    auto key = key_of(invite.call_id(), invite.from_tag(), from.side == Side::phone);
    if (auto* same = find(key); same != nullptr && is_fork(*same, invite, from)) {
        ++same->forks;
        return same;
    }
    by_key_.erase(key);
    if (by_key_.size() >= exchange_.settings.max_calls && !always) return nullptr;
    if (by_key_.empty()) next_look_ = now.steady + kLookEvery;
    auto& call = by_key_.try_emplace(key, key, CallMedia(exchange_.environment.media())).first->second;
    call.view = {std::string(invite.call_id()), caller, callee, "calling", "central", now};
    call.from_tag = invite.from_tag();
    call.forks = 1;
    call.caller_near = from.side == Side::phone;
    call.invite = invite;
    call.caller = from;
    call.caller_cseq = invite.cseq().number;
    return &call;
}

bool Calls::is_live(const Message& invite, const Flow& from) {
    const auto* call = find(key_of(invite.call_id(), invite.from_tag(), from.side == Side::phone));
    return call != nullptr && call->told && !is_fork(*call, invite, from);
}

Call* Calls::find(const std::string& key) {
    const auto at = by_key_.find(key);
    return at == by_key_.end() ? nullptr : &at->second;
}

Call* Calls::of(const Message& request, bool near) {
    // Of several phones that a centre forked to, who answered late is in a dialog of its own, and soon hung up.
    const auto fits = [](const Call& call, const std::string& callee_tag) {
        return !call.up || !call.answer || call.answer->to_tag() == callee_tag;
    };
    auto* call = find(key_of(request.call_id(), request.from_tag(), near));
    if (call != nullptr && fits(*call, request.to_tag())) return call;
    for (const bool caller_near : {true, false}) {
        call = find(key_of(request.call_id(), request.to_tag(), caller_near));
        if (call != nullptr && call->callee_near == near && fits(*call, request.from_tag())) return call;
    }
    return nullptr;
}

Call* Calls::joined_at(const net::Endpoint& far_end) {
    const auto at = std::find_if(by_key_.begin(), by_key_.end(), [&](const auto& entry) { return entry.second.media.far_end() == far_end; });
    return at == by_key_.end() ? nullptr : &at->second;
}

bool Calls::carry(const Fork& fork, const Target& target, Message& request, net::Now now) {
    // Two calls where the dead centre between them is skipped: the body passes both anchors.
    for (std::size_t i = 0; i < fork.calls.size(); ++i) {
        auto* call = find(fork.calls[i]);
        if (call == nullptr) continue;
        const auto from = i == 0 ? fork.from : exchange_.to_centre();
        const auto to = i + 1 == fork.calls.size() ? target.flow : exchange_.to_centre();
        const bool by_caller = fork.calls.size() > 1 ? (i == 0) == call->caller_near : from_caller(*call, request);
        if (!pass(*call, request, by_caller, from, to, now)) return false;
    }
    return true;
}

void Calls::carry_back(const Fork& fork, const Branch& branch, Message& response, net::Now now) {
    for (std::size_t i = fork.calls.size(); i-- > 0;) {
        auto* call = find(fork.calls[i]);
        if (call == nullptr) continue;
        const auto from = i + 1 == fork.calls.size() ? branch.target.flow : exchange_.to_centre();
        const auto to = i == 0 ? fork.from : exchange_.to_centre();
        const bool by_caller = fork.calls.size() > 1 ? (i != 0) == call->caller_near : !from_caller(*call, response);
        pass(*call, response, by_caller, from, to, now);
    }
}

void Calls::listen(Call& call, const Message& request, const Flow& from, net::Now now) {
    auto copy = request;
    pass(call, copy, from_caller(call, request), from, from, now);
}

bool Calls::pass(Call& call, Message& message, bool from_caller, const Flow& from, const Flow& to, net::Now now) {
    if (!message.has_sdp() || message.body().empty()) return true;
    auto body = call.media.pass(message.body(), media_from(call, from_caller, from), media_to(to), now);
    if (!body) return false;
    message.set_body(std::move(*body));
    return true;
}

CallMedia::From Calls::media_from(const Call& call, bool from_caller, const Flow& from) const {
    CallMedia::From out;
    out.leg = from_caller == call.caller_near ? Leg::near : Leg::far;
    if (from.side == Side::phone) {
        out.source = from.remote.address;
        return out;
    }
    if (from.side == Side::outside || from.side == Side::trunk) return out;
    out.exact = from.side == Side::mesh;
    out.believes = [this](std::string_view node, const net::IpAddress& address) {
        if (node == exchange_.settings.node) return exchange_.environment.overlay() == address;
        const auto& directory = exchange_.directory();
        return directory.node_at(address) == node && directory.overlay_of(NodeId(node)).has_value();
    };
    return out;
}

CallMedia::To Calls::media_to(const Flow& to) const {
    CallMedia::To out{exchange_.local_toward(to).address, {}, {}};
    const auto overlay = exchange_.environment.overlay();
    if (to.side == Side::centre && overlay) {
        out.node = exchange_.settings.node;
        out.overlay = *overlay;
    }
    return out;
}

void Calls::ringing(Call& call, Path path, net::Now now) {
    if (!call.up) call.view.state = "ringing";
    // At the callee's office the path is how the call came, whatever way it goes to the phone.
    switch (call.caller.side) {
        case Side::phone: call.view.path = name_of(path); break;
        case Side::mesh: call.view.path = name_of(Path::mesh); break;
        case Side::centre: call.view.path = name_of(Path::central); break;
        case Side::outside: call.view.path = name_of(Path::outside); break;
        case Side::trunk: call.view.path = name_of(Path::trunk); break;
    }
    if (call.told) return;
    call.told = true;
    ++changes_;
    call.view.since = now;
    exchange_.events.emplace_back(CallStarted{call.view});
}

void Calls::answered(Call& call, const Branch& branch, const Message& answer, net::Now now) {
    ringing(call, branch.target.path, now);
    if (call.up) return;
    call.up = true;
    ++changes_;
    call.view.state = "up";
    call.answer = answer;
    call.callee = branch.target.flow;
    call.callee_near = branch.target.flow.side == Side::phone;
    call.media_heard = now.steady;
}

void Calls::saw(Call& call, const Message& request) {
    auto& highest = from_caller(call, request) ? call.caller_cseq : call.callee_cseq;
    highest = std::max(highest, request.cseq().number);
}

void Calls::end(const std::string& key, std::string_view why, net::Now) {
    const auto at = by_key_.find(key);
    if (at == by_key_.end()) return;
    ++changes_;
    if (at->second.told) exchange_.events.emplace_back(CallEnded{at->second.view, std::string(why)});
    by_key_.erase(at);
}

void Calls::hang_up(Call& call, std::string_view why, net::Now now) {
    if (call.up && call.answer && call.invite) {
        auto& transactions = exchange_.transactions;
        transactions.start(toward_caller("BYE", *call.invite, *call.answer, call.callee_cseq + 1), call.caller,
                           exchange_.sent_by(call.caller), now);
        transactions.start(toward_callee("BYE", *call.answer, call.caller_cseq + 1 + (call.gateway ? call.gateway->cseq_shift : 0), exchange_.settings.node),
                           call.callee, exchange_.sent_by(call.callee), now);
    }
    const auto key = call.key;
    end(key, why, now);
}

void Calls::tick(net::Now now) {
    if (by_key_.empty() || now.steady < next_look_) return;
    next_look_ = now.steady + kLookEvery;
    std::vector<std::string> ghosts;
    for (auto& [key, call] : by_key_) {
        if (!call.up) continue;
        const bool expected = call.media.active() && call.media.expects_packets();
        // Where a dead centre carried the media each phone may go on speaking to nobody.
        const bool cut_off = exchange_.monitor && !exchange_.centre_up() && call.view.path == name_of(Path::central) &&
                             !call.media.through_mesh();
        const auto packets = packets_of(call, cut_off);
        if (packets != call.media_seen || expected != call.media_expected) call.media_heard = now.steady;
        call.media_seen = packets;
        call.media_expected = expected;
        const auto limit = exchange_.settings.media_timeout * (expected ? 1 : kHoldFactor);
        if (now.steady - call.media_heard >= limit) ghosts.push_back(key);
    }
    for (const auto& key : ghosts) {
        if (auto* call = find(key)) hang_up(*call, "no media either way", now);
    }
}

std::vector<CallView> Calls::views() const {
    std::vector<CallView> out;
    for (const auto& [key, call] : by_key_) out.push_back(call.view);
    std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) {
        return std::tie(a.since.steady, a.id) < std::tie(b.since.steady, b.id);
    });
    return out;
}

}  // namespace voice
