/// An invitation as text: "meshd1-" and base64url of
///
///   u8 format (1 or 2) | mesh id (32) | u64 expiry, Unix seconds | secret (32) | u8 count of keys, tunnel keys (32 each)
///   | u8 count of endpoints, each u8 index of its key, u8 4 or 6, address, u16 port | checksum (4, BLAKE2b)
///
/// Format 2 has endpoints of TLS too: 20 and 22 in place of 4 and 6.
///
/// The secret is the seed of the key under which the newcomer makes its one handshake (X25519), and of the same key as
/// Ed25519, with which it proves to the issuer, whom it may reach only through others, that it holds the token.
#pragma once

#include "mesh/crypto.hpp"
#include "net/address.hpp"
#include "net/result.hpp"
#include "net/time.hpp"

namespace mesh {

inline constexpr std::size_t kMaxTokenEndpoints = 4;
inline constexpr std::size_t kMaxTokenStreams = 2;

struct Token {
    struct Contact {
        net::TunnelKey key;
        net::Endpoint endpoint;
        bool stream = false;  ///< TLS over TCP, for where UDP is blocked
        auto operator<=>(const Contact&) const = default;
    };
    net::NodeKey mesh_id;
    std::int64_t expires = 0;  ///< Unix seconds
    net::Secret<32> secret;
    std::vector<Contact> contacts;  ///< at most kMaxTokenEndpoints and kMaxTokenStreams together

    std::string text() const;
    /// White space around it is ignored. The error says whether it is no token, cut short or mistyped.
    static net::Result<Token> parse(std::string_view text);
    /// An error if the token is over at `now`.
    net::Result<void> check_time(net::Wall now) const;

    net::NodeSecret signing_secret() const;  ///< tunnel_key() is its X25519 key
    net::TunnelSecret tunnel_secret() const;
    net::TunnelKey tunnel_key() const;
};

}  // namespace mesh
