#include "voice/replaces.hpp"

#include "net/text.hpp"

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

}  // namespace

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

void name_user_in_refer_to(const Exchange& exchange, Calls& calls, Message& refer) {
    auto to = refer.first_address("Refer-To");
    if (!to) return;
    const auto endpoint = to->uri.endpoint();
    if (!endpoint || !exchange.is_phone_address(endpoint->address)) return;
    const auto value = header_in(to->uri.headers, "Replaces");
    const auto replaces = value ? Replaces::parse(*value) : std::nullopt;
    if (!replaces) return;
    bool called = false;  // the phone that refers is what the other end would have replaced
    const auto* call = call_with(calls, replaces->call_id, replaces->from_tag, replaces->to_tag, called);
    if (call == nullptr) return;
    auto uri = Uri::parse("sip:" + (called ? call->view.from : call->view.to));
    if (!uri) return;
    uri->headers = to->uri.headers;
    to->uri = std::move(*uri);
    refer.set_addresses("Refer-To", {*to});
}

}  // namespace voice
