/// The second byte of an IPv4 header, IPv6's traffic class: DSCP (RFC 2474) above ECN (RFC 3168).
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

namespace net {

/// Expedited forwarding (RFC 3246), voice admit (RFC 5865), and CS3 for signalling (RFC 4594).
inline constexpr std::array<std::uint8_t, 3> kVoiceDscps{46, 44, 24};

constexpr std::uint8_t dscp_of(std::uint8_t traffic_class) { return traffic_class >> 2; }
constexpr bool is_voice(std::uint8_t traffic_class) {
    return std::find(kVoiceDscps.begin(), kVoiceDscps.end(), dscp_of(traffic_class)) != kVoiceDscps.end();
}

enum class Ecn : std::uint8_t { not_ect = 0, ect1 = 1, ect0 = 2, ce = 3 };
constexpr Ecn ecn_of(std::uint8_t traffic_class) { return static_cast<Ecn>(traffic_class & 3); }

/// Whose DSCP the outer header of a tunnelled packet shows. What comes out of the tunnel has its own again, whatever was
/// made of the outer one on the way: the pipe model of RFC 2983 section 3.1, of whose uniform model `copy` is the way in.
enum class OuterDscp : std::uint8_t {
    voice,  ///< voice's; other classes are nobody's business on the way
    copy,   ///< every packet's
};

/// What the outer header of a tunnelled packet says; its ECN is always the inner one's (RFC 6040 section 4.1, normal mode).
constexpr std::uint8_t outer_traffic_class(std::uint8_t inner, OuterDscp shown) {
    return shown == OuterDscp::copy || is_voice(inner) ? inner : static_cast<std::uint8_t>(inner & 3);
}

/// The inner ECN of a packet that comes out of a tunnel (RFC 6040 section 4.2); nullopt: drop it.
constexpr std::optional<Ecn> inner_ecn(Ecn inner, Ecn outer) {
    switch (outer) {
        case Ecn::ce: return inner == Ecn::not_ect ? std::nullopt : std::optional(Ecn::ce);
        case Ecn::ect1: return inner == Ecn::ect0 ? Ecn::ect1 : inner;
        case Ecn::ect0:
        case Ecn::not_ect: return inner;
    }
    return inner;
}

}  // namespace net
