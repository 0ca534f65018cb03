/// The messages of NAT-PMP (RFC 6886), PCP's predecessor: bytes to values and back. It shares PCP's port and nearly all of
/// its behaviour, and is sixteen bytes: so it is done beside it (pcp_client.hpp), passive as that is.
#pragma once

#include <string_view>
#include <variant>

#include "net/address.hpp"

namespace discovery::nat_pmp {

/// Section 3.5. Any other number may come, too.
enum class Result : std::uint16_t {
    success, unsupported_version, not_authorized, network_failure, no_resources, unsupported_opcode,
};
std::string_view text(Result result);  ///< for people

net::Bytes address_request();  ///< section 3.2
/// For UDP (section 3.3). `lifetime_s` 0 deletes it, with no suggestion.
net::Bytes map_request(std::uint16_t internal_port, std::uint16_t suggested_port, std::uint32_t lifetime_s);

struct Address {
    net::IpAddress address;  ///< none where `result` is not success
};
struct Map {
    std::uint16_t internal_port = 0, external_port = 0;
    std::uint32_t lifetime_s = 0;
};
struct Response {
    Result result = Result::success;
    std::uint32_t epoch_s = 0;
    std::variant<std::monostate, Address, Map> says;  ///< nothing: an error that does not tell of what
};
/// Nullopt if it is no response of version 0, or not whole.
std::optional<Response> parse(net::ByteView message);

}  // namespace discovery::nat_pmp
