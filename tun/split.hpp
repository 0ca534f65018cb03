/// From a packet as the TUN device gives it to packets as they may go onto a wire: superpackets are cut into segments,
/// checksums are completed. What comes out is what the kernel's own segmentation would give.
///
///   open() once a packet  ->  next() until it gives nullopt; nothing is allocated
#pragma once

#include <algorithm>
#include <array>

#include "tun/offload.hpp"

namespace tun {

/// One packet, in two parts that are to be put one behind the other.
struct Segment {
    net::ByteView header;   ///< borrowed until the next next() or the splitter's end; starts with the IP header
    net::ByteView payload;  ///< a part of the packet that was split; may be empty
    std::size_t bytes() const { return header.size() + payload.size(); }
};

class Splitter {
public:
    enum class Checksums {
        complete,
        /// The receiving end writes the TCP or UDP checksum, as what carries the packet there guards it better. Only
        /// for packets in which that end finds the place by itself: no fragment, no IPv4 option, no IPv6 extension
        /// header.
        left,
    };

    /// Nullopt if the packet disagrees with its Offload; it is to be dropped and counted. `packet` is borrowed as long
    /// as the splitter is used. What lies behind the length in the IP header of a packet that is changed is cut off.
    static std::optional<Splitter> open(const Offload& offload, net::ByteView packet, Checksums checksums);

    std::optional<Segment> next();

    /// The checksum fields of the segments hold anything: Coalescer::add() must be told so at the other end.
    bool checksums_left() const { return left_; }
    std::size_t segments() const { return segments_; }
    std::size_t largest_bytes() const { return header_bytes_ + std::min(segment_bytes_, payload_.size()); }

private:
    // IPv4's 60, TCP's 60; IPv6 with extension headers may have more, and if it is very much more, it is refused.
    static constexpr std::size_t kMaxHeaderBytes = 256;

    enum class Kind : std::uint8_t { as_it_is, completed, tcp, udp };

    // The header is left as it is until it is written: a splitter is made for every packet that comes.
    Splitter() {}  // NOLINT

    void keep(net::ByteView packet);
    bool complete_one(const Offload& offload, net::ByteView packet);
    bool start_segments(const Offload& offload, net::ByteView packet);
    void write_ip(std::size_t payload_bytes);
    void write_tcp(bool first, bool last, net::ByteView payload);
    void write_udp(net::ByteView payload);

    Kind kind_ = Kind::as_it_is;
    bool left_ = false;
    bool v6_ = false;
    std::uint8_t flags_ = 0;  // TCP's
    std::uint16_t id_ = 0;    // IPv4's
    std::uint32_t sequence_ = 0;
    std::size_t segments_ = 1;
    std::size_t done_ = 0;
    std::size_t ip_bytes_ = 0;
    std::size_t header_bytes_ = 0;
    std::size_t segment_bytes_ = 0;
    std::uint64_t ip_sum_ = 0;         // of the IPv4 header without what changes: length, id, checksum
    std::uint64_t transport_sum_ = 0;  // of pseudo-header and transport header without what changes
    net::ByteView payload_;            // of all segments; as it is: the whole packet
    std::array<std::byte, kMaxHeaderBytes> header_;
};

}  // namespace tun
