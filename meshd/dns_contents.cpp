#include "meshd/dns_contents.hpp"

#include <algorithm>
#include <map>
#include <tuple>

namespace meshd {
namespace {

using Office = dns::Contents::Office;

std::vector<Office> offices_of(const mesh::Node& node, net::Now now) {
    std::vector<std::pair<std::chrono::microseconds, Office>> near;
    for (const auto& peer : node.peers(now)) {
        if (peer.stock || !peer.roles.has(mesh::Role::voice) || !node.is_up(peer.key)) continue;
        const auto member = node.view().members.find(peer.key);
        if (member == node.view().members.end() || !member->second.node) continue;
        const auto& ports = member->second.node->phones;
        if (ports == mesh::PhonePorts{}) continue;
        near.emplace_back(peer.rtt.value_or(std::chrono::microseconds::max()), Office{peer.name, ports.udp, ports.tcp, ports.tls});
    }
    std::sort(near.begin(), near.end(), [](const auto& a, const auto& b) {
        return std::tie(a.first, a.second.label) < std::tie(b.first, b.second.label);
    });
    std::vector<Office> out;
    for (auto& [rtt, office] : near) out.push_back(std::move(office));
    return out;
}

/// The digits of "+442079460148", and of the extension 148 where the dial plan says what stands before it.
std::optional<std::string> e164_digits(const std::string& number, const voice::DialPlan& plan) {
    for (const auto& name : plan.names_of(number)) {
        if (name.starts_with('+') && voice::parse_e164(name)) return name.substr(1);
    }
    return std::nullopt;
}

}  // namespace

std::string mesh_domain(const mesh::Node& node) { return node.mesh_name() + ".internal"; }

DnsNumbers dns_numbers(const mesh::Node& node, const DnsNaming& naming) {
    std::map<std::string, std::string> numbers;
    for (const auto& [number, aor] : node.view().numbers) {
        // An extension is another number at another office: here it is one of those who may have their phone here.
        if (!number.starts_with('+') && !node.may_bind(node.key(), aor)) continue;
        auto digits = e164_digits(number, naming.dial_plan);
        if (!digits) continue;
        // Who has the whole number goes before who has it as an extension.
        if (number.starts_with('+')) numbers.insert_or_assign(std::move(*digits), aor);
        else numbers.emplace(std::move(*digits), aor);
    }
    return std::make_shared<const dns::Numbers>(numbers.begin(), numbers.end());
}

dns::Contents dns_contents(const mesh::Node& node, const DnsNaming& naming, DnsNumbers numbers, net::Now now) {
    dns::Contents out;
    const auto& view = node.view();
    const auto& self = node.self();
    out.mesh = mesh_domain(node);
    out.self = self.says.name;
    for (const auto& [key, member] : view.members) out.hosts.push_back({member.says.name, member.says.addresses});
    out.networks = {mesh::overlay_prefix(node.identity().mesh_id)};
    if (view.mesh) out.networks.push_back(view.mesh->pool);
    out.voice_domain = naming.voice_domain.empty() ? out.mesh : naming.voice_domain;
    out.is_office = naming.phones_here && self.says.roles.has(mesh::Role::voice);
    out.offices = offices_of(node, now);
    out.phones_reach = naming.phones_reach;
    out.sip_port = naming.sip_port;
    out.sips_port = naming.sips_port;
    out.numbers = std::move(numbers);
    out.number_suffixes = naming.suffixes;
    out.serial = static_cast<std::uint32_t>(net::unix_seconds(now.wall));
    return out;
}

}  // namespace meshd
