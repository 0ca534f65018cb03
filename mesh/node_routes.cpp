// Where packets go: which member has which subnet, and where the underlay may not lie.
#include <algorithm>

#include "mesh/attached.hpp"
#include "mesh/node.hpp"

namespace mesh {

/// What a member may route. Never the overlay's addresses: each of these is one member's, whoever signs what.
std::vector<net::Prefix> Node::subnets_of(const Member& member) const {
    std::vector<net::Prefix> out;
    const auto overlay = overlay_prefix(identity_.mesh_id);
    for (const auto& subnet : member.subnets)
        if (!subnet.overlaps(overlay) && !(view().mesh && subnet.overlaps(view().mesh->pool))) out.push_back(subnet);
    return out;
}

bool Node::routed_through_mesh(const net::IpAddress& address) const {
    if (overlay_prefix(identity_.mesh_id).contains(address)) return true;
    if (view().mesh && view().mesh->pool.contains(address)) return true;
    if (any_contains(settings_.attached, address)) return false;
    return any_contains(routes_, address);
}

void Node::settle_routes() {
    std::vector<WireGuard::Route> routes;
    std::map<net::Prefix, const PeerLink*> owners;
    std::vector<net::Prefix> subnets;
    for (const auto& [key, member] : view().members) {
        const auto* peer = link(key);
        if (peer == nullptr || standing_ != Standing::member) continue;
        if (peer->stock) {  // WireGuard routes to it by its allowed IPs
            const auto of_stock = subnets_of(member.says);
            subnets.insert(subnets.end(), of_stock.begin(), of_stock.end());
            continue;
        }
        for (const auto& address : member.says.addresses)
            routes.push_back({net::Prefix::host(address), peer->tunnel_key});
        for (const auto& subnet : subnets_of(member.says)) {
            if (!member.node || std::find(member.node->offered.begin(), member.node->offered.end(), subnet) ==
                                    member.node->offered.end())
                continue;
            auto& owner = owners[subnet];
            const bool better = owner == nullptr || (owner->state != PeerLink::State::up && peer->state == PeerLink::State::up);
            if (better) owner = peer;
        }
    }
    const auto& own = own_info().offered;
    for (const auto& [subnet, peer] : owners) {
        if (std::find(own.begin(), own.end(), subnet) != own.end()) continue;
        routes.push_back({subnet, peer->tunnel_key});
        subnets.push_back(subnet);
    }
    std::sort(subnets.begin(), subnets.end());
    subnets.erase(std::unique(subnets.begin(), subnets.end()), subnets.end());
    if (subnets != routes_) {
        routes_ = std::move(subnets);
        events_.push_back(RoutesChanged{});
    }
    wireguard_.set_routes(std::move(routes));
    std::vector<net::Prefix> overlay{overlay_prefix(identity_.mesh_id)};
    if (view().mesh) overlay.push_back(view().mesh->pool);
    for (const auto& route : routes_) {
        const auto rest = without_attached(route, settings_.attached);
        overlay.insert(overlay.end(), rest.begin(), rest.end());
    }
    wireguard_.set_overlay(std::move(overlay));
}

}  // namespace mesh
