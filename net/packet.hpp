/// What meshd must know of an IP packet: version, length, source and destination (RFC 791, RFC 8200).
#pragma once

#include "net/address.hpp"
#include "net/traffic_class.hpp"

namespace net {

struct IpHeader {
    IpAddress source;
    IpAddress destination;
    std::size_t total_bytes = 0;  ///< header and payload, as the header says; at most the bytes that were given
    std::uint8_t protocol = 0;    ///< IPv4 protocol or IPv6 next header
    std::uint8_t traffic_class = 0;
};

/// Nullopt if it is no IPv4 or IPv6 packet, its header is cut short or says a length that the bytes do not hold.
/// Bytes behind `total_bytes` (WireGuard's padding) are allowed.
std::optional<IpHeader> parse_ip(ByteView packet);

struct Transport {
    std::uint8_t protocol = 0;  ///< of the transport, or an extension header that we do not know
    std::size_t at = 0;         ///< where it begins, at most total_bytes: behind IPv4's options, IPv6's extension headers
    bool fragment = false;      ///< a part of a packet
    bool first = true;          ///< the part that has the transport's header
};
/// Nullopt if parse_ip() would not take it, or IPv6 extension headers do not end within it. A chain of them ends at a
/// fragment that is not the first: what follows there is the middle of something.
std::optional<Transport> find_transport(ByteView packet);

// Of a packet that parse_ip() took:
std::uint8_t traffic_class_of(ByteView packet);
/// Adjusts IPv4's header checksum, too (RFC 1624).
void set_ecn(MutableBytes packet, Ecn ecn);
/// Marks a packet as having met congestion (RFC 3168). False if it is not one that may be marked: then drop it.
bool mark_congested(MutableBytes packet);

}  // namespace net
