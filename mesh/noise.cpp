#include "mesh/noise.hpp"

namespace mesh {

namespace {

constexpr std::string_view kConstruction = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
constexpr std::string_view kIdentifier = "WireGuard v1 zx2c4 Jason@zx2c4.com";
constexpr std::string_view kAesLabel = "meshd data type 5 AES-256-GCM";

// Fields of the messages, section 5.4.2 and 5.4.3. What mac1 covers ends where the macs begin.
constexpr std::size_t kEphemeralAt = 8;          // initiation
constexpr std::size_t kStaticAt = 40;            // encrypted, 32 + 16
constexpr std::size_t kStampAt = 88;             // encrypted, 12 + 16
constexpr std::size_t kResponseEphemeralAt = 12;
constexpr std::size_t kEmptyAt = 44;             // encrypted, 0 + 16
static_assert(kStampAt + Tai64n::kBytes + kTagBytes + 2 * kMacBytes == kInitiationBytes);
static_assert(kEmptyAt + kTagBytes + 2 * kMacBytes == kResponseBytes);

void put_u32le(net::MutableBytes out, std::uint32_t value) {
    for (unsigned i = 0; i < 4; ++i) out[i] = static_cast<std::byte>(value >> 8 * i & 0xff);
}

void put_header(net::MutableBytes out, MessageType type) { put_u32le(out, static_cast<std::uint32_t>(type)); }

struct Start {
    Hash chaining_key;
    Hash hash;
};
const Start& start() {
    static const Start value = [] {
        const auto chaining_key = blake2s({net::as_bytes(kConstruction)});
        return Start{chaining_key, blake2s({chaining_key.view(), net::as_bytes(kIdentifier)})};
    }();
    return value;
}

void mix_hash(NoiseState& state, net::ByteView bytes) { state.hash = blake2s({state.hash.view(), bytes}); }

void begin(NoiseState& state, const net::TunnelKey& responder) {
    state.chaining_key = SymmetricKey(std::span<const std::byte, 32>(start().chaining_key.bytes));
    state.hash = start().hash;
    mix_hash(state, responder.view());
}

// C := KDF1(C, E_pub)
void mix_ephemeral(NoiseState& state, net::ByteView ephemeral) {
    kdf({&state.chaining_key}, state.chaining_key.view(), ephemeral);
    mix_hash(state, ephemeral);
}

// (C, k) := KDF2(C, DH(...))
void mix_shared(NoiseState& state, SymmetricKey& key, const SymmetricKey& shared) {
    kdf({&state.chaining_key, &key}, state.chaining_key.view(), shared.view());
}

void seal_field(NoiseState& state, net::MutableBytes out, const SymmetricKey& key, net::ByteView plain) {
    aead_seal(out, key, 0, plain, state.hash.view());
    mix_hash(state, out);
}

bool open_field(NoiseState& state, net::MutableBytes out, const SymmetricKey& key, net::ByteView sealed) {
    if (!aead_open(out, key, 0, sealed, state.hash.view())) return false;
    mix_hash(state, sealed);
    return true;
}

// The second half of the response, for both sides: (C, t, k) := KDF3(C, Q); H := HASH(H || t).
SymmetricKey mix_psk(NoiseState& state, const net::PresharedKey& psk) {
    SymmetricKey t, key;
    kdf({&state.chaining_key, &t, &key}, state.chaining_key.view(), psk.view());
    mix_hash(state, t.view());
    return key;
}

net::TunnelKey key_at(net::ByteView message, std::size_t at) { return *net::TunnelKey::from(message.subspan(at, 32)); }

}  // namespace

bool start_initiation(NoiseState& out, std::span<std::byte, kInitiationBytes> message, const NoiseIdentity& own,
                      const net::TunnelKey& peer, const SymmetricKey& static_static,
                      const net::TunnelSecret& ephemeral, std::uint32_t sender_index, const Tai64n& stamp) {
    NoiseState state;
    SymmetricKey key, shared;
    begin(state, peer);
    put_header(message, MessageType::initiation);
    put_u32le(message.subspan(4), sender_index);
    const auto ephemeral_key = public_key(ephemeral);
    std::memcpy(message.data() + kEphemeralAt, ephemeral_key.data(), 32);
    mix_ephemeral(state, ephemeral_key.view());
    if (!x25519(shared, ephemeral, peer)) return false;
    mix_shared(state, key, shared);
    seal_field(state, message.subspan(kStaticAt, 32 + kTagBytes), key, own.key.view());
    mix_shared(state, key, static_static);
    seal_field(state, message.subspan(kStampAt, Tai64n::kBytes + kTagBytes), key, stamp.bytes());
    state.ephemeral = ephemeral;
    out = std::move(state);
    return true;
}

std::optional<Initiation> read_initiation(const NoiseIdentity& own,
                                          std::span<const std::byte, kInitiationBytes> message) {
    Initiation out;
    auto& state = out.state;
    SymmetricKey key, shared;
    begin(state, own.key);
    state.remote_index = net::Reader(message.subspan(4, 4)).u32le();
    state.remote_ephemeral = key_at(message, kEphemeralAt);
    mix_ephemeral(state, state.remote_ephemeral.view());
    if (!x25519(shared, own.secret, state.remote_ephemeral)) return std::nullopt;
    mix_shared(state, key, shared);
    if (!open_field(state, out.peer.bytes, key, message.subspan(kStaticAt, 32 + kTagBytes))) return std::nullopt;
    if (!x25519(shared, own.secret, out.peer)) return std::nullopt;
    mix_shared(state, key, shared);
    std::array<std::byte, Tai64n::kBytes> stamp;
    if (!open_field(state, stamp, key, message.subspan(kStampAt, Tai64n::kBytes + kTagBytes))) return std::nullopt;
    out.stamp = *Tai64n::from(stamp);
    return out;
}

std::optional<SessionKeys> answer(const Initiation& initiation, std::span<std::byte, kResponseBytes> message,
                                  const net::PresharedKey& psk, const net::TunnelSecret& ephemeral,
                                  std::uint32_t sender_index) {
    NoiseState state = initiation.state;
    SymmetricKey ignored, shared;
    put_header(message, MessageType::response);
    put_u32le(message.subspan(4), sender_index);
    put_u32le(message.subspan(8), state.remote_index);
    const auto ephemeral_key = public_key(ephemeral);
    std::memcpy(message.data() + kResponseEphemeralAt, ephemeral_key.data(), 32);
    mix_ephemeral(state, ephemeral_key.view());
    if (!x25519(shared, ephemeral, state.remote_ephemeral)) return std::nullopt;
    mix_shared(state, ignored, shared);
    if (!x25519(shared, ephemeral, initiation.peer)) return std::nullopt;
    mix_shared(state, ignored, shared);
    const auto key = mix_psk(state, psk);
    seal_field(state, message.subspan(kEmptyAt, kTagBytes), key, {});
    SessionKeys keys;
    kdf({&keys.receive, &keys.send}, state.chaining_key.view(), {});
    kdf({&keys.aes_receive, &keys.aes_send}, state.chaining_key.view(), net::as_bytes(kAesLabel));
    keys.handshake_hash = state.hash;
    return keys;
}

std::optional<SessionKeys> finish(const NoiseState& begun, const NoiseIdentity& own, const net::PresharedKey& psk,
                                  std::span<const std::byte, kResponseBytes> message) {
    NoiseState state = begun;
    SymmetricKey ignored, shared;
    const auto remote_ephemeral = key_at(message, kResponseEphemeralAt);
    mix_ephemeral(state, remote_ephemeral.view());
    if (!x25519(shared, state.ephemeral, remote_ephemeral)) return std::nullopt;
    mix_shared(state, ignored, shared);
    if (!x25519(shared, own.secret, remote_ephemeral)) return std::nullopt;
    mix_shared(state, ignored, shared);
    const auto key = mix_psk(state, psk);
    if (!open_field(state, {}, key, message.subspan(kEmptyAt, kTagBytes))) return std::nullopt;
    SessionKeys keys;
    kdf({&keys.send, &keys.receive}, state.chaining_key.view(), {});
    kdf({&keys.aes_send, &keys.aes_receive}, state.chaining_key.view(), net::as_bytes(kAesLabel));
    keys.handshake_hash = state.hash;
    return keys;
}

}  // namespace mesh
