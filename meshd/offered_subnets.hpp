/// Which of the subnets that its member record allows a node can route now.
#pragma once

#include <set>

#include "mesh/subnet_map.hpp"
#include "tun/addressing.hpp"

namespace meshd {

/// A subnet whose network was attached to this machine and no longer is, or has no carrier, is withdrawn: another gateway
/// may have it. One that never was attached lies behind some other router, and is not judged.
class OfferedSubnets {
public:
    /// `configured`: what the configuration names, `lan` and `as` equal where it is not mapped; none: all that is allowed.
    explicit OfferedSubnets(std::optional<std::vector<mesh::MappedSubnet>> configured) : configured_(std::move(configured)) {}

    /// By the names that the mesh knows them by. Call it when the network or the member record changes.
    std::vector<net::Prefix> now(const std::vector<net::Prefix>& allowed, const std::vector<tun::Network>& networks);
    /// Of those configured, what the member record does not allow.
    std::vector<net::Prefix> not_allowed(const std::vector<net::Prefix>& allowed) const;
    /// Those whose names differ.
    std::vector<mesh::MappedSubnet> mapped() const;

private:
    bool reachable(const net::Prefix& lan, const std::vector<tun::Network>& networks);

    std::optional<std::vector<mesh::MappedSubnet>> configured_;
    std::set<net::Prefix> were_attached_;
};

}  // namespace meshd
