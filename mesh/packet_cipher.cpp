#include "mesh/packet_cipher.hpp"

#include <openssl/evp.h>
#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include <new>

#include "mesh/protocol.hpp"

namespace mesh {

namespace {

VectorAead::Nonce nonce_of(std::uint32_t flags, std::uint64_t counter) {
    VectorAead::Nonce nonce;
    for (unsigned i = 0; i < 4; ++i) nonce[i] = static_cast<unsigned char>(flags >> 8 * i & 0xff);
    for (unsigned i = 0; i < 8; ++i) nonce[4 + i] = static_cast<unsigned char>(counter >> 8 * i & 0xff);
    return nonce;
}

}  // namespace

bool has_aes_hardware() {
#if defined(__x86_64__)
    return __builtin_cpu_supports("aes") != 0 && __builtin_cpu_supports("pclmul") != 0;
#elif defined(__aarch64__)
    return (getauxval(AT_HWCAP) & (HWCAP_AES | HWCAP_PMULL)) == (HWCAP_AES | HWCAP_PMULL);
#else
    return false;
#endif
}

void PacketCipher::Free::operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }

PacketCipher::PacketCipher(Cipher cipher, const SymmetricKey& key, Direction direction, Library library)
    : cipher_(cipher),
      direction_(direction),
      key_(key),
      vector_(library == Library::fastest ? VectorAead::make(cipher, key) : nullptr) {}

PacketCipher::~PacketCipher() = default;

// Setting the nonce alone keeps the key, whose schedule is what makes a context worth having.
EVP_CIPHER_CTX* PacketCipher::context(Lane lane) {
    auto& context = contexts_[static_cast<std::size_t>(lane)];
    if (context) return context.get();
    context.reset(EVP_CIPHER_CTX_new());
    const auto* const cipher = cipher_ == Cipher::aes_256_gcm ? EVP_aes_256_gcm() : EVP_chacha20_poly1305();
    const int encrypt = direction_ == Direction::seal ? 1 : 0;
    if (!context || EVP_CipherInit_ex(context.get(), cipher, nullptr, key_.data(), nullptr, encrypt) != 1) {
        context.reset();
        throw std::bad_alloc();
    }
    return context.get();
}

void PacketCipher::seal(Lane lane, std::uint32_t flags, std::uint64_t counter, net::MutableBytes in_place) {
    const auto nonce = nonce_of(flags, counter);
    if (vector_) return vector_->seal(nonce, in_place);
    const auto size = static_cast<int>(in_place.size() - kTagBytes);
    auto* const bytes = net::u8(in_place);
    int done = 0;
    auto* const keyed = context(lane);
    if (EVP_CipherInit_ex(keyed, nullptr, nullptr, nullptr, nonce.data(), -1) != 1 ||
        (size > 0 && EVP_CipherUpdate(keyed, bytes, &done, bytes, size) != 1) ||
        EVP_CipherFinal_ex(keyed, bytes + size, &done) != 1 ||
        EVP_CIPHER_CTX_ctrl(keyed, EVP_CTRL_AEAD_GET_TAG, kTagBytes, bytes + size) != 1) {
        throw std::bad_alloc();
    }
}

bool PacketCipher::open(Lane lane, std::uint32_t flags, std::uint64_t counter, net::MutableBytes in_place) {
    if (in_place.size() < kTagBytes) return false;
    const auto nonce = nonce_of(flags, counter);
    if (vector_) return vector_->open(nonce, in_place);
    const auto size = static_cast<int>(in_place.size() - kTagBytes);
    auto* const bytes = net::u8(in_place);
    int done = 0;
    auto* const keyed = context(lane);
    return EVP_CipherInit_ex(keyed, nullptr, nullptr, nullptr, nonce.data(), -1) == 1 &&
           EVP_CIPHER_CTX_ctrl(keyed, EVP_CTRL_AEAD_SET_TAG, kTagBytes, bytes + size) == 1 &&
           (size == 0 || EVP_CipherUpdate(keyed, bytes, &done, bytes, size) == 1) &&
           EVP_CipherFinal_ex(keyed, bytes + size, &done) == 1;
}

}  // namespace mesh
