/// The OPTIONS that asks the centre whether it lives. Sent without a transaction: the monitor's own rhythm is the
/// retransmission, and each has a branch of its own so that a round trip is measured exactly.
#pragma once

#include <deque>

#include "voice/exchange.hpp"

namespace voice {

class Probe {
public:
    explicit Probe(Exchange& exchange) : exchange_(exchange) {}

    /// Sends one if it is due.
    void tick(net::Now now);
    /// A response without a transaction; false if it is not to a probe.
    bool take(const Message& response, net::Now now);

private:
    struct Sent {
        std::string branch;
        net::Steady at;
    };
    Exchange& exchange_;
    std::deque<Sent> sent_;
    std::string call_id_;
    std::uint32_t cseq_ = 0;
};

}  // namespace voice
