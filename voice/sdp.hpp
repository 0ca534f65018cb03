/// Session descriptions as a proxy that anchors media must treat them (RFC 8866, RFC 3264): read what says where media
/// goes, change that, and keep every other line as it came.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/address.hpp"

namespace voice {

/// Our attribute: a=meshd:NODE ADDRESS PORT, on each m-line. It says towards the centre and the mesh where, inside the
/// mesh, the sender's anchor takes this stream; RTCP is at PORT + 1. It never reaches a phone.
struct MeshMedia {
    std::string node;       ///< the sender's node key as text (token characters)
    net::Endpoint anchor;   ///< overlay address and RTP port
    bool operator==(const MeshMedia&) const = default;
};

enum class Direction : std::uint8_t { sendrecv, sendonly, recvonly, inactive };

struct MediaLine {
    std::string kind;        ///< "audio", "video", "image", ...
    std::string protocol;    ///< "RTP/AVP", "UDP/TLS/RTP/SAVPF", "TCP/MSRP", ...
    net::Endpoint rtp;       ///< address of its own or the session's c= line; none if it is a name; port as written
    net::Endpoint rtcp;      ///< from a=rtcp, else port + 1: where it goes unless both sides agree on rtcp-mux
    bool rtcp_mux = false;   ///< it can take RTCP on RTP's port (RFC 5761)
    bool only_mux = false;   ///< and there only (RFC 8858)
    bool ice = false;        ///< it had ICE lines
    Direction direction = Direction::sendrecv;
    std::vector<MeshMedia> mesh;  ///< as claimed: check the address before use

    bool is_rtp() const;             ///< a protocol with "RTP" over UDP
    bool is_secure() const;          ///< RTP/SAVP and the like: what is in the packets is sealed
    bool is_fax() const;             ///< T.38 over UDPTL, with DTLS (RFC 7345) or without
    bool is_relayed() const { return is_rtp() || is_fax(); }  ///< what an anchor relays
    bool rejected() const { return rtp.port == 0; }
    bool held() const { return rtp.address.is_unspecified(); }  ///< RFC 2543's hold, c=0.0.0.0
};

struct SessionDescription {
    std::vector<MediaLine> media;
    std::string origin_address;  ///< of o=, as written

    /// Nullopt if it is no SDP: v=, o= and s= must open it in that order, only known lines may follow, each where it may
    /// stand, and what says where media goes must be well-formed. At most 64 kB and 32 m-lines.
    static std::optional<SessionDescription> parse(std::string_view text);
};

/// Where one m-line shall point, and what it shall say of the mesh.
struct Anchor {
    net::Endpoint rtp;                  ///< none: this m-line stays as it is, save the attributes of ours
    std::optional<net::Endpoint> rtcp;  ///< none: RTP's port + 1
    std::optional<MeshMedia> mesh;      ///< added if set
};

/// The text with every m-line pointed at its anchor (the nth m-line at the nth anchor; m-lines without one stay). For
/// each anchored m-line that is not rejected: port, c=, a=rtcp. A held one keeps 0.0.0.0 (or ::) and gets the port. What
/// leads past an anchor goes, everywhere: ICE lines, other addresses (RFC 6947), bundles, which need ICE's one path for all
/// (RFC 8843: who is not answered with a bundle sends each m-line by itself, and a=bundle-only ones, whose port is 0, not at
/// all); our attribute as it came goes everywhere; a=rtcp goes, and is written anew only where RTCP is not at port + 1;
/// a=rtcp-mux stays. Nullopt if parse() refuses the text.
std::optional<std::string> rewrite_sdp(std::string_view text, const std::vector<Anchor>& anchors);

/// Only takes our attribute out; all else stays byte for byte.
std::string without_mesh_media(std::string_view text);

}  // namespace voice
