#include "mesh/peer_link.hpp"

#include <algorithm>

namespace mesh {

std::chrono::seconds PeerLink::backoff(unsigned attempts) {
    return attempts >= 4 ? std::chrono::seconds(15) : std::chrono::seconds(1 << attempts);
}

void PeerLink::answered() {
    unanswered_since = net::kNever;
    tried_elsewhere = false;
}

net::Steady PeerLink::next_deadline() const {
    auto next = std::min({next_attempt, next_hello, next_ping, mtu.next_deadline(), canary.next_deadline()});
    if (trial) next = std::min(next, trial->until);
    return next;
}

}  // namespace mesh
