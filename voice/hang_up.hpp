/// Requests of our own inside somebody else's dialog: ACK and BYE to a call that nobody wants any more (an answer that
/// came after another had won, a call whose media died). RFC 3261 sections 13.2.2.4 and 15.
#pragma once

#include <unordered_map>

#include "voice/exchange.hpp"

namespace voice {

/// A request toward the callee of the dialog that `answer` (a 2xx) made, as it leaves us: without Via.
Message toward_callee(std::string_view method, const Message& answer, std::uint32_t cseq, const NodeId& us);
/// The same toward the caller. `invite` is as it came to us.
Message toward_caller(std::string_view method, const Message& invite, const Message& answer, std::uint32_t cseq);

/// INVITEs that we stopped retransmitting before anything answered. Where the far end wakes up late, its 1xx gets
/// CANCEL, its 2xx ACK and BYE, its other finals ACK.
class Forsaken {
public:
    explicit Forsaken(Exchange& exchange) : exchange_(exchange) {}

    void add(const Message& invite_as_sent, const Flow& flow, net::Now now);
    /// A response without a transaction; false if it is none of these either.
    bool take(const Message& response, net::Now now);
    /// The centre answers probes: it has, or will never have, what was sent to it before. Each INVITE gets one CANCEL, for
    /// the 1xx that should ask for it may have been lost.
    void centre_answers(net::Now now);
    void tick(net::Now now);
    net::Steady next_deadline() const { return next_cancel_; }

    /// ACK, and BYE the first time, to a 2xx that came by `flow` and shall not be a call.
    void end(const Message& answer, const Flow& flow, bool first, net::Now now);

private:
    struct Entry {
        Message invite;
        Flow flow;
        net::Steady until;
        bool ended = false;
        net::Steady cancel_at = net::kNever;  ///< when CANCEL is sent again, as nothing has answered it
        net::Duration cancel_after{};
        bool tried = false;
    };
    void cancel(Entry& entry, net::Now now);
    static constexpr std::size_t kMax = 2000;
    Exchange& exchange_;
    std::unordered_map<std::string, Entry> by_branch_;
    net::Steady next_sweep_;
    net::Steady next_cancel_ = net::kNever;
};

}  // namespace voice
