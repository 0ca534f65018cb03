/// Inside of voice/transaction: two tables of state machines and one timetable. A transaction has one deadline for what
/// it sends again (timers A, E, G) and one for its end (B, D, F, H, I, J, K, L, M); the timetable holds the earlier of
/// the two. Server transactions are in transaction_server.cpp, client transactions in transaction_client.cpp.
#pragma once

#include <array>
#include <deque>
#include <set>
#include <unordered_map>
#include <utility>

#include "net/text.hpp"
#include "voice/transaction.hpp"

namespace voice {

inline constexpr int kTimeouts = 64;  // of T1: timers B, F, H, J, L, M

//                 INVITE server (17.2.1, RFC 6026)                    other server (17.2.2)
//   proceeding --2xx--> accepted --L--> gone            trying --1xx--> proceeding
//       |                                                 |                |
//     3xx-6xx                                           final            final
//       v                                                 v                v
//   completed --ACK--> confirmed --I--> gone             completed --------J--> gone
//       `--H--> gone, not clean
struct Transactions::Server {
    enum class State : std::uint8_t { trying, proceeding, completed, confirmed, accepted };
    State state = State::trying;
    bool invite = false;
    bool ours = false;  // a CANCEL, answered here: the user never hears of it
    std::string key;
    std::optional<Message> request;  // until the final response
    Flow flow;                       // responses go out by it
    net::IpAddress source;           // who may CANCEL
    net::Bytes last;                 // response sent last
    net::Duration interval{};
    net::Steady resend_at = net::kNever;
    net::Steady end_at = net::kNever;
    net::Steady due = net::kNever;  // its place in the timetable
};

//                 INVITE client (17.1.1, RFC 6026)                    other client (17.1.2)
//   calling --1xx--> proceeding                         trying --1xx--> proceeding
//      |                 |                                 |                |
//      +--2xx------------+--> accepted --M--> gone         +--final---------+--> completed --K--> gone
//      +--3xx-6xx, ACK---+--> completed --D--> gone        F: TimedOut
//   B: TimedOut
struct Transactions::Client {
    explicit Client(Message sent) : request(std::move(sent)) {}
    enum class State : std::uint8_t { calling, trying, proceeding, completed, accepted };
    State state = State::trying;
    bool invite = false;
    bool ours = false;  // a CANCEL of ours
    bool cancel_wanted = false;
    bool cancel_sent = false;
    std::string cancel_reason;
    std::string key;
    Message request;
    Flow flow;
    net::Bytes ack;  // in completed
    net::Duration interval{};
    net::Steady resend_at = net::kNever;
    net::Steady end_at = net::kNever;
    net::Steady due = net::kNever;  // its place in the timetable
};

struct Transactions::State {
    State(Transactions& self, net::Random& rng, TransactionSettings s) : owner(self), random(rng), settings(s) {}

    Transactions& owner;
    net::Random& random;
    TransactionSettings settings;
    std::uint64_t last_id = 0;
    bool refusing = false;  // requests that begin something new
    Spared spared;
    std::unordered_map<ServerId, Server> servers;
    std::unordered_map<ClientId, Client> clients;
    std::unordered_map<std::string, ServerId> server_by_key;
    std::unordered_map<std::string, ClientId> client_by_key;
    // Completed, other than INVITE: the first to go when it is full. Some may have ended by themselves.
    std::deque<ServerId> waiting;
    std::deque<ClientId> answered;
    std::vector<ServerId> untold;  // INVITEs since what goes out was taken last: 100 if nothing else is said by then
    std::vector<ClientId> spent, spending;  // answered since events were taken last, and before that
    std::set<std::pair<net::Steady, std::uint64_t>> timetable;
    std::vector<Outgoing> outgoing;
    std::vector<TransactionEvent> events;

    net::Duration long_wait() const { return kTimeouts * settings.t1; }

    /// Ends are rounded up, so that many come in one turn: the RFC's times are the least.
    template <class Transaction>
    void schedule(std::uint64_t id, Transaction& transaction) {
        constexpr net::Duration kEndsTogether = std::chrono::milliseconds(50);
        auto end = transaction.end_at;
        if (end != net::kNever) end += (kEndsTogether - end.time_since_epoch() % kEndsTogether) % kEndsTogether;
        const auto at = std::min(transaction.resend_at, end);
        if (at == transaction.due) return;
        unschedule(id, transaction);
        if (at == net::kNever) return;
        timetable.emplace(at, id);
        transaction.due = at;
    }
    template <class Transaction>
    void unschedule(std::uint64_t id, Transaction& transaction) {
        if (transaction.due == net::kNever) return;
        timetable.erase({transaction.due, id});
        transaction.due = net::kNever;
    }

    void send(const Flow& flow, net::Bytes bytes) { outgoing.push_back({flow, std::move(bytes)}); }
    /// 17.2.1: those that got no answer at once hear that there will be one.
    void tell_to_wait();

    void end_server(ServerId id, bool clean) {
        const auto found = servers.find(id);
        if (found == servers.end()) return;
        unschedule(id, found->second);
        server_by_key.erase(found->second.key);
        if (!found->second.ours) events.emplace_back(ServerEnded{id, clean});
        servers.erase(found);
    }
    /// `event` says why; none for a transaction of ours.
    template <class Event>
    void end_client(ClientId id, Event event) {
        const auto found = clients.find(id);
        if (found == clients.end()) return;
        unschedule(id, found->second);
        client_by_key.erase(found->second.key);
        if (!found->second.ours) events.emplace_back(std::move(event));
        clients.erase(found);
    }

    bool make_room(const Message& request, const Flow* came_by, net::Now now) {
        while (servers.size() + clients.size() >= settings.max_transactions) {
            if (answered.empty() && waiting.empty()) {
                return servers.size() + clients.size() < settings.max_transactions + settings.max_spared &&
                       !may_refuse(request, came_by, now);
            }
            answered.empty() ? forget_server() : forget_client();
        }
        return true;
    }
    void forget_server() {
        const auto id = waiting.front();
        waiting.pop_front();
        end_server(id, true);
    }
    void forget_client() {
        const auto id = answered.front();
        answered.pop_front();
        end_client(id, ClientEnded{id});
    }

    void request_came(Message message, const Flow& flow, net::Now now);
    void ack_came(Message message, const Via& via, const Flow& flow, net::Now now);
    void cancel_came(Message message, const Via& via, const Flow& flow, net::Now now);
    void request_again(Server& server);
    void response_came(Message message, const Flow& flow, net::Now now);
    bool respond(ServerId id, const Message& response, net::Now now);
    ClientId start(Message request, const Flow& flow, bool ours, net::Now now);
    void send_cancel(ClientId id, net::Now now);
    void server_timer(ServerId id, Server& server, net::Now now);
    void client_timer(ClientId id, Client& client, net::Now now);
    bool may_refuse(const Message& message, const Flow* came_by, net::Now now) const {
        return !spared || !spared(message, came_by, now);
    }
    void refuse(const Message& message, const Flow& reply);
    Flow reply_flow(const Via& asked, const Flow& flow) const;
    /// For branches and tags: drawn many at once, as each time may be a call to the kernel.
    std::string hex(std::size_t bytes) {
        if (drawn.size() - used < bytes) {
            random.fill(drawn);
            used = 0;
        }
        used += bytes;
        return net::to_hex(net::ByteView(drawn).subspan(used - bytes, bytes));
    }
    std::array<std::byte, 480> drawn{};
    std::size_t used = drawn.size();
};

}  // namespace voice
