/// The media anchor: every stream of a call runs over two legs of ours, each a pair of ports (RTP even, RTCP odd), and
/// what comes in on one leg goes out on the other.
///
///   phone <--> [ leg near | relay | leg far ] <--> centre's side or another gateway's anchor
///
/// A leg sends where signalling said, until it has latched: then to where packets came from. It latches only on packets
/// from addresses that signalling named (the SDP's address, or the address the SIP message came from), that are RTP,
/// RTCP, DTLS or ZRTP by their first byte (RFC 7983): at once from the very endpoint that the SDP named, else from the
/// same source three times in a row (RTCP: once); it moves to another source only from such an address too, and only
/// after the old one has been silent for two seconds. So a stranger who sprays a port gets nothing and steals nothing.
/// A DTLS handshake, which has few packets and proves itself by the SDP's fingerprint, goes through both ways meanwhile.
///
/// A leg takes so many packets a second and no more: two phones that name each other's relay ports as their own would
/// else have a packet go round between the relays for ever, as fast as the machine can.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "net/bytes.hpp"
#include "voice/media_stats.hpp"

namespace voice {

using RelayId = std::uint64_t;  ///< never reused; zero is none

enum class Leg : std::uint8_t { near, far };
inline Leg other(Leg leg) { return leg == Leg::near ? Leg::far : Leg::near; }
enum class Channel : std::uint8_t { rtp, rtcp };
/// What one side's packets are. Fax is UDPTL, whose first byte may be any.
enum class Content : std::uint8_t { rtp, srtp, fax };

/// Where a leg sends, and from whom it takes.
struct LegRemote {
    net::Endpoint rtp;   ///< none or port 0: send nothing yet
    net::Endpoint rtcp;
    /// Addresses to take packets from beside rtp's own, and to latch on: the SIP message's source address for a phone
    /// behind NAT. Empty for a leg into the mesh.
    std::vector<net::IpAddress> also_from;
    /// True: never latch, take packets from exactly rtp and rtcp (another gateway's anchor).
    bool exact = false;
    Content content = Content::rtp;
    bool operator==(const LegRemote&) const = default;
};

struct RelayPorts {
    RelayId id = 0;
    std::uint16_t near_port = 0;  ///< RTP; RTCP is the next one
    std::uint16_t far_port = 0;
};

/// What the proxy needs of whoever owns the sockets. The daemon has a media thread behind it, tests and the simulation
/// a table.
class MediaPorts {
public:
    virtual ~MediaPorts() = default;
    /// Opens a relay's four sockets, for a stream of any content. Nullopt when the range or the bound is used up.
    virtual std::optional<RelayPorts> open(net::Now now) = 0;
    virtual void set_remote(RelayId id, Leg leg, const LegRemote& remote, net::Now now) = 0;
    virtual void close(RelayId id) = 0;
    /// At most a second old.
    virtual std::optional<RelayStats> stats(RelayId id) const = 0;
};

/// One relay as a passive object: which packet goes where. Run by the media thread, or by the simulation.
class Relay {
public:
    /// Of RTP and RTCP together, each leg. Voice is 50 packets a second, 400 where Opus is cut into 2.5 ms; video of
    /// 8 Mbit/s is 850, and its largest pictures come as some hundred at once. A loop costs a hundredth of a core.
    static constexpr unsigned kPacketsPerSecond = 1000;
    static constexpr unsigned kBurst = 250;

    struct Forward {
        Leg leg = Leg::near;  ///< out of this leg's socket of the same channel
        net::Endpoint to;
    };
    void set_remote(Leg leg, const LegRemote& remote);
    /// A packet that came in on `leg`; nullopt drops it. The packet itself is never changed.
    std::optional<Forward> receive(Leg leg, Channel channel, const net::Endpoint& from, net::ByteView packet, net::Steady now);
    RelayStats stats() const;

private:
    struct Side {
        LegRemote remote;
        std::array<net::Endpoint, 2> latched;    ///< by channel; none: as signalled
        std::array<net::Endpoint, 2> candidate;  ///< seen last, not yet latched
        std::array<net::Endpoint, 2> handshake;  ///< where DTLS comes from, until there is a latch
        std::array<std::uint8_t, 2> repeats{};
        std::array<net::Steady, 2> heard{};
        net::Steady paid_until = net::Steady::min();  ///< what was taken is paid for at the rate; see within_rate()
        LegStats stats;
        std::uint32_t first_sequence = 0, highest_sequence = 0;  ///< extended, of this SSRC
        std::uint64_t counted = 0;                               ///< packets of this SSRC
        std::uint64_t lost_before = 0;                           ///< of earlier SSRCs
        std::uint32_t timestamp = 0;
    };
    bool accept(Side& side, Channel channel, const net::Endpoint& from, bool is_dtls, net::Steady now);
    static bool within_rate(Side& side, net::Steady now);
    void measure(Side& side, net::ByteView packet, net::Steady now);
    Side& side(Leg leg) { return sides_[static_cast<std::size_t>(leg)]; }
    std::array<Side, 2> sides_;
};

}  // namespace voice
