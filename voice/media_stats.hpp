/// What a relay has seen of one stream of a call, on each of its two legs.
#pragma once

#include <optional>

#include "net/address.hpp"
#include "net/time.hpp"

namespace voice {

/// What came in on one leg (RTP unless said otherwise).
struct LegStats {
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
    std::uint64_t rtcp_packets = 0;     ///< on either port
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
    bool comfort_noise = false;         ///< the last packet was comfort noise (RFC 3389) or too small for speech
    std::uint32_t resumed = 0;          ///< how often speech began again after silence in which nothing was sent
    net::Endpoint source;               ///< latched, or none
};

struct RelayStats {
    LegStats near;
    LegStats far;
};

}  // namespace voice
