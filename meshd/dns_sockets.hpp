/// The sockets that DNS questions come by: UDP and TCP on port 53 of the addresses that are wanted. Where another program
/// has the port it keeps it: that is told, and tried again. Control thread only.
#pragma once

#include <map>
#include <memory>

#include "dns/framing.hpp"
#include "loop/tcp_listener.hpp"
#include "loop/timer.hpp"
#include "loop/udp.hpp"
#include "meshd/dns_rate.hpp"

namespace meshd {

class DnsSockets {
public:
    struct Events {
        /// The response to a message that came to an address of ours by UDP or TCP; empty: none. Borrowed until return.
        std::function<net::Bytes(net::ByteView message, const net::IpAddress& from, const net::IpAddress& to, bool by_tcp)> answer;
        /// Whether one with this address may ask, at an address of the overlay or at another.
        std::function<bool(const net::IpAddress& from, const net::IpAddress& to, bool overlay)> welcome;
        /// A door has opened or closed, or has another trouble.
        std::function<void()> changed;
    };
    struct Place {
        net::IpAddress address;
        bool overlay = false;
        auto operator<=>(const Place&) const = default;
    };
    struct Door {
        bool overlay = false;
        std::unique_ptr<loop::UdpSocket> udp;
        std::vector<std::unique_ptr<loop::TcpListener>> tcp;  ///< one for each interface by which may be asked
        std::string trouble;  ///< why nobody can ask here; empty: they can
    };
    struct Counters {
        std::uint64_t strangers = 0;  ///< who may not ask
        std::uint64_t over_rate = 0;  ///< by UDP more than DnsRate allows: not answered
        std::uint64_t connections_closed = 0;  ///< too many, idle, or no DNS
    };
    static constexpr std::size_t kMaxConnections = 64, kMaxOfOneAddress = 8;
    static constexpr auto kIdle = std::chrono::seconds(10);  // RFC 7766 section 6.2.3: seconds
    /// So long that a program which has the port, and starts again, finds it free.
    static constexpr auto kTryAgain = std::chrono::minutes(10);
    /// What may wait of a connection whose questions are over the rate; they are answered when their turn comes.
    static constexpr std::size_t kMaxWaitingBytes = 8192;
    static constexpr auto kTurn = std::chrono::milliseconds(20);

    DnsSockets(loop::Loop& loop, std::uint16_t port, Events events, net::Duration idle = kIdle);
    ~DnsSockets();

    /// From now on at these places, and no others. `device` is the index of the overlay's.
    void listen(const std::vector<Place>& places, std::uint32_t device);
    const std::map<net::IpAddress, Door>& doors() const { return doors_; }
    std::uint16_t port() const { return port_; }
    const Counters& counters() const { return counters_; }
    std::size_t connections() const { return connections_.size(); }

private:
    struct Connection {
        std::unique_ptr<loop::Stream> stream;
        net::IpAddress from, to;
        dns::Framer framer;
        net::Bytes waiting;  ///< a question that was over the rate
        net::Steady used;
    };
    void open(const net::IpAddress& address, Door& door);
    void try_again();
    void came(const loop::Received& datagram, Door& door);
    void accepted(std::unique_ptr<loop::Stream> stream, bool overlay);
    void received(std::uint64_t id, net::ByteView bytes);
    void close(std::uint64_t id);
    void close_idle();
    /// Answers what has come, as far as the rate allows. False: it is to be closed.
    bool serve(Connection& connection);
    void take_turns();

    loop::Loop& loop_;
    std::uint16_t port_;
    Events events_;
    net::Duration idle_;
    Counters counters_;
    std::uint32_t device_ = 0;
    std::map<net::IpAddress, Door> doors_;
    std::map<std::uint64_t, Connection> connections_;
    std::uint64_t next_connection_ = 1;
    DnsRate rate_;
    loop::Timer idle_timer_, again_timer_, turn_timer_;
};

}  // namespace meshd
