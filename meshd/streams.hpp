/// Streams that carry WireGuard's datagrams where UDP is blocked: TLS over TCP, accepted where we listen, and dialled,
/// straight or through an HTTP proxy. What they carry is as safe as it is in UDP; TLS makes it look like what may pass. So
/// its certificate proves nothing, says nothing of mesh or node, and is not looked at. Control thread only.
///
///   dial()    -> TCP [-> CONNECT -> the proxy's answer] -> TLS -> we say the preamble -> opened(); a second connection
///   accepted  -> TLS -> its preamble -> a datagram that may be for us -> opened() -> something authentic -> proven()
///
/// A stream is a pair of connections (discovery/datagram_stream.hpp): bulk goes by the second, where there is one.
/// A stranger, who sends nothing that is for us, is told nothing inside TLS, and his connection is closed. So is that of one
/// who only knows our public key, or has recorded a handshake: what looks as if it was for us buys no time, a session does.
#pragma once

#include <map>
#include <memory>
#include <set>

#include "discovery/datagram_stream.hpp"
#include "discovery/http_connect.hpp"
#include "loop/read_turns.hpp"
#include "loop/resolver.hpp"
#include "loop/tcp_listener.hpp"
#include "loop/timer.hpp"
#include "mesh/virtual_endpoint.hpp"
#include "meshd/http_proxy.hpp"
#include "meshd/stream_queue.hpp"
#include "net/random.hpp"

namespace meshd {

class Streams {
public:
    struct Settings {
        std::vector<net::Endpoint> listen;
        std::optional<HttpProxy> proxy;
        std::string server_name;  ///< that a dialled TLS connection asks for (SNI); empty: none
        // Bounds of what others open.
        std::size_t most_connections = 256;
        std::size_t most_of_one_source = 16;  ///< an IPv4 address, an IPv6 /64
        std::size_t most_unproven = 128;  ///< handshakes of TLS among them
        net::Duration proven_within = std::chrono::seconds(10);
        /// Where there are so many, the oldest unproven one makes room for a new one, once it has had so long. So a flood
        /// makes us begin no more handshakes of TLS than most_unproven in this time.
        net::Duration room_after = std::chrono::seconds(2);
        // Of what we open.
        net::Duration dialled_within = std::chrono::seconds(3);  ///< TCP, and as long for TLS
        net::Duration proxied_within = std::chrono::seconds(6);  ///< all of it, through the proxy
        // Of all.
        net::Duration idle = std::chrono::minutes(3);  ///< nothing has come for so long: closed
    };
    /// None is called from within a call of ours. A callback may call anything but the destructor.
    struct Events {
        /// Datagrams may be sent, and will come. `remote`: what was dialled, or where it came from.
        std::function<void(mesh::StreamId, const net::Endpoint& remote)> opened;
        /// Once of every stream that was dialled or opened, unless close() has ended it. `why` is for people.
        std::function<void(mesh::StreamId, const std::string& why)> closed;
        /// The receiver's to change until return.
        std::function<void(mesh::StreamId, net::MutableBytes)> datagram;
        /// After some of the above: what follows from them may be done now. May be empty.
        std::function<void()> settled;
        /// Whether a datagram can be for this node (mesh::can_be_for_us): all else is dropped.
        std::function<bool(net::ByteView)> is_for_us;
        /// Whether we may connect to there, which must not be by way of our own mesh.
        std::function<bool(const net::IpAddress&)> may_dial;
    };
    struct Counters {
        std::uint64_t refused = 0;         ///< connections: too many, of one address, or unproven
        std::uint64_t tls_failed = 0;      ///< no TLS, or not finished in time
        std::uint64_t displaced = 0;       ///< connections that made room for new ones
        std::uint64_t strangers = 0;       ///< connections without a session in time, or that brought much that was not for us
        std::uint64_t broken = 0;          ///< connections whose bytes were no datagrams
        std::uint64_t dials_failed = 0;
        std::uint64_t idle = 0;            ///< streams closed as nothing came any more
        std::uint64_t not_for_us = 0;      ///< datagrams
        std::uint64_t handshakes_over_rate = 0;  ///< datagrams
        std::uint64_t dropped_bulk = 0;    ///< datagrams that waited too long to be written, or behind too many
        std::uint64_t dropped_urgent = 0;  ///< voice and control, likewise
    };
    static constexpr std::size_t kMostDialled = 32;  ///< streams at a time

    /// Listens. Throws std::runtime_error, with what to do, if it cannot. All references are borrowed for life.
    Streams(loop::Loop& loop, Settings settings, Events events, net::Random& random, loop::Resolver& resolver);
    ~Streams();
    Streams(const Streams&) = delete;
    Streams& operator=(const Streams&) = delete;

    /// A stream to a member that listens there: straight, then by the proxy if there is one (or first, where lately only that
    /// has led anywhere). What is under way or open to the same place is given again.
    mesh::StreamId dial(const net::Endpoint& to);
    /// Who has a session with us is at its other end: it may stay.
    void proven(mesh::StreamId id);
    /// Without `closed`. Unknown: nothing.
    void close(mesh::StreamId id);
    /// Lost, like any datagram may be, where the stream is gone. False: it is larger than a stream takes.
    bool send(mesh::StreamId id, net::ByteView datagram, bool bulk);
    /// Other ways may lead out now.
    void network_changed() { prefers_proxy_ = false; }

    /// What one host may choose freely counts as one: an IPv4 address, an IPv6 /64.
    static net::IpAddress source_of(const net::IpAddress& address);

    std::size_t size() const { return pairs_.size(); }
    std::size_t connections() const { return connections_.size(); }
    Counters counters() const;
    /// Where it listens: the ports are known here, had any been 0.
    std::vector<net::Endpoint> listens() const;
    bool is_open(mesh::StreamId id) const;
    bool is_proxied(mesh::StreamId id) const;  ///< open, and through the proxy
    /// Writes what the kernel takes of what was sent, now and not at this turn's end.
    void flush();

private:
    using ConnectionId = std::uint64_t;
    enum class Way : std::uint8_t { accepted, direct, proxied };
    /// accepted: securing -> open. direct: securing -> open. proxied: resolving -> connecting -> asking -> securing -> open.
    enum class Stage : std::uint8_t { resolving, connecting, asking, securing, open };
    struct Connection {
        Way way = Way::accepted;
        Stage stage = Stage::securing;
        discovery::StreamRole role = discovery::StreamRole::first;
        mesh::StreamId pair = 0;  ///< 0: accepted, and not told yet
        net::Endpoint remote;
        std::unique_ptr<loop::Stream> stream;  ///< null while resolving
        std::optional<discovery::ConnectAnswer> answer;
        discovery::DatagramFramer framer{true};
        StreamQueue queue;
        net::Steady due = net::kNever;  ///< it must be open and proven by then
    };
    /// A handshake costs four DH operations.
    static constexpr double kHandshakesAtOnce = 8, kHandshakesPerSecond = 4;  ///< of one stream
    struct HandshakeRate {
        double left = 0;
        net::Steady at{};
        bool admits(double most, double per_s, net::Steady now);
    };
    struct Pair {
        discovery::StreamPairId id{};
        bool ours = false;
        bool told = false;  ///< opened() was called
        bool proven = false;
        net::Endpoint remote;
        ConnectionId first = 0, bulk = 0;  ///< 0: none
        std::vector<Way> ways;             ///< ours: still to be tried, the last one first
        Way way = Way::accepted;           ///< ours: the first connection's
        std::string why;                   ///< ours: what has failed so far
        net::Steady heard{};               ///< last, or begun
        net::Steady bulk_at = net::kNever; ///< ours: dial it then
        net::Duration bulk_wait{};
        unsigned strange = 0;  ///< datagrams that were not for us, before any that was
        HandshakeRate handshakes;
    };

    // streams.cpp
    void accepted(std::unique_ptr<loop::Stream> stream);
    loop::Stream::Limits limits(Way way, discovery::StreamRole role);
    loop::Stream::Events events_of(ConnectionId id);
    void connected(ConnectionId id);
    void received(ConnectionId id, net::ByteView bytes);
    void receive_datagrams(ConnectionId id);
    bool attach(ConnectionId id, const discovery::StreamPreamble& preamble);
    /// False: the pair is gone.
    bool receive(Pair& pair, mesh::StreamId id, net::MutableBytes datagram);
    void closed(ConnectionId id, const loop::Closed& why);
    /// It is gone; its pair, too, unless it can do without.
    void drop(ConnectionId id, const std::string& why);
    void forget(ConnectionId id);
    void close_pair(mesh::StreamId id, std::string why, bool tell = true);
    void pump(Connection& connection);
    void pump_later(ConnectionId id);
    void sweep();
    void sweep_later();
    bool make_room(const net::IpAddress& source);
    void settled() { if (events_.settled) events_.settled(); }

    // streams_dial.cpp
    void begin(mesh::StreamId pair, discovery::StreamRole role, Way way);
    void connect(ConnectionId id, const net::Endpoint& to);
    void ask_proxy(Connection& connection);
    void proxy_answered(ConnectionId id, net::ByteView bytes);
    void dialled(ConnectionId id);
    void dial_failed(ConnectionId id, const std::string& why);

    loop::Loop& loop_;
    Settings settings_;
    Events events_;
    net::Random& random_;
    loop::Resolver& resolver_;
    loop::ReadTurns turns_;
    std::shared_ptr<const loop::TlsContext> server_, client_;  ///< server_: null where we do not listen
    std::vector<std::unique_ptr<loop::TcpListener>> doors_;
    std::map<ConnectionId, Connection> connections_;
    std::map<mesh::StreamId, Pair> pairs_;
    std::map<discovery::StreamPairId, mesh::StreamId> by_pair_id_;
    std::set<ConnectionId> to_pump_;
    HandshakeRate handshakes_;
    bool prefers_proxy_ = false;
    Counters counters_;
    ConnectionId next_connection_ = 1;
    mesh::StreamId next_stream_ = 1;
    loop::Timer sweep_timer_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  ///< deferred calls look whether this still stands
};

}  // namespace meshd
