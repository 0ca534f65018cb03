/// All media of one call: turns offers and answers round (RFC 3264), opening a relay for each m-line that is to be relayed,
/// and keeps the relays' remotes as signalling says. Closes them when it dies. One per call, also where the call has
/// several branches: all branches are offered the same far ports, and the last answer that was passed says where far
/// media goes.
///
///   offer --pass()--> answer --pass(), agreed()--> ...        offer --pass()--> refused --refused()--> as before it
#pragma once

#include <functional>
#include <string>

#include "voice/media.hpp"
#include "voice/sdp.hpp"

namespace voice {

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
        std::string dialog;     ///< of a body that answers: the To tag, as several may answer before one wins
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
    /// What was offered has been answered: streams that a side refuses are closed.
    void agreed();
    /// What was offered since has been refused: all goes where it went when they last agreed (RFC 3264 section 8).
    void refused(net::Now now);
    /// Of those on that leg who answered early, this one has taken the call, by an answer without a body.
    void choose(Leg leg, std::string_view dialog, net::Now now);
    void close();  ///< all relays; what comes in on them later goes nowhere

    bool active() const;
    /// Whether packets are to be expected both ways: both sides said so last (no hold, no fax).
    bool expects_packets() const;
    /// Whether that leg's side is to send sound in this stream: it sends and the other takes it, as they said last.
    bool expects_audio(std::size_t stream, Leg leg) const;
    std::size_t streams() const { return streams_.size(); }
    const std::string& kind(std::size_t stream) const { return streams_[stream].kind; }  ///< "audio", "video", "image"
    std::optional<RelayStats> stats(std::size_t stream) const;
    /// True once a side's media goes through the mesh by our attribute though signalling came by the centre; to which node.
    bool through_mesh() const { return !far_node_.empty(); }
    const std::string& far_node() const { return far_node_; }
    /// The other gateway's anchor, once it is known, and our port that it sends to (0: none), of the first stream.
    const std::optional<net::Endpoint>& far_end() const { return far_end_; }
    std::uint16_t far_port() const;

private:
    /// What a side last said of a stream.
    struct Said {
        bool known = false;
        bool off = false;     ///< refused, or nothing that we relay
        bool mux = false, only_mux = false;
        bool sends = true, receives = true;
        LegRemote remote;     ///< with RTCP where it goes without mux
    };
    using Both = std::array<Said, 2>;
    struct Stream {
        RelayPorts ports;     ///< id zero where there is none
        std::string kind;
        Both said;
        std::array<LegRemote, 2> set;  ///< what the relay has been told
    };
    static constexpr std::size_t kMaxEarly = 16;

    Said described(const MediaLine& media, const From& from);
    void apply(Stream& stream, net::Now now);
    static bool is_off(const Both& said) { return said[0].off || said[1].off; }
    void close(Stream& stream);
    Said& said(Stream& stream, Leg leg) { return stream.said[static_cast<std::size_t>(leg)]; }

    MediaPorts* ports_;
    std::vector<Stream> streams_;  ///< by m-line
    std::optional<std::vector<Both>> agreed_;
    std::vector<std::pair<std::string, std::vector<Said>>> early_;  ///< answers until one of them wins
    std::string far_node_;
    std::optional<net::Endpoint> far_end_;
};

}  // namespace voice
