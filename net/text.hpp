/// Bytes as text and back: hexadecimal, base64 (RFC 4648 sections 4 and 5), base32 (section 6, lower case).
#pragma once

#include "net/bytes.hpp"

namespace net {

std::string to_hex(ByteView bytes);
std::optional<Bytes> from_hex(std::string_view text);

std::string to_base64(ByteView bytes);      ///< with padding: how WireGuard shows its keys
std::string to_base64url(ByteView bytes);   ///< without padding
/// Strict: no white space, no stray bits after the last byte; padding as the alphabet's writer above puts it.
std::optional<Bytes> from_base64(std::string_view text);
std::optional<Bytes> from_base64url(std::string_view text);

std::string to_base32(ByteView bytes);
std::optional<Bytes> from_base32(std::string_view text);

/// ASCII only, whatever the locale.
std::string to_lower(std::string_view text);
bool equals_ignoring_case(std::string_view a, std::string_view b);
std::string_view trim(std::string_view text);
/// Decimal digits only, the whole text, at most `max`.
std::optional<std::uint64_t> parse_decimal(std::string_view text, std::uint64_t max = UINT64_MAX);

}  // namespace net
