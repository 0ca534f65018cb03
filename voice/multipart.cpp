#include "voice/multipart.hpp"

#include <algorithm>

#include "net/text.hpp"

namespace voice {
namespace {

constexpr unsigned kMaxDepth = 3;
constexpr std::size_t kMaxBoundary = 70;  // RFC 2046 5.1.1
constexpr std::size_t kMaxParts = 32;

std::string_view type_of(std::string_view content_type) { return net::trim(content_type.substr(0, content_type.find(';'))); }

/// The value of a parameter, with or without quotes; no boundary has an escape in it.
std::string_view parameter(std::string_view value, std::string_view name) {
    for (auto semicolon = value.find(';'); semicolon != value.npos; semicolon = value.find(';')) {
        value.remove_prefix(semicolon + 1);
        const auto equals = value.find('=');
        if (equals == value.npos) return {};
        const auto found = net::equals_ignoring_case(net::trim(value.substr(0, equals)), name);
        value = value.substr(equals + 1);
        const auto quoted = value.starts_with('"');
        const auto end = quoted ? value.find('"', 1) : std::min(value.find(';'), value.size());
        if (end == value.npos) return {};
        if (found) return quoted ? value.substr(1, end - 1) : net::trim(value.substr(0, end));
        value.remove_prefix(end);
    }
    return {};
}

std::string_view take_line(std::string_view& text) {
    const auto feed = text.find('\n');
    const auto line = text.substr(0, feed);
    text.remove_prefix(feed == text.npos ? text.size() : feed + 1);
    return line.ends_with('\r') ? line.substr(0, line.size() - 1) : line;
}

struct Part {
    std::string_view content_type = "text/plain";  // RFC 2045 5.2
    bool readable = true;
    bool session = true;
    std::string_view length_digits;
    std::string_view text;
};

Part read_part(std::string_view all) {
    Part out;
    while (!all.empty()) {
        const auto line = take_line(all);
        if (line.empty()) break;
        const auto colon = line.find(':');
        if (colon == line.npos) continue;  // a fold, of nothing that counts here
        const auto name = net::trim(line.substr(0, colon));
        const auto value = net::trim(line.substr(colon + 1));
        if (net::equals_ignoring_case(name, "Content-Type") || net::equals_ignoring_case(name, "c")) {
            out.content_type = value;
        } else if (net::equals_ignoring_case(name, "Content-Transfer-Encoding")) {
            out.readable = net::equals_ignoring_case(value, "7bit") || net::equals_ignoring_case(value, "8bit") ||
                           net::equals_ignoring_case(value, "binary");
        } else if (net::equals_ignoring_case(name, "Content-Disposition")) {
            out.session = net::equals_ignoring_case(type_of(value), "session");
        } else if (net::equals_ignoring_case(name, "Content-Length") || net::equals_ignoring_case(name, "l")) {
            out.length_digits = value;
        }
    }
    out.text = all;
    return out;
}

/// Where a line begins that is a delimiter, from `from` on; npos if there is none.
std::size_t find_delimiter(std::string_view body, std::string_view boundary, std::size_t from) {
    for (auto at = body.find(boundary, from); at != body.npos; at = body.find(boundary, at + 1)) {
        if (at < from + 2 || body.substr(at - 2, 2) != "--") continue;
        if (at > 2 && body[at - 3] != '\n') continue;
        // "--" behind it ends the last part, white space may follow either.
        auto behind = body.substr(at + boundary.size());
        behind = behind.substr(0, behind.find('\n'));
        if (behind.starts_with("--")) behind.remove_prefix(2);
        if (net::trim(behind).empty()) return at - 2;
    }
    return body.npos;
}

std::optional<BodyPart> find(std::string_view content_type, std::string_view body, std::string_view length_digits,
                             unsigned depth) {
    const auto type = type_of(content_type);
    if (net::equals_ignoring_case(type, "application/sdp")) {
        return body.empty() ? std::nullopt : std::optional(BodyPart{body, length_digits});
    }
    constexpr std::string_view kMultipart = "multipart/";
    if (depth == 0 || !net::equals_ignoring_case(type.substr(0, kMultipart.size()), kMultipart)) return std::nullopt;
    const auto boundary = parameter(content_type, "boundary");
    if (boundary.empty() || boundary.size() > kMaxBoundary) return std::nullopt;
    auto at = find_delimiter(body, boundary, 0);
    for (std::size_t parts = 0; at != body.npos && parts < kMaxParts; ++parts) {
        if (body.substr(at + 2 + boundary.size()).starts_with("--")) break;
        auto rest = body.substr(at);
        take_line(rest);
        const auto begin = body.size() - rest.size();
        at = find_delimiter(body, boundary, begin);
        if (at == body.npos) break;  // it does not end: who knows what is lost
        auto part = read_part(body.substr(begin, at - begin));
        if (part.text.ends_with('\n')) part.text.remove_suffix(part.text.ends_with("\r\n") ? 2 : 1);
        if (!part.readable || !part.session) continue;
        if (auto found = find(part.content_type, part.text, part.length_digits, depth - 1)) return found;
    }
    return std::nullopt;
}

}  // namespace

std::optional<BodyPart> sdp_part(std::string_view content_type, std::string_view body) {
    return find(content_type, body, {}, kMaxDepth);
}

std::string with_part(std::string_view body, const BodyPart& part, std::string_view text) {
    // The end of the line before a delimiter is the delimiter's.
    if (!part.text.ends_with('\n') && part.text.data() + part.text.size() != body.data() + body.size()) {
        if (text.ends_with('\n')) text.remove_suffix(text.ends_with("\r\n") ? 2 : 1);
    }
    const auto offset = [&](const char* at) { return static_cast<std::size_t>(at - body.data()); };
    std::string out;
    std::size_t done = 0;
    if (!part.length_digits.empty()) {
        done = offset(part.length_digits.data());
        out.append(body.substr(0, done)).append(std::to_string(text.size()));
        done += part.length_digits.size();
    }
    const auto begin = offset(part.text.data());
    out.append(body.substr(done, begin - done)).append(text).append(body.substr(begin + part.text.size()));
    return out;
}

}  // namespace voice
