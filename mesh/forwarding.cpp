#include "mesh/forwarding.hpp"

#include <algorithm>

namespace mesh {
namespace {

bool holds(const std::vector<net::Prefix>& prefixes, const net::IpAddress& address) {
    return std::any_of(prefixes.begin(), prefixes.end(), [&](const net::Prefix& prefix) { return prefix.contains(address); });
}

}  // namespace

const ForwardingPeer* ForwardingTable::route(const net::IpAddress& destination) const {
    const auto slot = routes ? routes->find(destination) : std::nullopt;
    if (!slot) return nullptr;
    const auto* peer = peers[*slot].get();
    const bool by_default = peer->exit && !holds(peer->allowed_ips, destination);
    return by_default && !may_be_outside(destination) ? nullptr : peer;
}

bool ForwardingTable::may_send_from(Slot slot, const net::IpAddress& source) const {
    const auto& peer = *peers[slot];
    if (peer.stock) return stock_owners && stock_owners->find(source) == slot;
    if (holds(peer.allowed_ips, source)) return true;
    return peer.exit && may_be_outside(source) && routes && routes->find(source) == slot;
}

bool ForwardingTable::may_be_outside(const net::IpAddress& address) const {
    if (in_overlay(address) || address.is_loopback() || address.is_link_local() || address.is_multicast()) return false;
    return !local || !holds(*local, address);
}

bool ForwardingTable::is_endpoint(const net::IpAddress& address, std::uint16_t port) const {
    return std::binary_search(endpoints.begin(), endpoints.end(), net::Endpoint{address, port, 0});
}

bool ForwardingTable::in_overlay(const net::IpAddress& underlay) const {
    return overlay && holds(*overlay, underlay);
}

}  // namespace mesh
