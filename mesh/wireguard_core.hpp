/// The inside of WireGuard: one peer's state, and the steps of handshakes and timers over it.
///
/// A handshake as initiator lives in Peer::attempt, as responder in Peer::next; both may be there at once, so that two
/// peers that begin at the same moment do not cancel each other out. Sessions move as the whitepaper's section 6 and
/// the reference say:
///
///   we initiated, response came:    previous <- next or else current, current <- new
///   we answered an initiation:      next <- new, previous is gone
///   first message received on next: previous <- current, current <- next
#pragma once

#include <algorithm>
#include <deque>
#include <map>

#include "mesh/rate_limit.hpp"
#include "mesh/wireguard.hpp"

namespace mesh {

struct WireGuardPeer {
    /// An initiation under way, repeated every 5 s with new keys until 90 s after `began`.
    struct Attempt {
        NoiseState noise;
        std::uint32_t index = 0;
        std::array<std::byte, kInitiationBytes> message{};
        std::vector<net::Endpoint> sent_to;
        net::Steady sent;
        net::Steady retry_at;
    };
    struct Staged {
        net::Bytes payload;
        std::optional<net::Endpoint> to;
        bool bulk = false;
    };

    WireGuardPeer(const PeerSettings& peer_settings, RouteTable::Slot own_slot)
        : settings(peer_settings), slot(own_slot), jar(peer_settings.key) {}

    PeerSettings settings;
    RouteTable::Slot slot;
    SymmetricKey static_static;
    CookieJar jar;
    std::shared_ptr<PeerActivity> activity = std::make_shared<PeerActivity>();
    net::Endpoint endpoint;
    std::size_t path_mtu_bytes = 0;  ///< 0: not known
    bool path_mtu_proven = false;
    bool trains = true;
    std::uint32_t moves = 0;  ///< PeerActivity::moves() that has been looked at
    std::vector<net::Endpoint> candidates;

    // As initiator.
    std::optional<Attempt> attempt;
    net::Steady begin_at = net::kNever;        ///< a handshake is wanted then; with `attempt` always kNever
    bool everywhere = false;                   ///< the next initiation goes to all candidates, not the endpoint alone
    bool waits_for_stamp = false;              ///< due, but the stamp's mark is not durable yet
    net::Steady tries_began = net::kNever;     ///< first initiation of this run of attempts
    std::optional<net::Steady> last_initiation;
    net::Duration silence_jitter{};

    // As responder.
    Tai64n greatest_stamp;
    std::optional<net::Steady> last_consumed;
    std::vector<net::Endpoint> answered_to;    ///< where the response that began `next` went
    std::array<std::byte, kInitiationBytes - kMacBytes> answered{};  ///< the initiation that it answers, without mac2
    std::array<std::byte, kResponseBytes> response{};

    std::shared_ptr<Session> previous, current, next;
    net::Steady newest_session = net::kNever;  ///< when the last session was derived; kNever: all keys are gone
    std::optional<net::Steady> last_handshake; ///< when the newest session that stood was derived
    bool told_up = false;                      ///< the owner believes that a session stands

    std::deque<Staged> staged;
    std::size_t staged_bytes = 0;

    std::shared_ptr<const ForwardingPeer> published;  ///< null: changed since
};

class WireGuardCore {
public:
    using Peer = WireGuardPeer;

    WireGuardCore(const net::TunnelSecret& secret, net::Random& random, Tai64n last_stamp);

    Peer* find(const net::TunnelKey& key);
    const Peer* find(const net::TunnelKey& key) const { return const_cast<WireGuardCore*>(this)->find(key); }
    Peer* add(const PeerSettings& settings);
    void remove(Peer& peer);
    void take_prefixes_from_other_stock_peers(const Peer& owner);

    // Handshakes (wireguard_handshake.cpp).
    /// Begins one now, or 5 s after the last initiation; nothing if one is under way.
    void want_handshake(Peer& peer, net::Now now, bool everywhere);
    void send_initiation(Peer& peer, net::Now now);
    /// Sends the initiation under way to where it has not been yet.
    void spread_initiation(Peer& peer, net::Steady now);
    void abandon_attempt(Peer& peer);
    void receive_initiation(net::ByteView message, const net::Endpoint& from, net::Now now);
    /// The initiation that `next` answers came by another way, too: the response goes that way as well.
    bool answer_again(Peer& peer, net::ByteView message, const net::Endpoint& from, net::Steady now);
    void receive_response(net::ByteView message, const net::Endpoint& from, net::Now now);
    void receive_cookie(net::ByteView message, net::Steady now);
    /// mac1; under load mac2 and the source's share too. Counts and answers what fails.
    bool admit(net::ByteView message, const net::Endpoint& from, net::Steady now, bool under_load);

    // Sessions (wireguard_session.cpp).
    void begin_as_initiator(Peer& peer, std::shared_ptr<Session> session, net::Now now);
    void begin_as_responder(Peer& peer, std::shared_ptr<Session> session);
    void promote_next(Peer& peer, net::Now now);
    void session_stands(Peer& peer, bool had_one);
    void end_session(std::shared_ptr<Session>& session);
    void end_all_sessions(Peer& peer);
    static bool has_session(const Peer& peer, net::Steady now) { return peer.current && peer.current->usable(now); }

    // Traffic (wireguard_session.cpp).
    void stage(Peer& peer, net::ByteView payload, std::optional<net::Endpoint> to, bool bulk);
    void drop_staged(Peer& peer, Drop reason);
    /// With a usable session: encrypts and puts into the outbox. An empty payload is a keepalive.
    void transmit(Peer& peer, net::ByteView payload, net::Now now, std::optional<net::Endpoint> to, bool is_probe = false,
                  bool carries_bulk = false);
    std::size_t mtu_of(const Peer& peer) const {
        return peer.path_mtu_bytes == 0 ? mtu_bytes_ : std::min(peer.path_mtu_bytes, mtu_bytes_);
    }
    void flush_staged(Peer& peer, net::Now now);
    void move_endpoint(Peer& peer, const net::Endpoint& to);
    bool may_be_endpoint(const net::Endpoint& endpoint);

    // Timers (wireguard_timers.cpp).
    void tick(Peer& peer, net::Now now);
    net::Steady deadline(const Peer& peer) const;
    /// To be called after anything that may have changed the deadline.
    void promise(Peer& peer);
    void look_at_data_path(Peer& peer, net::Now now);
    void check_silence(Peer& peer, net::Now now);
    void send_due_keepalives(Peer& peer, net::Now now);
    void check_attempt(Peer& peer, net::Now now);
    void check_ages(Peer& peer, net::Steady now);

    // The table (wireguard_table.cpp).
    std::shared_ptr<const ForwardingTable> table();
    void build_routes();
    void changed(Peer& peer) {
        peer.published = nullptr;
        published_ = nullptr;
    }
    void routes_changed() {
        routes_ = nullptr;
        published_ = nullptr;
    }

    std::uint32_t claim_index(Peer& peer);
    void release_index(std::uint32_t index) { indices_.erase(index); }
    net::Duration jitter() { return std::chrono::milliseconds(random_.below(kTimerJitter / std::chrono::milliseconds(1) + 1)); }
    void emit(Event event) { events_.push_back(std::move(event)); }

    NoiseIdentity own_;
    net::Random& random_;
    StampSource stamps_;
    CookieChecker checker_;
    RateLimit rate_limit_;
    std::array<std::byte, 32> mac1_key_;
    std::shared_ptr<DropCounters> drops_ = std::make_shared<DropCounters>();
    std::size_t mtu_bytes_ = 1420;

    std::map<net::TunnelKey, std::unique_ptr<Peer>> peers_;  // in order, so that a simulation is exact
    std::vector<Peer*> slots_;                               // null: free
    std::unordered_map<std::uint32_t, Peer*> indices_;       // of attempts and sessions
    std::vector<WireGuard::Route> configured_routes_;
    std::shared_ptr<const SubnetMap> subnet_map_;
    std::shared_ptr<const Destinations> destinations_;
    std::shared_ptr<const std::vector<net::Prefix>> local_;
    std::shared_ptr<const std::vector<net::Prefix>> overlay_ = std::make_shared<std::vector<net::Prefix>>();
    bool stamps_ready_ = false;  // a mark became durable: those who wait go on

    std::shared_ptr<const RouteTable> routes_, stock_owners_;  // null: changed since
    std::shared_ptr<const ForwardingTable> published_;         // null: changed since
    std::vector<Datagram> outbox_;
    std::uint32_t last_train_ = 0;
    std::vector<Event> events_;
};

}  // namespace mesh
