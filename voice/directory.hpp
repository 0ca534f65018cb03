/// Who is where in the mesh, as the proxy asks it. The daemon answers from the roster, a test from a table.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/address.hpp"
#include "net/time.hpp"

namespace voice {

/// "user@domain" without scheme, port and parameters; the domain in lower case (RFC 3261 section 10.3 step 5).
using Aor = std::string;
/// A node's name in the mesh: letters, digits, '-', '.' and '_' only, for it stands in URIs and SDP.
using NodeId = std::string;

/// What a user record provisions. HA1 values are lower-case hexadecimal (RFC 7616 section 3.4.2), empty where absent.
struct UserRecord {
    Aor aor;
    std::string realm;
    std::string ha1_md5;
    std::string ha1_sha256;
    std::string ha1_sha512_256;
};

/// A trunk that an office lends to the others.
struct TrunkOffer {
    std::string name;
    std::vector<std::string> prefixes;  ///< of numbers that it takes
    unsigned cost = 0;
    bool emergency = false;             ///< it takes calls for help, too
    auto operator<=>(const TrunkOffer&) const = default;
};
struct RemoteTrunk {
    NodeId node;
    TrunkOffer offer;
    net::Duration round_trip{};  ///< to that node, as last measured
};

/// All answers are as of now; the proxy keeps none of them.
class Directory {
public:
    virtual ~Directory() = default;

    /// Other nodes whose bindings record has this address of record and counts (voice role, user record allows the
    /// node), each reachable over the mesh now; the best first.
    virtual std::vector<NodeId> nodes_with(const Aor& aor) const = 0;
    /// Whether the user record of `aor` exists and allows `node` ("any" allows every voice node).
    virtual bool may_bind(const NodeId& node, const Aor& aor) const = 0;
    virtual std::optional<UserRecord> user(const Aor& aor) const = 0;
    /// What a user part that is no address of record here means: an extension or an E.164 number to its user.
    virtual std::optional<Aor> aor_of_number(std::string_view number) const = 0;
    /// All numbers of a user, extensions too, in any order.
    virtual std::vector<std::string> numbers_of(const Aor& aor) const = 0;
    /// What other nodes with the voice role offer, each reachable over the mesh now, in any order.
    virtual std::vector<RemoteTrunk> trunks() const = 0;
    /// Other nodes with the voice role, each reachable over the mesh now, in any order.
    virtual std::vector<NodeId> voice_nodes() const = 0;
    /// The member that an overlay address belongs to.
    virtual std::optional<NodeId> node_at(const net::IpAddress& overlay) const = 0;
    /// The overlay address to reach `node` at, if the mesh can carry packets to it now.
    virtual std::optional<net::IpAddress> overlay_of(const NodeId& node) const = 0;
};

}  // namespace voice
