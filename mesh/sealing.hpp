/// Keeping a few bytes from all but one key's owner. Randomness is handed in, so simulations are exact.
#pragma once

#include "mesh/crypto.hpp"

namespace mesh {

using DiscoveryKey = net::Secret<32>;  ///< seals a node's id in mDNS; members only
using VoiceKey = net::Secret<32>;      ///< encrypts the credentials in user records; voice nodes and admins only

/// Anonymous public-key encryption (ephemeral X25519, XChaCha20-Poly1305): kSealBytes longer than `plain`. `domain` must
/// be the same on both sides; it keeps what is sealed for one purpose from being opened for another.
inline constexpr std::size_t kSealBytes = 48;
net::Bytes seal(const net::TunnelKey& to, std::string_view domain, net::ByteView plain, net::Random& random);
std::optional<net::Bytes> unseal(const net::TunnelSecret& secret, std::string_view domain, net::ByteView sealed);

/// Under a shared key, with a random nonce in front: 40 bytes longer than `plain`.
net::Bytes encrypt(const net::Secret<32>& key, net::ByteView associated, net::ByteView plain, net::Random& random);
std::optional<net::Bytes> decrypt(const net::Secret<32>& key, net::ByteView associated, net::ByteView cipher);

}  // namespace mesh
