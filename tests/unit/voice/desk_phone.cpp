#include "desk_phone.hpp"

#include <algorithm>

namespace test {

using voice::Message;
using voice::NameAddr;
using voice::Uri;

namespace {

/// RFC 3261 19.1.1: what may not stand in the headers part of a URI.
std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == ';') out += "%3B";
        else if (c == '=') out += "%3D";
        else if (c == '@') out += "%40";
        else out += c;
    }
    return out;
}

std::string opposite(std::string_view sdp) {
    return sdp.find("a=sendonly") != sdp.npos ? "recvonly" : "sendrecv";
}

}  // namespace

DeskPhone::DeskPhone(World& world, std::string user, net::Endpoint at_, net::Endpoint proxy, std::string password)
    : at(at_), world_(world), user_(std::move(user)), proxy_(proxy), password_(std::move(password)), transactions_(world.random) {
    world.attach(at, *this);
}

void DeskPhone::register_now() {
    auto message = Message::request("REGISTER", *Uri::parse("sip:acme.example"));
    auto us = NameAddr::of(*Uri::parse("sip:" + user_ + "@acme.example"));
    message.set_to(us);
    us.params.set("tag", transactions_.make_tag());
    message.set_from(us);
    message.set("Call-ID", "register-" + user_ + at.text());
    message.set("CSeq", voice::CSeq{++cseq_, "REGISTER"}.text());
    message.set_contacts({contact()});
    message.set_expires_s(3600);
    send(std::move(message), std::nullopt);
}

DeskPhone::LineId DeskPhone::call(const std::string& uri, const Headers& headers) {
    Line line;
    line.local = NameAddr::of(*Uri::parse("sip:" + user_ + "@acme.example"));
    line.local.params.set("tag", transactions_.make_tag());
    line.remote = NameAddr::of(*Uri::parse(uri));
    line.target = line.remote.uri;
    line.call_id = transactions_.make_tag() + "@desk";
    line.routes = {NameAddr::of(*Uri::parse("sip:" + proxy_.text() + ";lr"))};
    line.refreshes = session_expires_s != 0 && refresher == "uac";
    auto invite = in_dialog(line, "INVITE");
    invite.set("Supported", "100rel, timer, replaces");
    if (session_expires_s != 0) invite.set("Session-Expires", std::to_string(session_expires_s) + ";refresher=" + refresher);
    for (const auto& [name, value] : headers) invite.set(name, value);
    invite.set_body("application/sdp", sdp("sendrecv"));
    line.invite_cseq = cseq_;
    lines_.push_back(std::move(line));
    send(std::move(invite), lines_.size() - 1);
    return lines_.size() - 1;
}

Message DeskPhone::in_dialog(const Line& line, std::string_view method) {
    auto message = Message::request(method, line.target);
    message.set_from(line.local);
    message.set_to(line.remote);
    message.set("Call-ID", line.call_id);
    message.set("CSeq", voice::CSeq{++cseq_, std::string(method)}.text());
    if (!line.routes.empty()) message.set_addresses("Route", line.routes);
    message.set_contacts({contact()});
    return message;
}

void DeskPhone::send(Message message, std::optional<LineId> line, bool tried_password) {
    const bool calls = line && message.is("INVITE");
    const auto id = transactions_.start(std::move(message), flow(), at.text(), world_.now);
    sent_[id] = {line, tried_password};
    if (calls) lines_[*line].calling = id;
    world_.flush();
}

void DeskPhone::cancel(LineId line, const std::string& reason) {
    transactions_.cancel(lines_[line].calling, world_.now, reason);
    world_.flush();
}

void DeskPhone::offer(LineId id, const std::string& method, const std::string& direction, const Headers& headers) {
    auto& line = lines_[id];
    line.direction = direction;
    auto message = in_dialog(line, method);
    if (method == "INVITE") line.invite_cseq = cseq_;
    for (const auto& [name, value] : headers) message.set(name, value);
    message.set_body("application/sdp", sdp(direction));
    send(std::move(message), id);
}

void DeskPhone::hang_up(LineId line) {
    send(in_dialog(lines_[line], "BYE"), line);
    ended(line);
}

void DeskPhone::send(LineId line, const std::string& method, const Headers& headers, const std::string& body) {
    auto message = in_dialog(lines_[line], method);
    for (const auto& [name, value] : headers) message.set(name, value);
    if (!body.empty()) message.set_body(message.get("Content-Type").value_or("text/plain"), body);
    send(std::move(message), line);
}

void DeskPhone::transfer(LineId line, const std::string& to) {
    send(line, "REFER", {{"Refer-To", "<" + to + ">"}, {"Referred-By", "<sip:" + user_ + "@acme.example>"}});
}

void DeskPhone::connect(LineId line, LineId second, const std::string& to) {
    const auto& other = lines_[second];
    const auto replaces = other.call_id + ";to-tag=" + std::string(*other.remote.tag()) + ";from-tag=" + std::string(*other.local.tag());
    transfer(line, (to.empty() ? other.target.text() : to) + "?Replaces=" + escaped(replaces));
}

std::string DeskPhone::sdp(const std::string& direction) const {
    const auto address = at.address.text();
    return "v=0\r\no=- 1 1 IN IP4 " + address + "\r\ns=-\r\nc=IN IP4 " + address +
           "\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=" + direction + "\r\n";
}

void DeskPhone::receive(const voice::Flow& from, net::ByteView bytes, net::Now now) {
    if (auto message = Message::parse(bytes)) transactions_.receive(std::move(*message), from, now);
    drain();
}

void DeskPhone::drain() {
    for (auto events = transactions_.take_events(); !events.empty(); events = transactions_.take_events()) {
        for (const auto& event : events) on(event);
    }
}

void DeskPhone::on(const voice::TransactionEvent& event) {
    if (const auto* arrived = std::get_if<voice::RequestArrived>(&event)) return request(*arrived);
    if (const auto* answered = std::get_if<voice::ResponseArrived>(&event)) return response(*answered);
    if (const auto* ack = std::get_if<voice::AckArrived>(&event)) {
        history.push_back({world_.now.steady, "ACK", 0, ack->message});
        const auto line = line_of(ack->message);
        if (!line) return;
        lines_[*line].again.reset();
        lines_[*line].again_at = net::kNever;
    }
    if (const auto* cancelled = std::get_if<voice::Cancelled>(&event)) {
        history.push_back({world_.now.steady, "CANCEL", 0, cancelled->cancel});
        for (LineId i = 0; i < lines_.size(); ++i) {
            if (lines_[i].ringing == cancelled->id) answer(i, 487);
        }
    }
}

std::optional<DeskPhone::LineId> DeskPhone::line_of(const Message& request) const {
    for (LineId i = 0; i < lines_.size(); ++i) {
        if (lines_[i].call_id == request.call_id() && lines_[i].local.tag() == request.to_tag()) return i;
    }
    return std::nullopt;
}

void DeskPhone::request(const voice::RequestArrived& event) {
    const auto& message = event.message;
    history.push_back({world_.now.steady, message.method(), 0, message});
    if (message.has_sdp()) heard_sdp = message.body();
    const auto line = line_of(message);
    if (!line) {
        if (message.is("INVITE")) return invited(event);
        transactions_.respond(event.id, Message::response(message, message.is("OPTIONS") ? 200 : 481, {}, "none"), world_.now);
        return;
    }
    auto response = Message::response(message, message.is("REFER") ? 202 : message.is("INFO") ? info_status : 200);
    response.set_contacts({contact()});
    if (message.has_sdp()) response.set_body("application/sdp", sdp(opposite(message.body())));
    if (message.has("Session-Expires")) {
        response.set("Session-Expires", *message.get("Session-Expires"));
        session(*line, response, false);
    }
    transactions_.respond(event.id, response, world_.now);
    if (message.is("INVITE")) repeat(*line, response, event.id);
    if (message.is("PRACK")) {
        lines_[*line].again.reset();
        lines_[*line].again_at = net::kNever;
    }
    if (message.is("BYE")) ended(*line);
    if (message.is("NOTIFY")) progress.emplace_back(message.body());
    if (message.is("REFER")) {
        send(*line, "NOTIFY", {{"Event", "refer"}, {"Subscription-State", "active;expires=60"}, {"Content-Type", "message/sipfrag"}},
             "SIP/2.0 100 Trying");
        auto uri = message.first_address("Refer-To")->uri;
        Headers headers;
        if (const auto by = message.get("Referred-By")) headers.emplace_back("Referred-By", *by);
        if (uri.headers.starts_with("Replaces=")) headers.emplace_back("Replaces", *voice::unescape(uri.headers.substr(9)));
        uri.headers.clear();
        lines_[call(uri.text(), headers)].tells = *line;
    }
}

std::optional<DeskPhone::LineId> DeskPhone::replaced_by(const Message& invite) const {
    const auto replaces = std::string(*invite.get("Replaces"));
    for (LineId i = 0; i < lines_.size(); ++i) {
        const auto& line = lines_[i];
        if (!line.up) continue;
        const auto ours = line.call_id + ";to-tag=" + std::string(*line.local.tag()) + ";from-tag=" + std::string(*line.remote.tag());
        if (replaces == ours) return i;
    }
    return std::nullopt;
}

void DeskPhone::invited(const voice::RequestArrived& event) {
    const auto& invite = event.message;
    std::optional<LineId> replaced;
    if (invite.has("Replaces")) {
        replaced = replaced_by(invite);
        if (!replaced) {
            transactions_.respond(event.id, Message::response(invite, 481, {}, "none"), world_.now);
            return;
        }
    }
    Line line;
    line.local = invite.to();
    line.local.params.set("tag", transactions_.make_tag());
    line.remote = invite.from();
    line.target = invite.first_address("Contact")->uri;
    line.routes = invite.record_routes();
    line.call_id = invite.call_id();
    line.ringing = event.id;
    line.replaces = replaced;
    if (answers) line.answer_at = world_.now.steady + answer_after;
    lines_.push_back(std::move(line));
    const auto id = lines_.size() - 1;
    if (replaced) return answer(id, 200);
    answer(id, reliable ? 183 : 180);
}

void DeskPhone::pick_up(LineId line) {
    answer(line, 200);
    world_.flush();
}

void DeskPhone::refuse(LineId line, int status, const Headers& headers) {
    answer(line, status, headers);
    world_.flush();
}

void DeskPhone::answer(LineId id, int status, const Headers& headers) {
    auto& line = lines_[id];
    const auto* invite = transactions_.request_of(line.ringing);
    if (invite == nullptr) return;
    auto response = Message::response(*invite, status, {}, *line.local.tag());
    for (const auto& [name, value] : headers) response.set(name, value);
    if (status < 300) {
        response.set_addresses(spells_record_route, invite->record_routes());
        response.set_contacts({contact()});
        if (status != 180) response.set_body("application/sdp", sdp(opposite(invite->body())));
        if (status == 183) {
            response.set("Require", "100rel");
            response.set("RSeq", "1");
        }
        if (status == 200 && invite->has("Session-Expires")) {
            response.set("Session-Expires", *invite->get("Session-Expires"));
            session(id, response, false);
        }
    }
    const auto to = line.ringing;
    transactions_.respond(to, response, world_.now);
    if (status == 180) return;
    if (status < 300) repeat(id, response, to);
    if (status == 183) return;
    line.ringing = 0;
    line.answer_at = net::kNever;
    line.up = status == 200;
    if (line.up && line.replaces) hang_up(*line.replaces);
}

void DeskPhone::repeat(LineId id, const Message& message, voice::ServerId to) {
    auto& line = lines_[id];
    line.again = message;
    line.again_to = to;
    line.again_after = 500ms;
    line.again_at = world_.now.steady + line.again_after;
}

void DeskPhone::session(LineId id, const Message& answer, bool ours) {
    auto& line = lines_[id];
    const auto value = std::string(*answer.get("Session-Expires"));
    const auto seconds = std::chrono::seconds(std::stoul(value));
    if (!ours && line.expires_at == net::kNever) line.refreshes = value.ends_with("refresher=uas");
    line.session = std::to_string(seconds.count());
    line.expires_at = world_.now.steady + seconds;
    line.refresh_at = line.refreshes ? world_.now.steady + seconds / 2 : net::kNever;
}

void DeskPhone::ended(LineId id) {
    auto& line = lines_[id];
    line.up = false;
    line.again.reset();
    line.again_at = line.refresh_at = line.expires_at = net::kNever;
}

void DeskPhone::dialog(LineId id, const Message& message) {
    auto& line = lines_[id];
    line.remote = message.to();
    if (const auto where = message.first_address("Contact")) line.target = where->uri;
    line.routes = message.record_routes();
    std::reverse(line.routes.begin(), line.routes.end());
}

void DeskPhone::progressed(LineId id, int status) {
    if (!lines_[id].tells || status == 100 || status == 401 || status == 407) return;
    const auto teller = *lines_[id].tells;
    if (status >= 200) lines_[id].tells.reset();
    send(teller, "NOTIFY",
         {{"Event", "refer"}, {"Subscription-State", status < 200 ? "active;expires=60" : "terminated;reason=noresource"},
          {"Content-Type", "message/sipfrag"}},
         "SIP/2.0 " + std::to_string(status) + " " + std::string(voice::reason_phrase(status)));
}

void DeskPhone::response(const voice::ResponseArrived& event) {
    const auto& message = event.message;
    const auto status = message.status();
    history.push_back({world_.now.steady, message.method(), status, message});
    if (message.has_sdp()) heard_sdp = message.body();
    const auto [line, tried] = sent_[event.id];
    const auto* sent = transactions_.request_of_client(event.id);
    if ((status == 401 || status == 407) && sent != nullptr && !tried) {
        auto again = *sent;
        again.pop_via();
        again.set("CSeq", voice::CSeq{++cseq_, message.method()}.text());
        if (line && again.is("INVITE")) lines_[*line].invite_cseq = cseq_;
        const auto challenge = message.get(status == 407 ? "Proxy-Authenticate" : "WWW-Authenticate");
        const auto credentials = voice::digest_answer(*challenge, user_, password_, again.method(), again.uri().text(), world_.random);
        if (!credentials) return;
        again.set(status == 407 ? "Proxy-Authorization" : "Authorization", *credentials);
        return send(std::move(again), line, true);
    }
    if (!line) return;
    if (message.method() == "INVITE" && status > 100 && status < 300) {
        const bool began = !lines_[*line].up;
        if (began) dialog(*line, message);
        if (status >= 200) {
            lines_[*line].up = true;
            auto ack = in_dialog(lines_[*line], "ACK");
            ack.set("CSeq", voice::CSeq{message.cseq().number, "ACK"}.text());
            ack.push_via(transactions_.make_via(flow(), at.text()));
            transactions_.send(ack, flow());
        } else if (const auto rseq = message.to_tag() + ' ' + std::string(message.get("RSeq").value_or(""));
                   message.has("RSeq") && lines_[*line].acknowledged != rseq) {  // RFC 3262 section 4
            lines_[*line].acknowledged = rseq;
            send(*line, "PRACK", {{"RAck", std::string(*message.get("RSeq")) + " " + message.cseq().text()}});
        }
    }
    if (message.has("Session-Expires") && status == 200) session(*line, message, true);
    if (message.method() == "INVITE") progressed(*line, status);
}

void DeskPhone::tick(net::Now now) {
    transactions_.tick(now);
    drain();
    for (LineId i = 0; i < lines_.size(); ++i) {
        if (lines_[i].answer_at <= now.steady) answer(i, 200);
        if (lines_[i].again_at <= now.steady) {
            auto& line = lines_[i];
            transactions_.respond(line.again_to, *line.again, now);
            line.again_after = std::min<net::Duration>(2 * line.again_after, 4s);
            line.again_at = now.steady + line.again_after;
        }
        if (lines_[i].refresh_at <= now.steady) {
            lines_[i].refresh_at = net::kNever;
            offer(i, refreshes_by, lines_[i].direction, {{"Supported", "timer"}, {"Session-Expires", lines_[i].session + ";refresher=uac"}});
        }
        if (lines_[i].expires_at <= now.steady && lines_[i].up) hang_up(i);
    }
}

net::Steady DeskPhone::next_deadline() const {
    auto next = transactions_.next_deadline();
    for (const auto& line : lines_) next = std::min({next, line.answer_at, line.again_at, line.refresh_at, line.expires_at});
    return next;
}

std::size_t DeskPhone::lines_up() const {
    return static_cast<std::size_t>(std::count_if(lines_.begin(), lines_.end(), [](const auto& line) { return line.up; }));
}

std::size_t DeskPhone::count(std::string_view method, int status) const {
    return static_cast<std::size_t>(std::count_if(history.begin(), history.end(), [&](const auto& told) {
        return told.method == method && told.status == status;
    }));
}

int DeskPhone::last(std::string_view method) const {
    for (auto told = history.rbegin(); told != history.rend(); ++told) {
        if (told->method == method && told->status > 0) return told->status;
    }
    return 0;
}

const Message* DeskPhone::latest(std::string_view method, int status) const {
    for (auto told = history.rbegin(); told != history.rend(); ++told) {
        if (told->method == method && told->status == status) return &told->message;
    }
    return nullptr;
}

}  // namespace test
