/// A UDP socket without a loop: non-blocking calls on a descriptor, for threads that poll by themselves. On the control
/// thread use UdpSocket, which is this on a loop. send() may be called from any thread at any time; receive() and
/// take_error() from one thread each at a time.
#pragma once

#include "loop/file_descriptor.hpp"
#include "net/address.hpp"
#include "net/result.hpp"

namespace loop {

struct UdpOptions {
    bool reuse_port = false;                    ///< SO_REUSEPORT: several sockets share the port, the kernel spreads
    std::uint8_t dscp = 0;                      ///< differentiated services code point (RFC 2474) of all that is sent
    std::size_t receive_buffer_bytes = 0;       ///< 0: the system's default
    std::size_t send_buffer_bytes = 0;
    std::uint32_t mark = 0;                     ///< SO_MARK for policy routing, instead of kUnderlayMark; needs CAP_NET_ADMIN
    bool receive_offload = false;               ///< UDP_GRO, if the kernel has it: then receive by ReceiveBurst only
    bool receive_times = false;                 ///< SO_TIMESTAMPNS: ReceiveBurst tells how long datagrams have waited
    bool never_fragment = false;                ///< set "don't fragment"; too large a datagram is then SendResult::too_big
};

enum class SendResult : std::uint8_t {
    sent,
    full,         ///< the socket's buffer is full: the datagram is lost, as UDP may
    unreachable,  ///< this machine has no route, or the network says so
    too_big,
    failed
};

struct Received {
    net::MutableBytes bytes;    ///< borrowed: the first bytes of the buffer that was given
    net::Endpoint from;         ///< scope is set for link-local senders
    net::IpAddress to;          ///< which of our addresses it was sent to
    std::uint32_t interface = 0;  ///< index of the interface it came in by
    std::uint8_t dscp = 0;
};

/// What the network, or our own kernel, said about a datagram that was sent earlier (IP_RECVERR).
struct Undelivered {
    enum class Reason : std::uint8_t { port_unreachable, host_unreachable, network_unreachable, prohibited, too_big, other };
    Reason reason = Reason::other;
    net::Endpoint to;             ///< where the datagram went
    net::IpAddress reported_by;   ///< none if it was our own kernel
    unsigned mtu_bytes = 0;       ///< for too_big: what the path carries, if known
};
const char* to_string(Undelivered::Reason reason);

class Datagram {
public:
    /// Binds to `local` (0.0.0.0 or :: is any address of that family; an IPv6 socket takes IPv6 only; port 0 takes a
    /// free one). The error names the endpoint and what to do.
    static net::Result<Datagram> open(const net::Endpoint& local, const UdpOptions& options = {});

    int fd() const { return fd_.get(); }
    const net::Endpoint& local() const { return local_; }  ///< with the port that was really taken

    /// `source` chooses which of our addresses is the sender; none leaves it to the kernel.
    SendResult send(const net::Endpoint& to, net::ByteView bytes, const net::IpAddress& source = {}) const;
    /// Not in pieces: neither here, where one larger than the interface takes is too_big at once, nor on the way (IPv4's
    /// "don't fragment"; what the kernel believes of the path is not asked). What other threads send in the same
    /// microseconds may be sent so, too.
    SendResult send_whole(const net::Endpoint& to, net::ByteView bytes) const;
    /// Nullopt if nothing waits. A datagram larger than `buffer` is dropped and counted.
    std::optional<Received> receive(net::MutableBytes buffer);
    /// Of the datagram that receive() would give next (several as one, where the kernel has put them together); 0: none.
    std::size_t next_bytes() const;
    /// Nullopt if there is no more news.
    std::optional<Undelivered> take_error();
    void set_dscp(std::uint8_t dscp);
    /// Whether the kernel puts datagrams together for ReceiveBurst (UDP_GRO). False if it will not.
    bool set_receive_offload(bool on) const;
    /// How full the kernel's queue of what was received is, of what it may hold; 0 if it does not say.
    unsigned receive_queue_percent() const;
    std::uint64_t truncated() const { return truncated_; }

private:
    FileDescriptor fd_;
    net::Endpoint local_;
    std::uint64_t truncated_ = 0;
};

}  // namespace loop
