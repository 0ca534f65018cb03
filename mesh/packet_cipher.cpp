#include "mesh/packet_cipher.hpp"

#include <openssl/evp.h>

#include <new>

#include "mesh/protocol.hpp"

namespace mesh {

namespace {

std::array<unsigned char, 12> nonce_of(std::uint64_t counter) {
    std::array<unsigned char, 12> nonce{};
    for (unsigned i = 0; i < 8; ++i) nonce[4 + i] = static_cast<unsigned char>(counter >> 8 * i & 0xff);
    return nonce;
}

}  // namespace

void PacketCipher::Free::operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }

PacketCipher::PacketCipher(const SymmetricKey& key, Direction direction) : context_(EVP_CIPHER_CTX_new()) {
    const int encrypt = direction == Direction::seal ? 1 : 0;
    if (!context_ ||
        EVP_CipherInit_ex(context_.get(), EVP_chacha20_poly1305(), nullptr, key.data(), nullptr, encrypt) != 1) {
        throw std::bad_alloc();
    }
}

PacketCipher::~PacketCipher() = default;

// Setting the nonce alone keeps the key, which is what makes one context per session worth its lock.
void PacketCipher::seal(std::uint64_t counter, net::MutableBytes in_place) {
    const auto nonce = nonce_of(counter);
    const auto size = static_cast<int>(in_place.size() - kTagBytes);
    auto* const bytes = net::u8(in_place);
    int done = 0;
    const std::lock_guard lock(mutex_);
    auto* const context = context_.get();
    if (EVP_CipherInit_ex(context, nullptr, nullptr, nullptr, nonce.data(), -1) != 1 ||
        (size > 0 && EVP_CipherUpdate(context, bytes, &done, bytes, size) != 1) ||
        EVP_CipherFinal_ex(context, bytes + size, &done) != 1 ||
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kTagBytes, bytes + size) != 1) {
        throw std::bad_alloc();
    }
}

bool PacketCipher::open(std::uint64_t counter, net::MutableBytes in_place) {
    if (in_place.size() < kTagBytes) return false;
    const auto nonce = nonce_of(counter);
    const auto size = static_cast<int>(in_place.size() - kTagBytes);
    auto* const bytes = net::u8(in_place);
    int done = 0;
    const std::lock_guard lock(mutex_);
    auto* const context = context_.get();
    return EVP_CipherInit_ex(context, nullptr, nullptr, nullptr, nonce.data(), -1) == 1 &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kTagBytes, bytes + size) == 1 &&
           (size == 0 || EVP_CipherUpdate(context, bytes, &done, bytes, size) == 1) &&
           EVP_CipherFinal_ex(context, bytes + size, &done) == 1;
}

}  // namespace mesh
