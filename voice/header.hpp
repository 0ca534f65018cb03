/// Values of the SIP headers that a proxy must read and write: Via, name-addr lists, CSeq (RFC 3261 section 20).
#pragma once

#include "voice/uri.hpp"

namespace voice {

/// From, To, Contact, Route, Record-Route, Path, Refer-To, P-Asserted-Identity: ["display"] <uri>;params
struct NameAddr {
    std::string display;  ///< as written, with its quotes
    Uri uri;
    Params params;        ///< of the header, behind the angle brackets
    bool star = false;    ///< Contact: *

    static std::optional<NameAddr> parse(std::string_view text);
    /// Splits at the commas that separate; nullopt if any entry is malformed.
    static std::optional<std::vector<NameAddr>> parse_list(std::string_view text);
    static NameAddr of(Uri uri) { return {{}, std::move(uri), {}, false}; }

    std::optional<std::string_view> tag() const { return params.get("tag"); }
    std::optional<std::uint32_t> expires_s() const;  ///< the "expires" parameter; 2^32-1 if larger
    double q() const;                                ///< 0 to 1; 1 if absent or malformed
    std::string text() const;                        ///< always with angle brackets
};

/// One Via value. `branch` and the rest are read from params.
struct Via {
    std::string transport = "UDP";  ///< upper case
    std::string host;               ///< sent-by; IPv6 without brackets
    std::uint16_t port = 0;         ///< 0: none was written
    Params params;

    static std::optional<Via> parse(std::string_view text);
    std::string branch() const { return std::string(params.get("branch").value_or("")); }
    /// RFC 3261 branch: the magic cookie with something behind it.
    bool has_cookie() const;
    std::optional<net::IpAddress> received() const;
    bool wants_rport() const { return params.has("rport"); }
    std::uint16_t rport() const;    ///< 0 if it has no value
    std::string sent_by() const;    ///< "host:port" in lower case, with the default port where none was written
    std::string text() const;
};

struct CSeq {
    std::uint32_t number = 0;
    std::string method;  ///< with its case
    static std::optional<CSeq> parse(std::string_view text);
    std::string text() const { return std::to_string(number) + " " + method; }
};

/// The value with the commas outside quotes and angle brackets as borders; each piece trimmed. Borrows from `text`.
std::vector<std::string_view> split_list(std::string_view text);
/// The first of these.
std::string_view first_in_list(std::string_view text);

}  // namespace voice
