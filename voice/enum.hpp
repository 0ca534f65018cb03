/// ENUM (RFC 6116): what DNS says of a telephone number.
///
///   +442079460148 -> 8.4.1.0.6.4.9.7.0.2.4.4.e164.arpa -> NAPTR records, by order, then by preference
///     -> "E2U+sip", "!^.*$!sip:info@example.com!" -> sip:info@example.com
///     -> other services (mailto:, tel:, h323:, http:) for people to see
///     -> no flags and a replacement: the records of that name, in this one's place
///
/// A record that is malformed is skipped, with the reason; the next one counts.
#pragma once

#include "voice/dns_facts.hpp"
#include "voice/uri.hpp"

namespace voice {

/// "8.4.1.0.6.4.9.7.0.2.4.4.e164.arpa" of "+442079460148" and "e164.arpa".
std::string enum_domain(std::string_view e164, std::string_view suffix);

/// The services field: "E2U+sip", "E2U+voice:tel+sms:tel" from left to right, or the obsolete "sip+E2U" of RFC 2916; each
/// in lower case, with its subtypes. nullopt: it is of another application, or malformed.
std::optional<std::vector<std::string>> enum_services(std::string_view field);

enum class EnumVerdict : std::uint8_t {
    usable,     ///< a SIP URI that a call may go to
    shown,      ///< of another service: for people
    chain,      ///< not terminal: the records of another name stand in its place
    skipped,    ///< malformed, or it yields nothing
    outranked,  ///< a record of a lower order has decided
};
std::string_view name_of(EnumVerdict verdict);

struct EnumRecord {
    std::string domain;  ///< where it stands
    unsigned depth = 0;  ///< how many records that are not terminal led there
    Naptr naptr;
    std::vector<std::string> services;
    EnumVerdict verdict = EnumVerdict::skipped;
    std::string uri;  ///< printable ASCII; empty where there is none
    std::string why;  ///< for people; empty for `usable`
};

struct EnumDomain {
    std::string name;
    DnsAnswer::Kind kind = DnsAnswer::Kind::failed;
    bool stale = false;  ///< the last good answer: DNS does not answer now
    std::size_t skipped = 0;
};

struct EnumResult {
    std::vector<EnumDomain> domains;  ///< that were looked at, in order
    std::vector<EnumRecord> records;  ///< in the order in which they count
    std::vector<Uri> uris;            ///< of the records that are usable, the best first
    std::size_t skipped = 0;          ///< records that were malformed, or too many
};

inline constexpr unsigned kMaxEnumChain = 5;      ///< records that are not terminal, one behind the other
inline constexpr std::size_t kMaxEnumRecords = 128;  ///< looked at for one number

/// Counts only if `facts` is complete afterwards. The suffixes are tried in turn, until one has a usable record.
EnumResult look_up_number(std::string_view e164, const std::vector<std::string>& suffixes, DnsFacts& facts);

}  // namespace voice
