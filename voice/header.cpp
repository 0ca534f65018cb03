#include "voice/header.hpp"

#include <algorithm>

#include "net/text.hpp"
#include "voice/characters.hpp"

namespace voice {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t'; }

/// The place behind the quoted string that begins at `text[0]`; npos if it stays open.
std::size_t quoted_end(std::string_view text) {
    for (std::size_t i = 1; i < text.size(); ++i) {
        if (text[i] == '\\') {
            ++i;
        } else if (text[i] == '"') {
            return i + 1;
        }
    }
    return text.npos;
}

/// A display name without quotes is tokens and white space only.
bool is_plain_display(std::string_view text) {
    while (!text.empty()) {
        std::size_t end = 0;
        while (end < text.size() && !is_space(text[end])) ++end;
        if (!is_token(text.substr(0, end))) return false;
        text = net::trim(text.substr(end));
    }
    return true;
}

std::optional<std::uint32_t> saturating(std::string_view digits) {
    if (digits.empty() || digits.find_first_not_of("0123456789") != digits.npos) return std::nullopt;
    return static_cast<std::uint32_t>(net::parse_decimal(digits, UINT32_MAX).value_or(UINT32_MAX));
}

/// The place of the first comma from there on that is outside quotes and angle brackets; the end if there is none.
std::size_t comma_in(std::string_view text, std::size_t from) {
    if (text.find(',', from) == text.npos) return text.size();
    bool quoted = false;
    bool angled = false;
    for (auto i = from; i < text.size(); ++i) {
        if (quoted) {
            if (text[i] == '\\') {
                ++i;
            } else if (text[i] == '"') {
                quoted = false;
            }
        } else if (text[i] == '"' && !angled) {
            quoted = true;
        } else if (text[i] == '<') {
            angled = true;
        } else if (text[i] == '>') {
            angled = false;
        } else if (text[i] == ',' && !angled) {
            return i;
        }
    }
    return text.size();
}

}  // namespace

std::string_view first_in_list(std::string_view text) { return net::trim(text.substr(0, comma_in(text, 0))); }

std::vector<std::string_view> split_list(std::string_view text) {
    std::vector<std::string_view> pieces;
    for (std::size_t begin = 0; begin <= text.size();) {
        const auto end = comma_in(text, begin);
        pieces.push_back(net::trim(text.substr(begin, end - begin)));
        begin = end + 1;
    }
    return pieces;
}

std::optional<NameAddr> NameAddr::parse(std::string_view text) {
    text = net::trim(text);
    NameAddr result;
    if (text == "*") {
        result.star = true;
        return result;
    }
    std::size_t open = 0;
    if (text.starts_with('"')) {
        const auto end = quoted_end(text);
        if (end == text.npos) return std::nullopt;
        result.display = text.substr(0, end);
        open = end;
        while (open < text.size() && is_space(text[open])) ++open;
        if (open == text.size() || text[open] != '<') return std::nullopt;
    } else {
        open = text.find('<');
        if (open != text.npos) {
            const auto display = net::trim(text.substr(0, open));
            if (!is_plain_display(display)) return std::nullopt;
            result.display = display;
        }
    }
    std::string_view params;
    if (open == text.npos) {
        // Without brackets: what follows ';' belongs to the header, and ',', '?' may not stand in the URI at all (20.10).
        const auto end = std::min(text.find(';'), text.size());
        const auto address = net::trim(text.substr(0, end));
        if (address.find_first_of("?,") != address.npos) return std::nullopt;
        auto uri = Uri::parse(address);
        if (!uri) return std::nullopt;
        result.uri = std::move(*uri);
        params = text.substr(end);
    } else {
        const auto close = text.find('>', open);
        if (close == text.npos) return std::nullopt;
        auto uri = Uri::parse(text.substr(open + 1, close - open - 1));
        if (!uri) return std::nullopt;
        result.uri = std::move(*uri);
        params = net::trim(text.substr(close + 1));
    }
    if (params.empty()) return result;
    if (params.front() != ';') return std::nullopt;
    auto parsed = Params::parse(params.substr(1));
    if (!parsed) return std::nullopt;
    result.params = std::move(*parsed);
    return result;
}

std::optional<std::vector<NameAddr>> NameAddr::parse_list(std::string_view text) {
    std::vector<NameAddr> list;
    for (const auto piece : split_list(text)) {
        auto one = parse(piece);
        if (!one) return std::nullopt;
        list.push_back(std::move(*one));
    }
    return list;
}

std::optional<std::uint32_t> NameAddr::expires_s() const {
    const auto value = params.get("expires");
    return value ? saturating(*value) : std::nullopt;
}

double NameAddr::q() const {
    const auto value = params.get("q");
    if (!value || value->empty() || value->size() > 5) return 1;
    // qvalue: 0, 0.7, 0.333, 1, 1.000
    if (value->front() == '1') return 1;
    if (value->front() != '0') return 1;
    double q = 0;
    double scale = 0.1;
    for (const char c : value->substr(std::min<std::size_t>(2, value->size()))) {
        if (!is_digit(c)) return 1;
        q += (c - '0') * scale;
        scale /= 10;
    }
    return q;
}

std::string NameAddr::text() const {
    if (star) return "*";
    std::string out = display;
    if (!out.empty()) out += ' ';
    return out + "<" + uri.text() + ">" + params.text();
}

std::optional<Via> Via::parse(std::string_view text) {
    Via via;
    // SIP / 2.0 / UDP, with white space around the slashes.
    for (const std::string_view expected : {"SIP", "2.0"}) {
        const auto slash = text.find('/');
        if (slash == text.npos || !net::equals_ignoring_case(net::trim(text.substr(0, slash)), expected)) return std::nullopt;
        text = text.substr(slash + 1);
    }
    text = net::trim(text);
    std::size_t end = 0;
    while (end < text.size() && !is_space(text[end])) ++end;
    const auto transport = text.substr(0, end);
    if (!is_token(transport)) return std::nullopt;
    via.transport = transport;
    std::transform(via.transport.begin(), via.transport.end(), via.transport.begin(),
                   [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
    text = net::trim(text.substr(end));

    const auto semicolon = std::min(text.find(';'), text.size());
    auto sent_by = net::trim(text.substr(0, semicolon));
    std::string_view rest;
    if (sent_by.starts_with('[')) {
        const auto close = sent_by.find(']');
        if (close == sent_by.npos) return std::nullopt;
        via.host = sent_by.substr(1, close - 1);
        const auto address = net::IpAddress::parse(via.host);
        if (!address || !address->is_v6()) return std::nullopt;
        rest = net::trim(sent_by.substr(close + 1));
    } else {
        const auto colon = std::min(sent_by.find(':'), sent_by.size());
        const auto host = net::trim(sent_by.substr(0, colon));
        if (!is_token(host)) return std::nullopt;
        via.host = host;
        rest = sent_by.substr(colon);
    }
    if (!rest.empty()) {
        if (rest.front() != ':') return std::nullopt;
        const auto port = net::parse_decimal(net::trim(rest.substr(1)), 65535);
        if (!port) return std::nullopt;
        via.port = static_cast<std::uint16_t>(*port);
    }
    if (semicolon < text.size()) {
        auto params = Params::parse(text.substr(semicolon + 1));
        if (!params) return std::nullopt;
        via.params = std::move(*params);
    }
    return via;
}

bool Via::has_cookie() const {
    constexpr std::string_view kCookie = "z9hG4bK";
    const auto value = params.get("branch").value_or("");
    return value.size() > kCookie.size() && net::equals_ignoring_case(value.substr(0, kCookie.size()), kCookie);
}

std::optional<net::IpAddress> Via::received() const {
    auto value = params.get("received");
    if (!value) return std::nullopt;
    // RFC 5118 4.5: with and without brackets.
    if (value->size() > 2 && value->front() == '[' && value->back() == ']') *value = value->substr(1, value->size() - 2);
    return net::IpAddress::parse(*value);
}

std::uint16_t Via::rport() const {
    return static_cast<std::uint16_t>(net::parse_decimal(params.get("rport").value_or(""), 65535).value_or(0));
}

std::string Via::sent_by() const {
    const auto number = port != 0 ? port : transport == "TLS" ? 5061 : 5060;
    const auto name = net::to_lower(host);
    return (name.find(':') == name.npos ? name : "[" + name + "]") + ":" + std::to_string(number);
}

std::string Via::text() const {
    std::string out = "SIP/2.0/" + transport + " " + (host.find(':') == host.npos ? host : "[" + host + "]");
    if (port != 0) out += ":" + std::to_string(port);
    return out + params.text();
}

std::optional<CSeq> CSeq::parse(std::string_view text) {
    const auto space = text.find_first_of(" \t");
    if (space == text.npos) return std::nullopt;
    const auto number = net::parse_decimal(text.substr(0, space), 0x7fffffff);  // 8.1.1.5: below 2^31
    const auto method = net::trim(text.substr(space));
    if (!number || !is_token(method)) return std::nullopt;
    return CSeq{static_cast<std::uint32_t>(*number), std::string(method)};
}

}  // namespace voice
