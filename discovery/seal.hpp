/// What mDNS tells of a node: its key sealed under the discovery key, so that only members of the mesh learn who it is,
/// and a stranger cannot even see whether two announcements are the same node's or the same mesh's.
///
///   s = salt, 24 random bytes        n = XChaCha20-Poly1305(discovery key, nonce s, node key), 48 bytes
///
/// Both stand in the TXT record (RFC 6763 section 6) as base64url, beside "v=1".
#pragma once

#include <span>
#include <string>
#include <vector>

#include "net/random.hpp"
#include "net/secret.hpp"

namespace discovery {

using DiscoveryKey = net::Secret<32>;

/// The strings of the TXT record, fresh with every call.
std::vector<std::string> seal(const DiscoveryKey& key, const net::NodeKey& node, net::Random& random);

/// Nullopt if it was not sealed under this key, or is no announcement at all. Unknown strings are passed over.
std::optional<net::NodeKey> unseal(const DiscoveryKey& key, std::span<const std::string> txt);

}  // namespace discovery
