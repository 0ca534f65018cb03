#include "voice/call.hpp"

#include <algorithm>
#include <utility>

#include "net/text.hpp"
#include "voice/multipart.hpp"

namespace voice {

namespace {

constexpr auto kLookEvery = std::chrono::milliseconds(400);  // one-way audio is to be noticed within 3 s
constexpr auto kKeepEvery = std::chrono::minutes(1);
constexpr std::size_t kMaxDirect = 100;                     // more than a fork is wide
constexpr auto kUnheard = std::chrono::hours(24);          // of signalling, where media passes by us
constexpr auto kTimerGrace = std::chrono::seconds(10);     // the phones are to end it themselves (RFC 4028 10)
constexpr int kHoldFactor = 15;  // of the media time-out: how long a call may be silent that need not be heard

HeardFigures figures(const LegStats& stats) {
    using Milliseconds = std::chrono::duration<double, std::milli>;
    return {stats.packets, stats.bytes, stats.lost, stats.rtcp_packets, stats.jitter_ms, Milliseconds(stats.longest_gap).count()};
}

Leg leg_of(const Call& call, bool caller) { return caller == call.caller_near ? Leg::near : Leg::far; }

/// At the callee's office the path is how the call came, whatever way it goes to the phone.
std::string path_of(const Call& call, Path path) {
    switch (call.caller.side) {
        case Side::phone: return std::string(name_of(path));
        case Side::mesh: return std::string(name_of(Path::mesh));
        case Side::centre: return std::string(name_of(Path::central));
        case Side::outside: return std::string(name_of(Path::outside));
        case Side::trunk: return std::string(name_of(Path::trunk));
    }
    return {};
}

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

/// Of each office its own: none speaks of what another has been given.
std::string name_at(const Message& message, const Flow& office) {
    return std::string(message.call_id()) + '\n' + message.from_tag() + '\n' + office.remote.address.text();
}

bool has_sdp(const Message& message) { return sdp_part(message.content_type(), message.body()).has_value(); }

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
    if (auto* earlier = find(key)) {
        unlink(*earlier);
        by_key_.erase(key);
    }
    if (full() && !always) return nullptr;
    if (by_key_.empty()) next_look_ = now.steady + kLookEvery;
    auto& call = by_key_.try_emplace(key, key, CallMedia(exchange_.environment.media())).first->second;
    call.view = {std::string(invite.call_id()), caller, callee, "calling", "central", now, {}, {}, {}};
    call.from_tag = invite.from_tag();
    call.forks = 1;
    call.caller_near = from.side == Side::phone;
    call.invite = invite;
    call.caller = from;
    call.caller_cseq = invite.cseq().number;
    call.record.number = history_.new_number(now.wall);
    call.record.id = call.view.id;
    call.record.from = caller;
    call.record.to = callee;
    call.record.node = exchange_.settings.node;
    call.record.started = now.wall;
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
    Call* found = nullptr;
    const auto [first, last] = by_far_end_.equal_range(far_end);
    for (auto at = first; at != last; ++at) {
        auto& call = *at->second;
        if (!call.up || !(call.handed_over || (call.view.path == name_of(Path::central) && call.media.through_mesh()))) continue;
        if (found != nullptr) return nullptr;
        found = &call;
    }
    return found;
}

Call* Calls::brought(const net::Endpoint& far_end) {
    Call* found = nullptr;
    const auto [first, last] = by_far_end_.equal_range(far_end);
    for (auto at = first; at != last; ++at) {
        auto& call = *at->second;
        if (call.handed_over || call.caller.side != Side::centre || !call.invite || !call.media.through_mesh()) continue;
        if (found != nullptr) return nullptr;
        found = &call;
    }
    return found;
}

Call* Calls::other_side(const Call& call) {
    const auto overlay = exchange_.environment.overlay();
    const auto leads = [&](const Call& brought, const Call& placed) {
        const auto port = placed.media.far_port();
        return placed.caller.side == Side::phone && brought.caller.side == Side::centre && overlay && port != 0 &&
               brought.media.far_end() == net::Endpoint{*overlay, port, 0} && brought.view.from == placed.view.from &&
               brought.view.to == placed.view.to;
    };
    const auto only_one = [&](const Call& one) {
        Call* found = nullptr;
        for (auto& [key, other] : by_key_) {
            if (!leads(one, other) && !leads(other, one)) continue;
            if (found != nullptr) return static_cast<Call*>(nullptr);
            found = &other;
        }
        return found;
    };
    // Two phones of one callee may have been rung each by a call of its own.
    auto* found = only_one(call);
    return found != nullptr && only_one(*found) == &call ? found : nullptr;
}

void Calls::name_elsewhere(Call& call, const Message& invite, const Flow& from) {
    by_name_elsewhere_.erase(call.name_elsewhere);
    auto name = name_at(invite, from);
    const auto [at, fresh] = by_name_elsewhere_.try_emplace(name, &call);
    if (!fresh) std::exchange(at->second, &call)->name_elsewhere.clear();
    call.name_elsewhere = std::move(name);
}

Call* Calls::named_elsewhere(const Message& request, const Flow& from) {
    if (from.side != Side::mesh || by_name_elsewhere_.empty()) return nullptr;
    const auto at = by_name_elsewhere_.find(name_at(request, from));
    if (at == by_name_elsewhere_.end()) return nullptr;
    auto& call = *at->second;
    return call.up && call.answer && call.answer->to_tag() == request.to_tag() ? &call : nullptr;
}

void Calls::unlink(Call& call) {
    note_far_end(call, std::nullopt);
    if (!call.name_elsewhere.empty()) by_name_elsewhere_.erase(call.name_elsewhere);
}

void Calls::note_far_end(Call& call, const std::optional<net::Endpoint>& end) {
    if (call.joined == end) return;
    if (call.joined) {
        const auto [first, last] = by_far_end_.equal_range(*call.joined);
        by_far_end_.erase(std::find_if(first, last, [&](const auto& one) { return one.second == &call; }));
    }
    call.joined = end;
    if (end) by_far_end_.emplace(*end, &call);
}

bool Calls::carry(const Fork& fork, const Target& target, Message& request, net::Now now) {
    // Two calls where the dead centre between them is skipped: the body passes both anchors.
    for (std::size_t i = 0; i < fork.calls.size(); ++i) {
        auto* call = find(fork.calls[i]);
        if (call == nullptr) continue;
        if (!call->told) call->view.path = path_of(*call, target.path);
        const auto from = i == 0 ? fork.from : exchange_.to_centre();
        const auto to = i + 1 == fork.calls.size() ? target.flow : exchange_.to_centre();
        const bool by_caller = fork.calls.size() > 1 ? (i == 0) == call->caller_near : from_caller(*call, request);
        const bool offers = !request.is("ACK") && !request.is("PRACK");
        if (!pass(*call, request, by_caller, from, to, offers, now)) return false;
        if (request.is("ACK") && has_sdp(request)) call->media.agreed();  // the offer was in the 200
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
        pass(*call, response, by_caller, from, to, !has_sdp(fork.request), now);
        settle(*call, fork.request, response, by_caller, now);
    }
}

void Calls::settle(Call& call, const Message& request, const Message& response, bool by_caller, net::Now now) {
    if (response.status() >= 200 && response.status() < 300 && (request.is("INVITE") || request.is("UPDATE"))) {
        call.refreshed = now.steady;
        const auto expires = response.get("Session-Expires").value_or("");
        const auto seconds = net::parse_decimal(net::trim(expires.substr(0, expires.find(';'))), 86400);
        call.session_expires = std::chrono::seconds(seconds.value_or(0));
    }
    if (!has_sdp(request) || response.status() < 200) return;
    if (response.status() >= 300) {
        if (!request.to_tag().empty()) call.media.refused(now);
        return;
    }
    // The answer may have come early and reliably, and not again (RFC 3262 5).
    if (!has_sdp(response)) call.media.choose(leg_of(call, by_caller), response.to_tag(), now);
    call.media.agreed();
    if (call.up && is_direct(call)) call.media.close();
}

void Calls::listen(Call& call, const Message& request, const Flow& from, net::Now now) {
    auto copy = request;
    pass(call, copy, from_caller(call, request), from, from, false, now);
}

bool Calls::pass(Call& call, Message& message, bool from_caller, const Flow& from, const Flow& to, bool offers, net::Now now) {
    const auto part = sdp_part(message.content_type(), message.body());
    if (!part) return true;
    // Several may be offered the same, each with a decision of its own; who answers keeps to it.
    const auto& beyond = (from_caller ? to : from).remote;
    if (offers) {
        const auto direct = reaches(part->text, from, to);
        if (direct) std::erase(call.direct, beyond);
        if (direct.value_or(false) && call.direct.size() < kMaxDirect) call.direct.push_back(beyond);
    }
    if (std::find(call.direct.begin(), call.direct.end(), beyond) != call.direct.end()) {
        if (to.side == Side::phone) message.set_body(with_part(message.body(), *part, without_mesh_media(part->text)));
        return true;
    }
    auto side = media_from(call, from_caller, from);
    if (message.is_response()) side.dialog = message.to_tag();
    const auto sdp = call.media.pass(part->text, side, media_to(to), now);
    const bool found = call.told && call.joined != call.media.far_end();
    note_far_end(call, call.media.far_end());
    if (found) keep(call, now);  // who else knows of it is asked by that
    if (!sdp) return false;
    message.set_body(with_part(message.body(), *part, *sdp));
    return true;
}

std::optional<bool> Calls::reaches(std::string_view sdp, const Flow& from, const Flow& to) const {
    const auto& networks = exchange_.settings.direct_media;
    if (networks.empty()) return false;
    const auto listed = [&](const net::IpAddress& address) {
        return std::any_of(networks.begin(), networks.end(), [&](const auto& prefix) { return prefix.contains(address.unmapped()); });
    };
    // Another gateway knows its phones, and whether it must anchor them.
    if (to.side != Side::mesh && !listed(to.remote.address)) return false;
    // Behind NAT, or what we do not see behind the centre.
    if (from.side != Side::mesh && !listed(from.remote.address)) return false;
    const auto session = SessionDescription::parse(sdp);
    if (!session) return false;
    bool says = false;
    for (const auto& media : session->media) {
        if (media.rejected() || media.held()) continue;
        // An anchor of another gateway is nowhere that phones reach.
        if (!media.mesh.empty() || !listed(media.rtp.address) || exchange_.directory().node_at(media.rtp.address)) return false;
        says = true;
    }
    return says ? std::optional(true) : std::nullopt;
}

bool Calls::is_direct(const Call& call) const {
    return std::find(call.direct.begin(), call.direct.end(), call.callee.remote) != call.direct.end();
}

bool Calls::is_forgotten(const Call& call, net::Now now) const {
    const auto limit = call.session_expires.count() > 0 ? net::Duration(call.session_expires + kTimerGrace) : net::Duration(kUnheard);
    return now.steady - call.refreshed >= limit;
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
    call.view.path = path_of(call, path);
    if (call.told) return;
    call.told = true;
    ++changes_;
    call.view.since = now;
    call.record.rang = now.wall;
    keep(call, now);
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
    call.media_heard = call.refreshed = now.steady;
    call.view.answered = now;
    call.record.answered = now.wall;
    keep(call, now);
}

void Calls::saw(Call& call, const Message& request) {
    constexpr std::uint32_t kHighest = 0x7fff'0000;  // RFC 3261 8.1.1.5 less room for what we send after it
    if (request.cseq().number > kHighest) return;
    auto& highest = from_caller(call, request) ? call.caller_cseq : call.callee_cseq;
    highest = std::max(highest, request.cseq().number);
}

void Calls::end(const std::string& key, std::string_view why, net::Now now, int status) {
    const auto at = by_key_.find(key);
    if (at == by_key_.end()) return;
    ++changes_;
    auto& call = at->second;
    // Who was asked for a password will come again: that is not a call yet.
    if (status != 401 && status != 407) {
        call.record.why = why;
        call.record.status = status;
        call.record.ended = now.wall;
        keep(call, now);
    }
    if (call.told) exchange_.events.emplace_back(CallEnded{view_of(call), std::string(why)});
    unlink(call);
    by_key_.erase(at);
}

void Calls::hung_up(const std::string& key, const Message& bye, net::Now now) {
    const auto* call = find(key);
    if (call == nullptr) return;
    end(key, "hung up by " + (from_caller(*call, bye) ? call->view.from : call->view.to), now);
}

/// What is known of it, for the time after its end.
void Calls::keep(Call& call, net::Now now) {
    call.record_at = now.steady + kKeepEvery;
    const auto view = view_of(call);
    call.record.path = view.path;
    call.record.audio = view.audio;
    call.record.streams = view.streams;
    for (const auto* flow : {&call.caller, &call.callee}) {
        if (const auto node = exchange_.node_of(*flow)) call.record.other = *node;
    }
    if (call.media.through_mesh()) call.record.other = call.media.far_node();
    const auto overlay = exchange_.environment.overlay();
    if (const auto port = call.media.far_port(); overlay && port != 0) call.record.our_end = net::Endpoint{*overlay, port, 0};
    call.record.far_end = call.media.far_end();
    history_.put(call.record, now);
}

CallView Calls::view_of(const Call& call) const {
    auto view = call.view;
    for (std::size_t i = 0; i < call.media.streams(); ++i) {
        const auto stats = call.media.stats(i);
        if (!stats) continue;
        const bool near = leg_of(call, true) == Leg::near;
        view.streams.push_back({call.media.kind(i), figures(near ? stats->near : stats->far), figures(near ? stats->far : stats->near)});
    }
    return view;
}

std::string Calls::silence_in_words(const Call& call, Leg leg, bool from_elsewhere) const {
    const bool caller = leg_of(call, true) == leg;
    const auto& flow = caller ? call.caller : call.callee;
    auto words = "no audio from " + (caller ? call.view.from : call.view.to) + ": ";
    if (from_elsewhere) return words + "it comes from an address that its SDP does not name";
    switch (flow.side) {
        case Side::phone: return words + "the phone at " + flow.remote.address.text() + " sends none";
        case Side::outside:
        case Side::trunk: return words + "none comes from " + flow.remote.address.text();
        case Side::mesh: break;
        case Side::centre:
            if (!call.media.through_mesh()) return words + "none comes from the centre's side";
            break;
    }
    const auto node = exchange_.node_of(flow).value_or(call.media.far_node());
    return words + "none comes through the mesh from " + node;
}

void Calls::watch(Call& call, net::Now now) {
    std::string words;
    call.watches.resize(call.media.streams());
    for (std::size_t i = 0; i < call.watches.size(); ++i) {
        auto& watch = call.watches[i];
        if (!watch.begun()) watch.begin(now.steady);
        const auto stats = call.media.stats(i);
        if (!stats) continue;
        const auto silent = watch.look(*stats, {call.media.expects_audio(i, Leg::near), call.media.expects_audio(i, Leg::far)}, now.steady);
        if (silent && words.empty()) words = silence_in_words(call, *silent, watch.from_elsewhere());
    }
    if (words == call.view.audio) return;
    call.view.audio = std::move(words);
    if (!call.view.audio.empty()) keep(call, now);
    exchange_.events.emplace_back(AudioChanged{view_of(call)});
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
    std::vector<std::pair<std::string, std::string_view>> ghosts;
    for (auto& [key, call] : by_key_) {
        if (!call.up) continue;
        watch(call, now);
        if (call.record_at <= now.steady) keep(call, now);
        if (is_direct(call)) {
            if (is_forgotten(call, now)) ghosts.emplace_back(key, "nothing was heard of it any more");
            continue;
        }
        const bool expected = call.media.active() && call.media.expects_packets();
        // Where a dead centre carried the media each phone may go on speaking to nobody.
        const bool cut_off = exchange_.monitor && !exchange_.centre_up() && call.view.path == name_of(Path::central) &&
                             !call.media.through_mesh();
        const auto packets = packets_of(call, cut_off);
        if (packets != call.media_seen || expected != call.media_expected) call.media_heard = now.steady;
        call.media_seen = packets;
        call.media_expected = expected;
        const auto limit = exchange_.settings.media_timeout * (expected ? 1 : kHoldFactor);
        if (now.steady - call.media_heard >= limit) ghosts.emplace_back(key, "no media either way");
    }
    for (const auto& [key, why] : ghosts) {
        if (auto* call = find(key)) hang_up(*call, why, now);
    }
}

std::vector<CallView> Calls::views() const {
    std::vector<CallView> out;
    for (const auto& [key, call] : by_key_) out.push_back(view_of(call));
    std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) {
        return std::tie(a.since.steady, a.id) < std::tie(b.since.steady, b.id);
    });
    return out;
}

}  // namespace voice
