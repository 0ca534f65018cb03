/// Keeps bulk from filling the buffers of a slow uplink in front of voice: sends no faster than the uplink's rate, and
/// lets what waits for that wait here, where it is short by time (CoDel, RFC 8289).
///
///   bulk packet -> Shaper::push ... pop, when Uplink has credit -> sealed, sent      voice -> sent, Uplink::spend
#pragma once

#include <atomic>
#include <deque>
#include <mutex>
#include <optional>

#include "mesh/codel.hpp"
#include "net/bytes.hpp"

namespace mesh {

/// What may be sent now: a token bucket that all lanes draw from. Thread safe.
class Uplink {
public:
    static constexpr std::uint64_t kVoiceSharePercent = 70;

    explicit Uplink(std::uint64_t rate_bytes_per_s);

    /// So many bytes leave now, IP and UDP headers included. Voice does not ask; it takes from bulk's credit.
    void spend(std::size_t bytes, net::Steady now);
    /// From when on bulk may send: `now` or before if at once.
    net::Steady open_at(net::Steady now);
    /// Whether an inner packet of so many bytes may go as voice. Any host may call its bulk voice: what is above
    /// kVoiceSharePercent of the rate is to wait like bulk, and is counted (policing, RFC 3246 section 1.2 and RFC 2474).
    bool admits_voice(std::size_t bytes, net::Steady now);
    std::uint64_t voice_over_share() const { return over_share_.load(std::memory_order_relaxed); }
    std::uint64_t rate_bytes_per_s() const { return rate_; }

private:
    void refill(net::Steady now);

    const std::uint64_t rate_;
    const std::int64_t most_;  ///< credit: what leaves at once after a pause
    std::mutex mutex_;
    std::int64_t credit_;      ///< bytes; below zero it is a debt
    net::Steady filled_ = net::Steady::min();

    // Voice's share.
    net::Steady voice_full_at_ = net::Steady::min();  ///< when its bucket is full again
    std::atomic<std::uint64_t> over_share_{0};
};

/// Bulk packets that wait for the uplink. One thread's.
class Shaper {
public:
    struct Packet {
        net::Bytes bytes;   ///< plain, whole
        net::Steady since;
    };
    /// Waiting for up to `target` is fine: 5 ms, or two large packets' time on a slower uplink.
    explicit Shaper(std::uint64_t rate_bytes_per_s);

    /// False if the queue is full: half a second's worth, whatever CoDel may say.
    [[nodiscard]] bool push(Packet packet);
    /// The next one to be sent, nullopt if none waits. `dropped` grows by those that had waited for too long, and could
    /// not be marked instead (RFC 3168).
    std::optional<Packet> pop(net::Steady now, std::uint64_t& dropped);
    bool empty() const { return packets_.empty(); }
    std::size_t bytes() const { return bytes_; }
    net::Duration target() const { return codel_.target(); }

private:
    Codel codel_;
    const std::size_t most_bytes_;
    std::deque<Packet> packets_;
    std::size_t bytes_ = 0;
};

}  // namespace mesh
