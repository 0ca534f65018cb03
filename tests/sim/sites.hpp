/// The ways in which a host can be on the Internet, each made when it is asked for: for grids and random runs.
#pragma once

#include "tests/sim/network.hpp"

namespace sim {

enum class Site : std::uint8_t {
    open,  ///< of both families
    full_cone,
    address_restricted,
    port_restricted,
    symmetric,         ///< ports in sequence
    symmetric_random,  ///< ports drawn
    double_nat,        ///< a home's box that restricts ports, behind a carrier's that restricts addresses
    udp_blocked,       ///< the web, by TCP, is all that passes
    ipv6_only,         ///< behind a stateful firewall
};
constexpr Site kSites[] = {Site::open, Site::full_cone, Site::address_restricted, Site::port_restricted, Site::symmetric,
                           Site::symmetric_random, Site::double_nat, Site::udp_blocked, Site::ipv6_only};
std::string_view text(Site site);

/// Gives out LANs and addresses of one network, each once.
class Sites {
public:
    /// `first`: those with numbers far apart never give the same.
    explicit Sites(Network& network, std::uint32_t first = 0) : network_(network), given_(first) {}

    /// In a LAN of its own, or on the Internet itself.
    Place make(Site site);
    /// In the same LAN as that.
    Place beside(const Place& place);
    /// Two homes behind one carrier.
    std::pair<Place, Place> neighbours(bool hairpins);

private:
    net::IpAddress outside();
    net::IpAddress inside();
    net::IpAddress global();

    Network& network_;
    std::uint32_t given_;
};

}  // namespace sim
