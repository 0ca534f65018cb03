/// What has passed between us and one peer, as far as timers and people ask: written by the data path, read by the
/// control thread.
#pragma once

#include <atomic>
#include <mutex>

#include "net/address.hpp"
#include "net/time.hpp"

namespace mesh {

/// Lives as long as the peer, over all of its sessions. Every function is thread safe.
///
/// The control thread promises to look by `looks_at`; whoever needs it earlier brings that forward and must then wake
/// it. So traffic wakes the control thread only when it goes from idle to busy, never by the packet.
class PeerActivity {
public:
    /// An authenticated message left us; `data` unless it is a keepalive or of a handshake. True: wake the control
    /// thread.
    [[nodiscard]] bool sent(net::Steady now, std::size_t bytes, bool data);
    /// An authenticated message came from it. True: wake the control thread.
    [[nodiscard]] bool received(net::Steady now, std::size_t bytes, bool data);
    /// A message authenticated from elsewhere than its endpoint (the same place is reported once a second at most, and
    /// all places together four times a second in the long run). True: wake the control thread.
    [[nodiscard]] bool seen_from(const net::Endpoint& from, net::Steady now);
    /// How often seen_from() had something to report. A table that was published at another count is out of date about
    /// where a stock peer is: last_seen_from() is not.
    std::uint32_t moves() const { return moves_.load(std::memory_order_acquire); }
    net::Endpoint last_seen_from() const;
    /// A responder's session is being confirmed by a message from there. Look_by() is the caller's.
    void confirmed_from(const net::Endpoint& from);
    /// A new session is wanted soon; stays so until forget_rekey(). True: wake the control thread.
    [[nodiscard]] bool want_rekey(net::Steady now);
    /// True if `at` is before the control thread would look, and it has to be woken.
    [[nodiscard]] bool look_by(net::Steady at);

    // For the control thread.
    net::Steady unanswered_since() const { return unanswered_since_.load(); }   ///< kNever: nothing waits
    net::Steady unconfirmed_since() const { return unconfirmed_since_.load(); } ///< data received, nothing sent since
    void forget_unanswered() { unanswered_since_.store(net::kNever); }
    void forget_unconfirmed() { unconfirmed_since_.store(net::kNever); }
    net::Steady last_sent() const { return last_sent_.load(); }          ///< Steady::min() before the first
    net::Steady last_received() const { return last_received_.load(); }  ///< Steady::min() before the first
    std::uint64_t rx_bytes() const { return rx_bytes_.load(std::memory_order_relaxed); }
    std::uint64_t tx_bytes() const { return tx_bytes_.load(std::memory_order_relaxed); }
    bool rekey_wanted() const { return rekey_wanted_.load(); }
    void forget_rekey() { rekey_wanted_.store(false); }
    net::Steady elsewhere_due() const { return elsewhere_due_.load(); }  ///< when take_seen_from() has something
    struct Move {
        net::Endpoint from;
        std::uint32_t moves = 0;
    };
    std::optional<Move> take_seen_from(net::Steady now);
    net::Endpoint confirmed_from() const;
    net::Steady looks_at() const { return looks_at_.load(); }
    void promise_look(net::Steady at) { looks_at_.store(at); }

private:
    std::atomic<net::Steady> looks_at_{net::kNever};
    std::atomic<net::Steady> unanswered_since_{net::kNever};
    std::atomic<net::Steady> unconfirmed_since_{net::kNever};
    std::atomic<net::Steady> last_sent_{net::Steady::min()};
    std::atomic<net::Steady> last_received_{net::Steady::min()};
    std::atomic<std::uint64_t> rx_bytes_{0};
    std::atomic<std::uint64_t> tx_bytes_{0};
    std::atomic<bool> rekey_wanted_{false};
    std::atomic<net::Steady> elsewhere_due_{net::kNever};
    std::atomic<std::uint32_t> moves_{0};
    mutable std::mutex endpoint_mutex_;
    net::Endpoint elsewhere_from_;
    net::Steady elsewhere_at_ = net::Steady::min();
    net::Steady paid_until_ = net::Steady::min();  ///< what has been reported is paid for, each with an interval
    net::Endpoint confirmed_from_;
};

}  // namespace mesh
