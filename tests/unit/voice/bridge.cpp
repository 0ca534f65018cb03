#include "bridge.hpp"

#include <algorithm>

namespace test {

using voice::Message;
using voice::NameAddr;
using voice::Uri;

voice::Flow Bridge::flow_to(const Leg& leg) const {
    const auto next = leg.routes.empty() ? leg.target.endpoint() : leg.routes.front().uri.endpoint();
    return {voice::Transport::udp, at_, next.value_or(at_), 0, voice::Side::phone};
}

Message Bridge::request(Leg& leg, std::string_view method) {
    auto message = Message::request(method, leg.target);
    message.set_from(leg.local);
    message.set_to(leg.remote);
    message.set("Call-ID", leg.call_id);
    if (method != "ACK") ++leg.cseq;
    message.set("CSeq", voice::CSeq{method == "ACK" ? leg.invite_cseq : leg.cseq, std::string(method)}.text());
    if (method == "INVITE") leg.invite_cseq = leg.cseq;
    if (!leg.routes.empty()) message.set_addresses("Route", leg.routes);
    message.set_contacts({contact()});
    return message;
}

void Bridge::copy_body(const Message& from, Message& to) const {
    if (from.body().empty()) return;
    auto body = std::string(from.body());
    if (carries_media && from.has_sdp()) {
        const auto address = at_.address.text();
        body = "v=0\r\no=- 1 1 IN IP4 " + address + "\r\ns=-\r\nc=IN IP4 " + address + "\r\nt=0 0\r\nm=audio 7000 RTP/AVP 0\r\n";
    }
    to.set_body(from.content_type(), std::move(body));
}

void Bridge::start(Message message, const Passed& passed) {
    const auto to = flow_to(legs_[passed.leg ^ 1]);
    passed_[transactions_.start(std::move(message), to, at_.text(), world_.now)] = passed;
}

void Bridge::invite(const voice::RequestArrived& event, const Uri& callee) {
    const auto& asked = event.message;
    Leg near;
    near.local = asked.to();
    near.local.params.set("tag", transactions_.make_tag());
    near.remote = asked.from();
    near.target = asked.first_address("Contact")->uri;
    near.routes = asked.record_routes();
    near.call_id = asked.call_id();
    near.asked = event.id;
    Leg far;
    far.local = asked.from();
    far.local.params.set("tag", transactions_.make_tag());
    far.remote = asked.to();
    far.target = callee;
    far.call_id = transactions_.make_tag() + "@b2bua";
    far.cseq = 100;
    legs_.push_back(near);
    legs_.push_back(far);
    auto message = request(legs_.back(), "INVITE");
    copy_body(asked, message);
    start(std::move(message), {event.id, legs_.size() - 2, {}});
}

std::optional<Bridge::LegId> Bridge::leg_of(const Message& request) const {
    for (LegId i = 0; i < legs_.size(); ++i) {
        if (legs_[i].call_id == request.call_id() && legs_[i].local.tag() == request.to_tag()) return i;
    }
    return std::nullopt;
}

void Bridge::in_dialog(const voice::RequestArrived& event) {
    const auto leg = leg_of(event.message);
    if (!leg) {
        transactions_.respond(event.id, Message::response(event.message, 481), world_.now);
        return;
    }
    auto message = request(legs_[*leg ^ 1], event.message.method());
    for (const auto* name : {"Refer-To", "Referred-By", "Event", "Subscription-State"}) {
        if (const auto value = event.message.get(name)) message.set(name, *value);
    }
    if (const auto rack = event.message.get("RAck")) {
        message.set("RAck", std::string(rack->substr(0, rack->find(' '))) + " " + std::to_string(legs_[*leg ^ 1].invite_cseq) + " INVITE");
    }
    copy_body(event.message, message);
    start(std::move(message), {event.id, *leg, {}});
}

void Bridge::ack(const voice::AckArrived& event) {
    const auto leg = leg_of(event.message);
    if (!leg) return;
    auto& other = legs_[*leg ^ 1];
    auto message = request(other, "ACK");
    message.push_via(transactions_.make_via(flow_to(other), at_.text()));
    transactions_.send(message, flow_to(other));
}

bool Bridge::cancelled(voice::ServerId id) {
    for (const auto& [client, passed] : passed_) {
        if (passed.from != id) continue;
        transactions_.cancel(client, world_.now);
        return true;
    }
    return false;
}

bool Bridge::response(const voice::ResponseArrived& event) {
    const auto found = passed_.find(event.id);
    if (found == passed_.end()) return false;
    const auto& message = event.message;
    if (message.status() == 100) return true;
    auto& [server, leg, said] = found->second;
    auto& far = legs_[leg ^ 1];
    if (message.method() == "INVITE" && message.status() < 300 && !far.remote.tag()) {
        far.remote = message.to();
        far.target = message.first_address("Contact")->uri;
        far.routes = message.record_routes();
        std::reverse(far.routes.begin(), far.routes.end());
    }
    const auto* asked = transactions_.request_of(server);
    if (asked == nullptr) {
        if (said && message.status() < 300) transactions_.respond(server, *said, world_.now);
        return true;
    }
    auto answer = Message::response(*asked, message.status(), {}, std::string(*legs_[leg].local.tag()));
    answer.set_addresses("Record-Route", asked->record_routes());
    answer.set_contacts({contact()});
    for (const auto* name : {"Require", "RSeq"}) {
        if (const auto value = message.get(name)) answer.set(name, *value);
    }
    copy_body(message, answer);
    if (message.method() == "INVITE" && message.status() >= 200 && message.status() < 300) said = answer;
    transactions_.respond(server, answer, world_.now);
    return true;
}

}  // namespace test
