// Two tables of state machines and one timetable. A transaction has one deadline for what it sends again (timers A, E,
// G) and one for its end (B, D, F, H, I, J, K, L, M); the timetable holds the earlier of the two.
#include "voice/transaction.hpp"

#include <algorithm>
#include <deque>
#include <set>
#include <unordered_map>
#include <utility>

#include "net/text.hpp"

namespace voice {
namespace {

constexpr std::string_view kCookie = "z9hG4bK";
constexpr int kTimeouts = 64;                              // of T1: timers B, F, H, J, L, M
constexpr net::Duration kTimerD = std::chrono::seconds(32);  // 17.1.1.2: at least 32 s

/// Which server transaction a request belongs to (17.2.3). `method` is INVITE for an ACK, and to look for what a CANCEL
/// is about. Without the magic cookie: RFC 2543's fields.
std::string server_key(const Message& request, const Via& via, std::string_view method) {
    std::string key;
    if (via.has_cookie()) {
        key = net::to_lower(via.branch());
        key.append("|").append(via.sent_by());
    } else {
        key = "2543|" + request.uri().text() + "|" + request.from_tag() + "|" + std::string(request.call_id()) + "|" +
              std::to_string(request.cseq().number) + "|" + via.sent_by() + via.branch();
    }
    return key.append("|").append(method);
}

std::string client_key(std::string_view branch, std::string_view method) {
    return net::to_lower(branch).append("|").append(method);
}

}  // namespace

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
};

struct Transactions::State {
    State(Transactions& self, net::Random& rng, TransactionSettings s) : owner(self), random(rng), settings(s) {}

    Transactions& owner;
    net::Random& random;
    TransactionSettings settings;
    std::uint64_t last_id = 0;
    std::unordered_map<ServerId, Server> servers;
    std::unordered_map<ClientId, Client> clients;
    std::unordered_map<std::string, ServerId> server_by_key;
    std::unordered_map<std::string, ClientId> client_by_key;
    // Completed, other than INVITE: the first to go when it is full. Some may have ended by themselves.
    std::deque<ServerId> waiting;
    std::deque<ClientId> answered;
    std::vector<ClientId> spent, spending;  // answered since events were taken last, and before that
    std::set<std::pair<net::Steady, std::uint64_t>> timetable;
    std::unordered_map<std::uint64_t, net::Steady> timed;
    std::vector<Outgoing> outgoing;
    std::vector<TransactionEvent> events;

    net::Duration long_wait() const { return kTimeouts * settings.t1; }

    template <class Transaction>
    void schedule(std::uint64_t id, const Transaction& transaction) {
        const auto at = std::min(transaction.resend_at, transaction.end_at);
        unschedule(id);
        if (at == net::kNever) return;
        timetable.emplace(at, id);
        timed.emplace(id, at);
    }
    void unschedule(std::uint64_t id) {
        if (const auto found = timed.find(id); found != timed.end()) {
            timetable.erase({found->second, id});
            timed.erase(found);
        }
    }

    void send(const Flow& flow, net::Bytes bytes) { outgoing.push_back({flow, std::move(bytes)}); }

    void end_server(ServerId id, bool clean) {
        const auto found = servers.find(id);
        if (found == servers.end()) return;
        unschedule(id);
        server_by_key.erase(found->second.key);
        if (!found->second.ours) events.emplace_back(ServerEnded{id, clean});
        servers.erase(found);
    }
    /// `event` says why; none for a transaction of ours.
    template <class Event>
    void end_client(ClientId id, Event event) {
        const auto found = clients.find(id);
        if (found == clients.end()) return;
        unschedule(id);
        client_by_key.erase(found->second.key);
        if (!found->second.ours) events.emplace_back(std::move(event));
        clients.erase(found);
    }

    bool make_room() {
        while (servers.size() + clients.size() >= settings.max_transactions) {
            if (answered.empty() && waiting.empty()) return false;
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
    Flow reply_flow(const Via& asked, const Flow& flow) const;
    std::string hex(std::size_t bytes) {
        net::Bytes drawn(bytes);
        random.fill(drawn);
        return net::to_hex(drawn);
    }
};

/// RFC 3261 18.2.2 and RFC 3581 4: back to the source; its port only if rport asked for that.
Flow Transactions::State::reply_flow(const Via& asked, const Flow& flow) const {
    auto reply = flow;
    if (!flow.reliable() && !asked.wants_rport()) reply.remote.port = asked.port != 0 ? asked.port : 5060;
    return reply;
}

void Transactions::State::request_came(Message message, const Flow& flow, net::Now now) {
    auto via = message.top_via();
    if (!via) return;
    const auto asked = *via;
    // 18.2.1: what the sender says of itself is not believed over where the packet came from.
    const auto source = flow.remote.address.unmapped();
    if (via->wants_rport() || via->params.has("received") || net::IpAddress::parse(via->host) != source) {
        via->params.set("received", source.text());
    }
    if (via->wants_rport()) via->params.set("rport", std::to_string(flow.remote.port));
    message.set_top_via(*via);

    if (message.method() == "ACK") return ack_came(std::move(message), asked, flow, now);

    const bool invite = message.method() == "INVITE";
    auto key = server_key(message, asked, message.method());
    if (const auto found = server_by_key.find(key); found != server_by_key.end()) {
        ++owner.counters_.request_retransmissions;
        return request_again(servers.at(found->second));
    }
    const auto reply = reply_flow(asked, flow);
    if (!make_room()) {
        ++owner.counters_.refused_full;
        auto refusal = Message::response(message, 503, {}, owner.make_tag());
        refusal.set("Retry-After", "5");
        return send(reply, refusal.to_bytes());
    }
    if (message.method() == "CANCEL") return cancel_came(std::move(message), asked, flow, now);

    ++owner.counters_.requests;
    const auto id = ++last_id;
    Server server;
    server.invite = invite;
    server.key = key;
    server.flow = reply;
    server.source = source;
    server.request = message;
    if (invite) {
        server.state = Server::State::proceeding;
        server.last = Message::response(message, 100).to_bytes();
        send(reply, server.last);
    } else {
        server.end_at = now.steady + long_wait() + settings.t4;
    }
    server_by_key.emplace(std::move(key), id);
    schedule(id, servers.emplace(id, std::move(server)).first->second);
    events.emplace_back(RequestArrived{id, std::move(message), flow});
}

void Transactions::State::request_again(Server& server) {
    switch (server.state) {
    case Server::State::trying:      // 17.2.2: nothing to say yet
    case Server::State::confirmed:   // 17.2.1: the ACK has come
    case Server::State::accepted:    // RFC 6026 7.1: the user sends 2xx again
        return;
    case Server::State::proceeding:
    case Server::State::completed:
        if (!server.last.empty()) send(server.flow, server.last);
        return;
    }
}

void Transactions::State::ack_came(Message message, const Via& via, const Flow& flow, net::Now now) {
    const auto found = server_by_key.find(server_key(message, via, "INVITE"));
    if (found != server_by_key.end()) {
        const auto id = found->second;
        auto& server = servers.at(id);
        switch (server.state) {
        case Server::State::completed:
            server.state = Server::State::confirmed;
            server.resend_at = net::kNever;
            if (server.flow.reliable()) return end_server(id, true);
            server.end_at = now.steady + settings.t4;  // timer I
            return schedule(id, server);
        case Server::State::trying:
        case Server::State::proceeding:
        case Server::State::confirmed:
            return;
        case Server::State::accepted:
            break;  // RFC 2543's key, or an element that reuses the branch: it is for the user
        }
    }
    events.emplace_back(AckArrived{std::move(message), flow});
}

void Transactions::State::cancel_came(Message message, const Via& via, const Flow& flow, net::Now now) {
    // The CANCEL is a transaction of its own (9.2), answered here whatever becomes of the INVITE.
    const auto found = server_by_key.find(server_key(message, via, "INVITE"));
    ServerId target = found == server_by_key.end() ? 0 : found->second;
    if (target != 0 && servers.at(target).source != flow.remote.address.unmapped()) target = 0;
    if (target == 0) ++owner.counters_.stray_cancels;

    const auto id = ++last_id;
    Server server;
    server.ours = true;
    server.key = server_key(message, via, "CANCEL");
    server.flow = reply_flow(via, flow);
    server_by_key.emplace(server.key, id);
    servers.emplace(id, std::move(server));
    respond(id, Message::response(message, target != 0 ? 200 : 481, {}, owner.make_tag()), now);
    if (target != 0 && servers.at(target).state == Server::State::proceeding) {
        events.emplace_back(Cancelled{target, std::move(message)});
    }
}

bool Transactions::State::respond(ServerId id, const Message& response, net::Now now) {
    const auto found = servers.find(id);
    if (found == servers.end()) return false;
    auto& server = found->second;
    const auto status = response.status();
    const bool provisional = status < 200;
    const bool success = status >= 200 && status < 300;
    switch (server.state) {
    case Server::State::trying:
    case Server::State::proceeding:
        break;
    case Server::State::accepted:
        if (!success) return false;
        send(server.flow, response.to_bytes());
        return true;
    case Server::State::completed:
    case Server::State::confirmed:
        return false;
    }
    server.last = response.to_bytes();
    send(server.flow, server.last);
    if (provisional) {
        server.state = Server::State::proceeding;
        return true;
    }
    server.request.reset();
    if (!server.invite) {
        server.state = Server::State::completed;
        if (server.flow.reliable()) {
            end_server(id, true);
            return true;
        }
        server.end_at = now.steady + long_wait();  // timer J
        waiting.push_back(id);
        // Those that ended by themselves leave their numbers behind.
        while (!waiting.empty() && !servers.contains(waiting.front())) waiting.pop_front();
        if (waiting.size() > settings.max_finished) forget_server();
    } else if (success) {
        server.state = Server::State::accepted;
        server.last.clear();
        server.end_at = now.steady + long_wait();  // timer L
    } else {
        server.state = Server::State::completed;
        server.end_at = now.steady + long_wait();  // timer H
        if (!server.flow.reliable()) {
            server.interval = settings.t1;
            server.resend_at = now.steady + server.interval;  // timer G
        }
    }
    schedule(id, server);
    return true;
}

ClientId Transactions::State::start(Message request, const Flow& flow, bool ours, net::Now now) {
    const auto id = ++last_id;
    send(flow, request.to_bytes());
    Client client(std::move(request));
    client.invite = client.request.method() == "INVITE";
    client.ours = ours;
    client.state = client.invite ? Client::State::calling : Client::State::trying;
    client.key = client_key(client.request.top_via().value_or(Via{}).branch(), client.request.method());
    client.flow = flow;
    client.end_at = now.steady + long_wait();  // timers B, F
    client.interval = settings.t1;
    if (!flow.reliable()) client.resend_at = now.steady + client.interval;  // timers A, E
    client_by_key.emplace(client.key, id);
    schedule(id, clients.emplace(id, std::move(client)).first->second);
    return id;
}

void Transactions::State::response_came(Message message, const Flow& flow, net::Now now) {
    const auto via = message.top_via();
    const auto found = via ? client_by_key.find(client_key(via->branch(), message.method())) : client_by_key.end();
    if (found == client_by_key.end()) {
        ++owner.counters_.stray_responses;
        events.emplace_back(StrayResponse{std::move(message), flow});
        return;
    }
    const auto id = found->second;
    auto& client = clients.at(id);
    const auto status = message.status();
    const auto deliver = [&] {
        ++owner.counters_.responses;
        if (client.ours) return;
        message.pop_via();
        events.emplace_back(ResponseArrived{id, std::move(message), flow});
    };

    switch (client.state) {
    case Client::State::completed:
        ++owner.counters_.response_retransmissions;
        if (client.invite && status >= 300) send(client.flow, client.ack);
        return;
    case Client::State::accepted:
        if (status >= 200 && status < 300) return deliver();
        ++owner.counters_.response_retransmissions;
        return;
    case Client::State::calling:
    case Client::State::trying:
    case Client::State::proceeding:
        break;
    }

    if (status < 200) {
        if (client.invite) {
            client.resend_at = net::kNever;
            if (!client.cancel_sent) client.end_at = net::kNever;  // from here on it is the proxy's timer C
        } else if (client.resend_at != net::kNever) {
            client.interval = settings.t2;
            client.resend_at = std::min(client.resend_at, now.steady + client.interval);
        }
        client.state = Client::State::proceeding;
        schedule(id, client);
        deliver();
        if (client.cancel_wanted && !client.cancel_sent) send_cancel(id, now);
        return;
    }

    client.resend_at = net::kNever;
    if (client.invite && status < 300) {
        client.state = Client::State::accepted;
        client.end_at = now.steady + long_wait();  // timer M
        schedule(id, client);
        return deliver();
    }
    client.state = Client::State::completed;
    if (client.invite) {
        client.ack = Message::ack_for(client.request, message).to_bytes();
        send(client.flow, client.ack);
    }
    deliver();
    if (client.flow.reliable()) return end_client(id, ClientEnded{id});
    client.end_at = now.steady + (client.invite ? kTimerD : settings.t4);  // timers D, K
    schedule(id, client);
    if (client.invite) return;
    spent.push_back(id);
    answered.push_back(id);
    while (!answered.empty() && !clients.contains(answered.front())) answered.pop_front();
    if (answered.size() > settings.max_finished) forget_client();
}

void Transactions::State::send_cancel(ClientId id, net::Now now) {
    auto& client = clients.at(id);
    client.cancel_sent = true;
    client.end_at = now.steady + long_wait();  // 9.1: no answer within 64*T1 means there is none
    schedule(id, client);
    auto cancel = Message::cancel_for(client.request);
    if (!client.cancel_reason.empty()) cancel.set("Reason", client.cancel_reason);
    const auto flow = client.flow;
    start(std::move(cancel), flow, true, now);  // may move the table: `client` is not touched again
}

void Transactions::State::server_timer(ServerId id, Server& server, net::Now now) {
    if (server.end_at <= now.steady) {
        switch (server.state) {
        case Server::State::completed:
            return end_server(id, !server.invite);  // timer H: nobody acknowledged; timer J
        case Server::State::confirmed:
        case Server::State::accepted:
            return end_server(id, true);
        case Server::State::trying:
        case Server::State::proceeding:
            return end_server(id, false);  // nobody above answered
        }
    }
    if (server.resend_at <= now.steady) {
        ++owner.counters_.resent;
        send(server.flow, server.last);
        server.interval = std::min(server.interval * 2, settings.t2);
        server.resend_at = now.steady + server.interval;
    }
    schedule(id, server);
}

void Transactions::State::client_timer(ClientId id, Client& client, net::Now now) {
    if (client.end_at <= now.steady) {
        switch (client.state) {
        case Client::State::calling:
        case Client::State::trying:
        case Client::State::proceeding:
            ++owner.counters_.timeouts;
            return end_client(id, TimedOut{id});
        case Client::State::completed:
        case Client::State::accepted:
            return end_client(id, ClientEnded{id});
        }
    }
    if (client.resend_at <= now.steady) {
        ++owner.counters_.resent;
        send(client.flow, client.request.to_bytes());
        client.interval *= 2;  // an INVITE's has no upper bound but timer B
        if (!client.invite) client.interval = std::min(client.interval, settings.t2);
        client.resend_at = now.steady + client.interval;
    }
    schedule(id, client);
}

Transactions::Transactions(net::Random& random, TransactionSettings settings)
    : state_(std::make_unique<State>(*this, random, settings)) {}
Transactions::~Transactions() = default;

void Transactions::receive(Message message, const Flow& flow, net::Now now) {
    if (message.is_request()) {
        state_->request_came(std::move(message), flow, now);
    } else {
        state_->response_came(std::move(message), flow, now);
    }
}

void Transactions::transport_failed(const Flow& flow, net::Now now) {
    static_cast<void>(now);
    const auto hit = [&](const Flow& other) {
        if (other.transport != flow.transport) return false;
        if (flow.reliable() && flow.connection != 0) return other.connection == flow.connection;
        if (flow.reliable() && other.connection != 0) return false;
        return other.remote == flow.remote;
    };
    std::vector<ClientId> clients;
    for (const auto& [id, client] : state_->clients) {
        const bool waits = client.state != Client::State::completed && client.state != Client::State::accepted;
        if (waits && hit(client.flow)) clients.push_back(id);
    }
    std::vector<ServerId> servers;
    for (const auto& [id, server] : state_->servers) {
        if (hit(server.flow)) servers.push_back(id);
    }
    // In the order of their making: the same every time.
    std::sort(clients.begin(), clients.end());
    std::sort(servers.begin(), servers.end());
    for (const auto id : clients) {
        ++counters_.transport_failures;
        state_->end_client(id, TransportFailed{id});
    }
    for (const auto id : servers) state_->end_server(id, false);
}

void Transactions::connected(const Flow& flow, net::Now now) {
    static_cast<void>(now);
    for (auto& [id, client] : state_->clients) {
        auto& other = client.flow;
        if (other.reliable() && other.connection == 0 && other.transport == flow.transport && other.remote == flow.remote) {
            other.connection = flow.connection;
        }
    }
}

ClientId Transactions::start(Message request, const Flow& flow, std::string_view sent_by, net::Now now,
                             std::string_view branch_suffix) {
    if (!state_->make_room()) {
        ++counters_.refused_full;
        return 0;
    }
    request.push_via(make_via(flow, sent_by, branch_suffix));
    return state_->start(std::move(request), flow, false, now);
}

void Transactions::cancel(ClientId id, net::Now now, std::string_view reason) {
    const auto found = state_->clients.find(id);
    if (found == state_->clients.end() || !found->second.invite || found->second.cancel_wanted) return;
    auto& client = found->second;
    switch (client.state) {
    case Client::State::calling:
        client.cancel_wanted = true;
        client.cancel_reason = reason;
        return;
    case Client::State::proceeding:
        client.cancel_wanted = true;
        client.cancel_reason = reason;
        return state_->send_cancel(id, now);
    case Client::State::trying:
    case Client::State::completed:
    case Client::State::accepted:
        return;
    }
}

void Transactions::stop_resending(ClientId id) {
    const auto found = state_->clients.find(id);
    if (found == state_->clients.end()) return;
    found->second.resend_at = net::kNever;
    state_->schedule(id, found->second);
}

void Transactions::abandon(ClientId id) {
    const auto found = state_->clients.find(id);
    if (found == state_->clients.end()) return;
    state_->unschedule(id);
    state_->client_by_key.erase(found->second.key);
    state_->clients.erase(found);
}

bool Transactions::respond(ServerId id, const Message& response, net::Now now) { return state_->respond(id, response, now); }

void Transactions::send(const Message& message, const Flow& flow) { state_->send(flow, message.to_bytes()); }
void Transactions::send(net::Bytes bytes, const Flow& flow) { state_->send(flow, std::move(bytes)); }

Via Transactions::make_via(const Flow& flow, std::string_view sent_by, std::string_view branch_suffix) {
    Via via;
    via.transport = flow.transport == Transport::udp ? "UDP" : "TCP";
    const auto bracket = sent_by.rfind(']');
    const auto colon = sent_by.find(':', bracket == sent_by.npos ? 0 : bracket);
    via.host = sent_by.substr(0, colon);
    if (bracket != sent_by.npos) via.host = sent_by.substr(1, bracket - 1);
    if (colon != sent_by.npos) {
        via.port = static_cast<std::uint16_t>(net::parse_decimal(sent_by.substr(colon + 1), 65535).value_or(0));
    }
    auto branch = std::string(kCookie) + state_->hex(10);
    if (!branch_suffix.empty()) branch.append("-").append(branch_suffix);
    via.params.set("branch", branch);
    if (flow.transport == Transport::udp) via.params.set("rport");
    return via;
}

std::string Transactions::make_tag() { return state_->hex(6); }

const Message* Transactions::request_of(ServerId id) const {
    const auto found = state_->servers.find(id);
    return found == state_->servers.end() || !found->second.request ? nullptr : &*found->second.request;
}
const Message* Transactions::request_of_client(ClientId id) const {
    const auto found = state_->clients.find(id);
    return found == state_->clients.end() ? nullptr : &found->second.request;
}
const Flow* Transactions::flow_of(ServerId id) const {
    const auto found = state_->servers.find(id);
    return found == state_->servers.end() ? nullptr : &found->second.flow;
}
bool Transactions::has_final(ServerId id) const {
    const auto found = state_->servers.find(id);
    return found == state_->servers.end() ||
           (found->second.state != Server::State::trying && found->second.state != Server::State::proceeding);
}
std::size_t Transactions::server_count() const { return state_->servers.size(); }
std::size_t Transactions::client_count() const { return state_->clients.size(); }

void Transactions::tick(net::Now now) {
    while (!state_->timetable.empty() && state_->timetable.begin()->first <= now.steady) {
        const auto id = state_->timetable.begin()->second;
        if (const auto server = state_->servers.find(id); server != state_->servers.end()) {
            state_->server_timer(id, server->second, now);
        } else if (const auto client = state_->clients.find(id); client != state_->clients.end()) {
            state_->client_timer(id, client->second, now);
        } else {
            state_->unschedule(id);
        }
    }
}

net::Steady Transactions::next_deadline() const {
    return state_->timetable.empty() ? net::kNever : state_->timetable.begin()->first;
}

std::vector<Outgoing> Transactions::take_outgoing() { return std::exchange(state_->outgoing, {}); }
std::vector<TransactionEvent> Transactions::take_events() {
    // What has been answered is not sent again: its message is most of what it holds.
    for (const auto id : state_->spending) {
        if (const auto found = state_->clients.find(id); found != state_->clients.end()) found->second.request = Message();
    }
    state_->spending = std::exchange(state_->spent, {});
    return std::exchange(state_->events, {});
}

}  // namespace voice
