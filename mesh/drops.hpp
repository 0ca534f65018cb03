/// Why packets are dropped, and how many: what `meshctl status` shows.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

namespace mesh {

enum class Drop : std::uint8_t {
    // datagrams from the underlay
    malformed_datagram,    ///< no type of ours, or not the length of its type
    bad_mac1,              ///< a stranger who does not know our key
    forged_source,         ///< from 100::/64, where nobody is: it would pass for a relay's or a stream's
    unknown_index,         ///< no session or handshake of that index
    not_authentic,         ///< data that the session's key does not open
    replayed,              ///< counter seen before, or older than the window
    expired_session,       ///< session past 180 s or its last message, in either direction
    bad_source,            ///< inner source not among its peer's allowed IPs
    bad_destination,       ///< inner destination is nothing that this node has or offers (destinations.hpp)
    bad_inner_packet,      ///< neither IP nor a control frame, or cut short
    ip_from_joiner,        ///< IP from a peer that may only send control frames
    waited_in_socket,      ///< waited too long to be decrypted, in a queue that stays long (codel.hpp)
    congested,             ///< marked by a congested router on the way, and its sender knows no marks (RFC 6040)
    // handshakes
    bad_handshake,         ///< not authentic, or an answer to nothing
    unknown_peer,          ///< authentic, from a key we do not have
    stale_stamp,           ///< initiation replayed
    initiation_flood,      ///< more than one in 20 ms from one peer
    rate_limited,          ///< under load: too many from one source
    no_cookie,             ///< under load: mac2 missing; a cookie was sent instead
    bad_cookie,            ///< a cookie reply that we did not ask for
    relay_refused,         ///< not passed on for another: over its share, for nobody we have a session with, or a second hop
    // packets from the device
    no_route,              ///< destination belongs to no peer
    no_endpoint,           ///< we do not know where the peer is
    underlay_loop,         ///< endpoint lies in the overlay
    too_big,               ///< no room left to encrypt it in place
    waited_in_device,      ///< waited too long to be encrypted, in a queue that stays long (codel.hpp)
    uplink_full,           ///< waited too long for the uplink, or would have (shaper.hpp)
    path_mtu,              ///< more than its peer's path takes, and not to be fragmented: its sender has been told
    queue_full,            ///< waited for a session behind too many others
    handshake_gave_up,     ///< waited for a session that did not come
    not_for_stock,         ///< a control frame to a stock peer
    // the data threads
    control_queue_full,    ///< the control thread lags behind
    stranger_queue_full,   ///< more strangers' handshakes than we can look at
    socket_error,          ///< the kernel would not send it
    receive_buffer_full,   ///< it came faster than the data threads take it from their sockets
    truncated,             ///< longer than our buffer
    device_error,          ///< the TUN device would not take it
    count_                 ///< number of reasons, itself none
};
inline constexpr std::size_t kDropReasons = static_cast<std::size_t>(Drop::count_);

/// The enumerator's name, as it stands in `meshctl status`.
std::string_view name_of(Drop reason);

/// Counts of all reasons; any thread may add and read.
class DropCounters {
public:
    void add(Drop reason, std::uint64_t count = 1) { at(reason).fetch_add(count, std::memory_order_relaxed); }
    std::uint64_t get(Drop reason) const {
        return counts_[static_cast<std::size_t>(reason)].load(std::memory_order_relaxed);
    }

private:
    std::atomic<std::uint64_t>& at(Drop reason) { return counts_[static_cast<std::size_t>(reason)]; }
    std::array<std::atomic<std::uint64_t>, kDropReasons> counts_{};
};

}  // namespace mesh
