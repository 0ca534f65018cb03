#include "voice/replaces.hpp"

#include <algorithm>

#include "net/text.hpp"
#include "voice/past_centre.hpp"

namespace voice {

namespace {

/// The value of a header that stands behind '?' in a URI.
std::optional<std::string> header_in(std::string_view headers, std::string_view name) {
    while (!headers.empty()) {
        const auto end = std::min(headers.find('&'), headers.size());
        const auto field = headers.substr(0, end);
        headers.remove_prefix(std::min(end + 1, headers.size()));
        const auto equals = field.find('=');
        if (equals != field.npos && net::equals_ignoring_case(field.substr(0, equals), name)) return unescape(field.substr(equals + 1));
    }
    return std::nullopt;
}

/// The call in which `partner`'s tag stands on the caller's side, or on the callee's, and the phone on the other is ours.
/// A tag of "0" is one that was never given (RFC 3891 section 3).
const Call* call_with(Calls& calls, const std::string& call_id, const std::string& near_tag, const std::string& far_tag,
                      bool& phone_called) {
    for (const bool caller_near : {true, false}) {
        const auto* call = calls.find(Calls::key_of(call_id, far_tag, caller_near));
        if (call == nullptr || !call->told || !call->callee_near) continue;
        if (call->answer && call->answer->to_tag() != near_tag) continue;
        phone_called = true;
        return call;
    }
    const auto* call = calls.find(Calls::key_of(call_id, near_tag, true));
    if (call == nullptr || !call->told || (call->answer && call->answer->to_tag() != far_tag)) return nullptr;
    phone_called = false;
    return call;
}

/// The call here that goes by that name at the other side of a dead B2BUA.
const Call* known_as(Calls& calls, const Replaces& name) {
    const auto& all = calls.all();
    const auto found = std::find_if(all.begin(), all.end(), [&](const auto& one) {
        const auto& call = one.second;
        return call.up && !call.known_as.empty() && call.invite && call.answer && Replaces::parse(call.known_as) == name;
    });
    return found == all.end() ? nullptr : &found->second;
}

/// False: there is no other office or call, or none that is sure.
bool tell_name(Exchange& exchange, Calls& calls, const Call& call, const Replaces& name, net::Now now) {
    const auto ours = our_end(exchange, call);
    if (!ours) return false;
    const auto& theirs = *call.media.far_end();
    if (theirs.address == ours->address) {
        auto* other = calls.joined_at(*ours);
        if (other == nullptr || other == &call) return false;
        other->known_as = name.text();
        return true;
    }
    const auto node = exchange.directory().node_at(theirs.address);
    const auto flow = node ? exchange.to_node(*node) : std::nullopt;
    if (!flow || !call.invite || !call.answer) return false;
    auto options = toward_callee("OPTIONS", *call.answer, 1, exchange.settings.node);
    options.remove("Route");
    options.set(kPastCentre, ours->text());
    options.set(kKnownAs, name.text());
    exchange.transactions.start(std::move(options), *flow, exchange.sent_by(*flow), now);
    return true;
}

}  // namespace

std::string Replaces::text() const { return call_id + ";to-tag=" + to_tag + ";from-tag=" + from_tag; }

std::optional<Replaces> Replaces::parse(std::string_view value) {
    const auto semicolon = value.find(';');
    if (semicolon == value.npos) return std::nullopt;
    const auto params = Params::parse(value.substr(semicolon + 1));
    if (!params || !params->get("to-tag") || !params->get("from-tag")) return std::nullopt;
    return Replaces{std::string(net::trim(value.substr(0, semicolon))), std::string(*params->get("to-tag")),
                    std::string(*params->get("from-tag"))};
}

std::optional<Replaces> Replaces::of(const Message& invite) {
    const auto value = invite.is("INVITE") ? invite.get("Replaces") : std::nullopt;
    return value ? parse(*value) : std::nullopt;
}

std::vector<Target> holders(const Exchange& exchange, Calls& calls, const Lookup& lookup, const Replaces& replaces) {
    bool called = false;
    const auto* call = call_with(calls, replaces.call_id, replaces.to_tag, replaces.from_tag, called);
    if (call == nullptr) {
        call = known_as(calls, replaces);
        called = call != nullptr && !call->caller_near;
    }
    if (call == nullptr) return {};
    const auto& flow = called ? call->callee : call->caller;
    const auto& user = called ? call->view.to : call->view.from;
    if (const auto* binding = exchange.location.from(flow, user)) {
        if (!binding->flow_lost) return {lookup.phone(*binding)};
    }
    const auto& said = called ? call->answer : call->invite;
    const auto contact = said ? said->first_address("Contact") : std::nullopt;
    if (!contact) return {};
    // It has registered anew since, by another port of its NAT.
    if (const auto* binding = exchange.location.find(user, contact->uri); binding != nullptr && !binding->flow_lost) {
        return {lookup.phone(*binding)};
    }
    return {Target{Path::local, flow, contact->uri, {}, {}}};
}

void name_user_in_refer_to(Exchange& exchange, Calls& calls, Message& refer, net::Now now) {
    auto to = refer.first_address("Refer-To");
    if (!to) return;
    const auto value = header_in(to->uri.headers, "Replaces");
    const auto replaces = value ? Replaces::parse(*value) : std::nullopt;
    if (!replaces) return;
    bool called = false;  // the phone that refers is what the other end would have replaced
    const auto* call = call_with(calls, replaces->call_id, replaces->from_tag, replaces->to_tag, called);
    if (call == nullptr) return;
    const auto endpoint = to->uri.endpoint();
    const bool of_phone = endpoint && exchange.is_phone_address(endpoint->address);
    const bool silent = exchange.monitor && (!exchange.centre_up() || exchange.monitor->doubtful(now));
    const bool past = (call->handed_over || (silent && call->view.path == name_of(Path::central))) &&
                      tell_name(exchange, calls, *call, *replaces, now);
    if (!of_phone && !past) return;
    auto uri = Uri::parse("sip:" + (called ? call->view.from : call->view.to));
    if (!uri) return;
    uri->headers = to->uri.headers;
    to->uri = std::move(*uri);
    refer.set_addresses("Refer-To", {*to});
}

void name_as_the_phone_does(Calls& calls, Message& invite) {
    const auto replaces = Replaces::of(invite);
    if (!replaces) return;
    bool called = false;
    if (call_with(calls, replaces->call_id, replaces->to_tag, replaces->from_tag, called) != nullptr) return;
    const auto* call = known_as(calls, *replaces);
    if (call == nullptr) return;
    const auto callee_tag = call->answer->to_tag();
    const bool caller = call->caller_near;
    invite.set("Replaces", Replaces{std::string(call->invite->call_id()), caller ? call->from_tag : callee_tag,
                                    caller ? callee_tag : call->from_tag}.text());
}

}  // namespace voice
