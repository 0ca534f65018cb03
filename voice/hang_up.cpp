#include "voice/hang_up.hpp"

#include <algorithm>

namespace voice {

namespace {

constexpr net::Duration kT1 = std::chrono::milliseconds(500);
constexpr net::Duration kT2 = std::chrono::seconds(4);

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
    return in_dialog(method, answer.to(), invite.from(), invite.first_address("Contact").value_or(invite.from()),
                     invite.record_routes(), answer, cseq);
}

void Forsaken::add(const Message& invite_as_sent, const Flow& flow, net::Now now) {
    const auto via = invite_as_sent.top_via();
    if (!via || by_branch_.size() >= kMax) return;
    const bool in_dialog = !invite_as_sent.to_tag().empty();  // which lives on: no BYE
    by_branch_.insert_or_assign(
        via->branch(), Entry{invite_as_sent, flow, now.steady + std::chrono::minutes(5), in_dialog, net::kNever, {}, false});
}

bool Forsaken::take(const Message& response, net::Now now) {
    const auto via = response.top_via();
    if (!via || (response.method() != "INVITE" && response.method() != "CANCEL")) return false;
    const auto at = by_branch_.find(via->branch());
    if (at == by_branch_.end()) return false;
    auto& entry = at->second;
    if (response.method() == "CANCEL" || response.status() >= 200) entry.cancel_at = net::kNever;
    if (response.method() == "CANCEL") {
        if (response.status() == 481) entry.cancel_after = {};  // the INVITE may still come there
        return true;
    }
    if (response.status() < 200) {
        if (entry.cancel_after == net::Duration::zero()) cancel(entry, now);
    } else if (response.status() < 300) {
        end(response, entry.flow, !entry.ended, now);
        entry.ended = true;
    } else {
        exchange_.transactions.send(Message::ack_for(entry.invite, response), entry.flow);
    }
    return true;
}

void Forsaken::centre_answers(net::Now now) {
    for (auto& [branch, entry] : by_branch_) {
        if (entry.tried || entry.flow.side != Side::centre) continue;
        entry.tried = true;
        if (entry.cancel_after == net::Duration::zero()) cancel(entry, now);
    }
}

/// As a transaction would: timer E.
void Forsaken::cancel(Entry& entry, net::Now now) {
    exchange_.transactions.send(Message::cancel_for(entry.invite), entry.flow);
    const bool first = entry.cancel_after == net::Duration::zero();
    entry.cancel_after = first ? kT1 : std::min<net::Duration>(2 * entry.cancel_after, kT2);
    entry.cancel_at = entry.flow.reliable() ? net::kNever : now.steady + entry.cancel_after;
    next_cancel_ = std::min(next_cancel_, entry.cancel_at);
}

void Forsaken::tick(net::Now now) {
    if (next_cancel_ <= now.steady) {
        next_cancel_ = net::kNever;
        for (auto& [branch, entry] : by_branch_) {
            if (entry.cancel_at <= now.steady) cancel(entry, now);
            next_cancel_ = std::min(next_cancel_, entry.cancel_at);
        }
    }
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
