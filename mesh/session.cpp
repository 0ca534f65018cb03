#include "mesh/session.hpp"

namespace mesh {

namespace {

constexpr net::Duration kRekeyAfterReceiving = kRejectAfterTime - kKeepaliveTimeout - kRekeyTimeout;

}  // namespace

Session::Session(const SessionKeys& keys, Role role, std::uint32_t local_index, std::uint32_t remote_index,
                 net::Steady created)
    : role_(role),
      local_index_(local_index),
      remote_index_(remote_index),
      created_(created),
      handshake_hash_(keys.handshake_hash),
      sealer_(Cipher::chacha20_poly1305, keys.send, PacketCipher::Direction::seal),
      opener_(Cipher::chacha20_poly1305, keys.receive, PacketCipher::Direction::open),
      aes_sealer_(Cipher::aes_256_gcm, keys.aes_send, PacketCipher::Direction::seal),
      aes_opener_(Cipher::aes_256_gcm, keys.aes_receive, PacketCipher::Direction::open),
      confirmed_(role == Role::initiator) {}

bool Session::wants_rekey_after_sending(net::Steady now) const {
    return counter_.load(std::memory_order_relaxed) >= (sends_aes() ? kAesRekeyAfterMessages : kRekeyAfterMessages) ||
           (role_ == Role::initiator && now - created_ >= kRekeyAfterTime);
}

bool Session::wants_rekey_after_receiving(net::Steady now) const {
    return role_ == Role::initiator && now - created_ >= kRekeyAfterReceiving;
}

bool Session::seal(net::MutableBytes message, net::Steady now, Lane lane, std::uint8_t flags) {
    if (!usable(now)) return false;
    const bool aes = sends_aes();
    const auto counter = counter_.fetch_add(1, std::memory_order_relaxed);
    // usable() saw it lower, so no thread is here twice, and 2^13 more fit below 2^64. It is never put back: another
    // lane, which has not seen allow_aes() yet, may have sealed with a higher one.
    if (counter >= (aes ? kAesRejectAfterMessages : kRejectAfterMessages)) return false;
    const auto type = static_cast<std::uint32_t>(aes ? MessageType::aes_data : MessageType::data) | std::uint32_t{flags} << 8;
    for (unsigned i = 0; i < 4; ++i) {
        message[i] = static_cast<std::byte>(type >> 8 * i & 0xff);
        message[4 + i] = static_cast<std::byte>(remote_index_ >> 8 * i & 0xff);
    }
    for (unsigned i = 0; i < 8; ++i) message[8 + i] = static_cast<std::byte>(counter >> 8 * i & 0xff);
    (aes ? aes_sealer_ : sealer_).seal(lane, flags, counter, message.subspan(kDataHeaderBytes));
    return true;
}

std::optional<Drop> Session::open(net::MutableBytes message, net::Steady now, Lane lane) {
    const auto counter = net::Reader(message.subspan(8)).u64le();
    const bool aes = message[0] == static_cast<std::byte>(MessageType::aes_data);
    if (ended_.load(std::memory_order_relaxed) || now - created_ >= kRejectAfterTime ||
        counter >= (aes ? kAesRejectAfterMessages : kRejectAfterMessages)) {
        return Drop::expired_session;
    }
    const auto flags = aes ? std::to_integer<std::uint32_t>(message[1]) : 0;
    if (!(aes ? aes_opener_ : opener_).open(lane, flags, counter, message.subspan(kDataHeaderBytes))) {
        return Drop::not_authentic;
    }
    const std::lock_guard lock(replay_mutex_);
    if (!replay_.accept(counter)) return Drop::replayed;
    return std::nullopt;
}

}  // namespace mesh
