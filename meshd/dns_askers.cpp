#include "meshd/dns_askers.hpp"

#include <algorithm>

namespace meshd {
namespace {

bool holds(const std::vector<net::Prefix>& networks, const net::IpAddress& address) {
    return std::any_of(networks.begin(), networks.end(), [&](const auto& network) { return network.contains(address); });
}

bool is_this_machine(const net::IpAddress& from, const net::IpAddress& to) { return from == to || from.is_loopback(); }

}  // namespace

bool may_ask(const mesh::Node& node, const std::vector<net::Prefix>& clients, const net::IpAddress& from,
             const net::IpAddress& to, bool overlay) {
    if (is_this_machine(from, to)) return true;
    if (!overlay) return holds(clients, from);
    const auto& view = node.view();
    if (mesh::overlay_prefix(node.identity().mesh_id).contains(from) || (view.mesh && view.mesh->pool.contains(from))) return true;
    return std::any_of(view.members.begin(), view.members.end(), [&](const auto& member) {
        return member.first != node.key() && holds(member.second.says.subnets, from);
    });
}

bool may_ask_numbers(const mesh::Node& node, const std::vector<net::Prefix>& networks, const net::IpAddress& from,
                     const net::IpAddress& to) {
    if (is_this_machine(from, to) || holds(networks, from)) return true;
    const auto* member = node.view().by_address(from);
    return member != nullptr && !member->says.stock && member->says.roles.has(mesh::Role::voice);
}

}  // namespace meshd
