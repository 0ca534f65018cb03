/// A whole mesh node above the wire, passive: WireGuard, roster, gossip, joining, paths. The daemon and the simulation
/// run the same object. Control thread only.
///
/// After every call, drain: take_durable() first, then take_datagrams() and take_events(). What a batch of take_durable()
/// vouches for (an answer to a newcomer, a record that an admin has signed) leaves only after durable(its id).
#pragma once

#include <deque>
#include <unordered_map>

#include "mesh/clock_trust.hpp"
#include "mesh/gossip.hpp"
#include "mesh/identity.hpp"
#include "mesh/join.hpp"
#include "mesh/peer_link.hpp"
#include "mesh/roster.hpp"
#include "mesh/token.hpp"
#include "mesh/virtual_endpoint.hpp"
#include "mesh/wireguard.hpp"

namespace mesh {

/// What a node can do, in Hello and node records. aes: it is fast at data of type 5 (all can open it).
/// mtu_probe, train_probe: it answers such probes. queues: it opens type 5 with the number of a queue in it. relays: it
/// passes on for others (with the role as much as they like, without it handshakes), and follows calls to probe.
enum class Capability : std::uint32_t { control = 1, aes = 2, mtu_probe = 8, train_probe = 16, queues = 32, relays = 64 };

struct NodeSettings {
    std::uint16_t listen_port = 51820;
    std::vector<net::Endpoint> local_endpoints;  ///< of this machine, for its node record
    std::vector<net::Prefix> attached;           ///< networks of this machine: they win over routes through the mesh
    std::vector<net::Endpoint> advertise;        ///< told by the person who runs it
    std::vector<net::Endpoint> bootstrap;        ///< where some member may be
    std::optional<std::vector<net::Prefix>> offered;  ///< of its member record's subnets those it can route now; none: all
    std::vector<MappedSubnet> mapped;            ///< of those, what the mesh knows under another name (`as`)
    bool clock_synchronised = false;             ///< the system says so (NTP)
    bool sends_trains = false;                   ///< many datagrams leave in one send: watch whether that does harm.
                                                 ///< Later: set_sends_trains()
    bool aes = false;                            ///< this machine is faster with AES-256-GCM: data of type 5
    std::uint32_t withheld = 0;                  ///< capabilities not to tell of, as an older version has none (simulation)
    std::size_t full_mesh = 64;                  ///< tunnels to all members up to this many
    std::uint64_t relay_bytes_per_s = 12'500'000;  ///< that each member may have passed on here, if we have the role
    std::uint64_t relay_total_bytes_per_s = 0;     ///< that all may have together, shared fairly; 0: any. Both count the
                                                   ///< packets that leave here, headers and all
    std::chrono::milliseconds ping_every{4000};
};

/// What the store keeps: one row a record. Upsert by `key`; an empty `wire` deletes the row.
struct StoredRecord {
    net::Bytes key;  ///< 32 bytes
    net::Bytes wire;
};
struct DurableBatch {
    std::uint64_t id = 0;  ///< rising; hand to durable() when this batch (and all before it) is stored
    std::vector<StoredRecord> records;
    std::optional<Tai64n> stamp;  ///< last TAI64N, ahead of use: give the newest stored one to the next Node
    bool sync = false;            ///< fsync before durable(); else a plain write will do
};

struct PeerUp { net::NodeKey key; net::Endpoint endpoint; };  ///< which may be a virtual one
struct PeerDown { net::NodeKey key; std::string name; };  ///< named, as it may be in no roster any more
struct RosterChanged {};    ///< members, users, policies or revocations
struct BindingsChanged {};  ///< somebody's bindings or node record
struct RoutesChanged {};    ///< device() differs
/// What goes to a subnet goes through another of its gateways from now on.
struct OwnerChanged { net::Prefix subnet; net::NodeKey key; std::string name; };
struct EndpointGood { net::NodeKey key; net::TunnelKey tunnel_key; net::Endpoint endpoint; };  ///< for the endpoint cache
struct Admitted { net::NodeKey key; std::string name; };  ///< a newcomer spent an invitation of ours
struct Refused { Refusal why; RecordKey key; };           ///< for the log and the counters
/// How this node itself stands in its mesh.
enum class Standing : std::uint8_t {
    member,
    unvouched,  ///< no record about it counts any more, as who signed it is out. It carries and signs nothing, but goes
                ///< on listening: a record that counts, signed by another admin, makes it a member again
    revoked,    ///< out, for good
};
struct StandingChanged { Standing standing; };
/// Datagrams that leave in one send do not reach this peer, those alone do: the kernel or a driver does it wrong.
struct TrainsHarmful { net::NodeKey key; std::string name; };
/// They do reach it again.
struct TrainsWork { net::NodeKey key; std::string name; };
/// UDP leads nowhere: dial that member there by TLS, then stream_opened() or stream_failed().
struct StreamWanted { net::NodeKey member; net::Endpoint to; };
/// It has not been of use for a while: close it, then stream_closed().
struct StreamUnwanted { StreamId stream = 0; };
/// Open so many UDP sockets for IPv4, each at a port of its own, then sockets_opened().
struct SocketsWanted { std::size_t count = 0; };
/// Close them.
struct SocketsUnwanted { std::vector<std::uint32_t> sockets; };
/// Told once of each: who is at its other end has a session with us, and is no stranger.
struct StreamProven { StreamId stream = 0; };
using NodeEvent = std::variant<PeerUp, PeerDown, RosterChanged, BindingsChanged, RoutesChanged, OwnerChanged, EndpointGood,
                               StandingChanged, Admitted, Refused, TrainsHarmful, TrainsWork, StreamWanted, StreamUnwanted,
                               StreamProven, SocketsWanted, SocketsUnwanted>;

/// What the TUN device must have.
struct DeviceConfig {
    std::vector<net::Prefix> addresses;  ///< own: one /128, one /32
    std::vector<net::Prefix> routes;     ///< the mesh's /48, its IPv4 pool, other members' subnets; what is mapped here,
                                         ///< which comes back by the device under its own addresses
    bool operator==(const DeviceConfig&) const = default;
};

enum class PeerState : std::uint8_t { idle, connecting, session };
struct PeerReport {
    net::NodeKey key;
    net::TunnelKey tunnel_key;
    std::string name;
    std::vector<net::IpAddress> addresses;
    std::vector<net::Prefix> subnets;
    Roles roles;
    PeerState state = PeerState::idle;
    bool stock = false;
    std::optional<net::Endpoint> endpoint;
    std::optional<std::chrono::seconds> last_handshake;  ///< ago
    std::optional<std::chrono::microseconds> rtt;
    bool aes = false;  ///< what is sent to it is of type 5
    std::uint64_t rx_bytes = 0, tx_bytes = 0;
    std::size_t mtu_bytes = 0;    ///< the largest packet that its path takes whole, as far as is known
    std::optional<Source> via;  ///< how its endpoint was found
    std::optional<Rank> rank;     ///< of the way in use, with a session
    std::optional<net::NodeKey> relay;  ///< that passes on for us both; `endpoint` is none then, and on a stream, too
    std::optional<net::Endpoint> stream;  ///< the other end of the TLS connection that leads to it
};

/// Why the way to a member is as it is.
struct WayReport {
    net::NodeKey key;
    std::string name;
    PeerState state = PeerState::idle;
    NatMapping our_nat = NatMapping::unknown, its_nat = NatMapping::unknown;
    struct Way {
        Path path;  ///< its endpoint may be virtual
        std::optional<net::NodeKey> relay;
        std::optional<net::Endpoint> stream;  ///< the other end of the TLS connection
        bool used = false;
        bool asked = false;  ///< while connecting: each attempt sends a handshake there
        std::optional<double> loss;
        std::optional<std::chrono::milliseconds> tried_ago, proven_ago, refused_ago;
    };
    std::vector<Way> ways;  ///< the best first
    struct Move : PeerLink::Move {
        std::optional<net::NodeKey> relay;    ///< as far as it is still known
        std::optional<net::Endpoint> stream;  ///< likewise
    };
    std::vector<Move> moves;  ///< the latest last
    unsigned attempts = 0;  ///< while connecting
    std::optional<std::chrono::milliseconds> next_attempt_in;
    bool listens_for_streams = false;
};
/// What this node knows of the network that it is in.
struct NetworkReport {
    NatMapping v4 = NatMapping::unknown, v6 = NatMapping::unknown;
    std::vector<net::Endpoint> local;
    std::vector<net::Endpoint> streams;  ///< where members are told to dial us by TLS
    struct Seen { net::NodeKey by; net::Endpoint from, seen; };
    std::vector<Seen> seen;  ///< by members that are reached by UDP
    std::size_t direct = 0, by_stream = 0, relayed = 0, connecting = 0;  ///< members
    bool udp_works = false;
};

/// What `meshctl` says about a user. A missing password leaves HA1 to the centre.
struct UserRequest {
    std::string aor;
    std::vector<std::string> numbers;
    std::vector<std::string> nodes;  ///< names; empty or "any": every voice node
    net::Bytes credentials;          ///< plain: whatever the voice side keeps (HA1 values); empty: none
};
struct InviteRequest {
    std::string name;
    std::vector<net::Prefix> subnets;
    bool admin = false;
    bool voice = true;
    bool relay = true;
    bool exit = false;
    std::chrono::seconds valid{std::chrono::hours(24)};
    bool may_overlap = false;  ///< subnets that lie within others' or around them are wanted
};
/// The token, and what whoever asked for it should know: that it replaces another, that somebody routes a subnet already.
struct Invited : Token {
    std::vector<std::string> notes;
};
struct StockAdmission {
    struct Peer {
        std::string name;
        net::TunnelKey key;
        std::vector<net::Endpoint> endpoints;  ///< best first
        std::vector<net::Prefix> allowed_ips;
    };
    std::string name;
    net::TunnelKey public_key;
    std::optional<net::TunnelSecret> secret;  ///< if it was made here
    std::vector<net::IpAddress> addresses;
    net::TunnelKey gateway;                        ///< this node
    std::vector<net::Endpoint> gateway_endpoints;  ///< best first
    std::vector<net::Prefix> allowed_ips;          ///< through this node: the mesh's /48 and pool, and its own subnets
    std::vector<Peer> others;  ///< members that it may reach directly: longer prefixes, so these go first
};
struct Revoked {
    std::vector<std::string> passwords_to_change;  ///< addresses of record whose credentials the revoked node could read
};

struct CreateMesh {
    std::string mesh;  ///< name
    std::string node;  ///< name
    net::Prefix pool;  ///< IPv4 /8 to /24
    std::vector<net::Prefix> subnets;
    bool exit = false;  ///< whether others may reach the Internet through it
};
struct CreatedMesh {
    NodeIdentity identity;
    std::vector<net::Bytes> records;  ///< store them, then start a Node
};

class Node {
public:
    /// `records` as the store had them; `last_stamp` the newest that it had, or none. A record that no longer passes
    /// (of another mesh, forged) is left out and told as a Refused event.
    /// Throws std::runtime_error if no record names this node: its state is not that of this identity. One that names it
    /// and does not count (standing()) will do.
    Node(NodeIdentity identity, std::span<const net::Bytes> records, std::optional<Tai64n> last_stamp, net::Random& random,
         NodeSettings settings, net::Now now);
    ~Node();
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;

    static net::Result<CreatedMesh> create_mesh(const CreateMesh& wish, net::Random& random, net::Now now);

    // Inputs.
    /// A whole datagram from the underlay, decrypted here. Inner IP packets come out of take_packets(). The daemon uses it
    /// for what comes by virtual endpoints: all else its data threads open themselves, and use the two functions below.
    void receive(net::MutableBytes datagram, const net::Endpoint& from, net::Now now);
    /// Types 1, 2 and 3, whose mac1 the daemon's data threads have checked, and 7 (is_introduction()).
    void receive_handshake(net::ByteView datagram, const net::Endpoint& from, net::Now now, bool under_load = false);
    /// A control frame out of a session with that peer.
    void receive_control(const net::TunnelKey& peer, net::ByteView payload, const net::Endpoint& from, net::Now now);
    /// An IP packet from this machine, by its destination (simulation); or one for which the data path has no session, or
    /// whose peer is at a virtual endpoint.
    void send_ip(net::ByteView packet, net::Now now);
    /// A datagram of take_datagrams() that must not be fragmented is too large for this machine already.
    void refused(const Datagram& datagram, net::Now now);
    /// The network says that datagrams to an endpoint do not fit a link of `underlay_bytes`. It may be lying.
    void told_too_big(const net::Endpoint& to, std::size_t underlay_bytes, net::Now now);
    void tick(net::Now now);
    net::Steady next_deadline() const;

    /// Whether many datagrams leave in one send from now on. What was found harmful (TrainsHarmful) is forgotten.
    void set_sends_trains(bool sends, net::Now now);
    /// The train that this datagram of take_datagrams() belongs to could not leave in one send.
    void not_in_one_send(const Datagram& datagram, net::Now now);
    /// Discovery found that this member (nullopt: some member) may be at an endpoint.
    void add_candidate(const std::optional<net::NodeKey>& member, const net::Endpoint& endpoint, Source source, net::Now now);
    /// Where some member may be, by the bootstrap list as its names stand now; what it said before is forgotten.
    void set_bootstrap(std::span<const net::Endpoint> endpoints, net::Now now);
    /// Own addresses have changed: tells the mesh, and tries every path again at once.
    void set_local_endpoints(std::vector<net::Endpoint> endpoints, net::Now now);
    /// Links, addresses, a long sleep: everything may have changed. Tries every way again at once.
    void network_changed(net::Now now);
    /// A stream to `remote` stands: datagrams to stream_endpoint(id) are its, and what it brings is for receive().
    void stream_opened(StreamId id, const net::Endpoint& remote, net::Now now);
    void stream_closed(StreamId id, net::Now now);
    void stream_failed(const net::Endpoint& to, net::Now now);  ///< of StreamWanted
    /// As asked by SocketsWanted: `count` sockets, numbered from `first` on, below 2^24, none twice; 0 if it could not be.
    /// Datagrams to VirtualEndpoint::Kind::socket are theirs; what they bring is for receive(), as from socket_endpoint().
    void sockets_opened(std::uint32_t first, std::size_t count, net::Now now);
    /// Where members may dial us by TLS from now on; at most kMaxStreams.
    void set_stream_endpoints(std::vector<net::Endpoint> endpoints, net::Now now);
    /// Endpoints of ours by port mappings: a gateway passes on what comes there. Told to the mesh when they have changed.
    void set_mapped(std::vector<net::Endpoint> endpoints, net::Now now);
    /// What is directly attached has changed.
    void set_attached(std::vector<net::Prefix> networks, net::Now now);
    /// Of the member record's subnets, those that it can route from now on. What is withdrawn is told at once.
    void set_offered(std::vector<net::Prefix> subnets, net::Now now);
    /// What trunks of this office others may use from now on; at most kMaxTrunks.
    void set_trunks(std::vector<OfferedTrunk> trunks, net::Now now);
    /// By which ports phones may come to this node from now on.
    void set_phones(const PhonePorts& ports, net::Now now);
    /// The member through which this machine reaches the Internet from now on, by its name; empty: none. Where there is no
    /// such member, or it may not be one, what should go there goes nowhere.
    void set_exit(std::string name, net::Now now);
    void set_clock_synchronised(bool synchronised) { settings_.clock_synchronised = synchronised; }
    /// Batch `id` and all before it are stored.
    void durable(std::uint64_t id, net::Now now);
    /// Says Leaving to every peer; send what take_datagrams() gives, then stop.
    void leave(net::Now now);

    // Outputs.
    std::vector<Datagram> take_datagrams();
    std::vector<NodeEvent> take_events();
    std::optional<DurableBatch> take_durable();
    std::vector<net::Bytes> take_packets();  ///< IP packets for this machine, out of receive(), checksums complete
    std::shared_ptr<const ForwardingTable> table();
    DeviceConfig device() const;

    // What is known.
    const NodeIdentity& identity() const { return identity_; }
    const net::NodeKey& key() const { return key_; }
    const KnownMember& self() const;  ///< own member record; the last that counted if none does
    Standing standing() const { return standing_; }
    /// Its name, also of one that is out; the beginning of its key if nobody here ever heard of it.
    std::string name_of(const net::NodeKey& key) const;
    bool is_admin() const;
    const std::string& exit() const { return exit_; }  ///< as set_exit() was told
    /// Why nothing can go through a member of that name; empty if it can.
    std::string no_exit(const std::string& name) const;
    std::string mesh_name() const;
    DiscoveryKey discovery_key() const;
    const View& view() const { return roster_.view(); }
    const Roster& roster() const { return roster_; }
    std::vector<PeerReport> peers(net::Now now) const;
    bool is_up(const net::NodeKey& key) const;
    /// What has left here for others, as NodeSettings counts it, of all time.
    std::uint64_t passed_on_bytes() const { return passed_on_bytes_; }
    /// Nullopt if it is no member, or a stock peer.
    std::optional<WayReport> why(const net::NodeKey& key, net::Now now) const;
    NetworkReport network(net::Now now) const;
    /// To some member that is up, datagrams go one by one, as trains did not reach it.
    bool finds_trains_harmful() const;
    const Gossip::Counters& gossip_counters() const { return gossip_.counters(); }
    /// Its handshakes go on, although what keeps them safe over a restart cannot be stored: tai64n.hpp.
    bool stamps_are_unstored() const { return wireguard_.stamps_are_unstored(); }
    WireGuard& wireguard() { return wireguard_; }  ///< for data_event() and counters

    // What voice asks.
    /// Nodes with a binding that counts and is not over by their own clocks. Live or not: ask is_up().
    std::vector<net::NodeKey> nodes_for(std::string_view aor, net::Wall now) const;
    /// Whether this user's record lets that voice node bind it.
    bool may_bind(const net::NodeKey& node, std::string_view aor) const { return roster_.may_bind(node, aor); }
    /// Plain credentials, if the user has any and this node may read them.
    std::optional<net::Bytes> credentials(std::string_view aor) const;
    /// An address of record has a phone here until then (Unix seconds), or (nullopt) none any more. Who is new or gone is
    /// signed within kBindingsEvery, or later where very many are: at most kShardsPerSecond. One who only stays longer is
    /// signed in good time before what others know of him ends, together with the rest of his shard.
    void set_binding(const std::string& aor, std::optional<std::int64_t> until, net::Now now);

    // What admins do. Each returns an error with the reason; effects are in take_durable() and spread once durable.
    /// Replaces what is open for the same name. A subnet that equals another member's is that one's second gateway; one
    /// that only overlaps is refused unless `may_overlap`, as it is more often a slip than a wish.
    net::Result<Invited> invite(const InviteRequest& request, net::Now now);
    net::Result<StockAdmission> admit_stock(const std::string& name, std::optional<net::TunnelKey> public_key, net::Now now);
    /// By node name (or that of an invitation not yet used).
    net::Result<Revoked> revoke(const std::string& name, net::Now now);
    net::Result<void> put_user(const UserRequest& request, net::Now now);
    net::Result<void> remove_user(const std::string& aor, net::Now now);
    /// Endpoints to put into tokens and configurations, best first.
    std::vector<net::Endpoint> own_endpoints() const;

    static constexpr auto kBindingsEvery = std::chrono::milliseconds(100);
    static constexpr unsigned kShards = 256, kShardsPerSecond = 250;

private:
    /// A token's session, on which only the join exchange runs.
    struct Newcomer {
        std::optional<Hash> handshake;
        net::Endpoint endpoint;
    };
    /// A JoinRequest on its way to its issuer.
    struct Carried {
        net::TunnelKey invitation;
        std::uint64_t newcomer_id = 0;
        net::NodeKey issuer;
        net::Steady until{};
    };

    // node.cpp: inputs, outputs, time
    void drain(net::Now now);
    void on_event(const Event& event, net::Now now);
    void after_roster_change(net::Now now);
    void learnt(const std::vector<Added>& added, net::Now now);
    void collect_changes();
    bool is_about_us(const RecordKey& key) const;
    void settle_standing();
    void send(const PeerLink& peer, const Frame& frame, net::Now now, std::optional<net::Endpoint> to = {});
    void send_durably(const net::TunnelKey& to, net::Bytes frame, net::Now now);
    std::uint64_t awaited_batch() const;  ///< after which everything until now is stored
    PeerLink* link(const net::NodeKey& key);
    const PeerLink* link(const net::NodeKey& key) const;

    // node_routes.cpp: where packets go
    void settle_routes();
    void settle_destinations(const std::vector<net::Prefix>& offered, const std::vector<net::Prefix>& local);
    PeerLink& choose_owner(const net::Prefix& subnet, const std::vector<PeerLink*>& offering) const;
    void watch_owners(const std::map<net::Prefix, std::vector<PeerLink*>>& offering);
    std::vector<net::Prefix> subnets_of(const Member& member) const;
    bool routed_through_mesh(const net::IpAddress& address) const;

    // node_peers.cpp: tunnels and paths
    void settle_peers(net::Now now);
    bool wanted(const PeerLink& peer) const;
    void run_peer(PeerLink& peer, net::Now now);
    void run_pings(PeerLink& peer, net::Now now);
    void look_at_traffic(PeerLink& peer, net::Now now);
    void say_hello(PeerLink& peer, net::Now now);
    void session_up(const SessionUp& event, net::Now now);
    void heard(PeerLink& peer, Frame& frame, const net::Endpoint& from, std::size_t bytes, net::Now now);
    void heard_hello(PeerLink& peer, const Hello& hello, net::Now now);
    void heard_ping(PeerLink& peer, const Ping& ping, net::Now now);
    void up(PeerLink& peer, net::Now now);
    void down(PeerLink& peer, net::Now now);
    void forget(const net::TunnelKey& key);
    void introduce(PeerLink& peer, net::Now now);
    void receive_introduction(net::ByteView datagram, const net::Endpoint& from, net::Now now);

    // node_paths.cpp: which way to each
    std::vector<net::Endpoint> endpoints_for(const PeerLink& peer) const;
    void connect(PeerLink& peer, net::Now now);
    void ask_for(PeerLink& peer, net::Now now);
    void detour(PeerLink& peer, net::Now now);
    net::Duration backoff(const PeerLink& peer, net::Now now) const;
    void hurry_others(net::Now now);
    void run_paths(PeerLink& peer, net::Now now);
    void search(PeerLink& peer, net::Now now);
    void nominated(const Nominated& event, net::Now now);
    void heard_path(PeerLink& peer, const PathChallenge& frame, const net::Endpoint& from, net::Now now);
    void choose(PeerLink& peer, net::Now now);
    void switch_to(PeerLink& peer, const net::Endpoint& to, std::string_view why, net::Now now);
    void note_move(PeerLink& peer, std::string_view why, net::Now now);
    void punch(PeerLink& peer, bool answer_wanted, net::Now now);
    void heard_punch(PeerLink& peer, const Punch& frame, std::size_t bytes, net::Now now);
    void heard_observed(PeerLink& peer, const net::Endpoint& from, const net::Endpoint& said, net::Now now);
    NatMapping nat_mapping(bool v6) const;

    // node_birthday.cpp: where one side's NAT has a port for each remote, and the other's lets in only what it has sent to
    struct BirthdayAttempt {
        net::TunnelKey peer;
        net::IpAddress outside;  ///< where our NAT's mappings are
        std::uint32_t first = 0;
        std::size_t count = 0, opened = 0;  ///< sockets; those that have sent
        unsigned calls = 0;
        net::Steady next = net::kNever;  ///< kNever: waits for the sockets
    };
    void consider_birthday(PeerLink& peer, net::Now now);
    void run_birthday(net::Now now);
    void end_birthday(net::Now now);
    void heard_birthday(PeerLink& peer, const Birthday& frame, std::size_t bytes, net::Now now);
    void drop_unused_sockets(net::Now now);
    void close_sockets(const std::vector<std::uint32_t>& sockets);

    // node_relay.cpp: through other members, and for others
    bool may_relay(const PeerLink& peer) const;
    bool is_relayed(const PeerLink& peer) const;
    std::vector<const PeerLink*> relays_for(const PeerLink& peer) const;
    void add_relays(PeerLink& peer, net::Now now);
    void rate_relays(PeerLink& peer);
    static net::Endpoint way_through(const PeerLink& relay, const PeerLink& peer);
    PeerLink* link_number(std::uint32_t number);
    std::optional<net::NodeKey> relay_at(const net::Endpoint& endpoint) const;
    std::optional<net::Endpoint> stream_at(const net::Endpoint& endpoint) const;
    void carry(const Datagram& datagram, net::Now now);
    void heard_relayed(PeerLink& from, Relayed& frame, const net::Endpoint& at, net::Now now);
    bool affords(PeerLink& from, double bytes, net::Steady now);
    void pass_on(PeerLink& from, const Relayed& frame, net::Now now);
    void delivered(PeerLink& relay, Relayed& frame, net::Now now);
    void no_way(PeerLink& relay, const Relayed& frame, net::Now now);
    void lost_way(PeerLink& peer, net::Now now);
    void relay_lost(const PeerLink& relay, net::Now now);

    // node_streams.cpp: TLS where UDP is blocked
    struct Stream {
        net::Endpoint remote;
        bool dialled = false;  ///< by us
        bool proven = false;   ///< something authentic has come by it
        net::Steady used{};
    };
    struct Dial {
        net::Endpoint to;
        bool under_way = false;
        StreamId stream = 0;  ///< that it led to; 0: none, or the member has been up since
        bool stood = false;   ///< so far the last one got that failed: there is somebody, but not the member
        net::Steady until{}, next = net::Steady::min();
        net::Duration pause{};
        std::size_t turn = 0;
    };
    void look_at_streams(net::Now now);
    bool leads_on_a_stream(PeerLink& peer, net::Now now);
    bool may_dial(const net::Endpoint& to) const;
    static void dial_failed(Dial& dial, net::Steady now);
    void reached(const PeerLink& peer);
    void dial_anew(net::Steady now);
    void brought(const net::Endpoint& from);

    // node_mtu.cpp: how large a packet each path takes
    void find_mtu(PeerLink& peer, net::Now now);
    std::size_t most_mtu(const PeerLink& peer) const;
    void run_mtu(PeerLink& peer, net::Now now);
    void heard_mtu(PeerLink& peer, const MtuProbe& probe, net::Now now);
    PeerLink* link_at(const net::Endpoint& endpoint);

    // node_canary.cpp: whether trains of datagrams arrive
    void watch_trains(PeerLink& peer, net::Now now);
    void remember_harm(const PeerLink& peer);
    void run_canary(PeerLink& peer, net::Now now);
    void heard_train(PeerLink& peer, const TrainProbe& probe, net::Now now);

    // node_join.cpp: newcomers
    void settle_newcomers();
    void newcomer_heard(const net::TunnelKey& invitation, net::ByteView payload, net::Now now);
    void join_request(PeerLink& from, const JoinRequest& request, net::Now now);
    void join_reply(const PeerLink& from, const JoinReply& reply, net::Now now);
    std::vector<Frame> decide_join(const JoinRequest& request, const net::NodeKey& carrier, net::Now now);
    std::vector<Frame> admit(const JoinRequest& request, const net::NodeKey& carrier, net::Now now);

    // node_admin.cpp and node_users.cpp: what is signed here
    Record sign_as_admin(RecordType type, std::string subject, const Body& body, bool as_root = false,
                         const net::NodeKey* without = nullptr) const;
    net::Result<void> adopt(std::vector<Record> records, net::Now now);
    std::vector<Datagram> farewells(const std::vector<Record>& records, net::Now now);
    void publish(Record record, net::Now now);
    void publish_node_record(net::Now now);
    void publish_bindings(net::Now now);
    const std::vector<Binding>& signed_bindings(std::uint8_t shard) const;
    net::Steady bindings_deadline() const;
    NodeInfo own_info() const;
    std::vector<Paths::Told> own_endpoints_told() const;
    net::Result<void> may_administer() const;
    std::vector<net::IpAddress> new_addresses(net::ByteView key) const;
    net::Result<void> check_new_name(const std::string& name) const;
    net::Result<std::vector<std::string>> check_new_subnets(const InviteRequest& request) const;
    void stand_again(const net::NodeKey& admin, std::vector<Record>& records) const;
    void renew_voice_key(const net::NodeKey& without, std::vector<Record>& records, Revoked& revoked);
    std::optional<VoiceKey> open_voice_key(std::uint64_t id) const;
    std::optional<std::pair<std::uint64_t, VoiceKey>> newest_voice_key() const;
    Record seal_voice_key(std::uint64_t id, const VoiceKey& key, const net::NodeKey& to, const net::TunnelKey& tunnel_key,
                          const net::NodeKey* without = nullptr) const;

    NodeIdentity identity_;
    net::NodeKey key_;
    net::TunnelKey tunnel_key_;
    net::Random& random_;
    NodeSettings settings_;
    std::vector<net::Endpoint> mapped_;
    std::vector<OfferedTrunk> trunks_;
    PhonePorts phones_;
    Roster roster_;
    Gossip gossip_;
    WireGuard wireguard_;
    ClockTrust clock_;
    net::Now seen_{};  ///< of the last call
    KnownMember self_;
    Standing standing_ = Standing::member;

    std::map<net::TunnelKey, PeerLink> links_;
    std::map<net::NodeKey, net::TunnelKey> tunnel_keys_;
    std::unordered_map<std::uint32_t, net::TunnelKey> by_number_;  ///< of links
    std::uint32_t last_number_ = 0;
    std::optional<BirthdayAttempt> birthday_;
    std::map<std::uint32_t, net::Steady> sockets_;  ///< that an attempt has left: since when nobody uses it
    net::Steady next_socket_look_ = net::kNever;
    Budget guess_budget_;  ///< probes to random ports
    Budget probe_budget_;  ///< of probes to where nobody ever answered, not bytes
    Budget relay_total_;
    std::uint64_t passed_on_bytes_ = 0;
    net::Steady relay_second_{};  ///< began then
    std::size_t relayed_for_ = 0, relayed_for_before_ = 0;  ///< members that asked in it, and in the one before
    std::map<StreamId, Stream> streams_;
    std::map<net::NodeKey, Dial> dials_;
    std::vector<net::Endpoint> stream_endpoints_;
    net::Steady next_stream_look_{};
    std::map<net::Endpoint, Source> anybody_;  ///< where some member may be
    std::map<net::NodeKey, net::Steady> trains_harmful_;  ///< to whom, and when that was found
    std::map<net::TunnelKey, Newcomer> newcomers_;
    std::map<std::uint64_t, Carried> carried_;
    std::vector<net::Prefix> routes_;  ///< subnets of others
    std::string exit_;
    std::map<net::Prefix, net::NodeKey> owners_;  ///< who has the route to a subnet

    struct Held {
        std::uint64_t batch = 0;
        net::TunnelKey to;
        net::Bytes frame;
    };
    std::deque<Held> held_;
    std::deque<std::pair<std::uint64_t, RecordKey>> held_pushes_;
    std::deque<std::pair<std::uint64_t, Datagram>> held_farewells_;
    DurableBatch batch_;
    std::uint64_t next_batch_ = 1, durable_ = 0;
    std::deque<std::pair<std::uint64_t, Tai64n>> stamps_;

    struct OpenedVoiceKey {
        net::Bytes sealed;
        VoiceKey key;
    };
    mutable std::map<std::uint64_t, OpenedVoiceKey> opened_voice_keys_;  ///< opening costs more than all else of a password

    std::map<std::uint8_t, std::map<std::uint64_t, std::int64_t>> bindings_;  ///< by shard: whose id, until when
    std::set<std::uint8_t> shards_to_sign_;
    std::map<std::uint8_t, net::Steady> shards_to_extend_;  ///< not urgent, but by then
    net::Steady next_extension_ = net::kNever;              ///< the first of them
    net::Steady next_bindings_{};
    net::Steady introductions_from_{};  ///< of the second that introductions_ counts
    unsigned introductions_ = 0;
    net::Steady next_node_record_ = net::kNever;
    net::Steady node_record_from_ = net::Steady::min();  ///< not before, so that a flapping path costs little
    net::Steady next_clock_look_{};

    std::vector<NodeEvent> events_;
    std::vector<Datagram> datagrams_;
    std::vector<net::Bytes> packets_;
};

}  // namespace mesh
