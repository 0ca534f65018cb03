/// Telephone numbers as text.
#pragma once

#include <optional>

#include "net/result.hpp"

namespace voice {

inline constexpr std::size_t kMaxE164Digits = 15;  // E.164 section 6

/// "+44-207-9460-148" to "+442079460148": '+', then 2 to 15 digits, the first not zero; between digits RFC 3966's visual
/// separators and spaces. The error says what is wrong.
net::Result<std::string> parse_e164(std::string_view text);

/// Without visual separators: digits, '*', '#', perhaps a '+' in front; nullopt if there is anything else, or nothing.
std::optional<std::string> dialled_digits(std::string_view text);

}  // namespace voice
