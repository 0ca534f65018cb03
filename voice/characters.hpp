/// The characters of SIP's grammar (RFC 3261 section 25.1): ASCII only, whatever the locale.
#pragma once

#include <algorithm>
#include <string_view>

namespace voice {

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
constexpr bool is_alnum(char c) { return is_alpha(c) || is_digit(c); }

/// Also true of nothing.
inline bool all_digits(std::string_view text) { return std::all_of(text.begin(), text.end(), is_digit); }

/// At least one character.
inline bool is_token(std::string_view text) {
    constexpr std::string_view kMore = "-.!%*_+`'~";
    return !text.empty() &&
           std::all_of(text.begin(), text.end(), [&](char c) { return is_alnum(c) || kMore.find(c) != kMore.npos; });
}

}  // namespace voice
