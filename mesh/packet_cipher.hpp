/// ChaCha20-Poly1305 for data packets by libcrypto, keyed once (RFC 8439, whitepaper section 5.4.6).
#pragma once

#include <memory>
#include <mutex>

#include "mesh/crypto.hpp"

struct evp_cipher_ctx_st;

namespace mesh {

/// One direction of one session. Any thread may use it: a lock keeps the context, which only the sending (or only the
/// receiving) data thread and now and then the control thread want.
class PacketCipher {
public:
    enum class Direction : std::uint8_t { seal, open };
    /// Throws std::bad_alloc.
    PacketCipher(const SymmetricKey& key, Direction direction);
    ~PacketCipher();
    PacketCipher(const PacketCipher&) = delete;
    PacketCipher& operator=(const PacketCipher&) = delete;

    /// Encrypts all but the last 16 bytes of `in_place`, which become the tag.
    void seal(std::uint64_t counter, net::MutableBytes in_place);
    /// Decrypts all but the tag. False, with the bytes unspecified, if it is not authentic.
    [[nodiscard]] bool open(std::uint64_t counter, net::MutableBytes in_place);

private:
    struct Free {
        void operator()(evp_cipher_ctx_st* context) const;
    };
    std::mutex mutex_;
    std::unique_ptr<evp_cipher_ctx_st, Free> context_;
};

}  // namespace mesh
