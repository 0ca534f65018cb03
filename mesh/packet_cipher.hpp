/// The AEADs of data packets, keyed once a session: ChaCha20-Poly1305 for type 4 (RFC 8439, whitepaper section 5.4.6),
/// AES-256-GCM (NIST SP 800-38D) for type 5. By libcrypto, or by what is faster on this processor.
#pragma once

#include "mesh/vector_aead.hpp"

struct evp_cipher_ctx_st;

namespace mesh {

/// Who runs packets through a session. Each has cipher contexts of its own, so that none waits for another; only one
/// thread at a time may be in a lane.
enum class Lane : std::uint8_t { control, voice, bulk, bulk2, bulk3, bulk4 };
inline constexpr std::size_t kLanes = 6;
constexpr Lane bulk_lane(std::size_t queue) { return static_cast<Lane>(static_cast<std::size_t>(Lane::bulk) + queue); }
/// Of a lane of bulk; 0 of any other.
constexpr unsigned queue_of(Lane lane) {
    return lane < Lane::bulk ? 0 : static_cast<unsigned>(lane) - static_cast<unsigned>(Lane::bulk);
}

/// Whether this machine computes AES-GCM in hardware; without it ChaCha20-Poly1305 is faster, and in constant time.
bool has_aes_hardware();

/// One direction of one session under one cipher.
class PacketCipher {
public:
    enum class Direction : std::uint8_t { seal, open };
    enum class Library : std::uint8_t { fastest, libcrypto };  ///< the other than fastest is for tests
    PacketCipher(Cipher cipher, const SymmetricKey& key, Direction direction, Library library = Library::fastest);
    ~PacketCipher();
    PacketCipher(const PacketCipher&) = delete;
    PacketCipher& operator=(const PacketCipher&) = delete;

    /// Encrypts all but the last 16 bytes of `in_place`, which become the tag. `flags` go into the nonce before the
    /// counter: they are authentic, too, and cost nothing. Throws std::bad_alloc, as open() does.
    void seal(Lane lane, std::uint32_t flags, std::uint64_t counter, net::MutableBytes in_place);
    /// Decrypts all but the tag. False, with the bytes unspecified, if it is not authentic.
    [[nodiscard]] bool open(Lane lane, std::uint32_t flags, std::uint64_t counter, net::MutableBytes in_place);

private:
    struct Free {
        void operator()(evp_cipher_ctx_st* context) const;
    };
    evp_cipher_ctx_st* context(Lane lane);

    const Cipher cipher_;
    const Direction direction_;
    const SymmetricKey key_;
    const std::unique_ptr<VectorAead> vector_;  ///< null: libcrypto has to do
    std::array<std::unique_ptr<evp_cipher_ctx_st, Free>, kLanes> contexts_;  ///< each made by its lane's first packet
};

}  // namespace mesh
