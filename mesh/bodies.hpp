/// What records say: one struct a type, written as a CBOR map with short keys. Decoding ignores keys it does not know
/// and refuses wrong types, names and sizes.
#pragma once

#include <map>
#include <variant>
#include <vector>

#include "mesh/paths.hpp"
#include "mesh/record.hpp"
#include "net/address.hpp"
#include "net/time.hpp"

namespace mesh {

/// Bit set of what an admin lets a member be.
enum class Role : std::uint8_t { admin = 1, relay = 2, exit = 4, voice = 8 };
struct Roles {
    std::uint8_t bits = 0;
    bool has(Role role) const { return (bits & static_cast<std::uint8_t>(role)) != 0; }
    Roles with(Role role) const { return {static_cast<std::uint8_t>(bits | static_cast<std::uint8_t>(role))}; }
    std::vector<std::string> names() const;
    bool operator==(const Roles&) const = default;
};

struct Member {
    std::string name;  ///< of the node: [a-z0-9-], at most 63, no dash at either end
    net::TunnelKey tunnel_key;
    std::vector<net::IpAddress> addresses;  ///< in the overlay
    std::vector<net::Prefix> subnets;       ///< that it may route
    std::vector<std::string> groups;
    Roles roles;
    bool stock = false;             ///< any WireGuard: no control frames, no records of its own
    std::int64_t valid_from = 0;    ///< Unix seconds; settles who was first, and is never enforced
    std::int64_t valid_until = 0;   ///< Unix seconds; 0 is for ever
    net::TunnelKey invitation;      ///< the token it joined with, zero if none: this is what "spent" means
    bool operator==(const Member&) const = default;
};

struct Revocation {
    std::int64_t at = 0;
    std::string why;
    bool operator==(const Revocation&) const = default;
};

struct Invitation {
    std::string name;  ///< of the node that it admits
    std::vector<net::Prefix> subnets;
    Roles roles;
    std::int64_t until = 0;
    net::NodeKey issuer;  ///< the member that spends it
    bool operator==(const Invitation&) const = default;
};

/// The policy record "mesh": what every member must know of the mesh itself.
struct MeshPolicy {
    std::string name;   ///< of the mesh
    net::Prefix pool;   ///< IPv4 overlay addresses
    net::Opaque<struct DiscoveryTag> discovery_key;
    bool operator==(const MeshPolicy&) const = default;
};
inline constexpr std::string_view kMeshPolicy = "mesh";

/// The policy record "voice-key" + node key: the voice key, sealed to one node.
struct SealedVoiceKey {
    std::uint64_t id = 0;
    net::Bytes sealed;
    bool operator==(const SealedVoiceKey&) const = default;
};
inline constexpr std::string_view kVoiceKeyPolicy = "voice-key";

struct User {
    std::vector<std::string> numbers;   ///< E.164 ("+39...") or extensions ("201")
    bool any_node = false;              ///< may register at every voice node
    std::vector<net::NodeKey> nodes;    ///< else at these
    std::int64_t since = 0;             ///< of two claims to a number the lower (since, address of record) has it
    bool removed = false;
    std::uint64_t voice_key = 0;        ///< which key `credentials` is under; 0 with no credentials
    net::Bytes credentials;             ///< encrypted HA1 values
    bool operator==(const User&) const = default;
};

/// A SIP trunk that an office lends to the others.
struct OfferedTrunk {
    std::string name;                   ///< at most 32 characters
    std::vector<std::string> prefixes;  ///< of numbers that it takes, at most kMaxTrunkPrefixes
    std::uint32_t cost = 0;
    bool emergency = false;             ///< it takes calls for help, too
    bool operator==(const OfferedTrunk&) const = default;
};
inline constexpr std::size_t kMaxStreams = 4;
inline constexpr std::size_t kMaxTrunks = 4, kMaxTrunkPrefixes = 8;  // a record holds 2 kB

/// By which ports phones may come to a node, at its addresses in the overlay; 0: not by that.
struct PhonePorts {
    std::uint16_t udp = 0, tcp = 0, tls = 0;
    bool operator==(const PhonePorts&) const = default;
};

/// What a node's NAT does with its endpoint toward different members (RFC 4787 4.1), as far as these can tell.
enum class NatMapping : std::uint8_t {
    unknown,
    none,                  ///< it is seen where it is
    endpoint_independent,  ///< all see it at one endpoint
    endpoint_dependent,    ///< each sees it at another ("symmetric")
};
std::string_view text(NatMapping mapping);

struct NodeInfo {
    std::vector<net::Endpoint> endpoints;  ///< where it may be reached; at most 16
    std::uint32_t capabilities = 0;
    std::vector<net::Prefix> offered;      ///< subnets that it can route now
    std::vector<OfferedTrunk> trunks = {};  ///< that work now; of a node with the voice role
    PhonePorts phones = {};                 ///< of a node with the voice role; earlier versions do not say it
    std::vector<Found> found = {};            ///< of each endpoint, how the node knows it; shorter where it does not say
    std::vector<net::Endpoint> streams = {};  ///< where it listens for TLS; at most kMaxStreams
    NatMapping nat = NatMapping::unknown;     ///< what IPv4 goes through
    bool operator==(const NodeInfo&) const = default;
};

/// By its id and not its name, in ten bytes: so 256 shards of kMaxRecordBytes hold an office of 20,000 phones.
struct Binding {
    std::uint64_t user = 0;  ///< user_id() of the address of record
    std::int64_t until = 0;  ///< Unix seconds
    auto operator<=>(const Binding&) const = default;
};
struct Bindings {
    static constexpr std::size_t kMost = 160;
    static constexpr std::int64_t kSpan_s = 65535;  ///< that their ends may lie apart; later ones are cut to that
    std::vector<Binding> bindings;  ///< by rising ids
    bool operator==(const Bindings&) const = default;
};

/// A policy that the roster does not look into.
struct OpaquePolicy {
    bool operator==(const OpaquePolicy&) const = default;
};

using Body = std::variant<Member, Revocation, Invitation, MeshPolicy, SealedVoiceKey, OpaquePolicy, User, NodeInfo, Bindings>;

net::Bytes encode(const Body& body);
/// Nullopt if the body is not what a record of that key must hold, or the subject is not what its type wants.
std::optional<Body> decode(const RecordKey& key, net::ByteView body);

// Names and subjects.
std::string as_subject(net::ByteView key);
std::optional<net::NodeKey> node_key(std::string_view subject);
bool is_node_name(std::string_view name);  ///< also the rule for a mesh's name
/// "Bob@Acme.Example" with the domain in lower case; nullopt if it is no address of record (no scheme, no port).
std::optional<std::string> normal_aor(std::string_view text);
bool is_number(std::string_view text);  ///< "+390461...", "201", "*21"
/// Names a user whose record everybody has. An admin chooses who is a user, so nobody else can make two alike.
std::uint64_t user_id(std::string_view aor);
std::uint8_t shard_of(std::string_view aor);

// Addresses.
net::Prefix overlay_prefix(const net::NodeKey& mesh_id);  ///< the ULA /48
net::IpAddress overlay_address(const net::NodeKey& mesh_id, net::ByteView node_key);

}  // namespace mesh
