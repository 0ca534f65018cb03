/// What the data threads know: an immutable table that the control thread publishes anew at every change.
#pragma once

#include <memory>
#include <unordered_map>
#include <unordered_set>

#include "mesh/activity.hpp"
#include "mesh/destinations.hpp"
#include "mesh/routes.hpp"
#include "mesh/session.hpp"
#include "mesh/subnet_map.hpp"

namespace mesh {

/// One peer as the data path sees it.
struct ForwardingPeer {
    net::TunnelKey key;
    net::Endpoint endpoint;                  ///< none: not known yet
    std::shared_ptr<Session> session;        ///< to send with; null: none
    std::shared_ptr<Session> next;           ///< takes over once the peer has confirmed it; null: none
    std::shared_ptr<PeerActivity> activity;  ///< never null
    std::vector<net::Prefix> allowed_ips;    ///< a member's inner sources (a stock peer's: ForwardingTable::stock_owners)
    std::size_t mtu_bytes = 1420;            ///< the largest packet that its path takes whole; at most the device's
    std::uint32_t moves = 0;                 ///< PeerActivity::moves() that `endpoint` takes account of
    bool mtu_proven = false;                 ///< by probes, and nothing has been said against it since
    bool stock = false;                      ///< no control frames; endpoint follows its packets
    bool trains = true;                      ///< many datagrams to it may leave in one send
    bool carries_ip = true;                  ///< false: control frames only
    bool exit = false;                       ///< it is our way to the Internet: whoever is nobody's may send through it
};

/// Immutable once published; holding one keeps all it points to alive, so hold it for a burst, not for long.
class ForwardingTable {
public:
    using Slot = RouteTable::Slot;
    struct Receiver {
        std::shared_ptr<Session> session;
        Slot slot = 0;  ///< of the peer whose session it is
    };

    net::TunnelKey own_key;
    std::array<std::byte, 32> mac1_key{};  ///< BLAKE2s("mac1----" || own_key)
    std::size_t mtu_bytes = 1420;          ///< of the device
    std::shared_ptr<DropCounters> drops;   ///< never null in a published table
    std::vector<std::shared_ptr<const ForwardingPeer>> peers;      ///< by slot
    std::shared_ptr<const RouteTable> routes;                      ///< destination to slot
    std::shared_ptr<const RouteTable> stock_owners;                ///< a stock peer's source to slot
    std::shared_ptr<const std::vector<net::Prefix>> overlay;       ///< no underlay endpoint may lie in here
    std::shared_ptr<const std::vector<net::Prefix>> local;         ///< networks of this machine's: no exit speaks for them
    std::shared_ptr<const Destinations> destinations;              ///< what is taken from peers; null: all
    std::vector<net::Endpoint> endpoints;                          ///< of peers, in order, scope 0; empty without an exit
    std::shared_ptr<const SubnetMap> subnet_map;                   ///< null: no subnet has another name
    std::unordered_map<std::uint32_t, Receiver> receivers;         ///< local index to session

    std::unordered_set<std::uint32_t> handshakes;                  ///< our indices of handshakes under way

    /// A response or a cookie reply to this index may be an answer to a message of ours.
    bool awaits(std::uint32_t index) const { return handshakes.contains(index) || receivers.contains(index); }
    /// The peer that packets to `destination` go to; null if nobody's.
    const ForwardingPeer* route(const net::IpAddress& destination) const;
    /// WireGuard's cryptokey routing for stock peers, the member's own record for members.
    bool may_send_from(Slot slot, const net::IpAddress& source) const;
    bool in_overlay(const net::IpAddress& underlay) const;
    /// Whether a peer's endpoint is at this address and port; false without an exit.
    bool is_endpoint(const net::IpAddress& address, std::uint16_t port) const;
    /// What an exit may speak for: not the mesh's addresses, not its members' subnets, nothing of this machine's.
    bool may_be_outside(const net::IpAddress& address) const;
};

}  // namespace mesh
