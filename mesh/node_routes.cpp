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

std::string Node::no_exit(const std::string& name) const {
    const auto* member = view().by_name(name);
    if (member == nullptr) return "no member is called " + name;
    if (member->key == key_) return "this is " + name + " itself";
    if (member->says.stock || !member->says.roles.has(Role::exit))
        return name + " may not be an exit: invite it anew with --exit";
    if (member->expired) return "the membership of " + name + " has expired";
    return {};
}

void Node::set_exit(std::string name, net::Now now) {
    if (name == exit_) return;
    exit_ = std::move(name);
    settle_peers(now);
    settle_routes();
    drain(now);
}

bool Node::routed_through_mesh(const net::IpAddress& address) const {
    if (overlay_prefix(identity_.mesh_id).contains(address)) return true;
    if (view().mesh && view().mesh->pool.contains(address)) return true;
    if (any_contains(settings_.attached, address)) return false;
    return any_contains(routes_, address);
}

/// Who of those that offer a subnet has its route: who had it as long as it is there, so that nothing moves without need;
/// else the lowest key that is there, which is everybody's choice.
PeerLink& Node::choose_owner(const net::Prefix& subnet, const std::vector<PeerLink*>& offering) const {
    const auto known = owners_.find(subnet);
    PeerLink* best = nullptr;
    for (auto* peer : offering) {
        const auto rank = [&](const PeerLink& one) {
            return std::pair(one.state == PeerLink::State::up, known != owners_.end() && one.key == known->second);
        };
        if (best == nullptr || rank(*peer) > rank(*best)) best = peer;
    }
    return *best;
}

/// Where one gateway can take over from another, that must be there, and the loss of the first must be noticed soon.
void Node::watch_owners(const std::map<net::Prefix, std::vector<PeerLink*>>& offering) {
    std::set<const PeerLink*> sharing, backed_up;
    for (const auto& [subnet, peers] : offering) {
        if (peers.size() < 2) continue;
        sharing.insert(peers.begin(), peers.end());
        const auto up = std::count_if(peers.begin(), peers.end(), [](const auto* one) { return one->state == PeerLink::State::up; });
        const auto* owner = link(owners_.at(subnet));
        if (up > 1 && owner->state == PeerLink::State::up) backed_up.insert(owner);
    }
    for (auto& [_, peer] : links_) {
        peer.shares_subnet = sharing.contains(&peer);
        if (peer.shares_subnet && peer.state == PeerLink::State::idle) {
            peer.state = PeerLink::State::connecting;
            peer.next_attempt = seen_.steady;
        }
        const bool was_backed_up = std::exchange(peer.backed_up, backed_up.contains(&peer));
        if (peer.backed_up && !was_backed_up)
            peer.next_ping = std::min(peer.next_ping, seen_.steady + PeerLink::kBackedUpPingEvery);
    }
}

void Node::settle_routes() {
    std::vector<WireGuard::Route> routes;
    std::map<net::Prefix, std::vector<PeerLink*>> offering;
    const auto own = own_info().offered;
    std::vector<net::Prefix> subnets;
    for (const auto& [key, member] : view().members) {
        auto* peer = link(key);
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
            if (std::find(own.begin(), own.end(), subnet) == own.end()) offering[subnet].push_back(peer);
        }
    }
    for (const auto& [_, peer] : links_)
        if (peer.exit && standing_ == Standing::member)
            for (const auto* all : {"0.0.0.0/0", "::/0"}) routes.push_back({*net::Prefix::parse(all), peer.tunnel_key});
    std::map<net::Prefix, net::NodeKey> owners;
    for (const auto& [subnet, peers] : offering) {
        const auto& owner = choose_owner(subnet, peers);
        routes.push_back({subnet, owner.tunnel_key});
        subnets.push_back(subnet);
        owners[subnet] = owner.key;
        const auto before = owners_.find(subnet);
        if (before != owners_.end() && before->second != owner.key) events_.push_back(OwnerChanged{subnet, owner.key, owner.name});
    }
    owners_ = std::move(owners);
    watch_owners(offering);
    std::sort(subnets.begin(), subnets.end());
    subnets.erase(std::unique(subnets.begin(), subnets.end()), subnets.end());
    if (subnets != routes_) {
        routes_ = std::move(subnets);
        events_.push_back(RoutesChanged{});
    }
    wireguard_.set_routes(std::move(routes));
    std::vector<net::Prefix> overlay{overlay_prefix(identity_.mesh_id)};
    if (view().mesh) overlay.push_back(view().mesh->pool);
    for (const auto& mapped : settings_.mapped) overlay.push_back(mapped.as);
    for (const auto& route : routes_) {
        const auto rest = without_attached(route, settings_.attached);
        overlay.insert(overlay.end(), rest.begin(), rest.end());
    }
    wireguard_.set_overlay(std::move(overlay));
    auto local = settings_.attached;
    local.insert(local.end(), self_.says.subnets.begin(), self_.says.subnets.end());
    for (const auto& mapped : settings_.mapped) local.push_back(mapped.lan);
    settle_destinations(own, local);
    wireguard_.set_local(std::move(local));
}

/// `offered`: by this node. `local`: what belongs to this machine, offered or not.
void Node::settle_destinations(const std::vector<net::Prefix>& offered, const std::vector<net::Prefix>& local) {
    Destinations::Offer offer;
    for (const auto& address : self_.says.addresses) offer.own.push_back(net::Prefix::host(address));
    if (standing_ == Standing::member) {
        for (const auto& subnet : subnets_of(self_.says))
            if (std::find(offered.begin(), offered.end(), subnet) != offered.end()) offer.own.push_back(subnet);
        offer.exit = self_.says.roles.has(Role::exit);
        offer.inside = local;
        offer.inside.push_back(overlay_prefix(identity_.mesh_id));
        if (view().mesh) offer.inside.push_back(view().mesh->pool);
        for (const auto& own : settings_.local_endpoints) offer.here.push_back(own.address);
        for (const auto& [key, member] : view().members) {
            const bool passed_on = member.says.stock && key != key_;
            if (!offer.exit && !passed_on) continue;
            const auto subnets = subnets_of(member.says);
            offer.inside.insert(offer.inside.end(), subnets.begin(), subnets.end());
            if (!passed_on) continue;
            // One stock peer may reach another through this node. But not what is attached here under the same prefix.
            for (const auto& address : member.says.addresses) offer.own.push_back(net::Prefix::host(address));
            for (const auto& subnet : subnets) {
                const auto rest = without_attached(subnet, settings_.attached);
                offer.own.insert(offer.own.end(), rest.begin(), rest.end());
            }
        }
    }
    wireguard_.set_destinations(std::make_shared<Destinations>(offer));
}

}  // namespace mesh
