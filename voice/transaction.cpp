#include <algorithm>

#include "voice/transaction_table.hpp"

namespace voice {
namespace {

constexpr std::string_view kCookie = "z9hG4bK";

}  // namespace

Transactions::Transactions(net::Random& random, TransactionSettings settings)
    : state_(std::make_unique<State>(*this, random, settings)) {}
Transactions::~Transactions() = default;

std::string_view via_name(Transport transport) {
    switch (transport) {
        case Transport::udp: return "UDP";
        case Transport::tcp: return "TCP";
        case Transport::tls: return "TLS";
    }
    return "";
}

void Transactions::refuse_new(bool refuse) { state_->refusing = refuse; }
void Transactions::spare(Spared which) { state_->spared = std::move(which); }

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
        if (flow.connection != 0 && other.connection != 0) return other.connection == flow.connection;
        if (other.connection != 0) return false;
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

ClientId Transactions::start(Message request, const Flow& flow, std::string_view sent_by, net::Now now,
                             std::string_view branch_suffix) {
    if (!state_->make_room(request, nullptr, now)) {
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
    state_->unschedule(id, found->second);
    state_->client_by_key.erase(found->second.key);
    state_->clients.erase(found);
}

bool Transactions::respond(ServerId id, const Message& response, net::Now now) { return state_->respond(id, response, now); }

void Transactions::send(const Message& message, const Flow& flow) { state_->send(flow, message.to_bytes()); }
void Transactions::send(net::Bytes bytes, const Flow& flow) { state_->send(flow, std::move(bytes)); }

Via Transactions::make_via(const Flow& flow, std::string_view sent_by, std::string_view branch_suffix) {
    Via via;
    via.transport = via_name(flow.transport);
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
std::size_t Transactions::invite_count() const {
    const auto is_invite = [](const auto& entry) { return entry.second.invite; };
    return static_cast<std::size_t>(std::count_if(state_->servers.begin(), state_->servers.end(), is_invite) +
                                    std::count_if(state_->clients.begin(), state_->clients.end(), is_invite));
}

void Transactions::tick(net::Now now) {
    while (!state_->timetable.empty() && state_->timetable.begin()->first <= now.steady) {
        const auto id = state_->timetable.begin()->second;
        if (const auto server = state_->servers.find(id); server != state_->servers.end()) {
            state_->server_timer(id, server->second, now);
        } else if (const auto client = state_->clients.find(id); client != state_->clients.end()) {
            state_->client_timer(id, client->second, now);
        } else {
            state_->timetable.erase(state_->timetable.begin());
        }
    }
}

net::Steady Transactions::next_deadline() const {
    return state_->timetable.empty() ? net::kNever : state_->timetable.begin()->first;
}

std::vector<Outgoing> Transactions::take_outgoing() {
    state_->tell_to_wait();
    return std::exchange(state_->outgoing, {});
}
std::vector<TransactionEvent> Transactions::take_events() {
    // What has been answered is not sent again: its message is most of what it holds.
    for (const auto id : state_->spending) {
        if (const auto found = state_->clients.find(id); found != state_->clients.end()) found->second.request = Message();
    }
    state_->spending = std::exchange(state_->spent, {});
    return std::exchange(state_->events, {});
}

}  // namespace voice
