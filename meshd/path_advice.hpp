/// Why a member is not reached directly, and what one change would make it so; what would make this machine's network
/// better. Plain functions of what is known, for people: the words go to `meshctl why` and `meshctl netcheck` as they are.
#pragma once

#include <string>
#include <vector>

#include "mesh/node.hpp"

namespace meshd {

/// Whether UDP goes from a machine to others beyond its own LAN.
enum class Udp : std::uint8_t { unknown, works, blocked };

struct PathFacts {
    struct Side {
        std::string name;
        mesh::NatMapping nat = mesh::NatMapping::unknown;  ///< of IPv4
        Udp udp = Udp::unknown;
        std::uint16_t port = 51820;              ///< where it listens
        std::optional<net::IpAddress> outside;   ///< the public IPv4 address that others see
        bool v6 = false;                         ///< it has a public IPv6 address
        bool v4 = true;                          ///< it has an IPv4 address, or nothing is known of its addresses
    };
    Side here, there;
    mesh::PeerState state = mesh::PeerState::idle;
    std::optional<mesh::Rank> rank;  ///< of the way in use
    std::size_t candidates = 0;      ///< endpoints of the member for UDP
    bool any_public = false;         ///< one of them is no private address
    bool tried = false;              ///< they were probed long enough
    bool about_to_move = false;      ///< one of them answers
    std::size_t others = 0;          ///< other members in session here
    unsigned attempts = 0;           ///< while connecting
};

enum class Obstacle : std::uint8_t {
    none,               ///< it is direct
    not_wanted,         ///< no tunnel is needed now
    looked_for,         ///< since a moment
    nobody_reached,     ///< neither this member nor any other
    silent,             ///< others are reached, and none of them hears it
    being_tried,        ///< a detour is used until a better way has answered
    udp_blocked_here,
    udp_blocked_there,
    udp_blocked,        ///< on either side
    no_endpoint,        ///< nothing tells where it is
    no_common_family,   ///< one has IPv4 and nothing else, the other IPv6
    same_router,        ///< both are behind it, and it keeps them apart
    private_only,       ///< their addresses are of networks that do not reach each other
    firewall_v6,        ///< both have IPv6
    firewall_here,      ///< without NAT, and nothing comes in
    firewall_there,
    both_dependent,     ///< both NATs
    dependent_here,     ///< and the other NAT lets nobody else in
    dependent_there,
    filtered,           ///< both NATs would allow it
    unknown_nat,
};
/// The first that holds. Every combination of facts has one.
Obstacle obstacle(const PathFacts& facts);

struct PathVerdict {
    std::string cause;   ///< to follow "X is reached through Y: "; empty where there is nothing to explain
    std::string change;  ///< a sentence
};
PathVerdict judge_path(const PathFacts& facts);

struct NetworkFacts {
    std::string name;
    std::uint16_t port = 51820;
    mesh::NatMapping nat = mesh::NatMapping::unknown;  ///< of IPv4
    Udp udp = Udp::unknown;
    std::optional<net::IpAddress> outside;
    bool v6 = false;                 ///< a public IPv6 address
    bool mapped = false;             ///< a gateway maps the port
    std::size_t members = 0;         ///< besides this one, without stock peers
    std::size_t reached = 0;         ///< in session
    bool listens_for_streams = false;  ///< some other member
    std::vector<std::string> detours;  ///< names of those that are reached through others or by TLS
};
/// At most three sentences, the most helpful first; none: all is well.
std::vector<std::string> network_advice(const NetworkFacts& facts);

}  // namespace meshd
