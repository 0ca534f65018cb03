// What a message must pass before anything believes it:
//   size, start line, header lines  ->  required and single headers, numbers in range, CSeq's method, body's length
//   ->  what is not plain: our own readers over each address and Via that a proxy acts on  ->  sofia-sip's parser.
// A request that fails is answered 400 (505 for its version, 501 for an unknown method under another's CSeq, as RFC 4475
// 3.1.2.18 prefers) if it says where to and is no ACK; all else is silence.
#include <sofia-sip/msg.h>
#include <sofia-sip/sip.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_parser.h>
#include <sofia-sip/sip_protos.h>

#include <algorithm>
#include <array>
#include <memory>

#include "net/text.hpp"
#include "voice/characters.hpp"
#include "voice/message.hpp"
#include "voice/plain.hpp"

namespace voice {

class Ingress {
public:
    Ingress(std::string_view text, bool stream, Message::Scrutiny scrutiny)
        : text_(text), stream_(stream), scrutiny_(scrutiny) {}
    tl::expected<Message, Rejected> run();

private:
    bool fail(std::string_view reason, int status = 400) {
        reason_ = reason;
        status_ = status;
        return false;
    }
    bool start_line(std::string_view line);
    bool header_lines(std::string_view block);
    bool required_headers();
    bool numbers();
    bool body(std::string_view rest);
    bool addresses();
    bool sofia_agrees(std::string_view head);
    Rejected rejected() const;

    std::string_view text_;
    bool stream_;
    Message::Scrutiny scrutiny_;
    Message message_;
    bool request_ = false;
    bool plain_ = false;  ///< then nobody need read the head more closely: all would accept it
    std::optional<std::uint64_t> content_length_;
    std::string_view reason_;
    int status_ = 400;
};

namespace {

/// Controls have no place in a header, save the tab, and (RFC 3261 25.1) behind a backslash in quotes.
bool has_stray_control(std::string_view value) {
    bool any = false;
    for (const char c : value) any |= (static_cast<unsigned char>(c) < ' ' && c != '\t') || c == 0x7f;
    if (!any) return false;
    for (std::size_t i = 0; i < value.size(); ++i) {
        const auto c = static_cast<unsigned char>(value[i]);
        if ((c < ' ' && c != '\t') || c == 0x7f) {
            if (i == 0 || value[i - 1] != '\\') return true;
        }
    }
    return false;
}

bool is_known_method(std::string_view method) {
    static constexpr std::array<std::string_view, 14> kKnown{"INVITE", "ACK", "BYE", "CANCEL", "REGISTER", "OPTIONS", "INFO",
                                                             "PRACK", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER", "MESSAGE",
                                                             "PUBLISH"};
    return std::find(kKnown.begin(), kKnown.end(), method) != kKnown.end();
}

struct MsgDestroy {
    void operator()(msg_t* msg) const { msg_destroy(msg); }
};

}  // namespace

bool Ingress::start_line(std::string_view line) {
    if (line.size() >= 4 && net::equals_ignoring_case(line.substr(0, 4), "SIP/")) {
        request_ = false;
        if (line.size() < 12 || !net::equals_ignoring_case(line.substr(0, 8), "SIP/2.0 ")) return fail("bad status line");
        const auto code = net::parse_decimal(line.substr(8, 3), 699);
        if (!code || *code < 100 || line[11] != ' ' || has_stray_control(line)) return fail("bad status line");
        message_.status_ = static_cast<int>(*code);
        message_.phrase_ = line.substr(12);
        return true;
    }
    request_ = true;
    const auto first = line.find(' ');
    const auto last = line.rfind(' ');
    if (first == line.npos) return fail("bad request line");
    message_.method_ = line.substr(0, first);
    if (!is_token(message_.method_)) {
        message_.method_.clear();
        return fail("bad method");
    }
    if (first == last) return fail("bad request line");
    const auto version = line.substr(last + 1);
    const auto uri = line.substr(first + 1, last - first - 1);
    if (!net::equals_ignoring_case(version, "SIP/2.0")) {
        const bool sip = version.size() > 4 && net::equals_ignoring_case(version.substr(0, 4), "SIP/");
        return sip ? fail("Version Not Supported", 505) : fail("bad request line");
    }
    auto parsed = Uri::parse(uri);
    if (!parsed) return fail("bad Request-URI");
    // 19.1.1: no headers in a Request-URI (RFC 4475 "escruri").
    if (!parsed->headers.empty()) return fail("headers in Request-URI");
    message_.request_uri_ = uri;
    message_.uri_ = std::move(*parsed);
    return true;
}

bool Ingress::header_lines(std::string_view block) {
    bool good = true;
    message_.fields_.reserve(16);
    while (!block.empty()) {
        const auto end = std::min(block.find("\r\n"), block.size());
        const auto line = block.substr(0, end);
        block.remove_prefix(std::min(end + 2, block.size()));
        const auto value_in = [&](std::size_t colon) { return std::string(net::trim(line.substr(colon + 1))); };
        if (plain_) {
            const auto colon = line.find(':');
            if (message_.fields_.size() == kMaxHeaders) return fail("too many headers");
            message_.fields_.emplace_back(line.substr(0, colon), value_in(colon));
            continue;
        }
        if (line.find('\r') != line.npos || line.find('\n') != line.npos) return fail("stray line end");
        if (line.starts_with(' ') || line.starts_with('\t')) {
            if (message_.fields_.empty()) return fail("header begins with a fold");
            auto& value = message_.fields_.back().value;
            const auto more = net::trim(line);
            if (!value.empty() && !more.empty()) value += ' ';
            value += more;
            continue;
        }
        const auto colon = line.find(':');
        if (colon == line.npos) return fail("header without colon");
        auto name = line.substr(0, colon);
        while (name.ends_with(' ') || name.ends_with('\t')) name.remove_suffix(1);
        if (!is_token(name)) return fail("bad header name");
        if (message_.fields_.size() == kMaxHeaders) return fail("too many headers");
        message_.fields_.emplace_back(name, value_in(colon));
    }
    if (plain_) return good;
    // Looked at last, so that what stands in the other lines can be answered.
    for (const auto& field : message_.fields_) {
        if (has_stray_control(field.value)) good = fail("control character in header");
    }
    return good;
}

bool Ingress::required_headers() {
    std::array<std::uint16_t, static_cast<std::size_t>(HeaderName::count_)> counts{};
    for (const auto& field : message_.fields_) ++counts[static_cast<std::size_t>(field.known)];
    const auto count = [&](HeaderName name) { return counts[static_cast<std::size_t>(name)]; };
    using enum HeaderName;
    for (const auto name : {via, from, to, call_id, cseq}) {
        if (count(name) == 0) return fail("missing header");
    }
    for (const auto name : {from, to, call_id, cseq, max_forwards, content_length, content_type, expires, event, min_expires,
                            refer_to}) {
        if (count(name) > 1) return fail("header more than once");
    }
    return true;
}

bool Ingress::numbers() {
    std::array<const std::string*, static_cast<std::size_t>(HeaderName::count_)> first{};
    for (const auto& field : message_.fields_) {
        if (auto& place = first[static_cast<std::size_t>(field.known)]; place == nullptr) place = &field.value;
    }
    const auto value = [&](HeaderName name) { return first[static_cast<std::size_t>(name)]; };
    const auto cseq = CSeq::parse(*value(HeaderName::cseq));
    if (!cseq) return fail("bad CSeq");
    if (request_ && cseq->method != message_.method_) {
        return is_known_method(message_.method_) ? fail("CSeq of another method") : fail("Not Implemented", 501);
    }
    if (!request_) message_.method_ = cseq->method;
    const auto& call_id = *value(HeaderName::call_id);
    if (call_id.empty() || call_id.find_first_of(" \t,;") != call_id.npos) return fail("bad Call-ID");
    if (value(HeaderName::max_forwards) != nullptr && !message_.max_forwards()) return fail("bad Max-Forwards");
    if (const auto* const expires = value(HeaderName::expires)) {
        if (!net::parse_decimal(*expires, UINT32_MAX)) return fail("bad Expires");
    }
    if (const auto* const length = value(HeaderName::content_length)) {
        content_length_ = net::parse_decimal(*length, kMaxMessageBytes);
        if (!content_length_) return fail("bad Content-Length");
    }
    return true;
}

bool Ingress::body(std::string_view rest) {
    if (!content_length_) {
        if (stream_) return fail("no Content-Length");
        content_length_ = rest.size();
    }
    if (*content_length_ > rest.size()) return fail("body shorter than Content-Length");
    message_.body_ = rest.substr(0, *content_length_);
    message_.remove("Content-Length");
    return true;
}

bool Ingress::addresses() {
    for (const auto value : message_.get_all("Via")) {
        for (const auto piece : split_list(value)) {
            const auto via = Via::parse(piece);
            if (!via) return fail("bad Via");
            if (via->params.has("received") && !via->received()) return fail("bad Via");
        }
    }
    for (const std::string_view name : {"From", "To"}) {
        const auto address = NameAddr::parse(*message_.get(name));
        if (!address || address->star) return fail(name == "To" ? "bad To" : "bad From");
    }
    for (const std::string_view name : {"Route", "Record-Route", "Path", "Service-Route", "Refer-To"}) {
        for (const auto value : message_.get_all(name)) {
            const auto list = NameAddr::parse_list(value);
            if (!list) return fail("bad address header");
        }
    }
    for (const auto value : message_.get_all("Contact")) {
        const auto list = NameAddr::parse_list(value);
        if (!list) return fail("bad Contact");
        for (const auto& contact : *list) {
            if (contact.star && list->size() > 1) return fail("bad Contact");
            if (const auto expires = contact.params.get("expires")) {
                if (!net::parse_decimal(*expires, UINT32_MAX)) return fail("bad Contact");
            }
        }
    }
    return true;
}

bool Ingress::sofia_agrees(std::string_view head) {
    // Quoted pairs may hold controls (RFC 4475 "intmeth"), which it cannot bear: it sees another character there.
    std::string copy(head);
    // Of methods that it does not know it refuses some for their first letter; they have been judged above.
    if (!is_known_method(message_.method_)) {
        Message plain = message_;
        plain.method_ = "UNKNOWN";
        plain.body_.clear();
        plain.set("CSeq", CSeq{message_.cseq().number, "UNKNOWN"}.text());
        copy = plain.to_text();
    }
    for (std::size_t i = 1; i < copy.size(); ++i) {
        if (copy[i - 1] == '\\' && static_cast<unsigned char>(copy[i]) < ' ') copy[i] = '0';
    }
    const std::unique_ptr<msg_t, MsgDestroy> msg(
        msg_make(sip_default_mclass(), 0, copy.data(), static_cast<ssize_t>(copy.size())));
    if (!msg) return fail("refused by parser");
    const auto* sip = sip_object(msg.get());
    if (!sip || (!sip->sip_request && !sip->sip_status)) return fail("refused by parser");
    // A slip in a header that a proxy only carries is for the far end to judge (16.3 step 1).
    static constexpr std::array<std::string_view, 16> kOurs{
        "Via", "From", "To", "Call-ID", "CSeq", "Contact", "Route", "Record-Route", "Max-Forwards", "Expires",
        "Content-Type", "Proxy-Require", "Authorization", "Proxy-Authorization", "Path", "Request-Line"};
    for (const auto* error = sip->sip_error; error; error = error->er_next) {
        const std::string_view name = error->er_name ? error->er_name : "";
        if (std::any_of(kOurs.begin(), kOurs.end(), [&](std::string_view ours) { return net::equals_ignoring_case(ours, name); })) {
            return fail("header refused by parser");
        }
    }
    return true;
}

tl::expected<Message, Rejected> Ingress::run() {
    while (text_.starts_with("\r\n")) text_.remove_prefix(2);  // 7.5: empty lines before the start line
    const auto head_end = text_.find("\r\n\r\n");
    const auto head = text_.substr(0, std::min(head_end, text_.size()));
    const auto line_end = std::min(head.find("\r\n"), head.size());
    const auto line = head.substr(0, line_end);
    plain_ = scrutiny_ == Message::Scrutiny::as_needed && head_end != text_.npos && is_plain(text_.substr(0, head_end + 4));

    bool good = start_line(line);
    if (!good && !request_) return tl::unexpected(rejected());
    // The headers are read even below a bad request line: they say whom to answer.
    const auto first_reason = reason_;
    const auto first_status = status_;
    if (!header_lines(head.substr(std::min(line_end + 2, head.size()))) && good) good = false;
    if (!first_reason.empty()) {
        reason_ = first_reason;
        status_ = first_status;
    } else if (good && head_end == text_.npos) {
        good = fail("no end of header");
    }
    good = good && required_headers() && numbers() && body(text_.substr(head_end + 4)) &&
           (plain_ || (addresses() && sofia_agrees(text_.substr(0, head_end + 4))));
    if (!good) return tl::unexpected(rejected());
    return std::move(message_);
}

Rejected Ingress::rejected() const {
    Rejected out{reason_, {}};
    if (!request_ || message_.method_.empty() || message_.method_ == "ACK") return out;
    // Without a Via and a CSeq nobody could take the answer. What they say may be wrong: it is given back as it came.
    if (!message_.has("Via") || !message_.has("CSeq")) return out;
    Message answer;
    answer.status_ = status_;
    answer.phrase_ = status_ == 400 ? "Bad Request (" + std::string(reason_) + ")" : std::string(reason_phrase(status_));
    for (const auto& field : message_.fields_) {
        if (has_stray_control(field.value)) continue;
        using enum HeaderName;
        for (const auto name : {via, from, to, call_id, cseq}) {
            if (field.known == name) answer.fields_.push_back(field);
        }
    }
    out.response = answer.to_bytes();
    return out;
}

tl::expected<Message, Rejected> Message::parse(net::ByteView bytes, bool stream, Scrutiny scrutiny) {
    if (bytes.size() > kMaxMessageBytes) return tl::unexpected(Rejected{"message too large", {}});
    return Ingress(net::as_text(bytes), stream, scrutiny).run();
}

}  // namespace voice
