#include "voice/number.hpp"

#include <algorithm>

#include "voice/characters.hpp"

namespace voice {
namespace {

bool is_separator(char c) { return c == '-' || c == '.' || c == '(' || c == ')' || c == ' '; }

}  // namespace

net::Result<std::string> parse_e164(std::string_view text) {
    if (text.empty()) return net::fail("there is no number");
    if (text.size() > 64) return net::fail("that is too long for a number");
    std::string out;
    for (const char c : text) {
        if (is_separator(c) && !out.empty()) continue;
        if (c == '+' && out.empty()) {
            out += c;
        } else if (is_digit(c)) {
            if (out.empty()) return net::fail("an E.164 number begins with '+' and its country code, such as +442079460148");
            out += c;
        } else {
            return net::fail(c > ' ' && c <= '~' ? std::string("a number holds digits, not '") + c + "'"
                                                 : std::string("a number holds digits only"));
        }
    }
    if (out.size() < 3) return net::fail("a number needs digits behind its '+'");
    if (out[1] == '0') return net::fail("no country code begins with 0");
    if (out.size() > kMaxE164Digits + 1) return net::fail("an E.164 number has at most 15 digits");
    return out;
}

std::optional<std::string> dialled_digits(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (is_separator(c)) continue;
        if (!is_digit(c) && c != '*' && c != '#' && !(c == '+' && out.empty())) return std::nullopt;
        out += c;
    }
    const bool any = std::any_of(out.begin(), out.end(), is_digit);
    return any && out.size() <= 32 ? std::optional(out) : std::nullopt;
}

}  // namespace voice
