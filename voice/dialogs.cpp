#include "voice/dialogs.hpp"

#include <algorithm>

#include "voice/late_acks.hpp"
#include "voice/past_centre.hpp"
#include "voice/replaces.hpp"

namespace voice {

void Dialogs::arrived(const RequestArrived& event, net::Now now) {
    auto* brought = brought_past_centre(event.message, event.flow);
    if (brought != nullptr || (event.flow.side == Side::mesh && event.message.has(kPastCentre))) return from_past_centre(event, brought, now);
    const auto& request = event.message;
    const auto* call = calls_.of(request, event.flow.side == Side::phone);
    const bool past = call != nullptr && call->handed_over;
    // A B2BUA that wakes up never heard of the answer: what it says is of no account any more.
    if (past && event.flow.side == Side::centre) return exchange_.answer(event.id, 481, now);
    const bool centre_dead = past || (exchange_.monitor && !exchange_.centre_up());
    auto step = next(request, event.flow, centre_dead);
    Fork fork(event.id, request, event.flow, this);
    fork.request.remove(kPastCentre);
    fork.calls = calls_of(request, event.flow, step && step->past_centre);
    const auto own = fork.calls.size();
    if (!step && centre_dead && call != nullptr && !call->up && request.is("BYE") && Calls::from_caller(*call, request)) {
        return give_up(fork, *call, now);
    }
    if (!step && centre_dead) step = past_centre(fork);
    if (step && !may_go(fork, step->target)) {
        auto* end = moved_end(fork);
        if (end == nullptr) {
            ++exchange_.counters.forged;
            return exchange_.answer(event.id, 403, now, "Not registered here");
        }
        const auto user = lookup_.callee_of(request.from().uri);
        if (const auto refusal = credentials_.refusal(request, user, Credentials::Asker::proxy, now)) {
            exchange_.transactions.respond(event.id, *refusal, now);
            return;
        }
        *end = event.flow;
    }
    const bool believed = may_speak(fork);
    for (std::size_t i = 0; believed && i < own; ++i) calls_.saw(*calls_.find(fork.calls[i]), request);
    if (!step) {
        // A BYE whose way is gone still ends what runs here; the far side ends when its media falls silent.
        const bool known = !fork.calls.empty() && believed;
        if (request.is("BYE")) {
            for (const auto& key : fork.calls) calls_.end(key, "hung up, and no way to tell the far side", now);
        }
        return exchange_.answer(event.id, !known ? 481 : request.is("BYE") ? 200 : 408, now);
    }
    if (request.is("NOTIFY") && event.flow.side == Side::centre) centre_lamps_.passing(request, step->target, now);
    if (step->target.path == Path::central) {
        fork.patience =
            now.steady + std::max<net::Duration>(exchange_.monitor->patience(), std::chrono::milliseconds(500));
    }
    forking_.open(std::move(fork), {step->target}, 480, now);
}

std::optional<Dialogs::Step> Dialogs::past_centre(Fork& fork) {
    const auto* call = fork.from.side == Side::phone && !fork.calls.empty() ? calls_.find(fork.calls.front()) : nullptr;
    const auto ours = call != nullptr ? our_end(exchange_, *call) : std::nullopt;
    if (!ours) return std::nullopt;
    const auto& theirs = *call->media.far_end();
    if (theirs.address == ours->address) {  // both phones are of this office
        auto* other = calls_.joined_at(*ours);
        if (other == nullptr || other == call) return std::nullopt;
        const auto asked = fork.request;
        auto target = into_dialog(exchange_, *other, fork.request);
        if (!target) return std::nullopt;
        fork.asked = asked;
        fork.calls.push_back(other->key);
        return Step{std::move(*target), true};
    }
    const auto node = exchange_.directory().node_at(theirs.address);
    const auto flow = node ? exchange_.to_node(*node) : std::nullopt;
    if (!flow) return std::nullopt;
    fork.request.set(kPastCentre, ours->text());
    return Step{{Path::mesh, *flow, fork.request.uri(), {}, {}}, false};
}

void Dialogs::give_up(const Fork& bye, const Call& call, net::Now now) {
    if (!may_speak(bye)) {
        ++exchange_.counters.forged;
        return exchange_.answer(bye.id, 403, now, "Not registered here");
    }
    const auto invites = forking_.copies_of(*call.invite);  // the call goes with them
    exchange_.answer(bye.id, 200, now);
    for (const auto id : invites) forking_.cancelled(id, now);
}

Call* Dialogs::brought_past_centre(const Message& request, const Flow& from) {
    if (from.side != Side::mesh) return nullptr;
    return request.has(kPastCentre) ? spoken_of(exchange_, calls_, request, from) : calls_.named_elsewhere(request, from);
}

void Dialogs::from_past_centre(const RequestArrived& event, Call* call, net::Now now) {
    Fork fork(event.id, event.message, event.flow, this);
    if (event.message.has(kAckWanted) && event.message.is("OPTIONS")) {
        return exchange_.answer(event.id, call != nullptr && call->acknowledged ? 200 : 481, now);
    }
    if (const auto name = event.message.get(kKnownAs); name && call != nullptr && event.message.is("OPTIONS")) {
        constexpr std::size_t kLongest = 1000;
        if (name->size() <= kLongest) call->known_as = *name;
        return exchange_.answer(event.id, 200, now);
    }
    const auto target = call != nullptr ? into_dialog(exchange_, *call, fork.request) : std::nullopt;
    if (!target) return exchange_.answer(event.id, 481, now);
    fork.asked = event.message;
    fork.calls = {call->key};
    forking_.open(std::move(fork), {*target}, 480, now);
}

void Dialogs::ack(const AckArrived& event, net::Now now) {
    Fork fork(0, event.message, event.flow, this);
    auto* brought = brought_past_centre(event.message, event.flow);
    if (brought != nullptr || (event.flow.side == Side::mesh && event.message.has(kPastCentre))) {
        const auto target = brought != nullptr ? into_dialog(exchange_, *brought, fork.request) : std::nullopt;
        if (!target) return;
        fork.calls = {brought->key};
        return send_ack(fork, *target, now);
    }
    // It goes where the answer came from.
    const auto* call = calls_.of(event.message, event.flow.side == Side::phone);
    const bool bypassed = call != nullptr && (call->handed_over || call->bypassed_cseq == event.message.cseq().number);
    const bool centre_dead = (exchange_.monitor && !exchange_.centre_up()) || bypassed;
    // Nothing tells that an ACK was lost: while in doubt it goes both ways.
    bool both = exchange_.centre_up() && exchange_.monitor->doubtful(now);
    for (const bool avoid : {false, true}) {
        if (avoid ? !(both || centre_dead) : centre_dead) continue;
        auto step = next(event.message, event.flow, avoid);
        fork.request = event.message;
        fork.request.remove(kPastCentre);
        fork.calls = calls_of(event.message, event.flow, step && step->past_centre);
        if (!step && avoid) step = past_centre(fork);
        if (!step || event.message.max_forwards() == 0U) continue;
        both &= step->target.path == Path::central;
        if (!may_go(fork, step->target)) {
            ++exchange_.counters.forged;
            continue;
        }
        send_ack(fork, step->target, now);
    }
}

void Dialogs::send_ack(Fork& fork, const Target& target, net::Now now) {
    auto request = fork.request;
    request.set_max_forwards(request.max_forwards().value_or(70 + 1) - 1);
    request.set_uri(target.uri);
    request.set_addresses("Route", target.routes);
    shape(fork, target, request, now);
    request.push_via(exchange_.transactions.make_via(target.flow, exchange_.sent_by(target.flow)));
    exchange_.transactions.send(request, target.flow);
    auto* call = fork.calls.empty() ? nullptr : calls_.find(fork.calls.front());
    if (call != nullptr && call->answer) call->acknowledged |= call->answer->cseq().number == fork.as_asked().cseq().number;
}

std::optional<Dialogs::Step> Dialogs::next(const Message& request, const Flow& from, bool avoid_centre) const {
    const auto routes = request.routes();
    std::string token;
    bool past_centre = false;
    auto at = routes.begin();
    const auto rest = [&](auto from_here) { return std::vector<NameAddr>(from_here, routes.end()); };
    for (;;) {
        while (at != routes.end() && exchange_.is_us(at->uri, from)) {
            const auto waypoint = waypoint_of(at->uri);
            token = waypoint ? waypoint->token : "";
            ++at;
        }
        if (auto target = outward(request, from, rest(at))) return Step{std::move(*target), past_centre};
        if (at == routes.end()) break;
        if (const auto waypoint = waypoint_of(at->uri)) {
            if (const auto flow = exchange_.to_node(waypoint->node)) {
                return Step{{Path::mesh, *flow, request.uri(), rest(at), {}}, past_centre};
            }
        }
        if (!avoid_centre) {
            if (!exchange_.settings.centre || from.side == Side::centre || from.side == Side::outside || from.side == Side::trunk) {
                return std::nullopt;
            }
            return Step{{Path::central, exchange_.to_centre(), request.uri(), rest(at), {}}, past_centre};
        }
        const auto bypass = std::find_if(at, routes.end(), [&](const auto& hop) {
            const auto waypoint = waypoint_of(hop.uri);
            return waypoint && (waypoint->node == exchange_.settings.node || exchange_.to_node(waypoint->node));
        });
        if (bypass == routes.end()) return std::nullopt;
        past_centre |= exchange_.is_us(bypass->uri, from);
        at = bypass;
    }
    auto target = last(request, from, token);
    if (!target || (avoid_centre && target->path == Path::central)) return std::nullopt;
    return Step{std::move(*target), past_centre};
}

std::optional<Target> Dialogs::outward(const Message& request, const Flow& from, std::vector<NameAddr> routes) const {
    if (from.side == Side::outside || from.side == Side::trunk) return std::nullopt;
    const auto* call = calls_.of(request, from.side == Side::phone);
    if (call == nullptr) return std::nullopt;
    auto flow = Calls::from_caller(*call, request) ? call->callee : call->caller;
    if (flow.side == Side::trunk) {
        // Gateways are where they were, whatever they write of themselves.
        Target target{Path::trunk, flow, request.uri(), std::move(routes), {}};
        target.trunk = exchange_.gateways.trunk_at(flow.remote, false);
        return target;
    }
    if (from.side != Side::phone || flow.side != Side::outside) return std::nullopt;
    const auto& hop = routes.empty() ? request.uri() : routes.front().uri;
    if (const auto endpoint = hop.endpoint(); endpoint && *endpoint != flow.remote) {
        // By TLS it is known by the connection that there is: nobody shows a certificate for an address.
        const auto transport = transport_of(hop);
        const bool same = transport == Transport::tls && flow.transport == transport && endpoint->address == flow.remote.address;
        if (!same) flow = exchange_.flow_to(*endpoint, transport, Side::outside);
    }
    return Target{Path::outside, flow, request.uri(), std::move(routes), {}};
}

bool Dialogs::may_go(const Fork& fork, const Target& target) {
    return (fork.from.side == Side::phone && target.path == Path::central) || may_speak(fork);
}

bool Dialogs::may_speak(const Fork& fork) {
    if (fork.from.side == Side::centre || in_call(fork)) return true;
    const auto& request = fork.as_asked();
    return lookup_.may_speak_for(lookup_.callee_of(request.from().uri), fork.from);
}

Flow* Dialogs::moved_end(const Fork& fork) {
    const auto& request = fork.as_asked();
    for (const auto& key : fork.calls) {
        auto* call = calls_.find(key);
        if (call == nullptr || !call->up || !call->invite || !call->answer) continue;
        const bool caller = Calls::from_caller(*call, request);
        const auto& own_tag = caller ? call->from_tag : call->answer->to_tag();
        const auto& other_tag = caller ? call->answer->to_tag() : call->from_tag;
        if (request.from_tag() != own_tag || request.to_tag() != other_tag) continue;
        if (request.cseq().number <= (caller ? call->caller_cseq : call->callee_cseq)) continue;
        auto& end = caller ? call->caller : call->callee;
        const auto same_place = [&](const Flow& flow) {
            return flow.side == Side::phone && flow.transport == Transport::udp && flow.remote.address == fork.from.remote.address;
        };
        if (fork.from.side != Side::phone || fork.from.transport != Transport::udp || !same_place(end)) continue;
        const auto user = lookup_.callee_of(request.from().uri);
        if (user != (caller ? call->view.from : call->view.to) || !credentials_.provisioned(user)) continue;
        // It is registered, under the name that its Contact has had in this call.
        const auto named = (caller ? call->invite : call->answer)->first_address("Contact");
        const auto said = request.first_address("Contact");
        if (!named || (said && said->uri.user != named->uri.user)) continue;
        const auto bindings = exchange_.location.of(user);
        const bool bound = std::any_of(bindings.begin(), bindings.end(), [&](const auto* binding) {
            return same_place(binding->flow) && binding->contact.uri.user == named->uri.user;
        });
        if (bound) return &end;
    }
    return nullptr;
}

bool Dialogs::is_end(const Call& call, bool caller, const Flow& from) const {
    const auto& end = caller ? call.caller : call.callee;
    switch (from.side) {
        case Side::phone:
            // From a new port, or by a new connection, once it has registered by that.
            return (end.side == from.side && end.remote == from.remote) ||
                   exchange_.location.from(from, caller ? call.view.from : call.view.to) != nullptr;
        case Side::mesh: {
            if (end.side == from.side) return end.remote.address == from.remote.address;
            // The centre has brought the call, and is skipped: the nodes that it runs through are named in its route.
            const auto node = exchange_.node_of(from);
            const auto& said = caller ? call.invite : call.answer;
            const auto routes = said ? said->record_routes() : std::vector<NameAddr>();
            return node && std::any_of(routes.begin(), routes.end(), [&](const auto& hop) {
                const auto waypoint = waypoint_of(hop.uri);
                return waypoint && waypoint->node == *node;
            });
        }
        case Side::centre:
        case Side::outside:
        case Side::trunk:
            return true;
    }
    return false;
}

bool Dialogs::in_call(const Fork& fork) {
    const auto& request = fork.as_asked();
    return std::any_of(fork.calls.begin(), fork.calls.end(), [&](const auto& key) {
        const auto* call = calls_.find(key);
        if (call == nullptr || !call->told || !call->invite) return false;
        const bool caller = Calls::from_caller(*call, request);
        if (!is_end(*call, caller, fork.from)) return false;
        if (request.is("ACK") || request.is("BYE")) return true;  // they end something, whatever the name
        const auto named = caller ? call->invite->from() : call->invite->to();
        return request.from().uri.address_of_record() == named.uri.address_of_record();
    });
}

std::optional<Target> Dialogs::last(const Message& request, const Flow& from, const std::string& token) const {
    for (const auto& name : {token, request.uri().user}) {
        const auto* binding = exchange_.location.by_token(name);
        if (binding == nullptr || (from.side == Side::phone && binding->flow.remote == from.remote)) continue;
        if (binding->flow_lost) return std::nullopt;
        auto target = lookup_.phone(*binding);
        target.routes.clear();  // the dialog has a route set of its own
        if (name == token) target.uri = request.uri();
        return target;
    }
    const auto endpoint = request.uri().endpoint();
    // A B2BUA may stand among the phones' networks; on its host nobody is a phone who has not registered.
    const auto& centre = exchange_.settings.centre;
    const bool of_centre = endpoint && centre && centre->endpoint.address == endpoint->address && !exchange_.location.is_at(*endpoint);
    if (endpoint && exchange_.is_phone_address(endpoint->address) && !of_centre && !exchange_.is_us(request.uri(), from)) {
        return Target{Path::local,
                      exchange_.flow_to(*endpoint, transport_of(request.uri()), Side::phone),
                      request.uri(),
                      {},
                      {}};
    }
    if (from.side == Side::phone && exchange_.settings.centre) return lookup_.centre(request.uri());
    return std::nullopt;
}

std::vector<std::string> Dialogs::calls_of(const Message& request, const Flow& from, bool past_centre) {
    std::vector<std::string> out;
    const bool near = from.side == Side::phone;
    if (const auto* call = calls_.of(request, near)) out.push_back(call->key);
    if (!past_centre) return out;
    const auto* second = calls_.of(request, false);
    if (second != nullptr && near && (out.empty() || second->key != out.front())) out.push_back(second->key);
    return out;
}

bool Dialogs::shape(Fork& fork, const Target& target, Message& request, net::Now now) {
    // A phone shows its password to each request of a call, ACK too (22.1, 13.2.2.4): it is for nobody beyond us.
    if (target.path != Path::central) credentials_.consume(request);
    if (request.is("REFER") && fork.from.side == Side::phone) name_user_in_refer_to(exchange_, calls_, request, now);
    if (const auto* call = gateway_call(fork, target)) Trunks::dress(*call, target, request);
    return calls_.carry(fork, target, request, now);
}

Call* Dialogs::gateway_call(const Fork& fork, const Target& target) {
    if (target.path != Path::trunk && fork.from.side != Side::trunk) return nullptr;
    auto* call = fork.calls.empty() ? nullptr : calls_.find(fork.calls.front());
    return call != nullptr && call->gateway ? call : nullptr;
}

std::optional<Target> Dialogs::again(Fork& fork, const Branch& branch, const Message& refusal, net::Now) {
    auto* call = gateway_call(fork, branch.target);
    auto target = call != nullptr ? trunks_.again(branch, refusal) : std::nullopt;
    if (target) ++call->gateway->cseq_shift;
    return target;
}

std::vector<Target> Dialogs::spare(Fork& fork, net::Now) {
    // What has gone past the centre has had its answer: it is not sent a second time.
    const auto by_centre = [](const auto& branch) { return branch.target.path == Path::central; };
    if (std::none_of(fork.branches.begin(), fork.branches.end(), by_centre)) return {};
    auto step = next(fork.request, fork.from, true);
    fork.calls = calls_of(fork.request, fork.from, step && step->past_centre);
    if (!step) step = past_centre(fork);
    if (!step) return {};
    if (!may_go(fork, step->target)) return {};
    return {step->target};
}

void Dialogs::passing(Fork& fork, const Branch& branch, Message& response, net::Now now) {
    // A subscription that died with the centre: its phone is to subscribe anew, at once (RFC 6665 section 4.1.2.2).
    const bool dead = branch.id == 0 && exchange_.monitor && !exchange_.centre_up() && is_outage(response.status());
    if (dead && fork.request.is("SUBSCRIBE")) response.set_status(481);
    for (const auto& key : fork.calls) {
        const auto* call = calls_.find(key);
        if (call != nullptr && call->gateway) Trunks::undress(fork.request, response);
    }
    calls_.carry_back(fork, branch, response, now);
    if (!branch.spare || !fork.is_invite() || response.status() < 200 || response.status() >= 300 || fork.calls.empty()) return;
    if (auto* call = calls_.find(fork.calls.front())) call->bypassed_cseq = fork.as_asked().cseq().number;
}

void Dialogs::ended(Fork& fork, int status, net::Now now) {
    if (fork.request.method() == "NOTIFY" && fork.from.side == Side::centre) centre_lamps_.answered(fork.request, status);
    if (fork.request.method() != "BYE" || status == 401 || status == 407) return;
    for (const auto& key : fork.calls) {
        const auto* call = calls_.find(key);
        if (call != nullptr && !call->up && status == 481) continue;  // it named no dialog of this call
        calls_.hung_up(key, fork.request, now);
    }
}

}  // namespace voice
