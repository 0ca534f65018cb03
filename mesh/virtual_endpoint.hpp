/// Endpoints that stand for a way that is not the UDP socket's: through another member, on a stream, or by another socket.
/// WireGuard sends to them and receives from them as from any other; only their owner knows what they mean.
///
/// They lie in 100::/64, which no packet is ever sent to (RFC 6666): one that slipped out would be discarded.
///
///   100:: | u8 kind | u24 of the relay or the socket, 0 for a stream | u32 of the peer or the stream, or an IPv4 address
#pragma once

#include "net/address.hpp"

namespace mesh {

/// Of a stream that carries datagrams (TLS): its owner's number for it, never used twice while the process runs. Not 0.
using StreamId = std::uint32_t;

struct VirtualEndpoint {
    enum class Kind : std::uint8_t { relay = 1, stream = 2, socket = 3 };
    Kind kind = Kind::relay;
    std::uint32_t relay = 0;  ///< the link of the member that passes it on, or the number of the socket: 24 bits
    std::uint32_t id = 0;     ///< the link of the member at the other end, the stream, or the address at the other end
    std::uint16_t port = 1;   ///< of a socket's: the port at the other end; not 0

    net::Endpoint endpoint() const;
    /// Nullopt if it is an endpoint like any other.
    static std::optional<VirtualEndpoint> of(const net::Endpoint& endpoint);
    bool operator==(const VirtualEndpoint&) const = default;
    /// Of a socket's.
    net::Endpoint remote() const;
};

/// Whether datagrams to there are no socket's: the control thread's, who knows.
bool is_virtual(const net::Endpoint& endpoint);
/// Where datagrams to there go by UDP; none: they do not.
net::Endpoint udp_endpoint(const net::Endpoint& endpoint);
inline net::Endpoint stream_endpoint(StreamId id) { return VirtualEndpoint{VirtualEndpoint::Kind::stream, 0, id}.endpoint(); }
/// What a further UDP socket of ours, by its owner's number for it, has at the other end: IPv4.
net::Endpoint socket_endpoint(std::uint32_t socket, const net::Endpoint& remote);

}  // namespace mesh
