#include "mesh/crypto.hpp"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <sodium.h>

#include <memory>
#include <new>
#include <stdexcept>

namespace mesh {

namespace {

constexpr std::size_t kBlake2sBlockBytes = 64;

struct FreeDigest {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
struct FreeMac {
    void operator()(EVP_MAC_CTX* context) const { EVP_MAC_CTX_free(context); }
};

// libcrypto fails here only for want of memory.
void must(bool done) {
    if (!done) throw std::bad_alloc();
}

class Blake2s {
public:
    Blake2s() : context_(EVP_MD_CTX_new()) {
        // Looked up once: fetching an algorithm costs more than hashing a block with it.
        static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "BLAKE2S-256", nullptr);
        must(context_ && algorithm && EVP_DigestInit_ex2(context_.get(), algorithm, nullptr) == 1);
    }
    void add(net::ByteView bytes) { must(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1); }
    Hash end() {
        Hash out;
        must(EVP_DigestFinal_ex(context_.get(), out.data(), nullptr) == 1);
        return out;
    }

private:
    std::unique_ptr<EVP_MD_CTX, FreeDigest> context_;
};

// libsodium declares its pointers non-null, also where the length beside them is zero.
const std::uint8_t* non_null(net::ByteView bytes) {
    static const std::uint8_t nothing = 0;
    return bytes.empty() ? &nothing : net::u8(bytes);
}
std::uint8_t* non_null(net::MutableBytes bytes, std::uint8_t& nothing) {
    return bytes.empty() ? &nothing : net::u8(bytes);
}

std::array<std::uint8_t, crypto_aead_chacha20poly1305_ietf_NPUBBYTES> nonce_of(std::uint64_t counter) {
    std::array<std::uint8_t, crypto_aead_chacha20poly1305_ietf_NPUBBYTES> nonce{};
    for (unsigned i = 0; i < 8; ++i) nonce[4 + i] = static_cast<std::uint8_t>(counter >> 8 * i & 0xff);
    return nonce;
}

}  // namespace

void start_crypto() {
    if (sodium_init() < 0) throw std::runtime_error("libsodium does not start: no source of randomness?");
}

net::TunnelSecret make_tunnel_secret(net::Random& random) {
    net::TunnelSecret secret;
    random.fill(secret.fill());
    secret.data()[0] &= 248;
    secret.data()[31] = static_cast<std::uint8_t>((secret.data()[31] & 127) | 64);
    return secret;
}

net::TunnelKey public_key(const net::TunnelSecret& secret) {
    net::TunnelKey key;
    crypto_scalarmult_base(key.data(), secret.data());
    return key;
}

bool x25519(SymmetricKey& shared, const net::TunnelSecret& mine, const net::TunnelKey& theirs) {
    if (crypto_scalarmult(shared.data(), mine.data(), theirs.data()) == 0) return true;
    shared.wipe();
    return false;
}

net::NodeSecret make_node_secret(net::Random& random) {
    net::Secret<32> seed;
    random.fill(seed.fill());
    return node_secret_from_seed(seed);
}

net::NodeSecret node_secret_from_seed(const net::Secret<32>& seed) {
    net::NodeKey ignored;
    net::NodeSecret secret;
    crypto_sign_seed_keypair(ignored.data(), secret.data(), seed.data());
    return secret;
}

net::NodeKey public_key(const net::NodeSecret& secret) {
    net::NodeKey key;
    crypto_sign_ed25519_sk_to_pk(key.data(), secret.data());
    return key;
}

Signature sign(const net::NodeSecret& secret, net::ByteView message) {
    Signature signature;
    crypto_sign_detached(signature.data(), nullptr, non_null(message), message.size(), secret.data());
    return signature;
}

bool verify(const net::NodeKey& signer, net::ByteView message, const Signature& signature) {
    return crypto_sign_verify_detached(signature.data(), non_null(message), message.size(), signer.data()) == 0;
}

net::TunnelSecret tunnel_secret_of(const net::NodeSecret& secret) {
    net::TunnelSecret out;
    crypto_sign_ed25519_sk_to_curve25519(out.data(), secret.data());
    return out;
}

std::optional<net::TunnelKey> tunnel_key_of(const net::NodeKey& key) {
    net::TunnelKey out;
    if (crypto_sign_ed25519_pk_to_curve25519(out.data(), key.data()) != 0) return std::nullopt;
    return out;
}

Hash blake2s(std::initializer_list<net::ByteView> parts) {
    Blake2s hash;
    for (const auto part : parts) hash.add(part);
    return hash.end();
}

Mac blake2s_mac(net::ByteView key, std::initializer_list<net::ByteView> parts) {
    static EVP_MAC* const algorithm = EVP_MAC_fetch(nullptr, "BLAKE2SMAC", nullptr);
    must(algorithm != nullptr);
    const std::unique_ptr<EVP_MAC_CTX, FreeMac> context(EVP_MAC_CTX_new(algorithm));
    std::size_t size = Mac{}.bytes.size();
    const std::array parameters{OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size), OSSL_PARAM_construct_end()};
    must(context && EVP_MAC_init(context.get(), net::u8(key), key.size(), parameters.data()) == 1);
    for (const auto part : parts) must(EVP_MAC_update(context.get(), net::u8(part), part.size()) == 1);
    Mac out;
    must(EVP_MAC_final(context.get(), out.data(), nullptr, out.bytes.size()) == 1);
    return out;
}

// RFC 2104. Keys here are at most 32 bytes: never longer than a block.
Hash hmac_blake2s(net::ByteView key, std::initializer_list<net::ByteView> parts) {
    net::Secret<kBlake2sBlockBytes> inner_pad, outer_pad;
    if (key.size() > kBlake2sBlockBytes) {
        const auto shorter = blake2s({key});
        return hmac_blake2s(shorter.view(), parts);
    }
    std::memcpy(inner_pad.data(), key.data(), key.size());
    outer_pad = inner_pad;
    for (auto& byte : inner_pad.fill()) byte ^= std::byte{0x36};
    for (auto& byte : outer_pad.fill()) byte ^= std::byte{0x5c};
    Blake2s inner;
    inner.add(inner_pad.view());
    for (const auto part : parts) inner.add(part);
    auto digest = inner.end();
    const auto out = blake2s({outer_pad.view(), digest.view()});
    sodium_memzero(digest.data(), digest.bytes.size());
    return out;
}

void kdf(std::initializer_list<SymmetricKey*> outputs, net::ByteView chaining_key, net::ByteView input) {
    auto extracted = hmac_blake2s(chaining_key, {input});
    Hash previous;
    std::size_t previous_bytes = 0;
    std::byte number{1};
    for (auto* const output : outputs) {
        previous = hmac_blake2s(extracted.view(),
                                {previous.view().first(previous_bytes), net::ByteView(&number, 1)});
        previous_bytes = previous.bytes.size();
        std::memcpy(output->data(), previous.data(), previous_bytes);
        number = static_cast<std::byte>(std::to_integer<unsigned>(number) + 1);
    }
    sodium_memzero(extracted.data(), extracted.bytes.size());
    sodium_memzero(previous.data(), previous.bytes.size());
}

// libcrypto's: libsodium's goes byte by byte, which is 1 % of a packet's time.
bool equal_in_constant_time(net::ByteView a, net::ByteView b) {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

void aead_seal(net::MutableBytes out, const SymmetricKey& key, std::uint64_t counter, net::ByteView plain,
               net::ByteView associated) {
    crypto_aead_chacha20poly1305_ietf_encrypt(net::u8(out), nullptr, non_null(plain), plain.size(),
                                              non_null(associated), associated.size(), nullptr,
                                              nonce_of(counter).data(), key.data());
}

bool aead_open(net::MutableBytes out, const SymmetricKey& key, std::uint64_t counter, net::ByteView sealed,
               net::ByteView associated) {
    std::uint8_t nothing = 0;
    return crypto_aead_chacha20poly1305_ietf_decrypt(non_null(out, nothing), nullptr, nullptr, non_null(sealed),
                                                     sealed.size(), non_null(associated), associated.size(),
                                                     nonce_of(counter).data(), key.data()) == 0;
}

void xaead_seal(net::MutableBytes out, const SymmetricKey& key, const XNonce& nonce, net::ByteView plain,
                net::ByteView associated) {
    crypto_aead_xchacha20poly1305_ietf_encrypt(net::u8(out), nullptr, non_null(plain), plain.size(),
                                               non_null(associated), associated.size(), nullptr, nonce.data(),
                                               key.data());
}

bool xaead_open(net::MutableBytes out, const SymmetricKey& key, const XNonce& nonce, net::ByteView sealed,
                net::ByteView associated) {
    std::uint8_t nothing = 0;
    return crypto_aead_xchacha20poly1305_ietf_decrypt(non_null(out, nothing), nullptr, nullptr, non_null(sealed),
                                                      sealed.size(),
                                                      non_null(associated), associated.size(), nonce.data(),
                                                      key.data()) == 0;
}

net::Bytes seal_to(const net::TunnelKey& receiver, net::ByteView plain) {
    net::Bytes sealed(plain.size() + crypto_box_SEALBYTES);
    if (crypto_box_seal(net::u8(net::MutableBytes(sealed)), non_null(plain), plain.size(), receiver.data()) != 0) {
        sealed.clear();
    }
    return sealed;
}

std::optional<net::Bytes> open_sealed(const net::TunnelSecret& receiver, net::ByteView sealed) {
    if (sealed.size() < crypto_box_SEALBYTES) return std::nullopt;
    net::Bytes plain(sealed.size() - crypto_box_SEALBYTES);
    const auto key = public_key(receiver);
    std::uint8_t nothing = 0;
    if (crypto_box_seal_open(non_null(plain, nothing), net::u8(sealed), sealed.size(), key.data(), receiver.data()) !=
        0) {
        return std::nullopt;
    }
    return plain;
}

}  // namespace mesh
