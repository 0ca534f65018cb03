/// What a TUN device says about a packet, and is told about one, beside its bytes: struct virtio_net_hdr (Virtual I/O
/// Device 1.2 section 5.1.6), ten bytes, in the machine's byte order. A "superpacket" is a TCP or UDP packet of up to
/// 64 KiB that stands for many of the size that the link takes.
#pragma once

#include "net/bytes.hpp"

namespace tun {

enum class Gso : std::uint8_t {
    none,
    tcp4,
    tcp6,
    udp,  ///< UDP of either family, every segment a datagram with a header (VIRTIO_NET_HDR_GSO_UDP_L4)
};

struct Offload {
    static constexpr std::size_t kBytes = 10;

    Gso gso = Gso::none;
    bool ecn = false;                   ///< TCP's CWR is set and belongs to the first segment only
    bool needs_checksum = false;        ///< the checksum field holds the pseudo-header's sum; the rest is to be added
    bool checksum_valid = false;        ///< the checksum has been verified
    std::uint16_t segment_bytes = 0;    ///< of a superpacket: payload of each segment but a shorter last
    std::uint16_t header_bytes = 0;     ///< of a superpacket: a hint at where its payload starts
    std::uint16_t checksum_start = 0;   ///< with needs_checksum: the first byte that the checksum covers
    std::uint16_t checksum_offset = 0;  ///< with needs_checksum: where the field is, counted from there

    friend bool operator==(const Offload&, const Offload&) = default;

    /// Nullopt if there are fewer than kBytes or the kind of superpacket is none of ours.
    static std::optional<Offload> read(net::ByteView bytes);
    /// Into the first kBytes of `out`, which must be there.
    void write(net::MutableBytes out) const;
};

}  // namespace tun
