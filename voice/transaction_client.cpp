#include "voice/transaction_table.hpp"

#include <algorithm>

namespace voice {
namespace {

constexpr net::Duration kTimerD = std::chrono::seconds(32);  // 17.1.1.2: at least 32 s

std::string client_key(std::string_view branch, std::string_view method) {
    return net::to_lower(branch).append("|").append(method);
}

}  // namespace

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

}  // namespace voice
