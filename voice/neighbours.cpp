#include "voice/neighbours.hpp"

namespace voice {

namespace {

constexpr auto kAskEvery = std::chrono::seconds(10);
constexpr std::size_t kMost = 8;  // enough to tell one line from all

bool is_lost(const Exchange& exchange) {
    return exchange.monitor && (exchange.monitor->state() == CentreMonitor::State::down ||
                                exchange.monitor->state() == CentreMonitor::State::failing);
}

}  // namespace

void Neighbours::tick(net::Now now) {
    if (!is_lost(exchange_)) {
        asked_.clear();
        next_ = net::kNever;
        return;
    }
    if (next_ != net::kNever && now.steady < next_) return;
    next_ = now.steady + kAskEvery;
    std::map<NodeId, Asked> asked;
    for (const auto& node : exchange_.directory().voice_nodes()) {
        const auto flow = exchange_.to_node(node);
        if (!flow || asked.size() == kMost) continue;
        const auto uri = Uri::of("", flow->remote);
        auto options = Message::request("OPTIONS", uri);
        auto from = NameAddr::of(Uri::of("meshd", exchange_.local_toward(*flow)));
        from.params.set("tag", exchange_.transactions.make_tag());
        options.set_to(NameAddr::of(uri));
        options.set_from(from);
        options.set("Call-ID", exchange_.new_token());
        options.set("CSeq", CSeq{++cseq_, "OPTIONS"}.text());
        const auto via = exchange_.transactions.make_via(*flow, exchange_.sent_by(*flow));
        options.push_via(via);
        exchange_.transactions.send(options, *flow);
        // What it said last stands until it says something else, or nothing for a whole turn.
        const auto before = asked_.find(node);
        const bool answered = before != asked_.end() && before->second.branch.empty();
        asked[node] = {via.branch(), answered ? before->second.reaches : std::nullopt};
    }
    asked_ = std::move(asked);
}

bool Neighbours::take(const Message& response) {
    const auto via = response.top_via();
    if (!via || response.method() != "OPTIONS") return false;
    for (auto& [node, asked] : asked_) {
        if (asked.branch.empty() || asked.branch != via->branch()) continue;
        asked.branch.clear();
        const auto state = response.get(kCentreHeader);
        asked.reaches = state ? std::optional(*state == name_of(CentreMonitor::State::up)) : std::nullopt;
        return true;
    }
    return false;
}

std::string Neighbours::in_words() const {
    if (!is_lost(exchange_)) return {};
    std::string names;
    bool answered = false;
    for (const auto& [node, asked] : asked_) {
        answered |= asked.reaches.has_value();
        if (asked.reaches == true) names += (names.empty() ? "" : ", ") + node;
    }
    if (!names.empty()) return "still reached from " + names + ": the trouble is on this node's side";
    return answered ? "nor is it reached from any other node" : "";
}

}  // namespace voice
