#include "meshd/offered_subnets.hpp"

#include <algorithm>

namespace meshd {
namespace {

bool has(const std::vector<net::Prefix>& some, const net::Prefix& one) {
    return std::find(some.begin(), some.end(), one) != some.end();
}

}  // namespace

bool OfferedSubnets::reachable(const net::Prefix& lan, const std::vector<tun::Network>& networks) {
    bool attached = false, carries = false;
    for (const auto& network : networks) {
        if (!network.prefix.overlaps(lan)) continue;
        attached = true;
        carries |= network.carries;
    }
    if (carries) were_attached_.insert(lan);
    return carries || (!attached && !were_attached_.contains(lan));
}

std::vector<net::Prefix> OfferedSubnets::now(const std::vector<net::Prefix>& allowed, const std::vector<tun::Network>& networks) {
    std::vector<net::Prefix> out;
    if (configured_) {
        for (const auto& subnet : *configured_)
            if (reachable(subnet.lan, networks) && has(allowed, subnet.as)) out.push_back(subnet.as);
    } else {
        for (const auto& subnet : allowed)
            if (reachable(subnet, networks)) out.push_back(subnet);
    }
    return out;
}

std::vector<net::Prefix> OfferedSubnets::not_allowed(const std::vector<net::Prefix>& allowed) const {
    std::vector<net::Prefix> out;
    if (!configured_) return out;
    for (const auto& subnet : *configured_)
        if (!has(allowed, subnet.as)) out.push_back(subnet.as);
    return out;
}

std::vector<mesh::MappedSubnet> OfferedSubnets::mapped() const {
    std::vector<mesh::MappedSubnet> out;
    if (configured_)
        std::copy_if(configured_->begin(), configured_->end(), std::back_inserter(out),
                     [](const auto& subnet) { return subnet.lan != subnet.as; });
    return out;
}

}  // namespace meshd
