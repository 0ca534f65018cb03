#include "scripted_centre.hpp"

#include <algorithm>

namespace test {

using voice::Message;
using voice::NameAddr;
using voice::Uri;

ScriptedCentre::ScriptedCentre(World& world, net::Endpoint at_)
    : at(at_), world_(world), transactions_(world.random), bridge(world, transactions_, at_), digest_({"acme.example", 300s, 1000}, world.random) {
    world.attach(at, *this);
}

void ScriptedCentre::receive(const voice::Flow& flow, net::ByteView bytes, net::Now now) {
    if (!alive) return;
    if (asleep) {
        slept_through_.emplace_back(flow, net::copy(bytes));
        return;
    }
    if (answer_probe(flow, net::as_text(bytes)) || (swallows && probes > 0)) return;
    if (auto message = Message::parse(bytes)) transactions_.receive(std::move(*message), flow, now);
    drain();
}

bool ScriptedCentre::answer_probe(const voice::Flow& flow, std::string_view text) {
    if (!text.starts_with("OPTIONS sip:" + at.text() + " ")) return false;
    if (probes++ == 0) return false;
    std::string answer = "SIP/2.0 404 Not Found\r\n";
    while (!text.empty()) {
        const auto line = text.substr(0, text.find("\r\n"));
        text.remove_prefix(std::min(line.size() + 2, text.size()));
        for (const std::string_view name : {"Via:", "From:", "To:", "Call-ID:", "CSeq:"}) {
            if (line.starts_with(name)) answer.append(line).append(name == "To:" ? ";tag=c\r\n" : "\r\n");
        }
    }
    transactions_.send(net::copy(net::as_bytes(answer + "Content-Length: 0\r\n\r\n")), flow);
    return true;
}

void ScriptedCentre::wake() {
    asleep = false;
    for (const auto& [flow, bytes] : std::exchange(slept_through_, {})) receive(flow, bytes, world_.now);
    world_.flush();
}

void ScriptedCentre::tick(net::Now now) {
    transactions_.tick(now);
    drain();
}

std::vector<voice::Outgoing> ScriptedCentre::take_outgoing() {
    auto out = transactions_.take_outgoing();
    if (!alive || asleep) out.clear();
    return out;
}

void ScriptedCentre::drain() {
    for (auto events = transactions_.take_events(); !events.empty(); events = transactions_.take_events()) {
        for (const auto& event : events) {
            if (const auto* arrived = std::get_if<voice::RequestArrived>(&event)) request(*arrived);
            if (const auto* answered = std::get_if<voice::ResponseArrived>(&event)) response(*answered);
            if (const auto* cancelled = std::get_if<voice::Cancelled>(&event)) {
                if (back_to_back && bridge.cancelled(cancelled->id)) continue;
                for (const auto id : clients_of_[cancelled->id]) transactions_.cancel(id, world_.now);
            }
            if (const auto* ack = std::get_if<voice::AckArrived>(&event)) {
                if (back_to_back) bridge.ack(*ack);
                else forward({0, ack->message, ack->flow});
            }
        }
    }
}

void ScriptedCentre::request(const voice::RequestArrived& event) {
    const auto& request = event.message;
    if (request.is("OPTIONS") && request.uri().user.empty()) {
        transactions_.respond(event.id, Message::response(request, 404, {}, "c"), world_.now);
    } else if (request.is("REGISTER") && register_status != 0) {
        refuse(event, register_status);
    } else if (request.is("SUBSCRIBE") && lamp) {
        subscription(event);
    } else if (request.is("SUBSCRIBE") && subscribe_status == 200) {
        auto response = Message::response(request, 200, {}, "c");
        response.set_addresses("Record-Route", request.record_routes());
        response.set_contacts({NameAddr::of(Uri::of("presence", at))});
        response.set_expires_s(3600);
        transactions_.respond(event.id, response, world_.now);
    } else if (request.is("SUBSCRIBE") && subscribe_status != 0) {
        refuse(event, subscribe_status);
    } else if (request.is("MESSAGE") && message_status != 0) {
        refuse(event, message_status);
    } else if (request.is("REGISTER")) {
        registration(event);
    } else if (request.is("INVITE") && request.to_tag().empty() && invite_status != 0) {
        refuse(event, invite_status);
    } else if (request.is("INVITE") && request.to_tag().empty() && challenged(event, 407)) {
        return;
    } else if (back_to_back && !request.to_tag().empty()) {
        bridge.in_dialog(event);
    } else {
        forward(event);
    }
}

void ScriptedCentre::subscription(const voice::RequestArrived& event) {
    const auto& request = event.message;
    const auto tag = request.to_tag().empty() ? transactions_.make_tag() : request.to_tag();
    auto found = watchers_.find(tag);
    if (!request.to_tag().empty() && found == watchers_.end()) {
        return void(transactions_.respond(event.id, Message::response(request, 481), world_.now));
    }
    if (found != watchers_.end() && request.cseq().number <= found->second.remote_cseq) {  // RFC 3261 12.2.2
        ++out_of_order;
        return void(transactions_.respond(event.id, Message::response(request, 500), world_.now));
    }
    if (found == watchers_.end()) found = watchers_.emplace(tag, Watcher{request, 0, {}, {}, 0}).first;
    found->second.remote_cseq = request.cseq().number;
    const auto seconds = std::min(request.expires_s().value_or(3600), 3600U);
    found->second.expires = world_.now.steady + std::chrono::seconds(seconds);
    auto response = Message::response(request, 200, {}, tag);
    response.set_addresses("Record-Route", request.record_routes());
    response.set_contacts({NameAddr::of(Uri::of("presence", at))});
    response.set_expires_s(seconds);
    transactions_.respond(event.id, response, world_.now);
    tell(tag, found->second);
    if (seconds == 0) watchers_.erase(tag);
}

void ScriptedCentre::tell(const std::string& tag, Watcher& watcher) {
    const auto& asked = watcher.subscribe;
    auto notify = Message::request("NOTIFY", asked.first_address("Contact")->uri);
    auto from = asked.to();
    from.params.set("tag", tag);
    notify.set_from(from);
    notify.set_to(asked.from());
    notify.set("Call-ID", asked.call_id());
    notify.set("CSeq", voice::CSeq{++watcher.cseq, "NOTIFY"}.text());
    const auto routes = asked.record_routes();
    if (!routes.empty()) notify.set_addresses("Route", routes);
    notify.set_contacts({NameAddr::of(Uri::of("presence", at))});
    notify.set("Event", *asked.get("Event"));
    const auto left = std::chrono::duration_cast<std::chrono::seconds>(watcher.expires - world_.now.steady).count();
    notify.set("Subscription-State", left > 0 ? "active;expires=" + std::to_string(left) : "terminated;reason=timeout");
    watcher.told = lamp(asked.uri().user);
    notify.set_body("text/plain", watcher.told);
    const auto to = routes.empty() ? asked.top_via()->sent_by() : std::string();
    const auto hop = routes.empty() ? *net::Endpoint::parse(to) : *routes.front().uri.endpoint();
    notify_of_[transactions_.start(std::move(notify), flow_to(hop), at.text(), world_.now)] = tag;
}

void ScriptedCentre::tell_lamps(bool all) {
    if (!alive || !lamp) return;
    std::erase_if(watchers_, [&](const auto& entry) { return entry.second.expires <= world_.now.steady; });
    for (auto& [tag, watcher] : watchers_) {
        if (all || watcher.told != lamp(watcher.subscribe.uri().user)) tell(tag, watcher);
    }
    world_.flush();
}

void ScriptedCentre::refuse(const voice::RequestArrived& event, int status) {
    ++refused;
    auto response = Message::response(event.message, status, {}, "c");
    if (retry_after_s != 0) response.set("Retry-After", std::to_string(retry_after_s));
    transactions_.respond(event.id, response, world_.now);
}

bool ScriptedCentre::challenged(const voice::RequestArrived& event, int status) {
    const auto user = event.message.from().uri.user;
    const auto password = passwords.find(user);
    if (password == passwords.end()) return false;
    const auto ha1 = [&](std::string_view, voice::DigestAlgorithm algorithm) {
        return std::optional(voice::digest_ha1(algorithm, user, "acme.example", password->second));
    };
    const auto* header = status == 401 ? "Authorization" : "Proxy-Authorization";
    if (digest_.check(event.message, header, ha1, world_.now).verdict == voice::DigestServer::Verdict::good)
        return false;
    auto challenge = Message::response(event.message, status, {}, "c");
    for (const auto& value : digest_.challenges(world_.now, false, {voice::DigestAlgorithm::md5})) {
        challenge.add(status == 401 ? "WWW-Authenticate" : "Proxy-Authenticate", value);
    }
    transactions_.respond(event.id, challenge, world_.now);
    return true;
}

void ScriptedCentre::registration(const voice::RequestArrived& event) {
    if (challenged(event, 401)) return;
    ++registrations;
    const auto& request = event.message;
    auto& bound = contacts_[request.to().uri.user];
    for (auto contact : request.contacts()) {
        std::erase_if(bound, [&](const auto& old) { return contact.star || old.uri.equivalent(contact.uri); });
        const auto asked = contact.expires_s().value_or(request.expires_s().value_or(3600));
        if (asked == 0 || contact.star) continue;
        contact.params.set("expires", std::to_string(std::min(asked, grants_s)));
        if (sees) {
            contact.uri.host = sees->address.text();
            contact.uri.port = sees->port;
        }
        bound.push_back(contact);
    }
    auto response = Message::response(request, 200, {}, "c");
    response.set_contacts(bound);
    transactions_.respond(event.id, response, world_.now);
}

void ScriptedCentre::forward(const voice::RequestArrived& event) {
    auto request = event.message;
    std::vector<Uri> targets;
    const auto to_us = [&](const Uri& uri) { return uri.endpoint() == at; };
    while (!request.routes().empty() && to_us(request.routes().front().uri)) request.pop_first_address("Route");
    if (request.to_tag().empty()) {
        if (bounces)
            targets.push_back(request.uri());
        else
            for (const auto& contact : contacts_[request.uri().user]) targets.push_back(contact.uri);
        if (targets.empty()) {
            transactions_.respond(event.id, Message::response(request, 404, {}, "c"), world_.now);
            return;
        }
        if (back_to_back && request.is("INVITE")) return bridge.invite(event, targets.front());
        request.prepend_address("Record-Route", NameAddr::of(*Uri::parse("sip:" + at.text() + ";lr")));
    } else {
        targets.push_back(request.uri());
    }
    if (b2bua && request.to_tag().empty()) {
        auto from = request.from();
        from.params.set("tag", "b2b-" + std::string(*from.tag()));
        request.set_from(from);
        request.set("Call-ID", "b2b-" + std::string(request.call_id()));
    }
    for (const auto& uri : targets) {
        auto copy = request;
        copy.set_uri(uri);
        copy.set_max_forwards(request.max_forwards().value_or(70) - 1);
        auto next = copy.routes().empty() ? uri.endpoint() : copy.routes().front().uri.endpoint();
        if (bounces) next = event.flow.remote;
        if (!next) continue;
        if (request.is("ACK")) {
            copy.push_via(transactions_.make_via(flow_to(*next), at.text()));
            transactions_.send(copy, flow_to(*next));
            continue;
        }
        const auto id = transactions_.start(std::move(copy), flow_to(*next), at.text(), world_.now);
        server_of_[id] = event.id;
        clients_of_[event.id].push_back(id);
        ++pending_[event.id];
    }
}

void ScriptedCentre::response(const voice::ResponseArrived& event) {
    if (const auto told = notify_of_.find(event.id); told != notify_of_.end()) {
        ++notified[event.message.status()];
        if (event.message.status() >= 300) watchers_.erase(told->second);
        return void(notify_of_.erase(told));
    }
    if ((back_to_back && bridge.response(event)) || event.message.status() == 100) return;
    const auto server = server_of_[event.id];
    auto message = event.message;
    const bool again = message.status() >= 200 && !finished_.insert(event.id).second;
    if (message.status() >= 300 && --pending_[server] > 0) return;  // another may still be answered
    if (message.status() >= 200 && message.status() < 300 && !again) {
        --pending_[server];
        for (const auto other : clients_of_[server]) {
            if (other != event.id) transactions_.cancel(other, world_.now, "SIP;cause=200;text=\"Call completed elsewhere\"");
        }
    }
    if (b2bua) {
        if (const auto* asked = transactions_.request_of(server)) {
            message.set("Call-ID", asked->call_id());
            message.set_from(asked->from());
        }
    }
    transactions_.respond(server, message, world_.now);
}

std::vector<std::string> ScriptedCentre::contacts(const std::string& user) const {
    std::vector<std::string> out;
    if (const auto at_user = contacts_.find(user); at_user != contacts_.end()) {
        for (const auto& contact : at_user->second) out.push_back(contact.uri.text());
    }
    return out;
}

void ScriptedCentre::add_contact(const std::string& user, const std::string& uri) {
    contacts_[user].push_back(NameAddr::of(*Uri::parse(uri)));
}

}  // namespace test
