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
    : settings_(std::move(settings)), pcp_(pcp_settings(settings_), random, now) {}

void PortMapping::receive(net::ByteView datagram, const net::Endpoint& from, net::Now now) { pcp_.receive(datagram, from, now); }

void PortMapping::unreachable(const net::Endpoint& to, net::Now now) {
    if (to.address == settings_.gateway.address && to.port == pcp::kServerPort) pcp_.unreachable(now);
}

void PortMapping::tick(net::Now now) { pcp_.tick(now); }

net::Steady PortMapping::next_deadline() const { return pcp_.next_deadline(); }

std::vector<GatewayDatagram> PortMapping::take_datagrams() { return pcp_.take_datagrams(); }

std::optional<net::Endpoint> PortMapping::external() const {
    const auto& mapping = pcp_.mapping();
    if (!mapping || !fault_of(mapping->external.address).empty()) return std::nullopt;
    return mapping->external;
}

MappingReport PortMapping::report(net::Now now) const {
    MappingReport out;
    out.method = pcp_.protocol() == PcpClient::Protocol::pcp ? "PCP" : "NAT-PMP";
    out.gateway = settings_.gateway.address;
    out.local = settings_.local;
    out.trouble = pcp_.trouble();
    if (const auto& mapping = pcp_.mapping()) {
        out.external = mapping->external;
        out.lifetime_left = std::chrono::duration_cast<std::chrono::seconds>(mapping->until - now.steady);
        out.published = external().has_value();
        if (!out.published) out.trouble = fault_of(mapping->external.address);
    } else if (out.trouble.empty() && pcp_.in_vain()) {
        out.trouble = "the gateway does not answer";
    }
    return out;
}

}  // namespace discovery
