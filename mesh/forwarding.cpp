#include "mesh/forwarding.hpp"

#include <algorithm>

namespace mesh {

const ForwardingPeer* ForwardingTable::route(const net::IpAddress& destination) const {
    const auto slot = routes ? routes->find(destination) : std::nullopt;
    return slot ? peers[*slot].get() : nullptr;
}

bool ForwardingTable::may_send_from(Slot slot, const net::IpAddress& source) const {
    const auto& peer = *peers[slot];
    if (peer.stock) return stock_owners && stock_owners->find(source) == slot;
    return std::any_of(peer.allowed_ips.begin(), peer.allowed_ips.end(),
                       [&](const net::Prefix& prefix) { return prefix.contains(source); });
}

bool ForwardingTable::in_overlay(const net::IpAddress& underlay) const {
    return overlay && std::any_of(overlay->begin(), overlay->end(),
                                  [&](const net::Prefix& prefix) { return prefix.contains(underlay); });
}

}  // namespace mesh
