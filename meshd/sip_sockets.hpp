/// The sockets that SIP comes and goes by: UDP and TCP on the phones' port, TLS on another where that is wanted, and UDP
/// and TCP on port 5080 of our overlay addresses, where only other members can be. Control thread only.
#pragma once

#include <map>
#include <memory>
#include <tuple>

#include "loop/read_turns.hpp"
#include "loop/tcp_listener.hpp"
#include "loop/timer.hpp"
#include "loop/udp.hpp"
#include "voice/flow.hpp"
#include "voice/overload.hpp"
#include "voice/proxy.hpp"
#include "voice/stream.hpp"

namespace meshd {

class SipSockets {
public:
    struct Events {
        /// A whole message; bytes are borrowed until return.
        std::function<void(const voice::Flow&, net::ByteView)> message;
        /// Whether a connection of this flow may be taken; asked once, before its first byte. Empty: all may.
        std::function<bool(const voice::Flow&)> welcome;
        /// Never called from within send().
        std::function<void(const voice::Flow&, voice::FlowFailure)> failed;
        /// More comes than is read, for a second already; or no longer. May be empty.
        std::function<void(bool)> overloaded;
        /// The name that the far end's certificate must show, the centre's aside. Empty: there is none, and no TLS to it.
        std::function<std::string(const voice::Flow&)> tls_name = nullptr;
        /// How many phones have registered from this address, by a password or what the centre said. Empty: none.
        std::function<std::size_t(const net::IpAddress&)> phones_at = nullptr;
    };
    struct Counters {
        std::uint64_t refused_connections = 0;  ///< one too many, of one address or altogether
        std::uint64_t stranger_connections = 0;  ///< from where nobody has business with us
        std::uint64_t broken_streams = 0;       ///< TCP that was no SIP, too large or too slow
        std::uint64_t tls_failed = 0;           ///< no TLS, no common version, a certificate refused, or too slow
        std::uint64_t tls_half_open = 0;        ///< of these: begun, and not finished in time
        std::uint64_t refused_handshakes = 0;   ///< of the refused connections: one handshake too many, likewise
        std::uint64_t idle_connections = 0;     ///< closed as nobody used them: opened by us, or in the way of a new one
        std::uint64_t unsent = 0;
        std::uint64_t beside_device = 0;  ///< for an overlay address, but not through the mesh
    };
    static constexpr std::size_t kMaxConnections = 2048;
    static constexpr std::size_t kMaxOfOneAddress = 256;  ///< besides its phones'
    static constexpr std::size_t kMaxHandshakes = 512;  ///< of TLS, at a time: all phones of an office after a restart
    static constexpr std::size_t kMaxHandshakesOfOneAddress = 64;  ///< besides its phones'
    /// So many more are an address's for each phone that has registered from it, as a whole office may stand behind one. Its NAT
    /// may forget all at once: then they come anew, and their old connections are not known dead yet.
    static constexpr std::size_t kOfOnePhone = 2;
    /// Whatever stands behind it, one address leaves so much to the others.
    static constexpr std::size_t kConnectionsLeft = kMaxConnections / 4, kHandshakesLeft = kMaxHandshakes / 4;
    static constexpr auto kHandshakeWithin = std::chrono::seconds(10);
    /// What the kernel may have of a connection until it is read; and what it has of all of them that is more than can be
    /// read: some thousand messages, which only those have who send on and on and wait for no answer.
    static constexpr int kUnreadBytes = 64 << 10;
    static constexpr std::size_t kMuchUnreadBytes = 2 << 20;
    static constexpr std::size_t kMostOfOneAddressBytes = kMuchUnreadBytes / 8;
    /// So much waits for a far end that does not read, and it is gone: a large roster of lamps is a tenth of it.
    static constexpr std::size_t kUnsentBytes = 256 << 10;
    /// Of 16 kB, of all connections together, in a turn of the loop.
    static constexpr unsigned kReadsPerTurn = 16;
    /// An accepted connection must have sent a whole message by then.
    static constexpr auto kFirstMessageWithin = std::chrono::seconds(32);
    /// One that we opened is closed when nothing has passed for so long: longer than any transaction takes (timer C). One that
    /// a phone opened then gives way where there is no room for another: phones that live refresh more often.
    static constexpr auto kIdle = std::chrono::minutes(5);

    /// Binds `port` on every address, both families where there are two. Throws std::runtime_error if it is taken.
    SipSockets(loop::Loop& loop, std::uint16_t port, Events events, net::Duration idle = kIdle,
               net::Duration handshake_within = kHandshakeWithin);
    ~SipSockets();

    /// The device of this index has these addresses now; 0: whatever device. An address that cannot be bound is told by an
    /// exception.
    void set_overlay(const std::vector<net::IpAddress>& addresses, std::uint32_t device);
    /// TLS for phones, too. `context` is asked for each connection. Throws as the constructor does.
    void listen_tls(std::uint16_t port, std::function<std::shared_ptr<const loop::TlsContext>()> context);
    /// TLS to the centre is for this name; without it there is none.
    void set_tls_centre(std::shared_ptr<const loop::TlsContext> context, std::string name);
    /// TLS to others than the centre; without it there is none. Asked when it is needed first: all that the machine
    /// trusts takes megabytes. What it throws is tls_trouble().
    void set_tls_others(std::function<std::shared_ptr<const loop::TlsContext>()> make) { make_tls_others_ = std::move(make); }
    void send(const voice::Outgoing& outgoing);
    /// Why TLS failed last, for people; empty if it never has.
    const std::string& tls_trouble() const { return tls_trouble_; }
    const Counters& counters() const { return counters_; }
    std::size_t connections() const { return connections_.size(); }
    std::size_t handshakes() const { return handshakes_; }
    const voice::Overload& overload() const { return overload_; }

private:
    struct OfOneAddress {
        std::size_t connections = 0, handshakes = 0;
        net::Steady no_room_until = net::Steady::min();  ///< none of its own has been silent for long enough before that
    };
    struct Connection {
        voice::Flow flow;
        std::unique_ptr<loop::Stream> stream;
        voice::StreamFramer framer;
        net::Steady first_message_by = net::kNever;
        net::Steady used;   ///< when something last came or went by it
        bool ours = false;  ///< we opened it
        bool shaking_hands = false;  ///< TLS that is not there yet
        bool given_up = false;       ///< broken; it has been told so, and is closed in some seconds
        std::string tls_name;        ///< whose certificate was asked for, where we asked
    };
    /// UDP and TCP on one local endpoint.
    struct Door {
        std::unique_ptr<loop::UdpSocket> udp;
        std::unique_ptr<loop::TcpListener> tcp;
    };
    std::unique_ptr<Door> open(const net::Endpoint& local, voice::Side side);
    struct Allowance {
        std::size_t connections = 0, handshakes = 0;
    };
    /// What that address may have at most now.
    Allowance allowance(const net::IpAddress& address) const;
    /// Whether there is room for one more of that address; the one that has been silent longest may have given way.
    bool make_room(const net::IpAddress& address, std::size_t most_of_it);
    void accepted(std::unique_ptr<loop::Stream> stream, voice::Side side, voice::Transport transport);
    void connect(const voice::Outgoing& outgoing);
    /// The name to ask for, and whom to trust; null: TLS is not spoken there.
    std::pair<std::shared_ptr<const loop::TlsContext>, std::string> tls_toward(const voice::Flow& flow);
    /// Whether that connection may carry what is for this flow.
    bool serves(std::uint64_t id, const voice::Flow& flow);
    loop::Stream::Events events_of(std::uint64_t id);
    void received(std::uint64_t id, net::ByteView bytes);
    void closed(std::uint64_t id, const loop::Closed& why);
    void close(std::uint64_t id, voice::FlowFailure why);
    /// Closes what cannot be read on, and says why where there is something to answer.
    void give_up(std::uint64_t id);
    void secured(std::uint64_t id);
    void send_udp(const voice::Outgoing& outgoing);
    void tell_failed(const voice::Flow& flow, voice::FlowFailure why);
    void look_at_queues();
    void begin_handshake(Connection& connection);
    void end_handshake(Connection& connection);
    /// Who is called there from now on is not called by this connection.
    void forget_remote(const voice::Flow& flow, std::uint64_t id);
    void answer_pings(Connection& connection);
    /// That the kernel has for us of all connections; of one address no more than so much counts.
    std::size_t unread_bytes() const;
    void sweep();
    /// When this connection must be looked at again.
    net::Steady due(const Connection& connection) const;
    void sweep_by(net::Steady at);

    loop::Loop& loop_;
    std::uint16_t port_;
    Events events_;
    net::Duration idle_;
    loop::ReadTurns turns_;
    loop::Stream::Limits limits_, limits_of_accepted_;
    Counters counters_;
    std::vector<std::unique_ptr<Door>> doors_;  ///< wildcard: IPv4, then IPv6
    std::map<net::IpAddress, std::unique_ptr<Door>> overlay_;
    std::uint32_t device_ = 0;  ///< that the overlay's addresses are of
    std::map<std::uint64_t, Connection> connections_;
    std::map<net::IpAddress, OfOneAddress> connections_of_;
    std::map<std::tuple<net::Endpoint, voice::Side, voice::Transport>, std::uint64_t> by_remote_;
    std::vector<std::unique_ptr<loop::TcpListener>> tls_doors_;
    std::function<std::shared_ptr<const loop::TlsContext>()> tls_context_;
    std::shared_ptr<const loop::TlsContext> tls_centre_;
    std::string tls_centre_name_;
    std::function<std::shared_ptr<const loop::TlsContext>()> make_tls_others_;
    std::shared_ptr<const loop::TlsContext> tls_others_;
    std::string tls_trouble_;
    std::size_t handshakes_ = 0;
    net::Steady no_room_until_ = net::Steady::min();  ///< nobody at all has been silent for long enough before that
    std::uint64_t next_connection_ = 1;
    voice::Overload overload_;
    loop::Timer look_timer_;
    loop::Timer sweep_timer_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  ///< deferred calls look whether this still stands
};

}  // namespace meshd
