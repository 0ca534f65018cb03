#include "mesh/sealing.hpp"

namespace mesh {
namespace {

constexpr std::size_t kTag = 16;

// The key is fresh with every ephemeral secret, so the nonce may be constant.
SymmetricKey seal_key(const SymmetricKey& shared, const net::TunnelKey& ephemeral, const net::TunnelKey& to,
                      std::string_view domain) {
    const auto derived = hmac_blake2s(shared.view(), {net::as_bytes("meshd seal 1"), ephemeral.view(), to.view(),
                                                      net::as_bytes(domain)});
    return SymmetricKey(std::span<const std::byte, 32>(derived.bytes));
}

}  // namespace

net::Bytes seal(const net::TunnelKey& to, std::string_view domain, net::ByteView plain, net::Random& random) {
    const auto secret = make_tunnel_secret(random);
    const auto ephemeral = public_key(secret);
    SymmetricKey shared;
    if (!x25519(shared, secret, to)) return {};  // nobody owns such a key
    net::Bytes out(kSealBytes + plain.size());
    std::memcpy(out.data(), ephemeral.data(), 32);
    xaead_seal(net::MutableBytes(out).subspan(32), seal_key(shared, ephemeral, to, domain), XNonce{}, plain, {});
    return out;
}

std::optional<net::Bytes> unseal(const net::TunnelSecret& secret, std::string_view domain, net::ByteView sealed) {
    if (sealed.size() < kSealBytes) return std::nullopt;
    const auto ephemeral = *net::TunnelKey::from(sealed.first(32));
    SymmetricKey shared;
    if (!x25519(shared, secret, ephemeral)) return std::nullopt;
    net::Bytes plain(sealed.size() - kSealBytes);
    const auto key = seal_key(shared, ephemeral, public_key(secret), domain);
    if (!xaead_open(plain, key, XNonce{}, sealed.subspan(32), {})) return std::nullopt;
    return plain;
}

net::Bytes encrypt(const net::Secret<32>& key, net::ByteView associated, net::ByteView plain, net::Random& random) {
    XNonce nonce;
    random.fill(nonce.bytes);
    net::Bytes out(nonce.bytes.size() + plain.size() + kTag);
    std::memcpy(out.data(), nonce.data(), nonce.bytes.size());
    xaead_seal(net::MutableBytes(out).subspan(nonce.bytes.size()), key, nonce, plain, associated);
    return out;
}

std::optional<net::Bytes> decrypt(const net::Secret<32>& key, net::ByteView associated, net::ByteView cipher) {
    constexpr std::size_t kNonce = sizeof(XNonce::bytes);
    if (cipher.size() < kNonce + kTag) return std::nullopt;
    const auto nonce = *XNonce::from(cipher.first(kNonce));
    net::Bytes plain(cipher.size() - kNonce - kTag);
    if (!xaead_open(plain, key, nonce, cipher.subspan(kNonce), associated)) return std::nullopt;
    return plain;
}

}  // namespace mesh
