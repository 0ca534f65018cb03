#include "tests/sim/network.hpp"

#include <stdexcept>

namespace sim {
namespace {

Network::Fate fate_of(NatBox::Verdict verdict) {
    switch (verdict) {
        case NatBox::Verdict::passed: return Network::Fate::under_way;
        case NatBox::Verdict::blocked: return Network::Fate::blocked;
        case NatBox::Verdict::no_mapping: return Network::Fate::no_mapping;
        case NatBox::Verdict::filtered: return Network::Fate::filtered;
        case NatBox::Verdict::no_hairpin: return Network::Fate::no_hairpin;
        case NatBox::Verdict::full: return Network::Fate::box_full;
    }
    return Network::Fate::under_way;
}

/// That of the same family; among IPv6's, private to private and global to global, if there is one.
net::IpAddress source_toward(const Place& place, const net::IpAddress& to) {
    net::IpAddress out;
    for (const auto& own : place.addresses) {
        if (own.bits() != to.bits()) continue;
        if (own.is_v4() || own.is_private() == to.is_private()) return own;
        if (out.is_none()) out = own;
    }
    return out;
}

}  // namespace

std::string_view text(Network::Fate fate) {
    switch (fate) {
        case Network::Fate::under_way: return "under way";
        case Network::Fate::arrived: return "arrived";
        case Network::Fate::no_address: return "no address of this family";
        case Network::Fate::no_route: return "nobody has this address";
        case Network::Fate::isolated: return "isolated";
        case Network::Fate::blocked: return "blocked";
        case Network::Fate::no_mapping: return "no mapping";
        case Network::Fate::filtered: return "filtered";
        case Network::Fate::no_hairpin: return "no hairpinning";
        case Network::Fate::box_full: return "table full";
        case Network::Fate::lost: return "lost";
        case Network::Fate::too_big: return "too big";
        case Network::Fate::cut: return "cut";
        case Network::Fate::asleep: return "asleep";
        case Network::Fate::gone: return "nobody runs there";
    }
    return "";
}

Network::Network(std::uint64_t seed) : random_(seed) { lans_.emplace_back().name = "Internet"; }

LanId Network::add_lan(RouterSettings router, LanId outside) {
    const auto id = static_cast<LanId>(lans_.size());
    for (const auto* box : {&router.v4, &router.v6})
        if (*box && (*box)->translates()) announce(outside, (*box)->outside, {true, id});
    auto& lan = lans_.emplace_back();
    lan.name = std::move(router.name);
    lan.outside = outside;
    if (router.v4) lan.v4.emplace(*router.v4, random_.u64());
    if (router.v6) lan.v6.emplace(*router.v6, random_.u64());
    return id;
}

void Network::put(StationId station, const Place& place) {
    if (places_.size() <= station) places_.resize(station + 1);
    auto& here = places_[station];
    for (const auto& address : here.addresses) withdraw(here.lan, address);
    here = {};
    for (const auto& address : place.addresses) announce(place.lan, address, {false, station});
    here = place;
}

const Place& Network::place(StationId station) const { return places_.at(station); }

void Network::reboot(LanId lan) {
    for (auto* one : {box(lan, false), box(lan, true)})
        if (one != nullptr) one->reboot();
}

NatBox* Network::box(LanId lan, bool v6) {
    auto& one = v6 ? lans_.at(lan).v6 : lans_.at(lan).v4;
    return one ? &*one : nullptr;
}

/// The LAN outside in which an address of this LAN is known, too.
std::optional<LanId> Network::known_outside(LanId lan, const net::IpAddress& address) {
    if (lan == kInternet || address.is_link_local()) return std::nullopt;
    const auto& box = box_of(lans_.at(lan), address);
    const auto outside = lans_.at(lan).outside;
    if (!box || box->settings().translates() || (outside == kInternet && address.is_private())) return std::nullopt;
    return outside;
}

void Network::announce(LanId lan, const net::IpAddress& address, Hop hop) {
    if (!lans_.at(lan).table.emplace(address, hop).second)
        throw std::runtime_error(address.text() + " is taken in " + lans_.at(lan).name);
    if (const auto outside = known_outside(lan, address)) announce(*outside, address, {true, lan});
}

void Network::withdraw(LanId lan, const net::IpAddress& address) {
    lans_.at(lan).table.erase(address);
    if (const auto outside = known_outside(lan, address)) withdraw(*outside, address);
}

Network::Transit Network::send(Transport transport, StationId from, std::uint16_t from_port, const net::Endpoint& to, net::Steady now) {
    Transit out;
    const auto& place = places_.at(from);
    out.transport = transport;
    out.inside = source_toward(place, to.address);
    out.from = {out.inside, from_port};
    out.to = {to.address, to.port};
    out.at = place.lan;
    if (out.from.address.is_none()) {
        out.fate = Fate::no_address;
        return out;
    }
    for (;;) {
        auto& lan = lans_[out.at];
        if (const auto hop = lan.table.find(out.to.address); hop != lan.table.end()) {
            out.crosses_internet = out.at == kInternet && !(hop->second.router && hop->second.id == out.climbed);
            const bool neighbours = out.at == place.lan && !hop->second.router && hop->second.id != from;
            if (lan.isolates && neighbours) out.fate = Fate::isolated;
            return out;
        }
        auto& box = box_of(lan, out.to.address);
        if (out.at == kInternet || !box) {
            out.fate = Fate::no_route;
            return out;
        }
        const auto passed = box->outbound(transport, out.from, out.to, now);
        out.fate = fate_of(passed.verdict);
        if (out.fate != Fate::under_way) return out;
        out.from = passed.endpoint;
        out.climbed = out.at;
        out.at = lan.outside;
    }
}

void Network::arrive(Transit& transit, net::Steady now) {
    for (;;) {
        const auto& table = lans_[transit.at].table;
        const auto hop = table.find(transit.to.address);
        if (hop == table.end()) {
            transit.fate = Fate::no_route;
            return;
        }
        if (!hop->second.router) {
            transit.fate = Fate::arrived;
            transit.station = hop->second.id;
            return;
        }
        const bool hairpin = transit.climbed != kInternet && transit.climbed == hop->second.id;
        transit.at = hop->second.id;
        auto& box = box_of(lans_[transit.at], transit.to.address);
        const auto passed = box->inbound(transit.transport, transit.from, transit.to, now, hairpin);
        transit.fate = fate_of(passed.verdict);
        if (transit.fate != Fate::under_way) return;
        transit.to = passed.endpoint;
    }
}

}  // namespace sim
