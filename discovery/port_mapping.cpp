#include "discovery/port_mapping.hpp"

#include <sodium.h>

#include <algorithm>
#include <utility>

namespace discovery {
namespace {

/// Why nobody could reach us there; empty if somebody could.
std::string fault_of(const net::IpAddress& address) {
    const bool reserved = address.is_v4() && (address.v4_host_order() >> 28 == 15 || address.v4_host_order() >> 24 == 0);
    if (address.is_none() || address.is_unspecified() || address.is_multicast() || address.is_loopback() ||
        address.is_link_local() || reserved) {
        return "the gateway gives the address " + address.text() + ", at which nobody can be";
    }
    if (address.is_private()) return "the gateway is behind a NAT itself: its address there, " + address.text() + ", is private";
    return {};
}

PcpClient::Settings pcp_settings(const PortMapping::Settings& settings) {
    PcpClient::Settings out{settings.gateway, settings.local, settings.port, {}};
    // Not the same one to every gateway: they need not see that it is the same node.
    std::array<unsigned char, crypto_generichash_BYTES_MIN> hash{};
    const auto place = net::copy(net::as_bytes("PCP nonce " + settings.gateway.address.text() + " " + settings.local.text()));
    crypto_generichash(hash.data(), hash.size(), net::u8(net::ByteView(place)), place.size(), net::u8(net::ByteView(settings.secret)),
                       settings.secret.size());
    std::transform(hash.begin(), hash.begin() + static_cast<std::ptrdiff_t>(out.nonce.size()), out.nonce.begin(),
                   [](unsigned char byte) { return static_cast<std::byte>(byte); });
    return out;
}

}  // namespace

PortMapping::PortMapping(Settings settings, net::Random& random, net::Now now)
    : settings_(std::move(settings)), random_(random), pcp_(pcp_settings(settings_), random, now) {}

void PortMapping::receive(net::ByteView datagram, const net::Endpoint& from, net::Now now) {
    if (from.port == pcp::kServerPort) {
        pcp_.receive(datagram, from, now);
    } else if (upnp_) {
        upnp_->receive(datagram, from, now);
    }
    tick(now);
}

void PortMapping::announced(net::ByteView datagram, const net::Endpoint& from, net::Now now) {
    pcp_.announced(datagram, from, now);
    tick(now);
}

void PortMapping::unreachable(const net::Endpoint& to, net::Now now) {
    if (to.address == settings_.gateway.address && to.port == pcp::kServerPort) pcp_.unreachable(now);
    tick(now);
}

void PortMapping::network_changed(net::Now now) {
    pcp_.ask_again(now);
    if (upnp_) upnp_->ask_again(now);
    tick(now);
}

void PortMapping::tick(net::Now now) {
    pcp_.tick(now);
    if (upnp_) upnp_->tick(now);
    if (releasing_) return;
    if (pcp_.mapping() && upnp_) {
        // To many a gateway both are one: taken back by UPnP it would be gone for PCP, too.
        const bool same = upnp_->mapping() && upnp_->mapping()->external.port == pcp_.mapping()->external.port;
        if (!same) upnp_->release(now);
        if (same || upnp_->released()) upnp_.reset();
    }
    const bool natted = settings_.local.is_v4() && settings_.local.is_private();
    if (natted && !upnp_ && pcp_.in_vain()) upnp_.emplace(UpnpClient::Settings{settings_.gateway.address, settings_.local, settings_.port}, random_, now);
}

net::Steady PortMapping::next_deadline() const {
    return upnp_ ? std::min(pcp_.next_deadline(), upnp_->next_deadline()) : pcp_.next_deadline();
}

std::vector<GatewayDatagram> PortMapping::take_datagrams() {
    auto out = pcp_.take_datagrams();
    if (!upnp_) return out;
    for (auto& datagram : upnp_->take_datagrams()) out.push_back(std::move(datagram));
    return out;
}

std::optional<UpnpClient::Exchange> PortMapping::take_exchange() { return upnp_ ? upnp_->take_exchange() : std::nullopt; }

bool PortMapping::answered(std::uint64_t id, net::ByteView bytes, bool ended, net::Now now) {
    if (!upnp_) return true;
    const bool enough = upnp_->answered(id, bytes, ended, now);
    tick(now);
    return enough;
}

void PortMapping::release(net::Now now) {
    releasing_ = true;
    pcp_.release(now);
    if (upnp_) upnp_->release(now);
}

const std::optional<PcpClient::Mapping>& PortMapping::mapping() const {
    return !pcp_.mapping() && upnp_ ? upnp_->mapping() : pcp_.mapping();
}

std::optional<net::Endpoint> PortMapping::external() const {
    const auto& known = mapping();
    if (!known || !fault_of(known->external.address).empty()) return std::nullopt;
    return known->external;
}

MappingReport PortMapping::report(net::Now now) const {
    MappingReport out;
    out.method = pcp_.protocol() == PcpClient::Protocol::pcp ? "PCP" : "NAT-PMP";
    out.gateway = settings_.gateway.address;
    out.local = settings_.local;
    out.trouble = pcp_.trouble();
    if (out.trouble.empty() && pcp_.in_vain()) out.trouble = "the gateway answers neither PCP nor NAT-PMP";
    if (upnp_ && !pcp_.mapping()) {
        out.method = "UPnP";
        if (upnp_->mapping()) out.trouble.clear();
        if (!upnp_->trouble().empty()) out.trouble += (out.trouble.empty() ? "" : "; ") + upnp_->trouble();
    }
    if (const auto& known = mapping()) {
        out.external = known->external;
        out.lifetime_left = std::chrono::duration_cast<std::chrono::seconds>(known->until - now.steady);
        out.published = external().has_value();
        if (!out.published) out.trouble = fault_of(known->external.address);
    }
    return out;
}

}  // namespace discovery
