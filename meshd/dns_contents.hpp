/// What the roster says, as what DNS is to answer.
#pragma once

#include "dns/zones.hpp"
#include "mesh/node.hpp"
#include "voice/dial_plan.hpp"

namespace meshd {

/// What is not the roster's.
struct DnsNaming {
    std::string voice_domain;        ///< empty: that of the mesh
    bool phones_here = false;        ///< voice runs on this node
    std::uint16_t sip_port = 5060;   ///< of this node, as sips_port; the others say theirs
    std::optional<std::uint16_t> sips_port;
    voice::DialPlan dial_plan;       ///< which extensions are E.164 numbers, too
    std::vector<std::string> suffixes;
    std::vector<net::IpAddress> phones_reach;
};

/// "acme.internal"
std::string mesh_domain(const mesh::Node& node);

using DnsNumbers = decltype(dns::Contents::numbers);

/// Of all users; never null. It takes a microsecond or two a number, so only where the roster has changed.
DnsNumbers dns_numbers(const mesh::Node& node, const DnsNaming& naming);

/// Offices are those that can be reached now and say that phones may come, the nearest first.
dns::Contents dns_contents(const mesh::Node& node, const DnsNaming& naming, DnsNumbers numbers, net::Now now);

}  // namespace meshd
