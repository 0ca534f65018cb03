/// Subnets under another name: an office's LAN that exists elsewhere, too, is known to the mesh as another one, address
/// by address (RFC 2663's "twice NAT" without its tables: nothing is remembered, so any gateway of the LAN will do).
///
///   lan 192.168.1.0/24 as 10.201.1.0/24
///   out of the mesh   destination 10.201.1.7 -> 192.168.1.7
///   into the mesh     source 192.168.1.7 -> 10.201.1.7
///
/// All checksums that cover an address follow it (RFC 1624), and so does the packet that an ICMP error quotes, which is
/// one that went the other way.
#pragma once

#include <vector>

#include "net/address.hpp"

namespace mesh {

struct MappedSubnet {
    net::Prefix lan;  ///< as its machines have it
    net::Prefix as;   ///< as the mesh knows it: of the same length
    bool operator==(const MappedSubnet&) const = default;
};

/// Immutable.
class SubnetMap {
public:
    /// What stands in the TCP or UDP checksum of the packet itself. What is quoted is always complete.
    enum class Checksum : std::uint8_t {
        complete,
        partial,  ///< the sum of the pseudo-header: the kernel left the rest to the device
        left,     ///< anything: it is filled in later, from the packet
    };

    /// None of all the prefixes overlaps another.
    explicit SubnetMap(std::vector<MappedSubnet> subnets) : subnets_(std::move(subnets)) {}

    /// A packet that net::parse_ip() takes, from the mesh to this machine. False: it cannot be translated (source routing,
    /// a transport header that is cut in two), so it must be dropped.
    [[nodiscard]] bool out_of_mesh(net::MutableBytes packet, Checksum checksum) const;
    /// The same from this machine into the mesh.
    [[nodiscard]] bool into_mesh(net::MutableBytes packet, Checksum checksum) const;
    /// Whether this is the mesh's name of an address behind this machine.
    bool is_ours(const net::IpAddress& address) const;

private:
    std::vector<MappedSubnet> subnets_;
};

}  // namespace mesh
