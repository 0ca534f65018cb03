#include "voice/late_acks.hpp"

#include "voice/hang_up.hpp"
#include "voice/past_centre.hpp"

namespace voice {

void LateAcks::repeated(Call& call, net::Now now) {
    const bool silent = exchange_.monitor && exchange_.monitor->doubtful(now);
    if (!silent || call.handed_over || call.ack_asked || !call.invite || !call.answer) return;
    const auto ours = our_end(exchange_, call);
    if (!ours || call.media.far_end()->address == ours->address) return;
    if (call.acknowledged) return forsaken_.end(*call.answer, call.callee, false, now);
    const auto node = exchange_.directory().node_at(call.media.far_end()->address);
    const auto flow = node ? exchange_.to_node(*node) : std::nullopt;
    if (!flow) return;
    auto options = toward_caller("OPTIONS", *call.invite, *call.answer, 1);
    options.remove("Route");
    options.set(kPastCentre, ours->text());
    options.set(kAckWanted, "1");
    const auto id = exchange_.transactions.start(std::move(options), *flow, exchange_.sent_by(*flow), now);
    if (id == 0) return;
    asked_[id] = call.key;
    call.ack_asked = true;
}

bool LateAcks::response(ClientId id, int status, net::Now now) {
    const auto at = asked_.find(id);
    if (at == asked_.end()) return false;
    if (status < 200) return true;
    auto* call = calls_.find(at->second);
    asked_.erase(at);
    if (call == nullptr) return true;
    call->ack_asked = false;
    if (status >= 300 || call->acknowledged || !call->answer) return true;
    call->acknowledged = true;
    forsaken_.end(*call->answer, call->callee, false, now);
    return true;
}

}  // namespace voice
