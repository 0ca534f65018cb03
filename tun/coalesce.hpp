/// From packets as they come out of the mesh to what is written to the TUN device: packets that follow each other in
/// one flow are joined into superpackets, so that the kernel goes through its stack once for many.
///
///   add() each packet of a burst  ->  flush() at its end. What split() of a superpacket gives is what was added.
///
/// Packets join by the kernel's own rules (generic receive offload), the stricter where there is a choice:
///  - IPv4 without options, or IPv6 without extension headers; no fragment; TCP or UDP;
///  - the IPv4 header's checksum and the transport checksum are right (the latter unless it was left out on purpose);
///  - the same addresses, ports, traffic class with its ECN bits, TTL or hop limit, flow label and DF; the same window,
///    acknowledgement, flags and options of TCP;
///  - IPv4 identification goes up by one from packet to packet. With DF it may also stay the same: the segments of that
///    superpacket may then get others, which of a packet that cannot be fragmented mean nothing (RFC 6864 section 4.1);
///  - TCP's sequence goes on without a gap. UDP datagrams follow each other without another packet of the flow between;
///  - each has as much payload as the first, at least a byte; a last one with less ends the superpacket;
///  - SYN, RST and URG never join. FIN and PSH end the superpacket. CWR only begins one (RFC 3168 section 6.1.2);
///  - UDP without a checksum never joins, since its segments would get one.
/// All else is passed on alone. Packets of a flow are never reordered: one that does not join lets the group of its
/// flow go first, and one whose flow cannot be told (a fragment, extension headers) all groups between its two
/// addresses.
#pragma once

#include <vector>

#include "tun/offload.hpp"

namespace tun {

/// Where packets for this machine go: the device, or a test.
class PacketSink {
public:
    virtual ~PacketSink() = default;
    /// One packet, its bytes in pieces that stand one behind the other. All is borrowed until return.
    virtual void write(const Offload& offload, std::span<const net::ByteView> pieces) = 0;
};

class Coalescer {
public:
    struct Settings {
        bool tcp = true;
        bool udp = true;                ///< only if the kernel takes UDP superpackets (Linux 6.2)
        std::size_t max_bytes = 65535;  ///< of a superpacket, headers included
        std::size_t max_groups = 16;    ///< flows looked after at the same time; one at least
    };
    static constexpr std::size_t kMaxPieces = 64;  ///< of a superpacket; as many as the kernel joins of UDP

    explicit Coalescer(const Settings& settings);

    /// `packet` is borrowed until flush(), and its header may be changed. Bytes behind the length in the IP header are
    /// cut off. `checksum_left`: the transport checksum field holds anything (see Splitter), and the kernel is asked to
    /// fill it.
    void add(net::MutableBytes packet, bool checksum_left, PacketSink& sink);
    /// Writes all that waits.
    void flush(PacketSink& sink);

    /// From the next packet on; what waits is written as it is.
    void set(bool tcp, bool udp) {
        settings_.tcp = tcp;
        settings_.udp = udp;
    }

private:
    struct Candidate;

    /// A superpacket in the making: its first packet whole, and the payloads of those that joined.
    struct Group {
        net::MutableBytes head;
        std::uint32_t flow = 0;  // a hash; the truth is in the head
        bool v6 = false;
        bool tcp = false;
        bool checksum_left = false;  // of the head
        bool checked = false;        // the head may be joined: its checksums are right
        bool same_id = false;        // once there are two: their IPv4 identification is the same
        std::uint8_t ending = 0;     // FIN and PSH of the last that joined
        std::size_t ip_bytes = 0;
        std::size_t header_bytes = 0;
        std::size_t total_bytes = 0;
        std::vector<net::ByteView> pieces;
    };
    enum class Fit : std::uint8_t { no, more, last };

    Group* group_of(const Candidate& packet);
    Fit fit(Group& group, const Candidate& packet) const;
    void start(const Candidate& packet, PacketSink& sink);
    void write(Group& group, PacketSink& sink);
    void write_and_remove(Group& group, PacketSink& sink);
    void flush_between(const net::MutableBytes& packet, bool v6, PacketSink& sink);

    Settings settings_;
    std::vector<Group> groups_;  // all that may be in use, with their pieces' memory
    std::size_t used_ = 0;       // the first so many are
};

}  // namespace tun
