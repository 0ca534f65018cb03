#include "mesh/destinations.hpp"

#include "mesh/attached.hpp"

namespace mesh {
namespace {

std::vector<net::Prefix> as_prefixes(std::initializer_list<const char*> texts) {
    std::vector<net::Prefix> out;
    for (const auto* const text : texts) out.push_back(*net::Prefix::parse(text));
    return out;
}

std::vector<net::Prefix> world() {
    return as_prefixes({"0.0.0.0/0", "2000::/3",  // what IANA has given out of IPv6 (RFC 4291 section 2.4)
                     "64:ff9b::/96"});         // IPv4 by a NAT64 (RFC 6052)
}

std::vector<net::Prefix> not_public() {
    return as_prefixes({
        "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4",  // RFC 6890; the last has the broadcast, too
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",                             // RFC 1918
        "100.64.0.0/10",                                                             // behind a carrier's NAT, RFC 6598
        "192.0.0.0/24", "198.18.0.0/15",                                             // protocols, RFC 6890; benchmarks, RFC 2544
        // What leads to IPv4 again, whichever (RFC 3056, RFC 4380), and through a NAT64 to what is not public.
        "2002::/16", "2001::/32",
        "64:ff9b::a00:0/104", "64:ff9b::ac10:0/108", "64:ff9b::c0a8:0/112", "64:ff9b::6440:0/106", "64:ff9b::7f00:0/104",
        "64:ff9b::a9fe:0/112", "64:ff9b::/104", "64:ff9b::e000:0/99",
    });
}

}  // namespace

bool is_public(const net::IpAddress& address) {
    return any_contains(world(), address) && !any_contains(not_public(), address);
}

Destinations::Destinations(const Offer& offer) {
    std::vector<RouteTable::Entry> entries;  // of equals the later counts
    if (offer.exit) {
        for (const auto& prefix : world()) entries.push_back({prefix, kTaken});
        auto left = not_public();
        left.insert(left.end(), offer.inside.begin(), offer.inside.end());
        for (const auto& prefix : left) {
            // What is offered is, with all that lies in it.
            if (!attached_covers(offer.own, prefix)) entries.push_back({prefix, kLeft});
        }
        for (const auto& address : offer.here) {
            if (is_public(address)) entries.push_back({net::Prefix::host(address), kTaken});
        }
    }
    for (const auto& prefix : offer.own) entries.push_back({prefix, kTaken});
    table_ = RouteTable(entries);
}

}  // namespace mesh
