#include "voice/uri.hpp"

#include <algorithm>
#include <array>

#include "net/text.hpp"
#include "voice/characters.hpp"

namespace voice {
namespace {

constexpr std::string_view kMark = "-_.!~*'()";
constexpr CharacterSet kUnreserved(kMark);
constexpr std::string_view kUserUnreserved = "&=+$,;?/";

std::optional<unsigned> hex_digit(char c) {
    if (is_digit(c)) return static_cast<unsigned>(c - '0');
    if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
    if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
    return std::nullopt;
}

/// Whether every character is one that the grammar allows, or a whole escape.
bool only(std::string_view text, std::string_view allowed) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (kUnreserved.contains(text[i])) continue;
        if (text[i] == '%') {
            if (i + 2 >= text.size() || !hex_digit(text[i + 1]) || !hex_digit(text[i + 2])) return false;
            i += 2;
        } else if (allowed.find(text[i]) == allowed.npos) {
            return false;
        }
    }
    return true;
}

/// One spelling for what is the same: escapes of characters that need none are resolved, the rest upper-case.
std::string canonical_escapes(std::string_view text, std::string_view allowed) {
    if (text.find('%') == text.npos) return std::string(text);
    constexpr std::string_view kHex = "0123456789ABCDEF";
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) && hex_digit(text[i + 2])) {
            const auto value = *hex_digit(text[i + 1]) << 4 | *hex_digit(text[i + 2]);
            const auto c = static_cast<char>(value);
            i += 2;
            if (kUnreserved.contains(c) || allowed.find(c) != allowed.npos) {
                out += c;
            } else {
                out += '%';
                out += kHex[value >> 4];
                out += kHex[value & 15];
            }
        } else {
            out += text[i];
        }
    }
    return out;
}

constexpr CharacterSet kHostCharacters("-._");
bool is_hostname(std::string_view host) { return !host.empty() && kHostCharacters.contains_all(host); }

/// Neither control, nor space, nor what would end a URI in angle brackets or quotes.
constexpr bool may_stand_in_uri(char c) {
    return static_cast<unsigned char>(c) > ' ' && c != 0x7f && c != '<' && c != '>' && c != '"';
}

std::string bracketed(const std::string& host) { return host.find(':') == host.npos ? host : "[" + host + "]"; }

std::string canonical_host(const std::string& host) {
    if (const auto address = net::IpAddress::parse(host)) return address->text();
    return net::to_lower(host);
}

/// "host", "host:port", "[v6]:port" into `uri`.
bool parse_host_port(std::string_view text, Uri& uri) {
    std::string_view rest;
    if (text.starts_with('[')) {
        const auto end = text.find(']');
        if (end == text.npos) return false;
        uri.host = text.substr(1, end - 1);
        const auto address = net::IpAddress::parse(uri.host);
        if (!address || !address->is_v6()) return false;
        rest = text.substr(end + 1);
    } else {
        const auto colon = text.find(':');
        uri.host = text.substr(0, colon);
        if (!is_hostname(uri.host)) return false;
        rest = colon == text.npos ? std::string_view{} : text.substr(colon);
    }
    if (rest.empty()) return true;
    if (rest.front() != ':') return false;
    const auto port = net::parse_decimal(rest.substr(1), 65535);
    if (!port) return false;
    uri.port = static_cast<std::uint16_t>(*port);
    return true;
}

bool parse_params(std::string_view text, Params& params) {
    while (!text.empty()) {
        const auto end = std::min(text.find(';'), text.size());
        const auto one = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        const auto equals = one.find('=');
        const auto name = one.substr(0, equals);
        if (name.empty() || !only(one, "[]/:&+$=`")) return false;
        if (params.has(name)) return false;  // 19.1.1: a parameter appears once
        if (equals == one.npos) {
            params.set(name);
        } else {
            params.set(name, one.substr(equals + 1));
        }
    }
    return true;
}

}  // namespace

std::optional<std::string> unescape(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out += text[i];
            continue;
        }
        if (i + 2 >= text.size()) return std::nullopt;
        const auto high = hex_digit(text[i + 1]);
        const auto low = hex_digit(text[i + 2]);
        if (!high || !low) return std::nullopt;
        out += static_cast<char>(*high << 4 | *low);
        i += 2;
    }
    return out;
}

std::string escape_user(std::string_view text) {
    constexpr std::string_view kHex = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        if (kUnreserved.contains(c) || kUserUnreserved.find(c) != kUserUnreserved.npos) {
            out += c;
        } else {
            const auto value = static_cast<unsigned char>(c);
            out += '%';
            out += kHex[value >> 4];
            out += kHex[value & 15];
        }
    }
    return out;
}

std::optional<Params> Params::parse(std::string_view text) {
    Params params;
    text = net::trim(text);
    if (!text.empty()) params.all_.reserve(4);
    while (!text.empty()) {
        bool quoted = false;
        auto end = text.find_first_of(";\"");
        for (end = std::min(end, text.size()); end < text.size(); ++end) {
            if (quoted && text[end] == '\\') {
                ++end;
            } else if (text[end] == '"') {
                quoted = !quoted;
            } else if (text[end] == ';' && !quoted) {
                break;
            }
        }
        if (quoted) return std::nullopt;
        end = std::min(end, text.size());
        const auto one = net::trim(text.substr(0, end));
        text = end < text.size() ? text.substr(end + 1) : std::string_view{};
        const auto equals = one.find('=');
        const auto name = net::trim(one.substr(0, equals));
        if (!is_token(name)) return std::nullopt;
        if (equals == one.npos) {
            params.all_.push_back({std::string(name), std::nullopt});
        } else {
            params.all_.push_back({std::string(name), std::optional<std::string>(std::in_place, net::trim(one.substr(equals + 1)))});
        }
    }
    return params;
}

const Param* Params::find(std::string_view name) const {
    for (const auto& param : all_) {
        if (net::equals_ignoring_case(param.name, name)) return &param;
    }
    return nullptr;
}

std::optional<std::string_view> Params::get(std::string_view name) const {
    const auto* param = find(name);
    if (!param) return std::nullopt;
    return param->value ? std::string_view(*param->value) : std::string_view{};
}

void Params::set(std::string_view name, std::optional<std::string_view> value) {
    std::optional<std::string> owned;
    if (value) owned = std::string(*value);
    for (auto& param : all_) {
        if (!net::equals_ignoring_case(param.name, name)) continue;
        param.value = std::move(owned);
        return;
    }
    all_.push_back({std::string(name), std::move(owned)});
}

void Params::remove(std::string_view name) {
    std::erase_if(all_, [&](const Param& param) { return net::equals_ignoring_case(param.name, name); });
}

std::string Params::text() const {
    std::string out;
    for (const auto& param : all_) {
        out += ';';
        out += param.name;
        if (param.value) out += "=" + *param.value;
    }
    return out;
}

std::optional<Uri> Uri::parse(std::string_view text) {
    if (!std::all_of(text.begin(), text.end(), may_stand_in_uri)) return std::nullopt;
    const auto colon = text.find(':');
    if (colon == text.npos || colon == 0) return std::nullopt;
    Uri uri;
    uri.scheme = net::to_lower(text.substr(0, colon));
    if (!std::all_of(uri.scheme.begin(), uri.scheme.end(),
                     [](char c) { return is_alnum(c) || c == '+' || c == '-' || c == '.'; }) ||
        is_digit(uri.scheme[0])) {
        return std::nullopt;
    }
    auto rest = text.substr(colon + 1);
    if (rest.empty()) return std::nullopt;
    if (uri.is_tel()) {
        const auto semicolon = std::min(rest.find(';'), rest.size());
        uri.user = rest.substr(0, semicolon);
        if (uri.user.empty() || !only(uri.user, "+#")) return std::nullopt;
        if (semicolon < rest.size() && !parse_params(rest.substr(semicolon + 1), uri.params)) return std::nullopt;
        return uri;
    }
    if (!uri.is_sip()) {
        uri.opaque = rest;
        return uri;
    }

    // The user part may hold ';', '?' and '/', but never '@' (RFC 4475 "semiuri").
    if (const auto at = rest.find('@'); at != rest.npos) {
        auto user = rest.substr(0, at);
        rest.remove_prefix(at + 1);
        if (const auto split = user.find(':'); split != user.npos) {
            uri.password = user.substr(split + 1);
            user = user.substr(0, split);
            if (!only(uri.password, "&=+$,")) return std::nullopt;
        }
        if (user.empty() || !only(user, "&=+$,;?/#[]")) return std::nullopt;
        uri.user = user;
    }
    if (const auto question = rest.find('?'); question != rest.npos) {
        uri.headers = rest.substr(question + 1);
        if (uri.headers.empty() || !only(uri.headers, "[]/?:+$=&;@,")) return std::nullopt;
        rest = rest.substr(0, question);
    }
    const auto semicolon = std::min(rest.find(';'), rest.size());
    if (!parse_host_port(rest.substr(0, semicolon), uri)) return std::nullopt;
    if (semicolon < rest.size() && !parse_params(rest.substr(semicolon + 1), uri.params)) return std::nullopt;
    return uri;
}

Uri Uri::of(std::string_view user, const net::Endpoint& where) {
    Uri uri;
    uri.user = escape_user(user);
    uri.host = where.address.text();
    uri.port = where.port;
    return uri;
}

std::optional<net::Endpoint> Uri::endpoint() const {
    if (!is_sip()) return std::nullopt;
    const auto address = net::IpAddress::parse(host);
    if (!address) return std::nullopt;
    return net::Endpoint{*address, port_or_default()};
}

std::string Uri::user_unescaped() const { return unescape(user).value_or(user); }

std::string Uri::text() const {
    std::string out = scheme + ":";
    if (is_tel()) return out + user + params.text();
    if (!is_sip()) return out + opaque;
    if (!user.empty()) {
        out += user;
        if (!password.empty()) out += ":" + password;
        out += "@";
    }
    out += bracketed(host);
    if (port != 0) out += ":" + std::to_string(port);
    out += params.text();
    if (!headers.empty()) out += "?" + headers;
    return out;
}

bool Uri::equivalent(const Uri& other) const {
    if (*this == other) return true;
    if (scheme != other.scheme) return false;
    if (is_tel()) return address_of_record() == other.address_of_record();
    if (!is_sip()) return opaque == other.opaque;
    if (canonical_escapes(user, kUserUnreserved) != canonical_escapes(other.user, kUserUnreserved)) return false;
    if (canonical_escapes(password, "&=+$,") != canonical_escapes(other.password, "&=+$,")) return false;
    if (canonical_host(host) != canonical_host(other.host) || port != other.port) return false;
    const auto same = [](const Params& a, const Params& b) {
        constexpr std::array<std::string_view, 5> kMustMatch{"user", "ttl", "method", "maddr", "transport"};
        for (const auto& param : a.all()) {
            const auto in_other = b.get(param.name);
            if (in_other) {
                if (!net::equals_ignoring_case(canonical_escapes(*in_other, "[]/:&+$"),
                                               canonical_escapes(param.value.value_or(""), "[]/:&+$"))) {
                    return false;
                }
            } else if (std::any_of(kMustMatch.begin(), kMustMatch.end(),
                                   [&](std::string_view name) { return net::equals_ignoring_case(name, param.name); })) {
                return false;
            }
        }
        return true;
    };
    if (!same(params, other.params) || !same(other.params, params)) return false;
    const auto header_set = [](std::string_view text) {
        std::vector<std::string> all;
        while (!text.empty()) {
            const auto end = std::min(text.find('&'), text.size());
            all.push_back(net::to_lower(canonical_escapes(text.substr(0, end), "[]/?:+$")));
            text.remove_prefix(std::min(end + 1, text.size()));
        }
        std::sort(all.begin(), all.end());
        return all;
    };
    return header_set(headers) == header_set(other.headers);
}

std::string Uri::address_of_record() const {
    if (is_tel()) {
        std::string number;
        for (const char c : user) {
            if (c != '-' && c != '.' && c != '(' && c != ')') number += c;
        }
        return number;
    }
    if (!is_sip()) return scheme + ":" + opaque;
    const auto name = canonical_host(host);
    if (user.empty()) return name;
    return canonical_escapes(user, kUserUnreserved) + "@" + name;
}

}  // namespace voice
