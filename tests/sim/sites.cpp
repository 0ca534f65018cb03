#include "tests/sim/sites.hpp"

namespace sim {

std::string_view text(Site site) {
    switch (site) {
        case Site::open: return "open";
        case Site::full_cone: return "full cone";
        case Site::address_restricted: return "address restricted";
        case Site::port_restricted: return "port restricted";
        case Site::symmetric: return "symmetric";
        case Site::symmetric_random: return "symmetric, random";
        case Site::double_nat: return "double NAT";
        case Site::udp_blocked: return "UDP blocked";
        case Site::ipv6_only: return "IPv6 only";
    }
    return "";
}

Place Sites::make(Site site) {
    const auto behind = [&](NatSettings box, LanId outer = Network::kInternet) {
        return Place{network_.add_lan({std::string(text(site)), std::move(box), {}}, outer), {inside()}};
    };
    switch (site) {
        case Site::open: return {Network::kInternet, {outside(), global()}};
        case Site::full_cone: return behind(full_cone(outside()));
        case Site::address_restricted: return behind(address_restricted(outside()));
        case Site::port_restricted: return behind(port_restricted(outside()));
        case Site::symmetric: return behind(symmetric(outside(), PortAssignment::sequential));
        case Site::symmetric_random: return behind(symmetric(outside(), PortAssignment::random));
        case Site::double_nat: {
            const auto carrier = network_.add_lan({"carrier", address_restricted(outside()), {}});
            return behind(port_restricted(net::IpAddress::v4(100, 64, 0, 2)), carrier);
        }
        case Site::udp_blocked: {
            auto box = port_restricted(outside());
            box.web_only = true;
            return behind(std::move(box));
        }
        case Site::ipv6_only: return {network_.add_lan({std::string(text(site)), {}, firewall()}), {global()}};
    }
    return {};
}

Place Sites::beside(const Place& place) {
    Place out{place.lan, {}};
    for (const auto& one : place.addresses)
        out.addresses.push_back(one.is_v6() ? global() : place.lan == Network::kInternet ? outside() : inside());
    return out;
}

std::pair<Place, Place> Sites::neighbours(bool hairpins) {
    auto box = port_restricted(outside());
    box.hairpins = hairpins;
    const auto carrier = network_.add_lan({"carrier", std::move(box), {}});
    const auto home = [&](std::uint8_t number) {
        return Place{network_.add_lan({"home", port_restricted(net::IpAddress::v4(100, 64, 0, number)), {}}, carrier), {inside()}};
    };
    const auto left = home(2);
    return {left, home(3)};
}

net::IpAddress Sites::outside() { return net::IpAddress::v4(0xC6120000 + ++given_); }  // 198.18.0.0/15, RFC 2544

net::IpAddress Sites::inside() { return net::IpAddress::v4(0xC0A80001 + ++given_ % 0xFFFE); }  // 192.168.0.0/16

net::IpAddress Sites::global() {
    net::Writer out;
    out.u32be(0x20010db8).u32be(++given_).u32be(0).u32be(1);
    return net::IpAddress::from_bytes(out.view());
}

}  // namespace sim
