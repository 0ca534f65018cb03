/// What is done to every packet. Run by the data threads and by simulations alike: no I/O, no clock, no allocation.
#pragma once

#include "mesh/forwarding.hpp"
#include "mesh/virtual_endpoint.hpp"
#include "net/packet.hpp"

namespace mesh {

/// A packet inside a larger buffer (borrowed), so that it can be encrypted in place.
struct PacketBuffer {
    static constexpr std::size_t kHeadroomBytes = kDataHeaderBytes;
    static constexpr std::size_t kTailroomBytes = kPaddingBytes + kTagBytes;

    net::MutableBytes storage;
    std::size_t offset = kHeadroomBytes;  ///< where the packet begins: at least kHeadroomBytes
    std::size_t size = 0;                 ///< kTailroomBytes must follow
    net::MutableBytes packet() const { return storage.subspan(offset, size); }
};

/// What became of a packet from the TUN device.
struct Outbound {
    enum class Verdict : std::uint8_t {
        send,        ///< send `bytes` to `endpoint`
        no_session,  ///< hand the packet, unchanged, to WireGuard::send(peer, ...) on the control thread: no session,
                     ///< the endpoint is about to change, or it is virtual (carried())
        drop,        ///< for `reason`, which has been counted
        device,      ///< the packet, translated where it lies, is for a subnet of this machine's under its own other name:
                     ///< write it to the device
    };
    Verdict verdict = Verdict::drop;
    bool wake = false;          ///< have the control thread call WireGuard::tick
    Drop reason = Drop::no_route;
    net::TunnelKey peer;        ///< send, no_session
    net::Endpoint endpoint;     ///< send; no_session: virtual, if there is a session after all, else none
    net::ByteView bytes;        ///< send, device: in the packet's buffer
    bool carried() const { return verdict == Verdict::no_session && is_virtual(endpoint); }
};
Outbound outbound(const ForwardingTable& table, PacketBuffer packet, net::Steady now);

/// outbound() in two steps, for packets that go the same way: the segments of one superpacket.
///
///   find_way(header of the packet) -> each segment put into a PacketBuffer, seal() -> sent()
///
/// Borrowed from the table.
struct Way {
    Outbound::Verdict verdict = Outbound::Verdict::drop;
    Drop reason = Drop::no_route;
    const ForwardingPeer* peer = nullptr;  ///< send, no_session
    Session* session = nullptr;            ///< send
    net::Endpoint endpoint;                ///< send; no_session: as Outbound's
    bool carried() const { return verdict == Outbound::Verdict::no_session && is_virtual(endpoint); }
    bool leaves_checksums = false;         ///< the peer takes packets with kChecksumLeft
    bool tells_queue = false;              ///< and with kQueueMask
};
Way find_way(const ForwardingTable& table, const net::IpHeader& header, net::Steady now);
/// A packet of this machine's to an exit that is itself a datagram to a member's endpoint: the machine's routing leads what
/// leaves back into the device. True: drop it; it has been counted.
bool loops(const ForwardingTable& table, const Way& way, const net::IpHeader& header, net::ByteView packet);
/// Before anything else: a packet from the device as the mesh shall see it, where subnets are mapped. `partial`: its
/// checksum is one. `device`: as in Outbound, else nullopt; or `drop`, which has been counted.
std::optional<Outbound::Verdict> translate(const ForwardingTable& table, net::MutableBytes packet, bool partial);
/// The datagram, in the packet's buffer; empty if it does not fit there, which has been counted, or if the session's
/// last message went by just now. `flags`: kChecksumLeft, kQueueMask, where the way allows it.
net::ByteView seal(const ForwardingTable& table, const Way& way, PacketBuffer packet, net::Steady now,
                   Lane lane = Lane::control, std::uint8_t flags = 0);
/// So many bytes, of datagrams that seal() gave, leave now. True: have the control thread call WireGuard::tick.
[[nodiscard]] bool sent(const Way& way, std::size_t bytes, net::Steady now);

/// What became of a datagram from the underlay.
struct Inbound {
    enum class Verdict : std::uint8_t {
        tun,        ///< write `bytes`, an IP packet whose source and destination have been checked, to the device
        control,    ///< `bytes` (padding included) is a control frame from `peer`
        handshake,  ///< `bytes`, the whole datagram, is of type 1 to 3 or 7, mac1 checked: for Node::receive_handshake
        nothing,    ///< a keepalive: done
        drop,       ///< for `reason`, which has been counted
    };
    Verdict verdict = Verdict::drop;
    bool wake = false;  ///< have the control thread call WireGuard::tick, and that before it looks at `bytes`
    Drop reason = Drop::malformed_datagram;
    net::TunnelKey peer;        ///< tun, control, nothing
    net::MutableBytes bytes;    ///< in the datagram, which has been decrypted in place
    std::size_t mtu_bytes = 0;  ///< tun: what the peer's path takes
    bool checksum_left = false; ///< tun: fill in the packet's TCP or UDP checksum, or have the kernel do it
};
/// Whether inbound() could make something of a datagram: a handshake whose mac1 is valid, an index of ours. Nothing is opened.
bool can_be_for_us(const ForwardingTable& table, net::ByteView datagram);
Inbound inbound(const ForwardingTable& table, net::MutableBytes datagram, const net::Endpoint& from, net::Steady now,
                Lane lane = Lane::control);

}  // namespace mesh
