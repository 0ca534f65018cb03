/// The data threads: TUN -> encrypt -> UDP, and UDP -> decrypt -> TUN. They decide nothing: mesh/data_path.hpp does,
/// by the table that the control thread publishes here.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "loop/datagram.hpp"
#include "mesh/data_path.hpp"
#include "mesh/wireguard.hpp"

namespace meshd {

/// What the data threads hand up, oldest first.
struct Upward {
    struct ControlFrame {
        net::TunnelKey peer;
        net::Bytes bytes;  ///< padding included
        net::Endpoint from;
    };
    struct Handshake {
        net::Bytes bytes;  ///< whole datagram, mac1 checked
        net::Endpoint from;
    };
    struct Packet {
        net::TunnelKey peer;
        net::Bytes bytes;  ///< an IP packet that waits for a session
    };
    std::vector<ControlFrame> frames;
    std::vector<Packet> packets;
    std::vector<Handshake> handshakes;
    bool under_load = false;  ///< so many strangers' handshakes that cookies must be asked for
    bool tick = false;        ///< WireGuard::tick is due, before any of the above
};

/// Owns the underlay's UDP sockets and both threads. All functions are the control thread's, unless said otherwise.
class DataThreads {
public:
    struct Settings {
        std::uint16_t port = 0;        ///< 0: any, the same for both families if it can be had
        std::size_t max_frames = 1024; ///< control frames and waiting packets kept for the control thread
        std::size_t max_handshakes = 256;
        /// Called on a data thread when there is something to take(); must be quick and thread safe (an eventfd, or
        /// loop::Wakeup). Not called again before take().
        std::function<void()> wake;
    };
    /// Opens the sockets, IPv4 and IPv6 (one family may be missing), and starts to receive. Throws std::runtime_error,
    /// with what to do, if neither can be had.
    explicit DataThreads(Settings settings);
    ~DataThreads();  ///< stop()
    DataThreads(const DataThreads&) = delete;
    DataThreads& operator=(const DataThreads&) = delete;

    std::uint16_t port() const { return port_; }
    bool has_ipv6() const { return udp6_.has_value(); }

    /// Carry packets to and from this TUN device (IFF_NO_PI, non-blocking), borrowed until detach_tun() or stop().
    void attach_tun(int fd);
    void detach_tun();
    /// Publish. null: drop everything. Packets in the works may still go by the table before.
    void swap_table(std::shared_ptr<const mesh::ForwardingTable> table);
    /// Refuses (and counts) an endpoint inside the overlay. Any thread.
    void send(const mesh::Datagram& datagram);
    /// All there is, and readiness for the next wake.
    Upward take();
    /// Both threads have ended and the sockets are closed. May be called more than once.
    void stop();

private:
    class Upstairs;

    std::shared_ptr<const mesh::ForwardingTable> table() const;
    bool open_sockets(std::uint16_t port, std::string& trouble);
    void transmit(net::ByteView bytes, const net::Endpoint& to, mesh::DropCounters& drops) const;
    void run_inbound();
    void run_outbound(int tun_fd);
    void receive_burst(loop::Datagram& socket, net::MutableBytes buffer);
    void write_to_tun(net::ByteView packet, mesh::DropCounters& drops);

    Settings settings_;
    std::uint16_t port_ = 0;
    std::optional<loop::Datagram> udp4_, udp6_;
    loop::FileDescriptor stop_inbound_, stop_outbound_;  ///< eventfds
    mutable std::mutex table_mutex_;
    std::shared_ptr<const mesh::ForwardingTable> table_;
    std::mutex tun_mutex_;  ///< held while the inbound thread writes to the device, so that detaching waits for it
    int tun_fd_ = -1;
    std::unique_ptr<Upstairs> upstairs_;
    std::thread inbound_, outbound_;
};

}  // namespace meshd
