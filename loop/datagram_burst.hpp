/// Many datagrams in one system call: those of one size to one place as segments of a large one (UDP_SEGMENT, UDP_GRO;
/// Linux udp(7)), different ones by sendmmsg and recvmmsg. For threads that poll by themselves; each object is one
/// thread's.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <vector>

#include "loop/datagram.hpp"

namespace loop {

/// How one datagram of a burst leaves.
struct Sending {
    bool alone = false;  ///< it is to be no segment of a larger one
    /// The way is known to take it. Over IPv6 the kernel then does not go by what routers say of the way, which anyone may
    /// forge, but by what the interface takes; over IPv4, where routers may cut it up, it never does.
    bool whole = false;
};

/// Datagrams to be sent, written one behind the other into one buffer.
///
///   room() -> write there -> add() -> ... -> send()
class SendBurst {
public:
    static constexpr std::size_t kMostSegments = 64;       ///< of one UDP_SEGMENT send
    static constexpr std::size_t kMostSegmentedBytes = 65507;  ///< what one IPv4 datagram holds (RFC 768, RFC 791)

    explicit SendBurst(std::size_t buffer_bytes = 2 * 65536);
    ~SendBurst();
    SendBurst(const SendBurst&) = delete;
    SendBurst& operator=(const SendBurst&) = delete;

    /// Where the next datagram goes; empty if there is no room for it, and send() must come first.
    net::MutableBytes room(std::size_t bytes);
    /// The first `bytes` of room() are a datagram. `traffic_class`: DSCP and ECN, as in the IP header.
    void add(const net::Endpoint& to, std::uint8_t traffic_class, std::size_t bytes, Sending how = {});
    bool empty() const { return sends_.empty(); }
    std::size_t bytes() const { return used_; }

    /// Sends all, and waits where a socket is full, but not longer than `patience` in all. Returns how many datagrams are
    /// lost: to an unreachable place, to one of a family without a socket (null), for want of patience, too big.
    std::size_t send(const Datagram* v4, const Datagram* v6, std::chrono::milliseconds patience);

    /// Whether each large one of the last send() left as it was: nothing was lost, nothing sent in smaller pieces.
    bool left_whole() const { return left_whole_; }

    /// Whether this kernel and the ways so far take segments; once they do not, datagrams go one by one. Any thread.
    bool segments() const { return segments_.load(std::memory_order_relaxed); }
    void set_segments(bool on) { segments_.store(on, std::memory_order_relaxed); }

private:
    struct Send {
        net::Endpoint to;
        std::size_t offset = 0;
        std::size_t bytes = 0;
        std::size_t segment_bytes = 0;
        std::uint8_t traffic_class = 0;
        bool closed = false;  ///< a shorter segment ends it, or it is alone
        bool whole = false;
        std::size_t count() const { return (bytes + segment_bytes - 1) / segment_bytes; }
    };
    struct Messages;
    class Patience;
    class AsKnown;

    /// How many of `sends`, which begin at `first`, the kernel has taken; `lost` grows by the datagrams it refused.
    std::size_t send_some(const Datagram& socket, std::size_t first, std::size_t last, std::size_t& lost,
                          Patience& patience, AsKnown& as_known);
    std::size_t send_each(const Datagram& socket, const Send& send, Patience& patience, AsKnown& as_known);

    net::Bytes buffer_;
    std::size_t used_ = 0;
    std::vector<Send> sends_;
    bool left_whole_ = true;
    std::atomic<bool> segments_{true};
    std::unique_ptr<Messages> messages_;
};

/// Datagrams that came, several in a buffer where the kernel has put them together.
class ReceiveBurst {
public:
    struct Item {
        net::MutableBytes bytes;        ///< one datagram or several; borrowed until the next receive()
        std::size_t segment_bytes = 0;  ///< size of each but the last, which may be shorter
        net::Endpoint from;
        std::uint8_t traffic_class = 0;
        /// From its arrival at this machine (the first of several) to receive(); 0 without UdpOptions::receive_times. While
        /// the wall clock is stepped it may be wrong.
        std::chrono::nanoseconds waited{};
    };

    /// Room for so many buffers of 64 KiB.
    explicit ReceiveBurst(std::size_t buffers = 4);
    ~ReceiveBurst();
    ReceiveBurst(const ReceiveBurst&) = delete;
    ReceiveBurst& operator=(const ReceiveBurst&) = delete;

    /// What waits, at most as many items as there are buffers; empty if nothing does.
    std::span<const Item> receive(const Datagram& socket);
    std::uint64_t truncated() const { return truncated_; }
    /// How many datagrams its socket had no room for, as told by those that came after them. Of one socket's burst.
    std::uint64_t overflowed() const { return overflowed_; }

private:
    struct Messages;
    net::Bytes buffer_;
    std::vector<Item> items_;
    std::unique_ptr<Messages> messages_;
    std::uint64_t truncated_ = 0;
    std::uint64_t overflowed_ = 0;
    std::uint32_t told_ = 0;  ///< by the kernel last: its count of 32 bits, from the socket's beginning
};

}  // namespace loop
