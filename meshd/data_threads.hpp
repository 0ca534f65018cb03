/// The data threads, and the underlay's UDP sockets.
///
///   two cores or more:  bulk out | bulk in | voice out and in       one core:  all on one thread, voice first
///   four or more:       of bulk, several threads each way, one for each of its queues
///
/// Voice is what the TUN device and the kernel's socket filter tell by DSCP; where they cannot, it goes with the bulk.
/// Each flow of bulk stays in one queue: the device's steering chooses it here, and socket_steering.hpp at the other end.
#pragma once

#include <thread>

#include "meshd/packet_lanes.hpp"

namespace meshd {

/// All functions are the control thread's, unless said otherwise.
class DataThreads {
public:
    struct Settings {
        std::uint16_t port = 0;        ///< 0: any, the same for both families if it can be had
        std::size_t max_frames = 1024; ///< control frames and waiting packets kept for the control thread
        std::size_t max_handshakes = 256;
        bool single = false;           ///< one thread for all, and smaller buffers; then `queues` is 1
        std::size_t queues = 1;        ///< of bulk, each way: mesh::kMaxQueues at most
        bool udp_offloads = true;      ///< UDP_SEGMENT, UDP_GRO
        net::OuterDscp dscp = net::OuterDscp::voice;  ///< whose is shown outside
        std::uint64_t uplink_bytes_per_s = 0;  ///< what leaves is shaped to this; 0: it is not
        /// Called on a data thread when there is something to take(); must be quick and thread safe (an eventfd, or
        /// loop::Wakeup). Not called again before take().
        std::function<void()> wake;
    };
    /// Opens the sockets, IPv4 and IPv6 (one family may be missing). Throws std::runtime_error, with what to do, if
    /// neither can be had.
    explicit DataThreads(Settings settings);
    ~DataThreads();  ///< stop()
    DataThreads(const DataThreads&) = delete;
    DataThreads& operator=(const DataThreads&) = delete;

    std::uint16_t port() const { return port_; }
    bool has_ipv6() const { return bulk_.front().v6.has_value(); }
    bool steers_voice() const { return voice_.v4 || voice_.v6; }  ///< datagrams of voice have a socket of their own

    /// How many queues the device should have: voice's, and of bulk as many as here. One, where what leaves is shaped: it
    /// waits in one queue then, and no rate that is kept to needs more.
    std::size_t device_queues() const { return (uplink_ ? 1 : bulk_.size()) + 1; }
    /// Queues of bulk that packets come in by.
    std::size_t queues_in() const { return bulk_.size(); }
    /// And those that they leave by; 0 before start().
    std::size_t queues_out() const;

    /// Carry packets to and from the device's queues, the last of which is voice's if there is more than one; borrowed
    /// until stop(). Once.
    void start(std::span<tun::Queue> queues, tun::Coalescer::Settings coalescing);
    /// What is joined for the device from now on.
    void set_coalescing(bool tcp, bool udp);
    bool joins_tcp() const;  ///< false, too, once the kernel has refused what was joined
    bool joins_udp() const;
    /// Whether UDP_SEGMENT and UDP_GRO are used from now on.
    void set_udp_offloads(bool on);
    bool udp_offloads() const { return settings_.udp_offloads; }  ///< as set
    bool receives_merged() const { return receives_merged_; }  ///< false, too, if the kernel will not
    bool sends_segments() const;  ///< false, too, once the kernel has refused
    /// UDP_SEGMENT once more, where it is wanted and the kernel has refused it.
    void retry_segments();
    /// How many packets that were marked as voice waited for the uplink like bulk, being more than voice's share of it.
    std::uint64_t voice_over_share() const { return uplink_ ? uplink_->voice_over_share() : 0; }
    bool single() const { return settings_.single; }
    /// How long packets waited in queues of the kernel's: the longest of this second and the one before.
    struct Waits {
        std::optional<std::chrono::microseconds> out;        ///< in the device's; nullopt: it does not tell
        std::optional<std::chrono::microseconds> voice_out;  ///< the same of voice, if it has a queue of its own
        std::chrono::microseconds in{};                      ///< in the sockets' buffers, of bulk
    };
    Waits longest_waits(net::Steady now) const;
    /// Publish. null: drop everything. Packets in the works may still go by the table before.
    void swap_table(std::shared_ptr<const mesh::ForwardingTable> table) { table_.set(std::move(table)); }
    /// Refuses (and counts) an endpoint inside the overlay, and one that is virtual: those are others' to send to. False: it
    /// must not be fragmented, and is too large for the interface that it would leave by.
    bool send(const mesh::Datagram& datagram);
    /// So many bytes of others', headers and all, leave by the control thread now: bulk's share of the uplink is the less.
    void spend(std::uint64_t bytes);
    /// Datagrams of one place and size, in one send with UDP_SEGMENT, as bulk leaves. False if that cannot be: the
    /// socket is full, or they have left one by one. It waits for nothing.
    bool send_train(std::span<const mesh::Datagram> train);
    /// IP packets for this machine that did not come by a socket of ours (Node::take_packets()); their headers may be
    /// changed. Between start() and stop() only.
    void deliver(std::span<net::Bytes> packets);
    /// All there is, and readiness for the next wake.
    Upward take();
    /// The threads have ended and the sockets are closed. May be called more than once.
    void stop();

private:
    using Socket = std::optional<loop::Datagram>;
    struct Sockets {
        Socket v4, v6;
    };
    /// What one thread does, in the order of what goes first.
    struct Work {
        int fd = -1;
        bool device = false;  ///< the TUN device's, not a socket's
        std::function<Turn(net::Steady)> run;
        std::function<net::Steady(net::Steady)> next_deadline;  ///< when to run it though its fd is not ready
    };

    bool open_sockets(std::uint16_t port, std::string& trouble);
    void open_siblings(Socket Sockets::*family);
    LaneSockets or_first(Sockets& own);
    void add_outbound(std::vector<Work>& works, mesh::Lane lane, tun::Queue& queue, LaneSockets sockets);
    void add_inbound(std::vector<Work>& works, mesh::Lane lane, Sockets& sockets, tun::Queue& queue,
                     tun::Coalescer::Settings coalescing);
    void run(std::vector<Work> works) const;
    static net::Steady next_deadline(const std::vector<Work>& works, net::Steady now);

    Settings settings_;
    bool receives_merged_ = false;
    std::uint16_t port_ = 0;
    std::vector<Sockets> bulk_;  ///< one at least. The first has the families that there are, the others not always
    Sockets voice_;
    loop::FileDescriptor stop_;  ///< an eventfd
    std::optional<mesh::Uplink> uplink_;
    CurrentTable table_;
    UpwardQueue upward_;
    tun::Queue* delivers_to_ = nullptr;  ///< deliver()'s, by which any thread may write
    tun::Coalescer coalescer_{{}};       ///< the same
    std::vector<std::unique_ptr<OutboundLane>> outbound_;
    std::vector<std::unique_ptr<InboundLane>> inbound_;
    std::vector<std::thread> threads_;
};

}  // namespace meshd
