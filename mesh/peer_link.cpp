#include "mesh/peer_link.hpp"

#include <algorithm>

namespace mesh {

void PeerLink::answered() {
    unanswered_since = net::kNever;
    unanswered_pings = 0;
    tried_elsewhere = false;
}

net::Steady PeerLink::ping_again(net::Steady now, bool repeated) const {
    if (!shares_subnet) {
        const auto patience = 2 * rtt.value_or(kMostPatience) + kPingAgain / 3;
        return now + (repeated ? net::Duration(kPingAgain) : std::clamp<net::Duration>(patience, kPingAgain, kMostPatience));
    }
    const net::Duration on_its_way = repeated ? net::Duration::zero() : net::Duration(rtt.value_or(std::chrono::microseconds(0)));
    return now + kSharedPingAgain + on_its_way;
}

net::Steady PeerLink::ping_after_answer(net::Steady now, net::Duration every) const {
    return backed_up ? std::max(now, ping_sent + kBackedUpPingEvery) : now + every;
}

/// Twenty pings or so, the last of which has had time to be answered: of 30 % loss each way one run of them in a million
/// is lost.
net::Duration PeerLink::lost_after() const {
    if (!backed_up) return kLostAfter;
    const net::Duration round_trip(rtt.value_or(std::chrono::microseconds(0)));
    return std::clamp<net::Duration>(kBackedUpLostAfter - std::chrono::milliseconds(400) + 2 * round_trip, kBackedUpLostAfter,
                                     kLostAfter);
}

net::Steady PeerLink::next_deadline() const {
    return std::min({next_attempt, next_detour, next_hello, next_ping, next_look, mtu.next_deadline(),
                     canary.next_deadline(), paths.next_deadline()});
}

}  // namespace mesh
