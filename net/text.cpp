#include "net/text.hpp"

#include <algorithm>

namespace net {
namespace {

constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kBase64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::string_view kBase32 = "abcdefghijklmnopqrstuvwxyz234567";
constexpr std::string_view kHex = "0123456789abcdef";

/// Groups of `bits` bits, most significant first; the last group is filled with zeros.
std::string encode(ByteView bytes, std::string_view alphabet, unsigned bits) {
    std::string out;
    out.reserve(bytes.size() * 8 / bits + 4);
    std::uint32_t held = 0;
    unsigned held_bits = 0;
    for (const auto byte : bytes) {
        held = held << 8 | std::to_integer<std::uint32_t>(byte);
        held_bits += 8;
        while (held_bits >= bits) {
            held_bits -= bits;
            out.push_back(alphabet[held >> held_bits & ((1U << bits) - 1)]);
        }
    }
    if (held_bits > 0) out.push_back(alphabet[held << (bits - held_bits) & ((1U << bits) - 1)]);
    return out;
}

std::optional<Bytes> decode(std::string_view text, std::string_view alphabet, unsigned bits) {
    Bytes out;
    out.reserve(text.size() * bits / 8);
    std::uint32_t held = 0;
    unsigned held_bits = 0;
    for (const char c : text) {
        const auto digit = alphabet.find(c);
        if (digit == std::string_view::npos) return std::nullopt;
        held = held << bits | static_cast<std::uint32_t>(digit);
        held_bits += bits;
        if (held_bits >= 8) {
            held_bits -= 8;
            out.push_back(static_cast<std::byte>(held >> held_bits & 0xff));
        }
    }
    // A whole group too many, or bits that no byte holds, would be a second spelling of the same bytes.
    if (held_bits >= bits || (held & ((1U << held_bits) - 1)) != 0) return std::nullopt;
    return out;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

}  // namespace

std::string to_hex(ByteView bytes) {
    std::string out(2 * bytes.size(), '0');
    auto* at = out.data();
    for (const auto byte : bytes) {
        *at++ = kHex[std::to_integer<unsigned>(byte) >> 4];
        *at++ = kHex[std::to_integer<unsigned>(byte) & 15];
    }
    return out;
}
std::optional<Bytes> from_hex(std::string_view text) { return decode(to_lower(text), kHex, 4); }

std::string to_base64(ByteView bytes) {
    auto out = encode(bytes, kBase64, 6);
    while (out.size() % 4 != 0) out.push_back('=');
    return out;
}
std::string to_base64url(ByteView bytes) { return encode(bytes, kBase64url, 6); }

std::optional<Bytes> from_base64(std::string_view text) {
    if (text.size() % 4 != 0) return std::nullopt;
    for (int padding = 0; padding < 2 && text.ends_with('='); ++padding) text.remove_suffix(1);
    return decode(text, kBase64, 6);
}
std::optional<Bytes> from_base64url(std::string_view text) { return decode(text, kBase64url, 6); }

std::string to_base32(ByteView bytes) { return encode(bytes, kBase32, 5); }
std::optional<Bytes> from_base32(std::string_view text) { return decode(to_lower(text), kBase32, 5); }

std::string to_lower(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(), lower);
    return out;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (a[i] != b[i] && lower(a[i]) != lower(b[i])) return false;
    }
    return true;
}

std::string_view trim(std::string_view text) {
    while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
    return text;
}

std::optional<std::uint64_t> parse_decimal(std::string_view text, std::uint64_t max) {
    if (text.empty()) return std::nullopt;
    std::uint64_t value = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') return std::nullopt;
        const auto digit = static_cast<std::uint64_t>(c - '0');
        if (value > (max - digit) / 10) return std::nullopt;
        value = value * 10 + digit;
    }
    return value;
}

}  // namespace net
