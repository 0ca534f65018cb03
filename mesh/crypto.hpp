/// The primitives the mesh is built of, behind names of our own. libsodium: X25519, Ed25519, the AEAD of handshakes,
/// XChaCha20; libcrypto: BLAKE2s. The AEAD of data packets is in packet_cipher.hpp. All functions are thread safe.
#pragma once

#include <initializer_list>
#include <optional>

#include "net/random.hpp"
#include "net/secret.hpp"

namespace mesh {

using Hash = net::Opaque<struct HashTag>;                    ///< BLAKE2s-256
using Mac = net::Opaque<struct MacTag, 16>;                  ///< keyed BLAKE2s-128
using Signature = net::Opaque<struct SignatureTag, 64>;      ///< Ed25519
using SymmetricKey = net::Secret<32>;

/// Makes libsodium ready; call once before anything else here (more often does no harm). Throws std::runtime_error.
void start_crypto();

// X25519 (RFC 7748).
net::TunnelSecret make_tunnel_secret(net::Random& random);  ///< clamped
net::TunnelKey public_key(const net::TunnelSecret& secret);
/// False, with `shared` zero, if the result is all zero: the other side's key is of small order.
[[nodiscard]] bool x25519(SymmetricKey& shared, const net::TunnelSecret& mine, const net::TunnelKey& theirs);

// Ed25519 (RFC 8032).
net::NodeSecret make_node_secret(net::Random& random);
net::NodeSecret node_secret_from_seed(const net::Secret<32>& seed);
net::NodeKey public_key(const net::NodeSecret& secret);
Signature sign(const net::NodeSecret& secret, net::ByteView message);
[[nodiscard]] bool verify(const net::NodeKey& signer, net::ByteView message, const Signature& signature);
/// The X25519 key that belongs to an Ed25519 key (RFC 7748 section 4.1), so that one secret can do both.
net::TunnelSecret tunnel_secret_of(const net::NodeSecret& secret);
std::optional<net::TunnelKey> tunnel_key_of(const net::NodeKey& key);  ///< nullopt: no point, or of small order

// BLAKE2s (RFC 7693) and what WireGuard makes of it (whitepaper section 5.4). `parts` are concatenated.
Hash blake2s(std::initializer_list<net::ByteView> parts);
/// Keyed BLAKE2s with 16 bytes of output; key of 1 to 32 bytes.
Mac blake2s_mac(net::ByteView key, std::initializer_list<net::ByteView> parts);
Hash hmac_blake2s(net::ByteView key, std::initializer_list<net::ByteView> parts);
/// HKDF (RFC 5869) with HMAC-BLAKE2s, chained as Noise does: writes the first `outputs.size()` (1 to 3) keys.
void kdf(std::initializer_list<SymmetricKey*> outputs, net::ByteView chaining_key, net::ByteView input);
/// Without an early way out.
[[nodiscard]] bool equal_in_constant_time(net::ByteView a, net::ByteView b);

// ChaCha20-Poly1305 (RFC 8439) with WireGuard's nonce: four zero bytes, then the counter, little endian.
/// `out` must hold plain.size() + 16 bytes and may be the plain text's own place.
void aead_seal(net::MutableBytes out, const SymmetricKey& key, std::uint64_t counter, net::ByteView plain,
               net::ByteView associated);
/// False, with `out` (sealed.size() - 16 bytes) unspecified, if it is not authentic or too short.
[[nodiscard]] bool aead_open(net::MutableBytes out, const SymmetricKey& key, std::uint64_t counter,
                             net::ByteView sealed, net::ByteView associated);

// XChaCha20-Poly1305 with a 24-byte nonce: cookie replies, and what is sealed in the roster.
using XNonce = net::Opaque<struct XNonceTag, 24>;
void xaead_seal(net::MutableBytes out, const SymmetricKey& key, const XNonce& nonce, net::ByteView plain,
                net::ByteView associated);
[[nodiscard]] bool xaead_open(net::MutableBytes out, const SymmetricKey& key, const XNonce& nonce,
                              net::ByteView sealed, net::ByteView associated);

/// Anonymous box to an X25519 key (libsodium's sealed box): plain.size() + 48 bytes; empty if the key is unusable.
net::Bytes seal_to(const net::TunnelKey& receiver, net::ByteView plain);
std::optional<net::Bytes> open_sealed(const net::TunnelSecret& receiver, net::ByteView sealed);

}  // namespace mesh
