/// The WireGuard protocol's numbers: message layout (whitepaper section 5.4) and timers (section 6.1).
#pragma once

#include "net/bytes.hpp"
#include "net/time.hpp"

namespace mesh {

// Section 5.4: the first byte is the type, three zero bytes follow, integers are little endian.
// Ours, between meshd nodes: 5, data under AES-256-GCM (session.hpp), and 7 (introduction.hpp).
enum class MessageType : std::uint8_t { initiation = 1, response = 2, cookie_reply = 3, data = 4, aes_data = 5 };

// Type 5's second byte.
/// The packet's TCP or UDP checksum is not filled in: the AEAD has guarded it so far, and whoever passes it on fills it in.
inline constexpr std::uint8_t kChecksumLeft = 1;
/// Two bits: by which of its queues the sender sent it. One flow's packets leave by one queue, so a receiver with several
/// queues, too, keeps their order if it has all of one number pass through one.
inline constexpr unsigned kQueueShift = 1;
inline constexpr std::uint8_t kQueueMask = 3 << kQueueShift;
inline constexpr std::size_t kMaxQueues = 4;

inline constexpr std::size_t kInitiationBytes = 148;
inline constexpr std::size_t kResponseBytes = 92;
inline constexpr std::size_t kCookieReplyBytes = 64;
inline constexpr std::size_t kDataHeaderBytes = 16;  ///< type, receiver index, counter
inline constexpr std::size_t kTagBytes = 16;         ///< Poly1305 tag behind every encrypted field
inline constexpr std::size_t kMacBytes = 16;         ///< mac1, and mac2 behind it, end types 1 and 2
inline constexpr std::size_t kPaddingBytes = 16;     ///< data is padded to a multiple of this, within the MTU
inline constexpr std::size_t kMinDataBytes = kDataHeaderBytes + kTagBytes;  ///< a keepalive
inline constexpr std::size_t kMaxDatagramBytes = 65535;

// Section 6.1.
inline constexpr std::uint64_t kRekeyAfterMessages = std::uint64_t{1} << 60;
inline constexpr std::uint64_t kRejectAfterMessages = UINT64_MAX - (std::uint64_t{1} << 13);  ///< 2^64 - 2^13 - 1
// An attacker's advantage against GCM grows with the square of the blocks under a key: 2^28 packets of 1,500 bytes are
// under 2^35 blocks, which leaves it below 2^-57.
inline constexpr std::uint64_t kAesRekeyAfterMessages = std::uint64_t{1} << 27;
inline constexpr std::uint64_t kAesRejectAfterMessages = std::uint64_t{1} << 28;
inline constexpr net::Duration kRekeyAfterTime = std::chrono::seconds(120);
inline constexpr net::Duration kRejectAfterTime = std::chrono::seconds(180);
inline constexpr net::Duration kRekeyAttemptTime = std::chrono::seconds(90);
inline constexpr net::Duration kRekeyTimeout = std::chrono::seconds(5);
inline constexpr net::Duration kKeepaliveTimeout = std::chrono::seconds(10);
inline constexpr net::Duration kNewHandshakeTime = kKeepaliveTimeout + kRekeyTimeout;  ///< of no answer (6.3)
inline constexpr net::Duration kZeroKeysAfterTime = 3 * kRejectAfterTime;              ///< 6.3
inline constexpr net::Duration kTimerJitter = std::chrono::milliseconds(333);          ///< added to 5 s and 15 s
inline constexpr net::Duration kCookieSecretTime = std::chrono::seconds(120);          ///< 5.4.7
inline constexpr net::Duration kCookieLatency = std::chrono::seconds(5);  ///< we stop using a cookie so much earlier
/// An initiation from one peer costs four DH operations: faster than this they are dropped unprocessed.
inline constexpr net::Duration kInitiationInterval = std::chrono::milliseconds(20);

/// `payload_bytes` rounded up to kPaddingBytes, but never beyond the MTU (1420 is no multiple of 16).
constexpr std::size_t padded_bytes(std::size_t payload_bytes, std::size_t mtu_bytes) {
    const std::size_t padded = (payload_bytes + kPaddingBytes - 1) / kPaddingBytes * kPaddingBytes;
    return payload_bytes > mtu_bytes ? padded : padded < mtu_bytes ? padded : mtu_bytes;
}

}  // namespace mesh
