#include "voice/message.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "net/text.hpp"

namespace voice {
namespace {

/// What stands behind the first ';' that belongs to the header and not to the address in it.
std::string_view header_params(std::string_view address) {
    bool quoted = false, angled = false;
    for (std::size_t i = 0; i < address.size(); ++i) {
        const char c = address[i];
        if (quoted) {
            if (c == '\\') ++i;
            if (c == '"') quoted = false;
        } else if (c == '"' && !angled) {
            quoted = true;
        } else if (c == '<') {
            angled = true;
        } else if (c == '>') {
            angled = false;
        } else if (c == ';' && !angled) {
            return address.substr(i + 1);
        }
    }
    return {};
}

/// Nothing that we write may end a header line: whoever sets a value from outside cannot smuggle a header in.
std::string one_line(std::string_view value) {
    std::string out(value);
    std::replace_if(out.begin(), out.end(), [](char c) { return c == '\r' || c == '\n'; }, ' ');
    return out;
}

std::optional<std::uint32_t> delta_seconds(std::optional<std::string_view> value) {
    if (!value) return std::nullopt;
    // Retry-After may go on with a comment or parameters.
    const auto digits = value->substr(0, value->find_first_not_of("0123456789"));
    if (digits.empty()) return std::nullopt;
    return static_cast<std::uint32_t>(net::parse_decimal(digits, UINT32_MAX).value_or(UINT32_MAX));
}

}  // namespace

std::string_view reason_phrase(int status) {
    static constexpr std::array<std::pair<int, std::string_view>, 66> kPhrases{{
        {100, "Trying"}, {180, "Ringing"}, {181, "Call Is Being Forwarded"}, {182, "Queued"}, {183, "Session Progress"},
        {199, "Early Dialog Terminated"}, {200, "OK"}, {202, "Accepted"}, {204, "No Notification"},
        {300, "Multiple Choices"}, {301, "Moved Permanently"}, {302, "Moved Temporarily"}, {305, "Use Proxy"},
        {380, "Alternative Service"}, {400, "Bad Request"}, {401, "Unauthorized"}, {402, "Payment Required"},
        {403, "Forbidden"}, {404, "Not Found"}, {405, "Method Not Allowed"}, {406, "Not Acceptable"},
        {407, "Proxy Authentication Required"}, {408, "Request Timeout"}, {410, "Gone"},
        {412, "Conditional Request Failed"}, {413, "Request Entity Too Large"}, {414, "Request-URI Too Long"},
        {415, "Unsupported Media Type"}, {416, "Unsupported URI Scheme"}, {417, "Unknown Resource-Priority"},
        {420, "Bad Extension"}, {421, "Extension Required"}, {422, "Session Interval Too Small"},
        {423, "Interval Too Brief"}, {428, "Use Identity Header"}, {429, "Provide Referrer Identity"},
        {430, "Flow Failed"}, {433, "Anonymity Disallowed"}, {439, "First Hop Lacks Outbound Support"},
        {440, "Max-Breadth Exceeded"}, {469, "Bad Info Package"}, {470, "Consent Needed"},
        {480, "Temporarily Unavailable"}, {481, "Call/Transaction Does Not Exist"}, {482, "Loop Detected"},
        {483, "Too Many Hops"}, {484, "Address Incomplete"}, {485, "Ambiguous"}, {486, "Busy Here"},
        {487, "Request Terminated"}, {488, "Not Acceptable Here"}, {489, "Bad Event"}, {491, "Request Pending"},
        {493, "Undecipherable"}, {494, "Security Agreement Required"}, {500, "Server Internal Error"},
        {501, "Not Implemented"}, {502, "Bad Gateway"}, {503, "Service Unavailable"}, {504, "Server Time-out"},
        {505, "Version Not Supported"}, {513, "Message Too Large"}, {600, "Busy Everywhere"}, {603, "Decline"},
        {604, "Does Not Exist Anywhere"}, {606, "Not Acceptable"},
    }};
    const auto found = std::find_if(kPhrases.begin(), kPhrases.end(), [&](const auto& row) { return row.first == status; });
    return found == kPhrases.end() ? "Unknown" : found->second;
}

bool Message::Field::is(std::string_view other, HeaderName id) const {
    return known == id && (id != HeaderName::other || net::equals_ignoring_case(name, other));
}

Message Message::request(std::string_view method, const Uri& uri) {
    Message message;
    message.method_ = method;
    message.set_uri(uri);
    message.add("Max-Forwards", "70");
    return message;
}

Message Message::response(const Message& request, int status, std::string_view phrase, std::string_view to_tag) {
    Message message;
    message.method_ = request.method_;
    message.set_status(status, phrase);
    message.fields_.reserve(10);
    for (const auto& field : request.fields_) {
        switch (field.known) {
            case HeaderName::to:
                message.fields_.push_back(field);
                if (!to_tag.empty() && status != 100 && request.to_tag().empty()) {
                    auto to = request.to();
                    to.params.set("tag", to_tag);
                    message.fields_.back().value = to.text();
                }
                break;
            case HeaderName::via:
            case HeaderName::from:
            case HeaderName::call_id:
            case HeaderName::cseq:
                message.fields_.push_back(field);
                break;
            default:
                if (status == 100 && net::equals_ignoring_case(field.name, "Timestamp")) message.fields_.push_back(field);
        }
    }
    return message;
}

Message Message::ack_for(const Message& invite, const Message& response) {
    auto ack = cancel_for(invite);
    ack.method_ = "ACK";
    ack.set("CSeq", CSeq{invite.cseq().number, "ACK"}.text());
    if (const auto to = response.get("To")) ack.set("To", *to);
    return ack;
}

Message Message::cancel_for(const Message& invite) {
    Message message;
    message.method_ = "CANCEL";
    message.request_uri_ = invite.request_uri_;
    message.uri_ = invite.uri_;
    if (const auto via = invite.top_via()) message.add("Via", via->text());
    message.add("Max-Forwards", "70");
    for (const std::string_view name : {"Route", "From", "To", "Call-ID"}) {
        for (const auto value : invite.get_all(name)) message.add(name, value);
    }
    message.add("CSeq", CSeq{invite.cseq().number, "CANCEL"}.text());
    return message;
}

void Message::set_uri(const Uri& uri) {
    uri_ = uri;
    request_uri_ = uri.text();
}

void Message::set_status(int status, std::string_view phrase) {
    status_ = status;
    phrase_ = one_line(phrase.empty() ? reason_phrase(status) : phrase);
}

std::size_t Message::first_field(std::string_view name) const {
    const auto id = header_name(name);
    for (std::size_t i = 0; i < fields_.size(); ++i) {
        if (fields_[i].is(name, id)) return i;
    }
    return fields_.size();
}

/// Asked many times of each message: without reading the URI, which is most of the work of an address.
std::string Message::tag_in(std::string_view name) const {
    auto params = header_params(get(name).value_or(""));
    if (params.find('"') != params.npos) {
        const auto parsed = Params::parse(params);
        return std::string(parsed ? parsed->get("tag").value_or("") : "");
    }
    while (!params.empty()) {
        const auto one = params.substr(0, params.find(';'));
        params.remove_prefix(std::min(one.size() + 1, params.size()));
        const auto equals = one.find('=');
        if (equals != one.npos && net::equals_ignoring_case(net::trim(one.substr(0, equals)), "tag")) {
            return std::string(net::trim(one.substr(equals + 1)));
        }
    }
    return {};
}

std::vector<Via> Message::vias() const {
    std::vector<Via> vias;
    for (const auto value : get_all("Via")) {
        for (const auto piece : split_list(value)) {
            if (auto via = Via::parse(piece)) vias.push_back(std::move(*via));
        }
    }
    return vias;
}

std::optional<Via> Message::top_via() const {
    const auto value = get("Via");
    return value ? Via::parse(first_in_list(*value)) : std::nullopt;
}

std::size_t Message::via_count() const {
    std::size_t count = 0;
    for (const auto value : get_all("Via")) count += split_list(value).size();
    return count;
}

void Message::push_via(const Via& via) { prepend("Via", via.text()); }

void Message::pop_via() { pop_first_address("Via"); }

void Message::set_top_via(const Via& via) {
    pop_via();
    push_via(via);
}

std::vector<NameAddr> Message::addresses(std::string_view name) const {
    std::vector<NameAddr> all;
    for (const auto value : get_all(name)) {
        for (const auto piece : split_list(value)) {
            if (auto one = NameAddr::parse(piece)) all.push_back(std::move(*one));
        }
    }
    return all;
}

std::optional<NameAddr> Message::first_address(std::string_view name) const {
    const auto value = get(name);
    return value ? NameAddr::parse(first_in_list(*value)) : std::nullopt;
}

void Message::prepend_address(std::string_view name, const NameAddr& address) { prepend(name, address.text()); }

void Message::append_address(std::string_view name, const NameAddr& address) {
    std::size_t last = fields_.size();
    const auto id = header_name(name);
    for (std::size_t i = 0; i < fields_.size(); ++i) {
        if (fields_[i].is(name, id)) last = i + 1;
    }
    fields_.emplace(fields_.begin() + static_cast<std::ptrdiff_t>(last), name, one_line(address.text()));
}

void Message::pop_first_address(std::string_view name) {
    const auto at = first_field(name);
    if (at == fields_.size()) return;
    const std::string_view value = fields_[at].value;
    const auto first = first_in_list(value);
    const auto comma = value.find(',', static_cast<std::size_t>(first.data() + first.size() - value.data()));
    if (comma == value.npos) {
        fields_.erase(fields_.begin() + static_cast<std::ptrdiff_t>(at));
    } else {
        fields_[at].value = std::string(net::trim(value.substr(comma + 1)));
    }
}

void Message::set_addresses(std::string_view name, const std::vector<NameAddr>& addresses) {
    std::string value;
    for (const auto& address : addresses) {
        if (!value.empty()) value += ", ";
        value += address.text();
    }
    if (value.empty()) {
        remove(name);
    } else {
        set(name, value);
    }
}

NameAddr Message::from() const { return NameAddr::parse(get("From").value_or("")).value_or(NameAddr{}); }
NameAddr Message::to() const { return NameAddr::parse(get("To").value_or("")).value_or(NameAddr{}); }
CSeq Message::cseq() const { return CSeq::parse(get("CSeq").value_or("")).value_or(CSeq{}); }

std::optional<std::uint32_t> Message::max_forwards() const {
    const auto value = net::parse_decimal(get("Max-Forwards").value_or(""), 255);
    return value ? std::optional(static_cast<std::uint32_t>(*value)) : std::nullopt;
}
std::optional<std::uint32_t> Message::expires_s() const { return delta_seconds(get("Expires")); }
std::optional<std::uint32_t> Message::retry_after_s() const { return delta_seconds(get("Retry-After")); }

std::optional<std::string_view> Message::get(std::string_view name) const {
    const auto at = first_field(name);
    if (at == fields_.size()) return std::nullopt;
    return fields_[at].value;
}

std::vector<std::string_view> Message::get_all(std::string_view name) const {
    std::vector<std::string_view> all;
    const auto id = header_name(name);
    for (const auto& field : fields_) {
        if (field.is(name, id)) all.push_back(field.value);
    }
    return all;
}

std::size_t Message::count(std::string_view name) const {
    const auto id = header_name(name);
    return static_cast<std::size_t>(
        std::count_if(fields_.begin(), fields_.end(), [&](const Field& field) { return field.is(name, id); }));
}

void Message::set(std::string_view name, std::string_view value) {
    auto line = one_line(value);  // first: `value` may be borrowed from what changes now
    const auto at = first_field(name);
    if (at == fields_.size()) {
        fields_.emplace_back(name, std::move(line));
        return;
    }
    fields_[at].value = std::move(line);
    const auto rest = fields_.begin() + static_cast<std::ptrdiff_t>(at) + 1;
    const auto id = header_name(name);
    fields_.erase(std::remove_if(rest, fields_.end(), [&](const Field& field) { return field.is(name, id); }), fields_.end());
}

void Message::add(std::string_view name, std::string_view value) {
    fields_.emplace_back(name, one_line(value));
}

void Message::prepend(std::string_view name, std::string_view value) {
    auto at = first_field(name);
    if (at == fields_.size()) at = 0;
    fields_.emplace(fields_.begin() + static_cast<std::ptrdiff_t>(at), name, one_line(value));
}

void Message::remove(std::string_view name) {
    const auto id = header_name(name);
    std::erase_if(fields_, [&](const Field& field) { return field.is(name, id); });
}

bool Message::lists(std::string_view name, std::string_view token) const {
    for (const auto value : get_all(name)) {
        for (const auto piece : split_list(value)) {
            if (net::equals_ignoring_case(piece, token)) return true;
        }
    }
    return false;
}

bool Message::has_sdp() const {
    const auto type = content_type();
    return !body_.empty() && net::equals_ignoring_case(net::trim(type.substr(0, type.find(';'))), "application/sdp");
}

void Message::set_body(std::string_view content_type, std::string body) {
    set("Content-Type", content_type);
    body_ = std::move(body);
}

void Message::set_body(std::string body) { body_ = std::move(body); }

void Message::clear_body() {
    remove("Content-Type");
    body_.clear();
}

std::string Message::to_text() const {
    std::string out;
    std::size_t size = request_uri_.size() + body_.size() + 128;
    for (const auto& field : fields_) size += field.name.size() + field.value.size() + 4;
    out.reserve(size);
    if (is_request()) {
        out.append(method_).append(" ").append(request_uri_).append(" SIP/2.0\r\n");
    } else {
        out.append("SIP/2.0 ").append(std::to_string(status_)).append(" ").append(phrase_).append("\r\n");
    }
    for (const auto& field : fields_) out.append(field.name).append(": ").append(field.value).append("\r\n");
    out.append("Content-Length: ").append(std::to_string(body_.size())).append("\r\n\r\n").append(body_);
    return out;
}

net::Bytes Message::to_bytes() const { return net::copy(net::as_bytes(to_text())); }

}  // namespace voice
