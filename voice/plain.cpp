#include "voice/plain.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

#include "net/address.hpp"
#include "net/text.hpp"
#include "voice/characters.hpp"
#include "voice/header_name.hpp"

namespace voice {

namespace {

enum class Kind : std::uint8_t { other, via, address, route, call_id, cseq, digits, media_type, credentials, doubtful };

constexpr std::array<std::string_view, 14> kMethods{"INVITE",    "ACK",    "BYE",   "CANCEL",  "REGISTER",
                                                    "OPTIONS",   "INFO",   "PRACK", "UPDATE",  "SUBSCRIBE",
                                                    "NOTIFY",    "REFER",  "MESSAGE", "PUBLISH"};

constexpr CharacterSet kWord("-._");
constexpr CharacterSet kHost("-.");
constexpr CharacterSet kUser("-._+");

template <class Allowed>
bool all_of(std::string_view text, Allowed allowed) {
    return std::all_of(text.begin(), text.end(), allowed);
}
constexpr bool is_plain_quoted(char c) { return c >= ' ' && c < 0x7f && c != '\\'; }
bool is_word(std::string_view text) { return !text.empty() && kWord.contains_all(text); }
bool are_digits(std::string_view text) { return !text.empty() && text.size() <= 9 && all_of(text, is_digit); }

enum class ParamsOf : std::uint8_t { uri, address, via };

/// ";name", ";name=word" and so on, to the end. Some values our readers judge.
bool are_params(std::string_view text, ParamsOf what) {
    constexpr std::size_t kMost = 8;
    std::array<std::string_view, kMost> names;
    std::size_t count = 0;
    while (!text.empty()) {
        if (text.front() != ';' || count == kMost) return false;
        text.remove_prefix(1);
        const auto one = text.substr(0, text.find(';'));
        text.remove_prefix(one.size());
        const auto equals = one.find('=');
        const auto name = one.substr(0, equals);
        const auto value = equals == one.npos ? std::string_view() : one.substr(equals + 1);
        if (!is_word(name) || (equals != one.npos && !is_word(value))) return false;
        switch (what) {
            case ParamsOf::uri:  // 19.1.1: each once
                for (std::size_t i = 0; i < count; ++i) {
                    if (net::equals_ignoring_case(names[i], name)) return false;
                }
                break;
            case ParamsOf::address:
                if (net::equals_ignoring_case(name, "expires") && !are_digits(value)) return false;
                break;
            case ParamsOf::via:
                if (net::equals_ignoring_case(name, "received") && !net::IpAddress::parse(value)) return false;
                break;
        }
        names[count++] = name;
    }
    return true;
}

/// An IPv4 address, or labels of a name (RFC 1123) whose last begins with a letter (RFC 3261 25.1).
bool is_hostname(std::string_view text) {
    if (text.empty()) return false;
    std::string_view label;
    for (auto rest = text; !rest.empty();) {
        const auto dot = rest.find('.');
        label = rest.substr(0, dot);
        if (label.empty() || label.front() == '-' || label.back() == '-') return false;
        if (!kHost.contains_all(label)) return false;
        if (dot + 1 == rest.size()) return false;
        rest.remove_prefix(dot == rest.npos ? rest.size() : dot + 1);
    }
    return is_digit(label.front()) ? net::IpAddress::parse(text).has_value() : true;
}

/// "host", "host:port".
bool is_host(std::string_view text) {
    const auto colon = text.find(':');
    if (!is_hostname(text.substr(0, colon))) return false;
    if (colon == text.npos) return true;
    const auto port = text.substr(colon + 1);
    return port.size() <= 5 && net::parse_decimal(port, 65535);
}

/// "sip:user@host:port;params", without password and headers.
bool is_uri(std::string_view text) {
    if (!text.starts_with("sip:")) return false;
    text.remove_prefix(4);
    if (const auto at = text.find('@'); at != text.npos) {
        const auto user = text.substr(0, at);
        if (user.empty() || !kUser.contains_all(user)) return false;
        text.remove_prefix(at + 1);
    }
    const auto params = std::min(text.find(';'), text.size());
    return is_host(text.substr(0, params)) && are_params(text.substr(params), ParamsOf::uri);
}

bool is_via(std::string_view text) {
    for (const std::string_view transport : {"SIP/2.0/UDP ", "SIP/2.0/TCP ", "SIP/2.0/TLS "}) {
        if (!text.starts_with(transport)) continue;
        text.remove_prefix(transport.size());
        const auto params = std::min(text.find(';'), text.size());
        return is_host(text.substr(0, params)) && are_params(text.substr(params), ParamsOf::via);
    }
    return false;
}

/// "Name" <uri>;params, the name in quotes without escapes, if there is one.
bool is_address(std::string_view text) {
    if (text.starts_with('"')) {
        const auto end = text.find('"', 1);
        if (end == text.npos || !all_of(text.substr(1, end - 1), is_plain_quoted)) return false;
        text.remove_prefix(end + 1);
        if (text.starts_with(' ')) text.remove_prefix(1);
    }
    const auto close = text.find('>');
    if (!text.starts_with('<') || close == text.npos) return false;
    return is_uri(text.substr(1, close - 1)) && are_params(text.substr(close + 1), ParamsOf::address);
}

/// Entries between commas, which may stand in none of them: one whose quotes hold a comma has lost the other quote.
template <class Is>
bool is_list(std::string_view text, Is is) {
    for (;;) {
        const auto comma = text.find(',');
        if (!is(text.substr(0, comma))) return false;
        if (comma == text.npos) return true;
        text.remove_prefix(comma + 1);
        if (text.starts_with(' ')) text.remove_prefix(1);
    }
}

bool is_call_id(std::string_view text) {
    const auto at = text.find('@');
    return is_word(text.substr(0, at)) && (at == text.npos || is_word(text.substr(at + 1)));
}

bool is_known_method(std::string_view text) {
    return std::find(kMethods.begin(), kMethods.end(), text) != kMethods.end();
}

bool is_cseq(std::string_view text) {
    const auto space = text.find(' ');
    const auto number = text.substr(0, space);
    return space != text.npos && !number.empty() && number.size() <= 9 && all_of(number, is_digit) &&
           is_known_method(text.substr(space + 1));
}

bool is_media_type(std::string_view text) {
    const auto slash = text.find('/');
    return slash != text.npos && is_word(text.substr(0, slash)) && is_word(text.substr(slash + 1));
}

/// Digest name=word, name="text", ...
bool are_credentials(std::string_view text) {
    if (!text.starts_with("Digest ")) return false;
    text.remove_prefix(7);
    for (;;) {
        const auto equals = text.find('=');
        if (equals == text.npos || !is_word(text.substr(0, equals))) return false;
        text.remove_prefix(equals + 1);
        std::size_t end = 0;
        if (text.starts_with('"')) {
            end = text.find('"', 1);
            if (end == text.npos) return false;
            const auto inside = text.substr(1, end - 1);
            if (!all_of(inside, is_plain_quoted)) return false;
            ++end;
        } else {
            end = std::min(text.find(','), text.size());
            if (!is_word(text.substr(0, end))) return false;
        }
        text.remove_prefix(end);
        if (text.empty()) return true;
        if (text.front() != ',') return false;
        text.remove_prefix(text.starts_with(", ") ? 2 : 1);
    }
}

/// What both readers heed; all other headers are carried whatever they hold.
Kind kind_of(std::string_view name) {
    if (name.size() == 1) return Kind::doubtful;
    switch (header_name(name)) {
        case HeaderName::via: return Kind::via;
        case HeaderName::from:
        case HeaderName::to:
        case HeaderName::contact: return Kind::address;
        case HeaderName::route:
        case HeaderName::record_route: return Kind::route;
        case HeaderName::call_id: return Kind::call_id;
        case HeaderName::cseq: return Kind::cseq;
        case HeaderName::max_forwards:
        case HeaderName::expires: return Kind::digits;
        case HeaderName::content_type: return Kind::media_type;
        case HeaderName::authorization:
        case HeaderName::proxy_authorization: return Kind::credentials;
        case HeaderName::proxy_require:
        case HeaderName::path:
        case HeaderName::service_route:
        case HeaderName::refer_to: return Kind::doubtful;
        default: return Kind::other;
    }
}

bool is_plain_value(Kind kind, std::string_view value) {
    switch (kind) {
        case Kind::other:
            return all_of(value, [](char c) { return c >= ' ' && c < 0x7f; });
        case Kind::via:
            return is_list(value, is_via);
        case Kind::address:
            return is_address(value);
        case Kind::route:
            return is_list(value, is_address);
        case Kind::call_id:
            return is_call_id(value);
        case Kind::cseq:
            return is_cseq(value);
        case Kind::digits:
            return are_digits(value);
        case Kind::media_type:
            return is_media_type(value);
        case Kind::credentials:
            return are_credentials(value);
        case Kind::doubtful:
            return false;
    }
    return false;
}

bool is_plain_start(std::string_view line) {
    if (line.starts_with("SIP/2.0 ")) {
        line.remove_prefix(8);
        return line.size() > 4 && line[3] == ' ' && all_of(line.substr(0, 3), is_digit) &&
               all_of(line.substr(4), [](char c) { return kWord.contains(c) || c == ' '; }) && line[4] != ' ' && line.back() != ' ';
    }
    const auto first = line.find(' ');
    const auto last = line.rfind(' ');
    return first != line.npos && first < last && is_known_method(line.substr(0, first)) &&
           is_uri(line.substr(first + 1, last - first - 1)) && line.substr(last) == " SIP/2.0";
}

}  // namespace

bool is_plain(std::string_view head) {
    for (bool start = true; !head.empty(); start = false) {
        const auto end = head.find("\r\n");
        if (end == head.npos) return false;
        const auto line = head.substr(0, end);
        head.remove_prefix(end + 2);
        if (start) {
            if (!is_plain_start(line)) return false;
            continue;
        }
        if (line.empty()) return head.empty();
        const auto colon = line.find(':');
        if (colon == line.npos || !is_word(line.substr(0, colon))) return false;
        auto value = line.substr(colon + 1);
        if (value.starts_with(' ')) value.remove_prefix(1);
        if (!is_plain_value(kind_of(line.substr(0, colon)), value)) return false;
    }
    return false;
}

}  // namespace voice
