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
      sealer_(keys.send, PacketCipher::Direction::seal),
      opener_(keys.receive, PacketCipher::Direction::open),
      confirmed_(role == Role::initiator) {}

bool Session::wants_rekey_after_sending(net::Steady now) const {
    return counter_.load(std::memory_order_relaxed) >= kRekeyAfterMessages ||
           (role_ == Role::initiator && now - created_ >= kRekeyAfterTime);
}

bool Session::wants_rekey_after_receiving(net::Steady now) const {
    return role_ == Role::initiator && now - created_ >= kRekeyAfterReceiving;
}

bool Session::seal(net::MutableBytes message, net::Steady now) {
    if (!usable(now)) return false;
    const auto counter = counter_.fetch_add(1, std::memory_order_relaxed);
    if (counter >= kRejectAfterMessages) {
        counter_.store(kRejectAfterMessages, std::memory_order_relaxed);  // it must not wrap, however often we are asked
        return false;
    }
    const auto type = static_cast<std::uint32_t>(MessageType::data);
    for (unsigned i = 0; i < 4; ++i) {
        message[i] = static_cast<std::byte>(type >> 8 * i & 0xff);
        message[4 + i] = static_cast<std::byte>(remote_index_ >> 8 * i & 0xff);
    }
    for (unsigned i = 0; i < 8; ++i) message[8 + i] = static_cast<std::byte>(counter >> 8 * i & 0xff);
    sealer_.seal(counter, message.subspan(kDataHeaderBytes));
    return true;
}

std::optional<Drop> Session::open(net::MutableBytes message, net::Steady now) {
    const auto counter = net::Reader(message.subspan(8)).u64le();
    if (ended_.load(std::memory_order_relaxed) || now - created_ >= kRejectAfterTime ||
        counter >= kRejectAfterMessages) {
        return Drop::expired_session;
    }
    if (!opener_.open(counter, message.subspan(kDataHeaderBytes))) return Drop::not_authentic;
    const std::lock_guard lock(replay_mutex_);
    if (!replay_.accept(counter)) return Drop::replayed;
    return std::nullopt;
}

}  // namespace mesh
