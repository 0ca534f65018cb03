#include "voice/probe.hpp"

#include <algorithm>

namespace voice {

void Probe::tick(net::Now now) {
    if (!exchange_.monitor || !exchange_.monitor->probe_due(now)) return;
    if (call_id_.empty()) call_id_ = exchange_.new_token();
    const auto flow = exchange_.to_centre();
    auto uri = Uri::of("", flow.remote);
    if (flow.transport == Transport::tcp) uri.params.set("transport", "tcp");
    if (flow.transport == Transport::tls) uri.params.set("transport", "tls");
    auto options = Message::request("OPTIONS", uri);
    auto from = NameAddr::of(*Uri::parse("sip:meshd@" + exchange_.settings.domain));
    options.set_to(NameAddr::of(uri));
    from.params.set("tag", call_id_);
    options.set_from(from);
    options.set("Call-ID", call_id_);
    options.set("CSeq", CSeq{++cseq_, "OPTIONS"}.text());
    const auto via = exchange_.transactions.make_via(flow, exchange_.sent_by(flow));
    options.push_via(via);
    sent_.push_back({via.branch(), now.steady});
    if (sent_.size() > 32) sent_.pop_front();
    exchange_.transactions.send(options, flow);
}

bool Probe::take(const Message& response, net::Now now) {
    const auto via = response.top_via();
    if (!via || response.method() != "OPTIONS" || !exchange_.monitor) return false;
    const auto branch = via->branch();
    const auto at = std::find_if(sent_.begin(), sent_.end(), [&](const auto& sent) { return sent.branch == branch; });
    if (at == sent_.end()) return false;
    exchange_.monitor->measured(now.steady - at->at);
    sent_.erase(at);
    return true;
}

}  // namespace voice
