/// A WireGuard session: two keys, a counter, a replay window, an age. Between two meshd nodes it has two keys more, for
/// data of type 5.
///
///   type 4   04 00 00 00      receiver index  counter  ChaCha20-Poly1305(0, counter)           any WireGuard peer
///   type 5   05 flags 00 00   receiver index  counter  AES-256-GCM(flags 00 00 00, counter)    once allow_aes()
///
/// Both share the counter and the replay window. The flags of type 5 stand in the nonce, so they are authentic.
#pragma once

#include <atomic>
#include <mutex>

#include "mesh/drops.hpp"
#include "mesh/noise.hpp"
#include "mesh/packet_cipher.hpp"
#include "mesh/replay.hpp"

namespace mesh {

/// Shared by the control thread and the data threads through the forwarding table; every function is thread safe, if no
/// lane is used by two threads at once. Keys never change; they are wiped with the last reference.
class Session {
public:
    enum class Role : std::uint8_t { initiator, responder };

    Session(const SessionKeys& keys, Role role, std::uint32_t local_index, std::uint32_t remote_index,
            net::Steady created);

    Role role() const { return role_; }
    std::uint32_t local_index() const { return local_index_; }
    std::uint32_t remote_index() const { return remote_index_; }
    net::Steady created() const { return created_; }
    const Hash& handshake_hash() const { return handshake_hash_; }

    /// Neither ended, nor 180 s old, nor out of counters.
    bool usable(net::Steady now) const {
        return !ended_.load(std::memory_order_relaxed) && now - created_ < kRejectAfterTime &&
               counter_.load(std::memory_order_relaxed) < last_counter();
    }
    /// After sending: 2^60 messages (2^27 with AES), or as initiator 120 s (section 6.2).
    bool wants_rekey_after_sending(net::Steady now) const;
    /// After receiving, as initiator: 165 s, so that an idle sender does not run into the end (section 6.2).
    bool wants_rekey_after_receiving(net::Steady now) const;

    /// The other end has said that it opens type 5, and that AES is the faster one there; `queues`: with a queue's number
    /// in it, too.
    void allow_aes(bool queues = false) {
        queues_.store(queues, std::memory_order_relaxed);
        aes_.store(true, std::memory_order_relaxed);
    }
    /// What is sent is of type 5. Then the other end takes packets whose checksums were left to the AEAD, too.
    bool sends_aes() const { return aes_.load(std::memory_order_relaxed); }
    /// And it takes kQueueMask.
    bool sends_queues() const { return sends_aes() && queues_.load(std::memory_order_relaxed); }

    /// `message`: 16 bytes for the header, the payload (padding included), 16 for the tag. `flags`: only with
    /// sends_aes(). False, with nothing written, if the session may not send any more.
    [[nodiscard]] bool seal(net::MutableBytes message, net::Steady now, Lane lane = Lane::control,
                            std::uint8_t flags = 0);
    /// `message`: a whole datagram of type 4 or 5, of at least kMinDataBytes, whose receiver index is ours. Decrypts in
    /// place; the payload then lies in [16, size - 16), and the header is authentic. nullopt if all is well, else why
    /// not.
    [[nodiscard]] std::optional<Drop> open(net::MutableBytes message, net::Steady now, Lane lane = Lane::control);

    /// No more sending and receiving, at once and on every thread.
    void end() { ended_.store(true, std::memory_order_relaxed); }
    /// True the first time only: the first packet received on a responder's session confirms it.
    bool confirm() { return !confirmed_.load(std::memory_order_relaxed) && !confirmed_.exchange(true); }
    bool confirmed() const { return confirmed_.load(); }

    /// For tests of what happens at the end of the counters.
    void set_counter_for_test(std::uint64_t counter) { counter_.store(counter); }

private:
    std::uint64_t last_counter() const { return sends_aes() ? kAesRejectAfterMessages : kRejectAfterMessages; }

    const Role role_;
    const std::uint32_t local_index_;
    const std::uint32_t remote_index_;
    const net::Steady created_;
    const Hash handshake_hash_;
    PacketCipher sealer_, opener_;
    PacketCipher aes_sealer_, aes_opener_;
    std::atomic<std::uint64_t> counter_{0};  ///< of the next message sent
    std::atomic<bool> ended_{false};
    std::atomic<bool> confirmed_{false};
    std::atomic<bool> aes_{false}, queues_{false};
    std::mutex replay_mutex_;
    ReplayWindow replay_;
};

}  // namespace mesh
