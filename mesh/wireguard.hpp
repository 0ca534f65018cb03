/// WireGuard's control side as a passive object: handshakes, cookies, timers, peers; publishes the forwarding table.
///
/// How the owner runs it (a daemon with data threads, or a simulation in one thread):
///   - a datagram comes: `inbound(*wireguard.table(), datagram, from, now.steady)`; if `wake`: tick() first; then
///     handshake -> receive_handshake(), control -> the mesh above, tun -> the device.
///   - a packet comes from the device: `outbound(...)`; if `wake`: tick(); no_session -> send().
///   - after every call: table(), published if it changed, **before** take_datagrams() are sent (or their answers are
///     unknown to the data path); take_events(); next_deadline() for the timer.
///   - event StampToPersist: store it, sync, then stamp_persisted(). **No initiation leaves before
///     that**, unless it is waited for in vain for StampSource::kPatience.
#pragma once

#include <memory>
#include <variant>

#include "mesh/cookie.hpp"
#include "mesh/forwarding.hpp"
#include "net/random.hpp"

namespace mesh {

/// What is configured about a peer.
struct PeerSettings {
    net::TunnelKey key;
    net::PresharedKey psk;
    /// Inner sources that count as its own. A stock peer is also routed to by these: of two stock peers with one
    /// prefix, the one set last has it.
    std::vector<net::Prefix> allowed_ips;
    /// True: a stock WireGuard peer. Its endpoint follows its last authenticated packet, and it gets no control frames.
    /// False: a new address is only nominated (event), the owner calls set_endpoint once the path is proven.
    bool follows_endpoint = false;
    /// False: a joiner, whose IP packets are dropped and to whom none are routed.
    bool carries_ip = true;
    /// Beside its allowed_ips it may send from any address that is routed to it and is nobody's in the mesh.
    bool exit = false;
    std::chrono::seconds persistent_keepalive{0};  ///< 0: none
};

struct Datagram {
    net::Endpoint to;
    net::Bytes bytes;
    bool never_fragment = false;  ///< a probe of the path: it must not arrive in pieces. WireGuard's owner says if it is
                                  ///< too large for this machine already (Node::refused())
    std::uint32_t train = 0;      ///< those of one number, not 0, leave in one send if the kernel can: they follow each other
    bool bulk = false;            ///< an IP packet that is no voice, maybe one passed on for others: on a stream all else goes
                                  ///< before it
};

/// A session stands and has been confirmed. `renewed`: there was one before that still stood.
struct SessionUp {
    net::TunnelKey peer;
    net::Endpoint endpoint;
    Hash handshake_hash;
    bool initiator = false;
    bool renewed = false;
};
/// No usable session is left (180 s without a new one). Not told of a peer that was removed.
struct SessionDown {
    net::TunnelKey peer;
};
/// 90 s of initiations brought no answer; what waited was dropped. connect() begins again.
struct HandshakeFailed {
    net::TunnelKey peer;
};
/// Data has had no answer for 15 s: a handshake has begun, to all candidates.
struct PeerSilent {
    net::TunnelKey peer;
};
/// A member's authenticated packet came from elsewhere than its endpoint.
struct Nominated {
    net::TunnelKey peer;
    net::Endpoint endpoint;
};
/// The endpoint has changed: a stock peer roamed, or a handshake was completed through `endpoint`.
struct EndpointMoved {
    net::TunnelKey peer;
    net::Endpoint endpoint;
};
/// Make durable, then call stamp_persisted(stamp); hand it to the constructor at the next start.
struct StampToPersist {
    Tai64n stamp;
};
using Event =
    std::variant<SessionUp, SessionDown, HandshakeFailed, PeerSilent, Nominated, EndpointMoved, StampToPersist>;

/// How a peer stands, for people.
struct PeerStatus {
    enum class State : std::uint8_t { idle, connecting, session };
    State state = State::idle;
    net::Endpoint endpoint;                     ///< none if not known
    std::optional<net::Steady> last_handshake;  ///< when the newest session began
    std::optional<net::Steady> last_received;   ///< anything authenticated
    std::optional<net::Steady> unanswered_since;  ///< the first data sent since then
    bool aes = false;                           ///< what is sent is of type 5
    std::uint64_t rx_bytes = 0;                 ///< underlay payload, authenticated
    std::uint64_t tx_bytes = 0;
};

class WireGuardCore;

/// One thread's. Peers are named by their tunnel keys; functions given an unknown key do nothing.
class WireGuard {
public:
    static constexpr std::size_t kMaxCandidates = 8;
    static constexpr std::size_t kMaxStagedPackets = 128;
    static constexpr std::size_t kMaxStagedBytes = 256 * 1024;

    /// `random` is borrowed for life. `last_stamp`: what was persisted last (StampToPersist), zero if nothing was.
    WireGuard(const net::TunnelSecret& secret, net::Random& random, Tai64n last_stamp);
    ~WireGuard();
    WireGuard(const WireGuard&) = delete;
    WireGuard& operator=(const WireGuard&) = delete;

    const net::TunnelKey& own_key() const;

    // Configuration.
    /// Adds a peer or changes it; sessions stay unless the preshared key changes. Our own key is ignored.
    void set_peer(const PeerSettings& settings);
    /// Its sessions end at once, on the data threads too.
    void remove_peer(const net::TunnelKey& peer);
    bool has_peer(const net::TunnelKey& peer) const;
    std::vector<net::TunnelKey> peers() const;
    struct Route {
        net::Prefix prefix;
        net::TunnelKey peer;
    };
    /// All routes to members (stock peers bring their own). Replaces those before; of two for a prefix the later counts,
    /// and before a stock peer's own. Routes to unknown peers and joiners are left out (and appear with set_peer).
    void set_routes(std::vector<Route> routes);
    /// Where no underlay endpoint may lie: what would be sent there would come back through the tunnel.
    void set_overlay(std::vector<net::Prefix> overlay);
    /// Networks of this machine: an exit may not speak for them.
    void set_local(std::vector<net::Prefix> local);
    /// What peers' packets may be for; all if it was never called.
    void set_destinations(std::shared_ptr<const Destinations> destinations);
    /// Subnets of this machine that the mesh knows under another name; null: none.
    void set_subnet_map(std::shared_ptr<const SubnetMap> map);
    void set_mtu(std::size_t mtu_bytes);  ///< of the device
    std::size_t mtu() const;
    /// The largest packet that the peer's path takes whole, which bounds padding; 0: not known, the device's. `proven`: by
    /// probes, so that it counts for more than what routers say.
    void set_path_mtu(const net::TunnelKey& peer, std::size_t mtu_bytes, bool proven = false);
    /// At most the device's.
    std::size_t path_mtu(const net::TunnelKey& peer) const;

    // Endpoints.
    void set_endpoint(const net::TunnelKey& peer, const net::Endpoint& endpoint);
    net::Endpoint endpoint(const net::TunnelKey& peer) const;  ///< none if not known
    /// Where else the peer may be (the first kMaxCandidates count). While no session stands and from the second
    /// attempt on, initiations go to the endpoint and to all of these at once; the first to answer is the endpoint.
    /// New ones get the initiation that is under way at once.
    void set_candidates(const net::TunnelKey& peer, std::vector<net::Endpoint> candidates);

    // Traffic.
    /// The peer says that it opens data of type 5, and both sides are the faster for it: its session sends so from now on.
    /// `queues`: it knows kQueueMask.
    void allow_aes(const net::TunnelKey& peer, bool queues = false);
    /// Begins a handshake unless a usable session or a handshake is there.
    void connect(const net::TunnelKey& peer, net::Now now);
    /// Begins a handshake to the endpoint and all candidates, even beside a session: the path may have changed. Unlike
    /// the others it does not wait for the 5 s since the last initiation, so the caller bounds its use.
    void rekey(const net::TunnelKey& peer, net::Now now);
    /// A whole datagram of type 1 to 3. `under_load`: ask for cookies and limit sources.
    void receive_handshake(net::ByteView datagram, const net::Endpoint& from, net::Now now, bool under_load = false);
    /// A control frame or IP packet for `peer`. Without a session it waits (bounded, the oldest is dropped) and a
    /// handshake begins. `to`: through this endpoint instead of the peer's own (to prove a path). `bulk`: of a control frame,
    /// what it carries is; an IP packet says so itself.
    void send(const net::TunnelKey& peer, net::ByteView payload, net::Now now,
              std::optional<net::Endpoint> to = std::nullopt, bool bulk = false);

    /// A control frame, exactly as large as it is, in a datagram that must not be fragmented. Without a session, nothing.
    void send_probe(const net::TunnelKey& peer, net::ByteView payload, net::Now now);

    /// Whether many datagrams to it may leave in one send: where they do not arrive, they go one by one.
    void set_trains(const net::TunnelKey& peer, bool may);
    /// Control frames of one size, in one send. Without a session, nothing.
    void send_train(const net::TunnelKey& peer, std::span<const net::Bytes> payloads, net::Now now);

    // Time.
    void tick(net::Now now);
    net::Steady next_deadline() const;
    /// `stamp` of a StampToPersist event is durable. Handshakes that waited for it go on in the next tick, which is due.
    void stamp_persisted(Tai64n stamp);
    /// Whether stamps are in use that no durable one is above: the disk has failed for long (tai64n.hpp says what follows).
    bool stamps_are_unstored() const;

    // Results.
    std::vector<Datagram> take_datagrams();
    std::vector<Event> take_events();
    /// Never null; the same object until something changes.
    std::shared_ptr<const ForwardingTable> table();
    std::optional<PeerStatus> status(const net::TunnelKey& peer) const;
    const DropCounters& drops() const;
    std::shared_ptr<DropCounters> shared_drops() const;  ///< for the data threads' own counts

private:
    std::unique_ptr<WireGuardCore> core_;
};

}  // namespace mesh
