/// What carries packets between the TUN device and the underlay, a burst at a time: OutboundLane encrypts, InboundLane
/// decrypts. They decide nothing: mesh/data_path.hpp does, by the table that the control thread publishes.
///
///   TUN queue --read--> superpacket --Splitter--> segments --seal--> SendBurst --UDP_SEGMENT--> socket
///   TUN queue <-writev- superpacket <-Coalescer-- packets  <-open--- ReceiveBurst <-UDP_GRO---- socket
///
/// A lane is one thread's at a time. Lanes of different mesh::Lane may run side by side, on one session, one device, one
/// uplink, too.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>

#include "loop/datagram_burst.hpp"
#include "mesh/data_path.hpp"
#include "mesh/shaper.hpp"
#include "mesh/too_big.hpp"
#include "meshd/queue_wait.hpp"
#include "meshd/upward.hpp"
#include "net/traffic_class.hpp"
#include "tun/coalesce.hpp"
#include "tun/device.hpp"
#include "tun/split.hpp"

namespace meshd {

/// The table that counts now. Any thread.
class CurrentTable {
public:
    std::shared_ptr<const mesh::ForwardingTable> get() const {
        const std::lock_guard lock(mutex_);
        return table_;
    }
    void set(std::shared_ptr<const mesh::ForwardingTable> table) {
        const std::lock_guard lock(mutex_);
        table_.swap(table);
    }

private:
    mutable std::mutex mutex_;
    std::shared_ptr<const mesh::ForwardingTable> table_;
};

/// The sockets of one lane, borrowed; null: a family that this machine lacks.
struct LaneSockets {
    loop::Datagram* v4 = nullptr;
    loop::Datagram* v6 = nullptr;
};

enum class Turn : std::uint8_t {
    idle,  ///< nothing waits any more
    more,  ///< the burst is full, and there may be more
};

class OutboundLane {
public:
    /// All references are borrowed for life. `uplink`: what leaves is counted there, and bulk waits for it; null: none.
    OutboundLane(mesh::Lane lane, tun::Queue& queue, LaneSockets sockets, mesh::Uplink* uplink, const CurrentTable& table,
                 UpwardQueue& upward);

    /// Voice is carried on the same thread: a full socket keeps this lane no longer than one of voice's. Before run().
    void share_thread_with_voice();
    /// Whose DSCP is shown outside; voice's only, unless told otherwise. Before run().
    void show(net::OuterDscp dscp) { shown_ = dscp; }

    int fd() const { return queue_.fd(); }
    mesh::Lane lane() const { return lane_; }
    /// Carries what waits, up to a burst.
    Turn run(net::Steady now);
    /// When bulk that waits for the uplink may go: call run() then, too. kNever: none waits.
    net::Steady next_deadline(net::Steady now);
    /// Sends of many segments, or one by one. Any thread; it goes off by itself where the kernel refuses.
    void set_segments(bool on) { burst_.set_segments(on); }
    bool segments() const { return burst_.segments(); }
    /// In the device's queue. Nullopt if that does not tell. Any thread.
    std::optional<std::chrono::microseconds> longest_wait(net::Steady now) const {
        return queue_.notes_arrivals() ? std::optional(wait_.longest().get(now)) : std::nullopt;
    }

private:
    void carry(const mesh::ForwardingTable& table, const tun::Offload& offload, net::MutableBytes packet, net::Steady now);
    /// Whether the path to a peer takes a packet, whose largest segment has so many bytes. If not, it is to be dropped:
    /// that is counted, and its sender told.
    bool fits_path(const mesh::ForwardingTable& table, const mesh::ForwardingPeer& peer, net::ByteView packet,
                   std::size_t largest_bytes, net::Steady now);
    /// To the shaper, and from there onto the wire, instead of carry().
    void queue(const mesh::ForwardingTable& table, const tun::Offload& offload, net::ByteView packet, net::Steady now);
    void drain(const mesh::ForwardingTable& table, net::Steady now);
    void send(const mesh::ForwardingTable& table, const mesh::Way& way, tun::Splitter& segments,
              std::uint8_t traffic_class, net::Steady now);
    /// To the control thread, which has a session made, or sends it where no socket does.
    void hand_up(const mesh::ForwardingTable& table, const mesh::Way& way, tun::Splitter& segments,
                 std::uint8_t traffic_class, net::Steady now);
    void flush(const mesh::ForwardingTable& table);

    const mesh::Lane lane_;
    tun::Queue& queue_;
    const LaneSockets sockets_;
    const CurrentTable& table_;
    UpwardQueue& upward_;
    mesh::Uplink* const uplink_;
    std::chrono::milliseconds patience_;
    net::OuterDscp shown_ = net::OuterDscp::voice;
    QueueWait wait_;
    std::optional<mesh::Shaper> shaper_;
    mesh::TooBigReplies too_big_;
    loop::SendBurst burst_;
    net::Bytes packet_;
};

class InboundLane {
public:
    /// All references are borrowed for life. `buffers`: of 64 KiB each, that one system call may fill.
    InboundLane(mesh::Lane lane, loop::Datagram& socket, std::size_t buffers, tun::Queue& queue,
                tun::Coalescer::Settings coalescing, const CurrentTable& table, UpwardQueue& upward);

    int fd() const { return socket_.fd(); }
    Turn run(net::Steady now);
    /// In the socket's buffer, if that tells (UdpOptions::receive_times), and until it was decrypted. Any thread.
    std::chrono::microseconds longest_wait(net::Steady now) const { return wait_.longest().get(now); }
    /// What packets are joined from the next burst on. It goes off by itself once the kernel has refused kMostRefused
    /// superpackets of that kind. Any thread.
    void set_coalescing(bool tcp, bool udp) {
        most_refused_tcp_.store(queue_.refused_tcp() + kMostRefused, std::memory_order_relaxed);
        most_refused_udp_.store(queue_.refused_udp() + kMostRefused, std::memory_order_relaxed);
        tcp_.store(tcp, std::memory_order_relaxed);
        udp_.store(udp, std::memory_order_relaxed);
    }
    static constexpr std::uint64_t kMostRefused = 8;
    bool joins_tcp() const { return tcp_.load(std::memory_order_relaxed); }
    bool joins_udp() const { return udp_.load(std::memory_order_relaxed); }
    /// To be called when its queue has refused something, whoever wrote that. Any thread.
    void give_up_what_is_refused();

private:
    /// What the socket or the burst had no room for.
    void count_lost(const mesh::ForwardingTable& table);
    /// What a datagram has waited, and what waits behind it, at a time.
    struct Waiting {
        net::Duration waited{};
        std::size_t bytes_behind = 0;
        net::Steady now;
    };
    void carry_all(const mesh::ForwardingTable& table, std::span<const loop::ReceiveBurst::Item> items, net::Steady now,
                   TurnClock& clock);
    void carry(const mesh::ForwardingTable& table, const loop::ReceiveBurst::Item& item, Waiting waiting, net::Steady now);
    void to_device(const mesh::ForwardingTable& table, const mesh::Inbound& received, std::uint8_t outer_traffic_class,
                   const Waiting& waiting);

    const mesh::Lane lane_;
    loop::Datagram& socket_;
    tun::Queue& queue_;
    const CurrentTable& table_;
    UpwardQueue& upward_;
    QueueWait wait_;
    loop::ReceiveBurst burst_;
    std::uint64_t overflowed_ = 0, truncated_ = 0;  ///< of burst_, counted so far
    tun::Coalescer coalescer_;
    std::atomic<bool> tcp_, udp_;
    std::atomic<std::uint64_t> most_refused_tcp_{kMostRefused}, most_refused_udp_{kMostRefused};
};

}  // namespace meshd
