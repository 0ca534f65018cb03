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
///
/// A leg takes so many packets a second and no more: two phones that name each other's relay ports as their own would
/// else have a packet go round between the relays for ever, as fast as the machine can.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "net/address.hpp"
#include "net/time.hpp"
#include "voice/sdp.hpp"

namespace voice {

using RelayId = std::uint64_t;  ///< never reused; zero is none

enum class Leg : std::uint8_t { near, far };
inline Leg other(Leg leg) { return leg == Leg::near ? Leg::far : Leg::near; }
enum class Channel : std::uint8_t { rtp, rtcp };

/// Where a leg sends, and from whom it takes.
struct LegRemote {
    net::Endpoint rtp;   ///< none or port 0: send nothing yet
    net::Endpoint rtcp;
    /// Addresses to take packets from beside rtp's own, and to latch on: the SIP message's source address for a phone
    /// behind NAT. Empty for a leg into the mesh.
    std::vector<net::IpAddress> also_from;
    /// True: never latch, take packets from exactly rtp and rtcp (another gateway's anchor).
    bool exact = false;
    bool operator==(const LegRemote&) const = default;
};

/// What came in on one leg (RTP unless said otherwise).
struct LegStats {
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
    std::uint64_t rtcp_packets = 0;
    std::uint64_t lost = 0;             ///< by sequence numbers (RFC 3550 A.3), late ones taken back
    std::uint64_t sent = 0;             ///< packets sent out on this leg, RTP and RTCP
    std::uint64_t not_media = 0;        ///< dropped: neither RTP nor what else runs beside it
    std::uint64_t wrong_source = 0;     ///< dropped: from an address that signalling did not name, or not yet latched
    std::uint64_t over_rate = 0;        ///< dropped: more than the leg takes
    double jitter_ms = 0;               ///< RFC 3550 A.8; dynamic payload types are taken for 48 kHz (Opus)
    net::Duration longest_gap{};        ///< between two packets, since the first
    std::optional<net::Steady> first;
    std::optional<net::Steady> last;
    std::uint32_t ssrc = 0;
    net::Endpoint source;               ///< latched, or none
};

struct RelayStats {
    LegStats near;
    LegStats far;
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
    /// Opens a relay's four sockets. Nullopt when the range or the bound is used up.
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
        std::array<std::uint8_t, 2> repeats{};
        std::array<net::Steady, 2> heard{};
        net::Steady paid_until = net::Steady::min();  ///< what was taken is paid for at the rate; see within_rate()
        LegStats stats;
        std::uint32_t first_sequence = 0, highest_sequence = 0;  ///< extended, of this SSRC
        std::uint64_t counted = 0;                               ///< packets of this SSRC
        std::uint64_t lost_before = 0;                           ///< of earlier SSRCs
        std::uint32_t timestamp = 0;
    };
    bool accept(Side& side, Channel channel, const net::Endpoint& from, net::Steady now);
    static bool within_rate(Side& side, net::Steady now);
    void measure(Side& side, net::ByteView packet, net::Steady now);
    Side& side(Leg leg) { return sides_[static_cast<std::size_t>(leg)]; }
    std::array<Side, 2> sides_;
};

/// All media of one call: turns offers and answers round (RFC 3264), opening a relay for each RTP m-line, and keeps the
/// relays' remotes as signalling says. Closes them when it dies. One per call, also where the call has several branches:
/// all branches are offered the same far ports, and the last answer that was passed says where far media goes.
class CallMedia {
public:
    explicit CallMedia(MediaPorts& ports) : ports_(&ports) {}
    ~CallMedia() { close(); }
    CallMedia(CallMedia&& from) noexcept;
    CallMedia& operator=(CallMedia&& from) noexcept;

    /// The side that a body came from.
    struct From {
        Leg leg = Leg::near;
        net::IpAddress source;  ///< the SIP message's source address; none if it says nothing about media (the centre's)
        /// True if a mesh attribute is true: that member has that overlay address. Empty: attributes are not believed
        /// (phones).
        std::function<bool(std::string_view node, const net::IpAddress& address)> believes;
        bool exact = false;     ///< addresses in the SDP itself are another gateway's anchor (mesh side)
    };
    /// The side that it goes to.
    struct To {
        net::IpAddress address;         ///< of ours, that that side can reach
        std::string node;               ///< non-empty with `overlay`: add our attribute
        net::IpAddress overlay;
    };
    /// The body for the other side; nullopt if it is no SDP or there are no ports (answer 488 or 500; pass a body that is
    /// not SDP without asking). Offer or answer makes no difference here. Whose turn it is, the proxy need not know.
    std::optional<std::string> pass(std::string_view sdp, const From& from, const To& to, net::Now now);
    void close();  ///< all relays; what comes in on them later goes nowhere

    bool active() const { return !relays_.empty(); }
    /// Whether packets are to be expected both ways: both sides said so last (no hold, no fax).
    bool expects_packets() const { return expects_[0] && expects_[1]; }
    std::size_t streams() const { return relays_.size(); }
    std::optional<RelayStats> stats(std::size_t stream) const;
    /// True once a side's media goes through the mesh by our attribute though signalling came by the centre.
    bool through_mesh() const { return through_mesh_; }
    /// The other gateway's anchor, once it is known, and our port that it sends to (0: none), of the first stream.
    const std::optional<net::Endpoint>& far_end() const { return far_end_; }
    std::uint16_t far_port() const;

private:
    MediaPorts* ports_;
    std::vector<RelayPorts> relays_;  ///< by m-line; id zero where it is not ours to relay
    bool through_mesh_ = false;
    std::optional<net::Endpoint> far_end_;
    std::array<bool, 2> expects_{true, true};  ///< by leg: what its side last described goes both ways
};

}  // namespace voice
