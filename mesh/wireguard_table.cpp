// The forwarding table, rebuilt where something has changed.
#include "mesh/virtual_endpoint.hpp"
#include "mesh/wireguard_core.hpp"

namespace mesh {

void WireGuardCore::build_routes() {
    std::vector<RouteTable::Entry> routes, owners;
    for (const auto& [key, peer] : peers_) {
        if (!peer->settings.follows_endpoint) continue;
        for (const auto& prefix : peer->settings.allowed_ips) owners.push_back({prefix, peer->slot});
    }
    for (const auto& entry : owners) {
        if (slots_[entry.slot]->settings.carries_ip) routes.push_back(entry);
    }
    for (const auto& [prefix, key] : configured_routes_) {
        const auto* const peer = find(key);
        if (peer != nullptr && peer->settings.carries_ip) routes.push_back({prefix, peer->slot});
    }
    routes_ = std::make_shared<RouteTable>(routes);
    stock_owners_ = std::make_shared<RouteTable>(owners);
}

std::shared_ptr<const ForwardingTable> WireGuardCore::table() {
    if (published_) return published_;
    if (!routes_) build_routes();
    auto table = std::make_shared<ForwardingTable>();
    table->own_key = own_.key;
    table->mac1_key = mac1_key_;
    table->mtu_bytes = mtu_bytes_;
    table->drops = drops_;
    table->routes = routes_;
    table->stock_owners = stock_owners_;
    table->overlay = overlay_;
    table->subnet_map = subnet_map_;
    table->local = local_;
    table->destinations = destinations_;
    table->peers.resize(slots_.size());
    for (auto* const peer : slots_) {
        if (peer == nullptr) continue;
        if (!peer->published) {
            auto entry = std::make_shared<ForwardingPeer>();
            entry->key = peer->settings.key;
            entry->endpoint = peer->endpoint;
            entry->session = peer->told_up ? peer->current : nullptr;
            entry->next = peer->next;
            entry->activity = peer->activity;
            entry->mtu_bytes = mtu_of(*peer);
            entry->mtu_proven = peer->path_mtu_proven;
            entry->moves = peer->moves;
            entry->allowed_ips = peer->settings.allowed_ips;
            entry->stock = peer->settings.follows_endpoint;
            entry->trains = peer->trains;
            entry->carries_ip = peer->settings.carries_ip;
            entry->exit = peer->settings.exit;
            peer->published = std::move(entry);
        }
        table->peers[peer->slot] = peer->published;
        for (const auto& session : {peer->previous, peer->current, peer->next}) {
            if (session) table->receivers.emplace(session->local_index(), ForwardingTable::Receiver{session, peer->slot});
        }
        if (peer->attempt) table->handshakes.insert(peer->attempt->index);
    }
    const auto is_exit = [](const auto& peer) { return peer && peer->exit; };
    if (std::any_of(table->peers.begin(), table->peers.end(), is_exit)) {
        for (const auto& peer : table->peers) {
            const auto at = peer ? udp_endpoint(peer->endpoint) : net::Endpoint();
            if (!at.is_none()) table->endpoints.push_back({at.address, at.port, 0});
        }
        std::sort(table->endpoints.begin(), table->endpoints.end());
    }
    published_ = std::move(table);
    return published_;
}

}  // namespace mesh
