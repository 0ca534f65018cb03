#include "mesh/virtual_endpoint.hpp"

#include <algorithm>

namespace mesh {
namespace {

constexpr std::array<std::byte, 8> kDiscardPrefix{std::byte{0x01}};  // 100::/64, RFC 6666
constexpr std::uint16_t kPort = 1;                                   // any but 0, which means none

}  // namespace

net::Endpoint VirtualEndpoint::endpoint() const {
    net::Writer out;
    out.bytes(kDiscardPrefix).u32be(std::uint32_t{static_cast<std::uint8_t>(kind)} << 24 | (relay & 0xFFFFFF)).u32be(id);
    return {net::IpAddress::from_bytes(out.view()), kPort};
}

std::optional<VirtualEndpoint> VirtualEndpoint::of(const net::Endpoint& endpoint) {
    if (!is_virtual(endpoint)) return std::nullopt;
    net::Reader in(endpoint.address.bytes().subspan(kDiscardPrefix.size()));
    const auto first = in.u32be();
    const auto id = in.u32be();
    const auto kind = static_cast<Kind>(first >> 24);
    if (kind != Kind::relay && kind != Kind::stream) return std::nullopt;
    return VirtualEndpoint{kind, first & 0xFFFFFF, id};
}

bool is_virtual(const net::Endpoint& endpoint) {
    const auto bytes = endpoint.address.bytes();
    return bytes.size() == 16 && std::equal(kDiscardPrefix.begin(), kDiscardPrefix.end(), bytes.begin());
}

}  // namespace mesh
