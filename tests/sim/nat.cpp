#include "tests/sim/nat.hpp"

namespace sim {
namespace {

constexpr std::uint16_t kFirstPort = 1024;
constexpr unsigned kPorts = 65536 - kFirstPort;
constexpr auto kTcpLasts = std::chrono::minutes(124);
constexpr auto kSweepEvery = std::chrono::seconds(30);

net::Endpoint part(const net::Endpoint& remote, Behaviour behaviour) {
    switch (behaviour) {
        case Behaviour::endpoint_independent: return {};
        case Behaviour::address_dependent: return {remote.address, 0};
        case Behaviour::address_and_port_dependent: return {remote.address, remote.port};
    }
    return {};
}

NatSettings cone(const net::IpAddress& outside, Behaviour filtering) {
    NatSettings out;
    out.outside = outside;
    out.filtering = filtering;
    return out;
}

}  // namespace

NatSettings full_cone(const net::IpAddress& outside) { return cone(outside, Behaviour::endpoint_independent); }
NatSettings address_restricted(const net::IpAddress& outside) { return cone(outside, Behaviour::address_dependent); }
NatSettings port_restricted(const net::IpAddress& outside) { return cone(outside, Behaviour::address_and_port_dependent); }

NatSettings symmetric(const net::IpAddress& outside, PortAssignment ports) {
    auto out = port_restricted(outside);
    out.mapping = Behaviour::address_and_port_dependent;
    out.ports = ports;
    return out;
}

NatSettings firewall() { return {}; }

NatBox::NatBox(NatSettings settings, std::uint64_t seed)
    : settings_(std::move(settings)), random_(seed), next_port_(static_cast<std::uint16_t>(kFirstPort + random_.below(kPorts))) {
    if (!settings_.translates()) settings_.mapping = Behaviour::endpoint_independent;
}

NatBox::Outcome NatBox::outbound(Transport transport, const net::Endpoint& from, const net::Endpoint& to, net::Steady now) {
    if (!allows(transport, to)) return {Verdict::blocked, {}};
    if (now >= next_sweep_) sweep(now);
    const Key key{transport, from, part(to, settings_.mapping)};
    auto* mapping = find(key, now);
    if (mapping == nullptr) mapping = begin(key, now);
    if (mapping == nullptr) return {Verdict::full, {}};
    mapping->until = now + lasts(transport);
    if (settings_.filtering != Behaviour::endpoint_independent) mapping->known[part(to, settings_.filtering)] = mapping->until;
    return {Verdict::passed, mapping->outside};
}

NatBox::Outcome NatBox::inbound(Transport transport, const net::Endpoint& from, const net::Endpoint& to, net::Steady now, bool hairpin) {
    if (hairpin && !settings_.hairpins) return {Verdict::no_hairpin, {}};
    if (settings_.web_only && transport == Transport::udp) return {Verdict::blocked, {}};
    const auto found = by_outside_.find({transport, to});
    if (found == by_outside_.end()) return {Verdict::no_mapping, {}};
    const auto key = found->second;
    auto* const mapping = find(key, now);
    if (mapping == nullptr) return {Verdict::no_mapping, {}};
    if (settings_.filtering != Behaviour::endpoint_independent) {
        const auto known = mapping->known.find(part(from, settings_.filtering));
        if (known == mapping->known.end() || known->second <= now) return {Verdict::filtered, {}};
        if (settings_.inbound_refreshes) known->second = now + lasts(transport);
    }
    if (settings_.inbound_refreshes) mapping->until = now + lasts(transport);
    return {Verdict::passed, key.inside};
}

void NatBox::reboot() {
    mappings_.clear();
    by_outside_.clear();
}

std::size_t NatBox::mappings(net::Steady now) {
    sweep(now);
    return mappings_.size();
}

bool NatBox::allows(Transport transport, const net::Endpoint& remote) const {
    if (!settings_.web_only) return true;
    return transport == Transport::tcp && (remote.port == 443 || remote.port == 80);
}

net::Duration NatBox::lasts(Transport transport) const {
    return transport == Transport::udp ? settings_.mapping_lasts : net::Duration(kTcpLasts);
}

/// Nullptr also for one whose time is over, which is gone then.
NatBox::Mapping* NatBox::find(const Key& key, net::Steady now) {
    const auto found = mappings_.find(key);
    if (found == mappings_.end()) return nullptr;
    if (found->second.until > now) return &found->second;
    by_outside_.erase({key.transport, found->second.outside});
    mappings_.erase(found);
    return nullptr;
}

NatBox::Mapping* NatBox::begin(const Key& key, net::Steady now) {
    if (mappings_.size() >= settings_.max_mappings) sweep(now);
    if (mappings_.size() >= settings_.max_mappings) return nullptr;
    const auto outside = free_endpoint(key, now);
    if (!outside) return nullptr;
    by_outside_[{key.transport, *outside}] = key;
    return &(mappings_[key] = {*outside, now, {}});
}

std::optional<net::Endpoint> NatBox::free_endpoint(const Key& key, net::Steady now) {
    if (!settings_.translates()) return key.inside;
    const auto is_free = [&](std::uint16_t port) {
        const auto taken = by_outside_.find({key.transport, {settings_.outside, port}});
        if (taken == by_outside_.end()) return true;
        const auto whose = taken->second;
        return find(whose, now) == nullptr;
    };
    const auto after = [](std::uint16_t port) { return port == 65535 ? kFirstPort : static_cast<std::uint16_t>(port + 1); };
    std::uint16_t port = next_port_;
    if (settings_.ports == PortAssignment::preserving) port = std::max(key.inside.port, kFirstPort);
    if (settings_.ports == PortAssignment::random) port = static_cast<std::uint16_t>(kFirstPort + random_.below(kPorts));
    for (unsigned tried = 0; tried < kPorts; ++tried, port = after(port)) {
        if (!is_free(port)) continue;
        if (settings_.ports == PortAssignment::sequential) next_port_ = after(port);
        return net::Endpoint{settings_.outside, port};
    }
    return std::nullopt;
}

void NatBox::sweep(net::Steady now) {
    next_sweep_ = now + kSweepEvery;
    for (auto each = mappings_.begin(); each != mappings_.end();) {
        if (each->second.until <= now) {
            by_outside_.erase({each->first.transport, each->second.outside});
            each = mappings_.erase(each);
        } else {
            std::erase_if(each->second.known, [&](const auto& one) { return one.second <= now; });
            ++each;
        }
    }
}

}  // namespace sim
