/// SIP transactions (RFC 3261 section 17 with RFC 6026 and RFC 3581), all of a node in one passive object.
///
/// A message comes in by receive() and leaves as events for the transaction user; what it wants sent it hands to
/// start(), cancel() and respond(). Timers run by tick(). It does by itself: received and rport on the top Via,
/// retransmissions both ways, 100 Trying to an INVITE that has no answer yet when what goes out is taken, 200 or 481 to a
/// CANCEL, ACK to a non-2xx final response.
#pragma once

#include <functional>
#include <memory>
#include <variant>

#include "net/random.hpp"
#include "net/time.hpp"
#include "voice/flow.hpp"
#include "voice/message.hpp"

namespace voice {

/// Numbers that are never reused in the life of a Transactions object. Zero is none.
using ServerId = std::uint64_t;
using ClientId = std::uint64_t;

struct TransactionSettings {
    net::Duration t1 = std::chrono::milliseconds(500);
    net::Duration t2 = std::chrono::seconds(4);
    net::Duration t4 = std::chrono::seconds(5);
    /// Beyond it the oldest transactions go that only wait for retransmissions; where there are none, a request is
    /// answered 503 with Retry-After.
    std::size_t max_transactions = 20000;
    /// Of those that only wait, other than INVITE: so many servers and so many clients, the oldest go first.
    std::size_t max_finished = 8000;
    std::size_t max_spared = 200;  ///< beyond max_transactions, for what spare() names
};

/// A request that opened a server transaction.
struct RequestArrived {
    ServerId id = 0;
    Message message;  ///< top Via as completed by us: received, rport
    Flow flow;
};
/// An ACK that belongs to no server transaction: it acknowledges a 2xx; a proxy forwards it by its Route.
struct AckArrived {
    Message message;
    Flow flow;
};
/// CANCEL came for an INVITE that has no final response yet. The CANCEL has been answered; answer the INVITE (487)
/// once its branches are cancelled.
struct Cancelled {
    ServerId id = 0;
    Message cancel;  ///< for its Reason header
};
/// A response to a request of ours; our own Via has been taken off. Provisional: each new one, retransmissions too.
/// Final: one, except that every 2xx to an INVITE comes (RFC 6026: from several forks, and retransmitted).
struct ResponseArrived {
    ClientId id = 0;
    Message message;
    Flow flow;
};
/// A response that belongs to no client transaction. Its Vias are untouched. RFC 6026: a proxy drops it.
struct StrayResponse {
    Message message;
    Flow flow;
};
/// No final response in time (timers B and F, or 64*T1 after CANCEL): act as on a 408. The transaction is gone.
struct TimedOut {
    ClientId id = 0;
};
/// The request could not be sent: act as on a 503. The transaction is gone.
struct TransportFailed {
    ClientId id = 0;
};
/// A server transaction is gone: ended as it should, no ACK came for its final response, its flow failed, or nobody
/// above answered a request other than INVITE in 64*T1 + T4. `clean` is true for the first. Its id may be forgotten.
struct ServerEnded {
    ServerId id = 0;
    bool clean = true;
};
/// A client transaction that had a final response is gone: nothing more will come for it.
struct ClientEnded {
    ClientId id = 0;
};
using TransactionEvent = std::variant<RequestArrived, AckArrived, Cancelled, ResponseArrived, StrayResponse, TimedOut,
                                      TransportFailed, ServerEnded, ClientEnded>;

struct TransactionCounters {
    std::uint64_t requests = 0, responses = 0;              ///< received and new
    std::uint64_t request_retransmissions = 0, response_retransmissions = 0;  ///< received and absorbed
    std::uint64_t resent = 0;                               ///< our own retransmissions
    std::uint64_t stray_responses = 0, stray_cancels = 0;
    std::uint64_t refused_full = 0;                         ///< no room for one more
    std::uint64_t refused_overload = 0;                     ///< while refuse_new() stood
    std::uint64_t timeouts = 0, transport_failures = 0;
};

class Transactions {
public:
    /// `random` draws branches and To tags; it must outlive this object.
    Transactions(net::Random& random, TransactionSettings settings = {});
    ~Transactions();
    Transactions(const Transactions&) = delete;
    Transactions& operator=(const Transactions&) = delete;

    // --- from below
    /// A message that Message::parse accepted.
    void receive(Message message, const Flow& flow, net::Now now);
    /// The connection or destination of `flow` is unreachable (ICMP, reset, closed, connect failed). Client transactions
    /// on it end with TransportFailed, server transactions that have not ended with ServerEnded{clean: false}. UDP:
    /// everything towards flow.remote; TCP: everything on flow.connection, and what asked for a connection to remote.
    void transport_failed(const Flow& flow, net::Now now);

    /// From now on (or no longer) a request that begins something new is answered 503 with Retry-After (21.5.4) and
    /// forgotten: what belongs to a dialog or a transaction that there is goes on.
    void refuse_new(bool refuse);
    /// These are not refused for that, nor for want of room: emergency calls. Asked only while something is refused, of what
    /// came by a flow and of what start() sends (nullptr); empty: none.
    using Spared = std::function<bool(const Message&, const Flow* came_by, net::Now)>;
    void spare(Spared which);

    // --- from above
    /// Sends a request (not ACK, not CANCEL) in a new client transaction. A Via is pushed: `sent_by` ("host" or
    /// "host:port", IPv6 in brackets), a fresh branch, and rport. `branch_suffix`, tokens only, ends the branch (the
    /// loop detection of RFC 5393 goes there). Zero if there are too many transactions.
    ClientId start(Message request, const Flow& flow, std::string_view sent_by, net::Now now,
                   std::string_view branch_suffix = {});
    /// Cancels an INVITE: CANCEL goes out now or, as RFC 3261 9.1 wants, once a provisional response has come. `reason`
    /// is the value of a Reason header, or empty. Does nothing after a final response. The INVITE's own final response
    /// (487, or a 2xx that won the race) still comes as an event; TimedOut if none does within 64*T1.
    void cancel(ClientId id, net::Now now, std::string_view reason = {});
    /// Sends an INVITE no more, and goes on waiting for what still comes of it, until timer B as ever. With cancel() a
    /// late 1xx then gets its CANCEL; a late 2xx comes as an event.
    void stop_resending(ClientId id);
    /// Forgets a client transaction in silence, without an event.
    void abandon(ClientId id);
    /// Sends a response on the server transaction. After a final one further ones are ignored, except 2xx after 2xx to an
    /// INVITE (RFC 6026). False if there is no such transaction (any more).
    bool respond(ServerId id, const Message& response, net::Now now);
    /// Sends without a transaction (ACK to 2xx, stateless answers). The caller has pushed its Via.
    void send(const Message& message, const Flow& flow);
    void send(net::Bytes bytes, const Flow& flow);
    /// A Via for a request that goes out by send(), with a fresh branch.
    Via make_via(const Flow& flow, std::string_view sent_by, std::string_view branch_suffix = {});
    std::string make_tag();

    // --- looking
    const Message* request_of(ServerId id) const;  ///< until its final response; borrowed until the next call not const
    /// As sent, our Via on top. After the final response to another than INVITE: until events are taken once more.
    const Message* request_of_client(ClientId id) const;
    const Flow* flow_of(ServerId id) const;
    bool has_final(ServerId id) const;  ///< a final response has been sent, or there is no such transaction
    std::size_t server_count() const;
    std::size_t client_count() const;
    std::size_t invite_count() const;  ///< of both; looks at all of them
    const TransactionCounters& counters() const { return counters_; }

    // --- turning
    void tick(net::Now now);
    net::Steady next_deadline() const;
    std::vector<Outgoing> take_outgoing();
    std::vector<TransactionEvent> take_events();

private:
    struct Server;
    struct Client;
    struct State;
    std::unique_ptr<State> state_;
    TransactionCounters counters_;
};

}  // namespace voice
