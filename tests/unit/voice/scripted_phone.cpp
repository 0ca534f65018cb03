#include "scripted_phone.hpp"

#include <algorithm>

namespace test {

using voice::Message;
using voice::NameAddr;
using voice::Uri;

Phone::Phone(World& world, std::string user, net::Endpoint at_, net::Endpoint proxy, std::string password)
    : from_user(user),
      at(at_),
      contact_user(user),
      world_(world),
      user_(std::move(user)),
      proxy_(proxy),
      password_(std::move(password)),
      transactions_(world.random) {
    world.attach(at, *this);
    tag_ = transactions_.make_tag();
    register_id_ = transactions_.make_tag();
}

Message Phone::begin(std::string_view method, const Uri& uri) {
    auto message = Message::request(method, uri);
    auto from = NameAddr::of(*Uri::parse("sip:" + from_user + "@" + domain));
    from.params.set("tag", transactions_.make_tag());
    message.set_from(from);
    message.set_to(NameAddr::of(uri));
    message.set("Call-ID", transactions_.make_tag() + "@phone");
    message.set("CSeq", voice::CSeq{++cseq_, std::string(method)}.text());
    message.set_contacts({NameAddr::of(Uri::of(contact_user, at))});
    return message;
}

voice::ClientId Phone::send(Message message) {
    const auto id = transactions_.start(std::move(message), flow(), at.text(), world_.now);
    world_.flush();
    return id;
}

void Phone::register_now(std::uint32_t expires_s) {
    wanted_expires_s_ = expires_s;
    tried_password_ = false;
    auto message = begin("REGISTER", *Uri::parse("sip:" + domain));
    auto to = message.from();
    to.params.remove("tag");
    message.set_to(to);
    message.set("Call-ID", register_id_);
    message.set_expires_s(expires_s);
    send(std::move(message));
}

void Phone::call(const std::string& uri) {
    tried_password_ = false;
    auto invite = begin("INVITE", *Uri::parse(uri));
    invite.prepend_address("Route", NameAddr::of(*Uri::parse("sip:" + proxy_.text() + ";lr")));
    invite.set_body("application/sdp", sdp());
    if (dress) dress(invite);
    calling_ = send(std::move(invite));
}

void Phone::send(std::string_view method, const std::string& uri, std::string body) {
    tried_password_ = false;
    auto message = begin(method, *Uri::parse(uri));
    if (!body.empty()) message.set_body("text/plain", std::move(body));
    if (dress) dress(message);
    send(std::move(message));
}

void Phone::cancel() {
    transactions_.cancel(calling_, world_.now);
    world_.flush();
}

Message Phone::in_dialog(std::string_view method) {
    auto message = Message::request(method, dialog_->target);
    message.set_from(dialog_->local);
    message.set_to(dialog_->remote);
    message.set("Call-ID", dialog_->call_id);
    message.set("CSeq", voice::CSeq{++cseq_, std::string(method)}.text());
    if (!dialog_->routes.empty()) message.set_addresses("Route", dialog_->routes);
    message.set_contacts({NameAddr::of(Uri::of(contact_user, at))});
    if (!shown_.empty()) message.set("Proxy-Authorization", shown_);
    return message;
}

void Phone::hang_up() {
    if (!dialog_) return;
    send(in_dialog("BYE"));
    dialog_.reset();
}

void Phone::send_in_dialog(std::string_view method) {
    auto message = in_dialog(method);
    message.set_body("application/sdp", sdp());
    if (dress) dress(message);
    send(std::move(message));
}

void Phone::send_early() {
    answer(183);
    world_.flush();
}

std::string Phone::sdp() const {
    const auto address = at.address.text();
    const std::string family = at.address.is_v6() ? "IN IP6 " : "IN IP4 ";
    return "v=0\r\no=- 1 1 " + family + address + "\r\ns=-\r\nc=" + family + address +
           "\r\nt=0 0\r\nm=" + media;
}

void Phone::receive(const voice::Flow& from, net::ByteView bytes, net::Now now) {
    if (manner == Manner::is_silent) return;
    if (auto message = Message::parse(bytes)) transactions_.receive(std::move(*message), from, now);
    drain();
}

void Phone::drain() {
    for (auto events = transactions_.take_events(); !events.empty(); events = transactions_.take_events()) {
        for (const auto& event : events) on(event);
    }
}

void Phone::on(const voice::TransactionEvent& event) {
    if (const auto* arrived = std::get_if<voice::RequestArrived>(&event)) return request(*arrived);
    if (const auto* answered = std::get_if<voice::ResponseArrived>(&event)) return response(*answered);
    if (const auto* late = std::get_if<voice::TimedOut>(&event)) {
        history.push_back({world_.now.steady, "timeout", 408, Message::request("OPTIONS", Uri::of("", at))});
        if (late->id == calling_) calling_ = 0;
    }
    if (const auto* ack = std::get_if<voice::AckArrived>(&event)) {
        history.push_back({world_.now.steady, "ACK", 0, ack->message});
        unacknowledged_.reset();
        resend_at_ = net::kNever;
    }
    if (const auto* cancelled = std::get_if<voice::Cancelled>(&event)) {
        history.push_back({world_.now.steady, "CANCEL", 0, cancelled->cancel});
        if (cancelled->id == ringing_) answer(487);
    }
}

void Phone::request(const voice::RequestArrived& event) {
    history.push_back({world_.now.steady, event.message.method(), 0, event.message});
    if (event.message.has_sdp()) heard_sdp = event.message.body();
    if (!event.message.is("INVITE")) {
        if (event.message.is("BYE")) {
            dialog_.reset();
            resend_at_ = net::kNever;
        }
        const auto status = event.message.is("MESSAGE") ? message_status : 200;
        if (status == 0) return;
        auto response = Message::response(event.message, status, {}, tag_);
        if (event.message.has_sdp()) response.set_body("application/sdp", sdp());
        transactions_.respond(event.id, response, world_.now);
        return;
    }
    if (!event.message.to_tag().empty()) {
        ringing_ = event.id;
        return answer(manner == Manner::busy ? 486 : 200);
    }
    ringing_ = event.id;
    if (manner == Manner::busy || manner == Manner::declines) return answer(manner == Manner::busy ? 486 : 603);
    if (manner == Manner::is_overloaded) return answer(503);
    auto ringing = Message::response(event.message, 180, {}, tag_);
    ringing.set_addresses("Record-Route", event.message.record_routes());
    ringing.set_contacts({NameAddr::of(Uri::of(contact_user, at))});
    transactions_.respond(ringing_, ringing, world_.now);
    if (manner == Manner::answers) answer_at_ = world_.now.steady + answer_after;
}

void Phone::fail(int status) {
    answer(status);
    world_.flush();
}

void Phone::pick_up() {
    answer(200);
    world_.flush();
}

void Phone::answer(int status) {
    const auto* invite = transactions_.request_of(ringing_);
    if (invite == nullptr) return;
    auto response = Message::response(*invite, status, {}, tag_);
    if (status < 300) {
        response.set_addresses("Record-Route", invite->record_routes());
        response.set_contacts({NameAddr::of(Uri::of(contact_user, at))});
        response.set_body("application/sdp", sdp());
        if (dress) dress(response);
        if (invite->to_tag().empty()) {
            dialog_ = Dialog{response.to(), invite->from(), invite->first_address("Contact")->uri,
                             invite->record_routes(), std::string(invite->call_id())};
        }
    }
    transactions_.respond(ringing_, response, world_.now);
    if (status == 200) {
        unacknowledged_ = response;
        answered_ = ringing_;
        resend_after_ = 500ms;
        resend_at_ = world_.now.steady + resend_after_;
    }
    if (status < 200) return;
    ringing_ = 0;
    answer_at_ = net::kNever;
}

void Phone::response(const voice::ResponseArrived& event) {
    const auto& message = event.message;
    history.push_back({world_.now.steady, message.method(), message.status(), message});
    if (message.has_sdp()) heard_sdp = message.body();
    const auto* sent = transactions_.request_of_client(event.id);
    if ((message.status() == 401 || message.status() == 407) && sent != nullptr && !tried_password_) {
        tried_password_ = true;
        auto again = *sent;
        again.pop_via();
        again.set("CSeq", voice::CSeq{++cseq_, message.method()}.text());
        const bool proxy = message.status() == 407;
        const auto challenges = message.get_all(proxy ? "Proxy-Authenticate" : "WWW-Authenticate");
        const auto challenge = takes_topmost ? challenges.front() : challenges.back();
        const auto credentials =
            voice::digest_answer(challenge, user_, password_, again.method(), again.uri().text(), world_.random);
        if (!credentials) return;
        again.set(proxy ? "Proxy-Authorization" : "Authorization", *credentials);
        if (proxy) shown_ = *credentials;
        const auto id = send(std::move(again));
        if (event.id == calling_) calling_ = id;
        return;
    }
    if (message.method() == "REGISTER" && message.status() == 200) {
        for (const auto& contact : message.contacts()) {
            if (contact.uri == Uri::of(contact_user, at)) granted_s = contact.expires_s().value_or(0);
        }
        if (keeps_registered && wanted_expires_s_ > 0)
            refresh_at_ = world_.now.steady + std::chrono::seconds(granted_s) * 2 / 3;
    }
    const bool early = answers_early_media && message.status() == 183;
    if (message.method() == "INVITE" && (early || (message.status() >= 200 && message.status() < 300))) {
        auto routes = message.record_routes();
        std::reverse(routes.begin(), routes.end());
        if (event.id == calling_ || !dialog_) {
            dialog_ = Dialog{message.from(), message.to(), message.first_address("Contact")->uri, routes,
                             std::string(message.call_id())};
        }
        if (early) return send_in_dialog("PRACK");
        ack(message);
    }
}

void Phone::ack(const Message& answer) {
    const auto cseq = cseq_;
    auto message = in_dialog("ACK");
    cseq_ = cseq;
    message.set("CSeq", voice::CSeq{answer.cseq().number, "ACK"}.text());
    if (dress) dress(message);
    message.push_via(transactions_.make_via(flow(), at.text()));
    transactions_.send(message, flow());
}

void Phone::tick(net::Now now) {
    transactions_.tick(now);
    drain();
    if (answer_at_ <= now.steady) answer(200);
    if (resend_at_ <= now.steady) {
        transactions_.respond(answered_, *unacknowledged_, now);
        resend_after_ = std::min<net::Duration>(2 * resend_after_, 4s);
        resend_at_ = now.steady + resend_after_;
    }
    if (refresh_at_ <= now.steady) {
        refresh_at_ = net::kNever;
        register_now(wanted_expires_s_);
    }
}

net::Steady Phone::next_deadline() const {
    return std::min({transactions_.next_deadline(), answer_at_, refresh_at_, resend_at_});
}

int Phone::last(std::string_view method) const {
    for (auto told = history.rbegin(); told != history.rend(); ++told) {
        if (told->method == method && told->status > 0) return told->status;
    }
    return 0;
}

std::optional<net::Steady> Phone::first(std::string_view method, int status) const {
    for (const auto& told : history) {
        if (told.method == method && told.status == status) return told.at;
    }
    return std::nullopt;
}

std::size_t Phone::count(std::string_view method, int status) const {
    return static_cast<std::size_t>(std::count_if(history.begin(), history.end(), [&](const auto& told) {
        return told.method == method && told.status == status;
    }));
}

}  // namespace test
