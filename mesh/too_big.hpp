/// What its sender hears of a packet from the device that is larger than its peer's path takes.
///
///   IPv6, and IPv4 with "don't fragment"   dropped, and answered: Packet Too Big (RFC 4443 section 3.2), or Destination
///                                          Unreachable, fragmentation needed (RFC 1191)
///   IPv4 that may be fragmented            sent as it is: the underlay cuts it up
///   IPv6 of up to 1,280 bytes              likewise, as any link must carry that much somehow (RFC 8200 section 5)
#pragma once

#include "net/packet.hpp"
#include "net/time.hpp"

namespace mesh {

/// `packet`: one that net::parse_ip() took, a superpacket whose largest segment has `largest_bytes` included.
bool is_too_big(net::ByteView packet, std::size_t largest_bytes, std::size_t mtu_bytes);

/// One thread's.
class TooBigReplies {
public:
    static constexpr int kBurst = 20;
    static constexpr auto kEvery = std::chrono::milliseconds(10);  ///< one, beyond a burst

    /// An IP packet for the device, or none: where RFC 1122 section 3.2.2 and RFC 4443 section 2.4 forbid one (about an
    /// ICMP error, a fragment that is not the first, to or from an address that is no single machine's), and for want of
    /// tokens. It comes from where the packet went: the kernel would not believe one from an address of its own.
    net::Bytes reply(net::ByteView packet, std::size_t mtu_bytes, net::Steady now);

private:
    net::Steady full_at_ = net::Steady::min();  ///< when the bucket is full again
};

}  // namespace mesh
