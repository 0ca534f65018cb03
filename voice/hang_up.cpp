#include "voice/hang_up.hpp"

#include <algorithm>

namespace voice {

namespace {

Message in_dialog(std::string_view method, const NameAddr& from, const NameAddr& to, const NameAddr& target,
                  const std::vector<NameAddr>& routes, const Message& of, std::uint32_t cseq) {
    auto request = Message::request(method, target.uri);
    request.set_from(from);
    request.set_to(to);
    request.set("Call-ID", of.call_id());
    request.set("CSeq", CSeq{cseq, std::string(method)}.text());
    if (!routes.empty()) request.set_addresses("Route", routes);
    return request;
}

}  // namespace

Message toward_callee(std::string_view method, const Message& answer, std::uint32_t cseq, const NodeId& us) {
    // The callee copied Record-Route: nearest to it first. Those behind our own are the callers' side.
    std::vector<NameAddr> routes;
    for (const auto& hop : answer.record_routes()) {
        const auto waypoint = waypoint_of(hop.uri);
        if (waypoint && waypoint->node == us) break;
        routes.insert(routes.begin(), hop);
    }
    return in_dialog(method, answer.from(), answer.to(), answer.first_address("Contact").value_or(answer.to()), routes,
                     answer, cseq);
}

Message toward_caller(std::string_view method, const Message& invite, const Message& answer, std::uint32_t cseq) {
    return in_dialog(method, answer.to(), answer.from(), invite.first_address("Contact").value_or(invite.from()),
                     invite.record_routes(), answer, cseq);
}

void Forsaken::add(const Message& invite_as_sent, const Flow& flow, net::Now now) {
    const auto via = invite_as_sent.top_via();
    if (!via || by_branch_.size() >= kMax) return;
    const bool in_dialog = !invite_as_sent.to_tag().empty();  // which lives on: no BYE
    by_branch_.insert_or_assign(via->branch(),
                                Entry{invite_as_sent, flow, now.steady + std::chrono::minutes(5), in_dialog});
}

bool Forsaken::take(const Message& response, net::Now now) {
    const auto via = response.top_via();
    if (!via || response.method() != "INVITE") return false;
    const auto at = by_branch_.find(via->branch());
    if (at == by_branch_.end()) return false;
    auto& entry = at->second;
    if (response.status() < 200) {
        exchange_.transactions.send(Message::cancel_for(entry.invite), entry.flow);
    } else if (response.status() < 300) {
        end(response, entry.flow, !entry.ended, now);
        entry.ended = true;
    } else {
        exchange_.transactions.send(Message::ack_for(entry.invite, response), entry.flow);
    }
    return true;
}

void Forsaken::tick(net::Now now) {
    if (now.steady < next_sweep_) return;
    next_sweep_ = now.steady + std::chrono::seconds(1);
    std::erase_if(by_branch_, [&](const auto& entry) { return entry.second.until <= now.steady; });
}

void Forsaken::end(const Message& answer, const Flow& flow, bool first, net::Now now) {
    const auto cseq = answer.cseq().number;
    const auto sent_by = exchange_.sent_by(flow);
    auto ack = toward_callee("ACK", answer, cseq, exchange_.settings.node);
    ack.push_via(exchange_.transactions.make_via(flow, sent_by));
    exchange_.transactions.send(ack, flow);
    if (first) {
        exchange_.transactions.start(toward_callee("BYE", answer, cseq + 1, exchange_.settings.node), flow, sent_by,
                                     now);
    }
}

}  // namespace voice
