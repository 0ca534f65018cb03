#include "voice/past_centre.hpp"

#include <algorithm>

#include "voice/hang_up.hpp"
#include "voice/multipart.hpp"

namespace voice {

std::optional<net::Endpoint> our_end(const Exchange& exchange, const Call& call) {
    const auto overlay = exchange.environment.overlay();
    const auto port = call.media.far_port();
    if (!overlay || port == 0 || !call.media.far_end()) return std::nullopt;
    return net::Endpoint{*overlay, port, 0};
}

Call* spoken_of(const Exchange& exchange, Calls& calls, const Message& request, const Flow& from) {
    const auto end = net::Endpoint::parse(request.get(kPastCentre).value_or(""));
    const auto node = exchange.node_of(from);
    if (!end || !node || exchange.directory().node_at(end->address) != node) return nullptr;
    return calls.joined_at(*end);
}

std::optional<net::Endpoint> end_of(const Message& offer) {
    const auto part = sdp_part(offer.content_type(), offer.body());
    const auto session = part ? SessionDescription::parse(part->text) : std::nullopt;
    if (!session) return std::nullopt;
    const auto first = std::find_if(session->media.begin(), session->media.end(),
                                    [](const auto& media) { return media.is_relayed() && !media.rejected(); });
    return first == session->media.end() ? std::nullopt : std::optional(first->rtp);
}

std::optional<Target> into_dialog(const Exchange& exchange, Call& call, Message& request) {
    if (!call.up || !call.invite || !call.answer) return std::nullopt;
    const bool acknowledges = request.is("ACK");
    if (acknowledges && call.past_centre_cseq == 0) return std::nullopt;
    auto& highest = call.caller_near ? call.callee_cseq : call.caller_cseq;
    const auto cseq = acknowledges ? call.past_centre_cseq : ++highest;
    if (request.is("INVITE")) call.past_centre_cseq = cseq;
    const auto ours = call.caller_near ? toward_caller(request.method(), *call.invite, *call.answer, cseq)
                                       : toward_callee(request.method(), *call.answer, cseq, exchange.settings.node);
    request.remove(kPastCentre);
    request.set_uri(ours.uri());
    request.set_from(ours.from());
    request.set_to(ours.to());
    request.set("Call-ID", ours.call_id());
    request.set("CSeq", ours.cseq().text());
    if (const auto rack = request.get("RAck"); rack && request.is("PRACK")) {  // RFC 3262 7.2: "RSeq CSeq method"
        const auto first = rack->find(' ');
        const auto last = rack->rfind(' ');
        if (first == rack->npos || first == last || call.past_centre_cseq == 0) return std::nullopt;
        request.set("RAck", std::string(rack->substr(0, first + 1)) + std::to_string(call.past_centre_cseq) + std::string(rack->substr(last)));
    }
    const auto partner = (call.caller_near ? call.answer : call.invite)->first_address("Contact");
    if (partner && request.has("Contact")) request.set_contacts({*partner});
    return Target{Path::local, call.caller_near ? call.caller : call.callee, ours.uri(), ours.routes(), {}};
}

}  // namespace voice
