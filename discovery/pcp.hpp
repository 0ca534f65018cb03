/// The messages of PCP, the Port Control Protocol (RFC 6887), that a client of MAP needs: bytes to values and back.
#pragma once

#include <array>
#include <string_view>

#include "net/address.hpp"

namespace discovery::pcp {

inline constexpr std::uint16_t kServerPort = 5351;  ///< section 19.1; NAT-PMP's, too
inline constexpr std::uint16_t kClientPort = 5350;  ///< where announcements go to
inline constexpr std::uint8_t kVersion = 2;
inline constexpr std::size_t kLargestBytes = 1100;  ///< section 7

using Nonce = std::array<std::byte, 12>;

/// Section 7.4. Any other number may come, too.
enum class Result : std::uint8_t {
    success, unsupported_version, not_authorized, malformed_request, unsupported_opcode, unsupported_option,
    malformed_option, network_failure, no_resources, unsupported_protocol, quota_exceeded, cannot_provide_external,
    address_mismatch, excessive_remote_peers,
};
std::string_view text(Result result);  ///< for people

/// MAP for UDP (section 11.1).
struct MapRequest {
    net::IpAddress client;           ///< that it is sent from
    Nonce nonce{};
    std::uint16_t internal_port = 0;
    net::Endpoint suggested;         ///< none: whatever the gateway likes
    std::uint32_t lifetime_s = 0;    ///< 0: delete it
};
net::Bytes encode(const MapRequest& request);

struct Mapped {
    Nonce nonce{};
    std::uint8_t protocol = 0;
    std::uint16_t internal_port = 0;
    net::Endpoint external;
};
struct Response {
    std::uint8_t version = 0;
    Result result = Result::success;
    std::uint32_t lifetime_s = 0;  ///< of an error: how long it will probably stay
    std::uint32_t epoch_s = 0;     ///< the gateway's, since it last lost its mappings
    std::optional<Mapped> map;     ///< none: an ANNOUNCE, or of another version, whose layout nobody knows
};
/// Nullopt if it is no response to MAP and no ANNOUNCE, or is not whole. Options are passed over.
std::optional<Response> parse(net::ByteView message);

/// Whether a gateway whose clock said `before` has kept its mappings, as it says `after` `passed_s` later by our clock
/// (section 8.5).
bool epoch_goes_on(std::uint32_t before_s, std::uint32_t after_s, std::int64_t passed_s);

}  // namespace discovery::pcp
