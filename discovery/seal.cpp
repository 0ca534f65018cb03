#include "discovery/seal.hpp"

#include <sodium.h>

#include <algorithm>

#include "net/text.hpp"

namespace discovery {
namespace {

constexpr std::size_t kSaltBytes = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
constexpr std::size_t kTagBytes = crypto_aead_xchacha20poly1305_ietf_ABYTES;
constexpr std::size_t kSealedBytes = sizeof(net::NodeKey::bytes) + kTagBytes;
constexpr std::string_view kPurpose = "meshd mdns 1";  // authenticated beside the key: seals of other kinds fail
constexpr std::string_view kVersion = "v=1", kSalt = "s=", kNode = "n=";

const std::uint8_t* purpose() { return net::u8(net::as_bytes(kPurpose)); }

/// The bytes of the one string that begins with `name`, if they are `size`.
std::optional<net::Bytes> value_of(std::span<const std::string> txt, std::string_view name, std::size_t size) {
    for (const auto& entry : txt) {
        if (!entry.starts_with(name)) continue;
        auto bytes = net::from_base64url(std::string_view(entry).substr(name.size()));
        if (bytes && bytes->size() == size) return bytes;
        return std::nullopt;  // RFC 6763 section 6.4: only the first of a name counts
    }
    return std::nullopt;
}

}  // namespace

std::vector<std::string> seal(const DiscoveryKey& key, const net::NodeKey& node, net::Random& random) {
    net::Bytes salt(kSaltBytes), sealed(kSealedBytes);
    random.fill(salt);
    crypto_aead_xchacha20poly1305_ietf_encrypt(net::u8(net::MutableBytes(sealed)), nullptr, node.data(),
                                               node.bytes.size(), purpose(), kPurpose.size(), nullptr,
                                               net::u8(net::ByteView(salt)), key.data());
    return {std::string(kVersion), std::string(kSalt) + net::to_base64url(salt),
            std::string(kNode) + net::to_base64url(sealed)};
}

std::optional<net::NodeKey> unseal(const DiscoveryKey& key, std::span<const std::string> txt) {
    if (std::find(txt.begin(), txt.end(), kVersion) == txt.end()) return std::nullopt;
    const auto salt = value_of(txt, kSalt, kSaltBytes);
    const auto sealed = value_of(txt, kNode, kSealedBytes);
    if (!salt || !sealed) return std::nullopt;
    net::NodeKey node;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(node.data(), nullptr, nullptr, net::u8(net::ByteView(*sealed)),
                                                   sealed->size(), purpose(), kPurpose.size(),
                                                   net::u8(net::ByteView(*salt)), key.data()) != 0) {
        return std::nullopt;
    }
    return node;
}

}  // namespace discovery
