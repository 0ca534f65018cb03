/// The characters of SIP's grammar (RFC 3261 section 25.1): ASCII only, whatever the locale.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

namespace voice {

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
constexpr bool is_alnum(char c) { return is_alpha(c) || is_digit(c); }

/// A set of characters, asked of each character of each message.
class CharacterSet {
public:
    /// Letters and digits, and these.
    constexpr explicit CharacterSet(std::string_view more) {
        for (std::size_t i = 0; i < 128; ++i) member_[i] = is_alnum(static_cast<char>(i));
        for (const char c : more) member_[static_cast<unsigned char>(c)] = true;
    }
    constexpr bool contains(char c) const { return member_[static_cast<unsigned char>(c)]; }
    /// Also true of nothing.
    constexpr bool contains_all(std::string_view text) const {
        for (const char c : text) {
            if (!contains(c)) return false;
        }
        return true;
    }

private:
    std::array<bool, 256> member_{};
};

inline constexpr CharacterSet kTokenCharacters("-.!%*_+`'~");

/// Also true of nothing.
inline bool all_digits(std::string_view text) { return std::all_of(text.begin(), text.end(), is_digit); }

/// At least one character.
inline bool is_token(std::string_view text) { return !text.empty() && kTokenCharacters.contains_all(text); }

}  // namespace voice
