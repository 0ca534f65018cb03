/// Lowers the MSS that a TCP connection announces to what the path to a peer takes whole: where ICMP is swallowed, or the
/// sender is not told otherwise, TCP never sends what is too large. Every VPN over lines of others needs it.
#pragma once

#include "net/packet.hpp"

namespace mesh {

inline constexpr std::uint8_t kTcp = 6;  ///< IPv4 protocol, IPv6 next header

/// `packet`: one that net::parse_ip() took; what is no SYN or SYN-ACK is left as it is. An MSS is never raised, and none
/// is added. `checksum_left`: the checksum field holds no checksum (yet), so it is left alone. True if it was changed.
bool clamp_mss(net::MutableBytes packet, std::size_t mtu_bytes, bool checksum_left);

}  // namespace mesh
