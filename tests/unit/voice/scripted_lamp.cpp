#include "scripted_lamp.hpp"

#include <algorithm>

namespace test {

using voice::Message;
using voice::NameAddr;
using voice::Uri;

namespace {

constexpr auto kTryAgain = 5s;
constexpr std::size_t kNotifiesKept = 20;

/// Of "active;expires=300": 300.
net::Duration granted(const std::string& state) {
    const auto at = state.find("expires=");
    return std::chrono::seconds(at == state.npos ? 0 : std::stoul(state.substr(at + 8)));
}

}  // namespace

Lamp::Lamp(World& world, const std::string& user, net::Endpoint at, net::Endpoint proxy)
    : world_(world), user_(user), at_(at), proxy_(proxy), transactions_(world.random) {
    world.attach(at, *this);
}

void Lamp::register_now() {
    auto request = begin("REGISTER", "sip:acme.example");
    request.set_to(NameAddr::of(*Uri::parse("sip:" + user_ + "@acme.example")));
    request.set_expires_s(3600);
    send(request);
}

void Lamp::subscribe(const std::string& event, std::uint32_t expires_s, const std::string& whom, const std::string& accept) {
    auto request = begin("SUBSCRIBE", whom);
    request.set("Event", event);
    request.set_expires_s(expires_s);
    if (!accept.empty()) request.set("Accept", accept);
    first_ = request;
    send(request);
}

void Lamp::refresh(std::uint32_t expires_s) {
    auto request = first_;
    request.set("CSeq", voice::CSeq{++cseq_, "SUBSCRIBE"}.text());
    request.set_to(remote_);
    request.set_uri(target_);
    request.set_expires_s(expires_s);
    request.remove("Authorization");
    if (!routes_.empty()) request.set_addresses("Route", routes_);
    send(request);
}

void Lamp::keep_on(const std::string& whom, std::uint32_t expires_s) {
    whom_ = whom;
    wanted_s_ = expires_s;
    dark_from = world_.now.steady + 10s;
    register_at_ = world_.now.steady;
    subscribe_at_ = world_.now.steady + 1s;
}

void Lamp::receive(const voice::Flow& flow, net::ByteView bytes, net::Now now) {
    if (auto message = Message::parse(bytes)) transactions_.receive(std::move(*message), flow, now);
    drain();
}

void Lamp::tick(net::Now now) {
    transactions_.tick(now);
    drain();
    if (!whom_.empty() && dark_from < now.steady) longest_silence = std::max(longest_silence, now.steady - dark_from);
    if (register_at_ <= now.steady) {
        register_at_ = now.steady + kTryAgain;
        register_now();
    }
    if (subscribe_at_ > now.steady) return;
    subscribe_at_ = now.steady + 40s;  // unless it is answered
    if (subscribed_) return refresh(wanted_s_);
    ++subscriptions;
    notifier_tag_.clear();
    subscribe("dialog", wanted_s_, whom_);
}

net::Steady Lamp::next_deadline() const {
    return std::min({transactions_.next_deadline(), register_at_, subscribe_at_});
}

void Lamp::drain() {
    for (const auto& event : transactions_.take_events()) on(event);
}

void Lamp::on(const voice::TransactionEvent& event) {
    if (const auto* arrived = std::get_if<voice::RequestArrived>(&event)) {
        const auto& m = arrived->message;
        const int answer = m.is("NOTIFY") ? notified(m) : m.is("MESSAGE") ? message_status : 486;
        if (answer != 0) transactions_.respond(arrived->id, Message::response(m, answer, {}, "lamp"), world_.now);
    }
    if (const auto* response = std::get_if<voice::ResponseArrived>(&event)) {
        if (response->message.status() < 200) return;
        const auto asked = std::move(sent_[response->id]);
        sent_.erase(response->id);
        const auto& m = response->message;
        if (m.status() != 401) return answered(m);
        auto again = asked;
        again.set("CSeq", voice::CSeq{++cseq_, m.method()}.text());
        again.set("Authorization", *voice::digest_answer(*m.get("WWW-Authenticate"), user_, "secret", m.method(), again.uri().text(), world_.random));
        send(again);
    }
    if (const auto* late = std::get_if<voice::TimedOut>(&event)) unanswered(late->id);
    if (const auto* lost = std::get_if<voice::TransportFailed>(&event)) unanswered(lost->id);
}

void Lamp::unanswered(voice::ClientId id) {
    const auto at = sent_.find(id);
    if (at != sent_.end() && at->second.method() == "SUBSCRIBE" && !whom_.empty()) {
        subscribed_ = false;
        subscribe_at_ = world_.now.steady;
    }
    sent_.erase(id);
}

bool Lamp::names_dialog(const Message& notify) const {
    const bool same = notify.call_id() == first_.call_id() && notify.to_tag() == first_.from_tag();
    return same && (notifier_tag_.empty() || notify.from_tag() == notifier_tag_);
}

int Lamp::notified(const Message& m) {
    const auto text = [&](const char* name) { return std::string(m.get(name).value_or("")); };
    const auto state = text("Subscription-State");
    const auto now = world_.now.steady;
    if (!whom_.empty()) {
        if (!names_dialog(m)) return 481;
        if (notifier_tag_.empty()) remote_cseq_ = 0;
        if (m.cseq().number <= remote_cseq_) return 500;  // RFC 3261 12.2.2
        notifier_tag_ = m.from_tag();
        remote_cseq_ = m.cseq().number;
        if (notifies.size() == kNotifiesKept) notifies.erase(notifies.begin());
        if (dark_from < now) longest_silence = std::max(longest_silence, now - dark_from);
        if (state.starts_with("terminated")) {
            subscribed_ = false;
            notifier_tag_ = "over";
            // RFC 6665 section 4.1.3
            const bool at_once = state.find("deactivated") != state.npos || state.find("timeout") != state.npos;
            subscribe_at_ = now + (at_once ? 0s : kTryAgain);
        } else {
            lit_ = m.body().find("confirmed") != std::string_view::npos;
            dark_from = now + granted(state) + 1s;
        }
    }
    notifies.push_back({now, state, std::string(m.body()), text("Event"), m});
    return notify_status;
}

void Lamp::answered(const Message& m) {
    const auto now = world_.now.steady;
    if (m.method() == "REGISTER" && !whom_.empty() && m.status() == 200) {
        std::uint32_t seconds = m.expires_s().value_or(60);
        if (const auto contact = m.first_address("Contact")) {
            if (const auto own = contact->params.get("expires")) seconds = static_cast<std::uint32_t>(std::stoul(std::string(*own)));
        }
        register_at_ = now + std::chrono::milliseconds(seconds * 660);
    }
    if (m.method() != "SUBSCRIBE") return;
    if (!whom_.empty() && m.call_id() != first_.call_id()) return;  // of one that is over
    status = m.status();
    if (whom_.empty()) answers.push_back(m);
    if (status == 200 && m.first_address("Contact")) {
        remote_ = m.to();
        target_ = m.first_address("Contact")->uri;
        routes_ = m.record_routes();
        std::reverse(routes_.begin(), routes_.end());
    }
    if (whom_.empty()) return;
    if (status == 200 && notifier_tag_ == "over") return;  // and to be begun anew
    const bool was = std::exchange(subscribed_, status == 200);
    if (status == 200) {
        subscribe_at_ = now + std::chrono::milliseconds(m.expires_s().value_or(60) * 660);
    } else {
        subscribe_at_ = now + (was ? 0s : kTryAgain);
    }
}

Message Lamp::begin(std::string_view method, const std::string& uri) {
    auto message = Message::request(method, *Uri::parse(uri));
    auto from = NameAddr::of(*Uri::parse("sip:" + user_ + "@acme.example"));
    from.params.set("tag", transactions_.make_tag());
    message.set_from(from);
    message.set_to(NameAddr::of(*Uri::parse(uri)));
    message.set("Call-ID", transactions_.make_tag() + "@lamp");
    message.set("CSeq", voice::CSeq{++cseq_, std::string(method)}.text());
    message.set_contacts({NameAddr::of(Uri::of(user_, at_))});
    return message;
}

void Lamp::send(const Message& message) {
    const auto id = transactions_.start(message, {voice::Transport::udp, at_, proxy_, 0, voice::Side::phone}, at_.text(), world_.now);
    sent_[id] = message;
    world_.flush();
}

}  // namespace test
