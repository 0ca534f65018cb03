#include "voice/transaction_table.hpp"

#include <algorithm>

#include "voice/overload.hpp"

namespace voice {
namespace {

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

/// The tag of a 503 that no transaction remembers: its ACK comes to nobody.
constexpr std::string_view kRefusedTag = "meshd-503-";

bool begins_something(const Message& message) {
    return message.method() != "CANCEL" && message.to_tag().empty();
}

}  // namespace

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
    if (refusing && begins_something(message) && may_refuse(message, &flow, now)) {
        ++owner.counters_.refused_overload;
        return refuse(message, reply);
    }
    if (!make_room(message, &flow, now)) {
        ++owner.counters_.refused_full;
        return refuse(message, reply);
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
        untold.push_back(id);
    } else {
        server.end_at = now.steady + long_wait() + settings.t4;
    }
    server_by_key.emplace(std::move(key), id);
    schedule(id, servers.emplace(id, std::move(server)).first->second);
    events.emplace_back(RequestArrived{id, std::move(message), flow});
}

void Transactions::State::refuse(const Message& message, const Flow& reply) {
    auto refusal = Message::response(message, 503, {}, std::string(kRefusedTag) + hex(4));
    refusal.set("Retry-After", retry_after(random));
    send(reply, refusal.to_bytes());
}

void Transactions::State::tell_to_wait() {
    for (const auto id : std::exchange(untold, {})) {
        const auto found = servers.find(id);
        if (found == servers.end()) continue;
        auto& server = found->second;
        if (server.state != Server::State::proceeding || !server.last.empty() || !server.request) continue;
        server.last = Message::response(*server.request, 100).to_bytes();
        send(server.flow, server.last);
    }
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
    if (message.to_tag().starts_with(kRefusedTag)) return;
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

}  // namespace voice
