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

/// What the outer header of a tunnelled packet says (RFC 6040 section 4.1, normal mode): its ECN as the inner one's, its
/// DSCP if that is voice; other classes are nobody's business on the way.
constexpr std::uint8_t outer_traffic_class(std::uint8_t inner) {
    return is_voice(inner) ? inner : static_cast<std::uint8_t>(inner & 3);
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
