/// mac1, mac2 and cookies (whitepaper section 5.4.7): what a responder under load demands before it does mathematics,
/// and how an initiator answers.
#pragma once

#include "mesh/crypto.hpp"
#include "mesh/protocol.hpp"
#include "net/address.hpp"
#include "net/time.hpp"

namespace mesh {

/// BLAKE2s(label || key) of section 5.4.4: the keys of mac1 and of cookie replies sent by the owner of `receiver`.
std::array<std::byte, 32> mac1_key(const net::TunnelKey& receiver);
std::array<std::byte, 32> cookie_key(const net::TunnelKey& sender);

/// mac1 of a type 1 or 2 message of the right length, in constant time. `key`: mac1_key of the receiver, us.
[[nodiscard]] bool mac1_valid(net::ByteView message, std::span<const std::byte, 32> key);

/// The initiator's side, one per peer: puts the macs into messages to it, keeps the cookie it sent.
class CookieJar {
public:
    explicit CookieJar(const net::TunnelKey& peer) : mac1_key_(mac1_key(peer)), cookie_key_(cookie_key(peer)) {}

    /// Fills mac1 and mac2 (zero without a fresh cookie) at the end of a type 1 or 2 message.
    void put_macs(net::MutableBytes message, net::Steady now);
    /// A type 3 message. False if it is not the answer to the last message that put_macs() saw, or not authentic.
    [[nodiscard]] bool receive(net::ByteView cookie_reply, net::Steady now);

private:
    std::array<std::byte, 32> mac1_key_;
    std::array<std::byte, 32> cookie_key_;
    std::optional<Mac> last_mac1_;  ///< of the last message; spent by one reply
    std::optional<Mac> cookie_;
    net::Steady received_{};
};

/// The responder's side: makes cookies and checks mac2.
class CookieChecker {
public:
    CookieChecker(const net::TunnelKey& own, net::Random& random) : cookie_key_(cookie_key(own)), random_(random) {}

    /// mac2 of a type 1 or 2 message whose mac1 is valid.
    [[nodiscard]] bool mac2_valid(net::ByteView message, const net::Endpoint& from, net::Steady now);
    /// Type 3, for a type 1 or 2 message from `from`.
    std::array<std::byte, kCookieReplyBytes> reply(net::ByteView message, const net::Endpoint& from, net::Steady now);

private:
    Mac cookie_for(const net::Endpoint& from, net::Steady now);

    std::array<std::byte, 32> cookie_key_;
    net::Random& random_;
    net::Secret<32> secret_;  ///< renewed every 120 s
    std::optional<net::Steady> renewed_;
};

}  // namespace mesh
