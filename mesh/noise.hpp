/// Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s as WireGuard uses it (whitepaper section 5.4), one function a step:
///
///   initiator                                  responder
///   start_initiation  -- type 1, 148 bytes ->  read_initiation, then by the peer it names: allowed, stamp, psk
///   finish            <- type 2, 92 bytes  --  answer
///
/// The functions look at nothing behind mac1: cookie.hpp puts mac1 and mac2 in and checks them. They draw no random
/// numbers: ephemeral secrets and indices are arguments. A message that fails changes nothing.
#pragma once

#include "mesh/crypto.hpp"
#include "mesh/protocol.hpp"
#include "mesh/tai64n.hpp"

namespace mesh {

/// Our long-term key and what follows from it.
struct NoiseIdentity {
    explicit NoiseIdentity(const net::TunnelSecret& own_secret) : secret(own_secret), key(public_key(own_secret)) {}
    net::TunnelSecret secret;
    net::TunnelKey key;
};

/// Two one-way keys, two more for data of type 5, and the hash of the whole handshake: same on both sides, unique to it
/// (to be signed by `join`).
struct SessionKeys {
    SymmetricKey send;
    SymmetricKey receive;
    SymmetricKey aes_send;
    SymmetricKey aes_receive;
    Hash handshake_hash;
};

/// Between the two messages. Wipes itself.
struct NoiseState {
    Hash hash;
    SymmetricKey chaining_key;
    net::TunnelSecret ephemeral;         ///< initiator's own
    net::TunnelKey remote_ephemeral;     ///< responder: the initiator's
    std::uint32_t remote_index = 0;      ///< responder: the initiator's sender_index
};

/// Writes the first 116 bytes of `message` (type to encrypted timestamp). False if `peer` is no usable key.
/// `static_static`: x25519(own secret, peer), which the caller keeps.
[[nodiscard]] bool start_initiation(NoiseState& state, std::span<std::byte, kInitiationBytes> message,
                                    const NoiseIdentity& own, const net::TunnelKey& peer,
                                    const SymmetricKey& static_static, const net::TunnelSecret& ephemeral,
                                    std::uint32_t sender_index, const Tai64n& stamp);

/// What a stranger's initiation says. It is authentic, but may be a replay: compare the stamp.
struct Initiation {
    net::TunnelKey peer;
    Tai64n stamp;
    NoiseState state;
};
/// nullopt if it is not for us or not authentic.
std::optional<Initiation> read_initiation(const NoiseIdentity& own, std::span<const std::byte, kInitiationBytes> message);

/// Writes the first 60 bytes of `message` and gives the session's keys. nullopt if a key in it is unusable.
std::optional<SessionKeys> answer(const Initiation& initiation, std::span<std::byte, kResponseBytes> message,
                                  const net::PresharedKey& psk, const net::TunnelSecret& ephemeral,
                                  std::uint32_t sender_index);

/// nullopt if the response does not belong to `state` or is not authentic; `state` is left as it was.
std::optional<SessionKeys> finish(const NoiseState& state, const NoiseIdentity& own, const net::PresharedKey& psk,
                                  std::span<const std::byte, kResponseBytes> message);

}  // namespace mesh
