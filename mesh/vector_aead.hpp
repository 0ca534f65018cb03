/// The AEADs of data packets by Intel's Multi-Buffer Crypto library, where this build and this processor have them: with
/// AVX-512 a packet of 1420 bytes takes a quarter (AES-256-GCM) to two thirds (ChaCha20-Poly1305) of libcrypto's time.
#pragma once

#include <memory>

#include "mesh/crypto.hpp"

namespace mesh {

enum class Cipher : std::uint8_t { chacha20_poly1305, aes_256_gcm };

/// One key. const is thread safe: whatever a packet needs beside the key is on the stack, and wiped.
class VectorAead {
public:
    /// Null where there is none, or none that beats libcrypto.
    static std::unique_ptr<VectorAead> make(Cipher cipher, const SymmetricKey& key);
    ~VectorAead();
    VectorAead(const VectorAead&) = delete;
    VectorAead& operator=(const VectorAead&) = delete;

    static constexpr std::size_t kNonceBytes = 12;
    using Nonce = std::array<std::uint8_t, kNonceBytes>;
    /// Encrypts all but the last 16 bytes of `in_place`, which become the tag.
    void seal(const Nonce& nonce, net::MutableBytes in_place) const;
    /// Decrypts all but the tag, of at least 16 bytes. False, with the bytes unspecified, if it is not authentic.
    [[nodiscard]] bool open(const Nonce& nonce, net::MutableBytes in_place) const;

private:
    struct Key;
    explicit VectorAead(std::unique_ptr<Key> key);
    std::unique_ptr<Key> key_;
};

}  // namespace mesh
