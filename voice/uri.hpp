/// SIP, SIPS and tel URIs as values (RFC 3261 section 19.1, RFC 3966), and generic header parameters.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/address.hpp"

namespace voice {

/// One ";name=value", or ";name" without a value. Values keep their quotes.
struct Param {
    std::string name;
    std::optional<std::string> value;
    bool operator==(const Param&) const = default;
};

/// Parameters in their order. Names are compared ignoring case.
class Params {
public:
    /// Parses "a=b;c;d=\"e;f\"" without the leading semicolon; nullopt if a name is missing or a quote stays open.
    static std::optional<Params> parse(std::string_view text);

    bool has(std::string_view name) const { return find(name) != nullptr; }
    /// The value, empty if it has none; nullopt if there is no such parameter. Borrowed until the next change.
    std::optional<std::string_view> get(std::string_view name) const;
    void set(std::string_view name, std::optional<std::string_view> value = std::nullopt);  ///< replaces or appends
    void remove(std::string_view name);

    const std::vector<Param>& all() const { return all_; }
    std::string text() const;  ///< ";a=b;c", empty if there are none
    bool operator==(const Params&) const = default;

private:
    const Param* find(std::string_view name) const;
    std::vector<Param> all_;
};

/// A URI. For "sip" and "sips" all parts are told apart; for "tel" the number stands in `user`; for any other scheme
/// everything behind the colon stands in `opaque` as it was written.
struct Uri {
    std::string scheme = "sip";  ///< lower case
    std::string user;            ///< as written, escapes and all
    std::string password;
    std::string host;            ///< as written; IPv6 without its brackets
    std::uint16_t port = 0;      ///< 0: none was written
    Params params;
    std::string headers;         ///< behind '?', as written
    std::string opaque;

    static std::optional<Uri> parse(std::string_view text);
    /// "sip:user@192.0.2.1:5060"; the port is left out if it is 0.
    static Uri of(std::string_view user, const net::Endpoint& where);

    bool is_sip() const { return scheme == "sip" || scheme == "sips"; }
    bool is_tel() const { return scheme == "tel"; }
    bool loose_route() const { return params.has("lr"); }
    /// The host if it is an address and not a name; `port` or 5060 (5061 for sips).
    std::optional<net::Endpoint> endpoint() const;
    std::uint16_t port_or_default() const { return port != 0 ? port : scheme == "sips" ? 5061 : 5060; }
    std::string user_unescaped() const;

    std::string text() const;
    /// RFC 3261 19.1.4: user with case, the rest without; escapes resolved; ports, transport, user, ttl, method and
    /// maddr must match, other parameters where both have them; headers too.
    bool equivalent(const Uri& other) const;
    /// The address of record that this URI names: "user@host", user unescaped as far as it may be, host in lower
    /// case, no scheme, port or parameter (RFC 3261 10.3 step 5). For tel: the number without visual separators.
    std::string address_of_record() const;
    bool operator==(const Uri&) const = default;
};

/// Turns "%61" into "a" everywhere; nullopt if an escape is broken.
std::optional<std::string> unescape(std::string_view text);
/// Escapes what may not stand in a user part.
std::string escape_user(std::string_view text);

}  // namespace voice
