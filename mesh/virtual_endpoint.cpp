#include "mesh/virtual_endpoint.hpp"

#include <algorithm>

namespace mesh {
namespace {

constexpr std::array<std::byte, 8> kDiscardPrefix{std::byte{0x01}};  // 100::/64, RFC 6666

}  // namespace

net::Endpoint VirtualEndpoint::endpoint() const {
    net::Writer out;
    out.bytes(kDiscardPrefix).u32be(std::uint32_t{static_cast<std::uint8_t>(kind)} << 24 | (relay & 0xFFFFFF)).u32be(id);
    return {net::IpAddress::from_bytes(out.view()), port};
}

std::optional<VirtualEndpoint> VirtualEndpoint::of(const net::Endpoint& endpoint) {
    if (!is_virtual(endpoint)) return std::nullopt;
    net::Reader in(endpoint.address.bytes().subspan(kDiscardPrefix.size()));
    const auto first = in.u32be();
    const auto id = in.u32be();
    const auto kind = static_cast<Kind>(first >> 24);
    if (kind != Kind::relay && kind != Kind::stream && kind != Kind::socket) return std::nullopt;
    return VirtualEndpoint{kind, first & 0xFFFFFF, id, endpoint.port};
}

bool is_virtual(const net::Endpoint& endpoint) {
    const auto bytes = endpoint.address.bytes();
    return bytes.size() == 16 && std::equal(kDiscardPrefix.begin(), kDiscardPrefix.end(), bytes.begin());
}

net::Endpoint VirtualEndpoint::remote() const {
    net::Writer out;
    out.u32be(id);
    return {net::IpAddress::from_bytes(out.view()), port};
}

net::Endpoint udp_endpoint(const net::Endpoint& endpoint) {
    if (!is_virtual(endpoint)) return endpoint;
    const auto way = VirtualEndpoint::of(endpoint);
    return way && way->kind == VirtualEndpoint::Kind::socket ? way->remote() : net::Endpoint{};
}

net::Endpoint socket_endpoint(std::uint32_t socket, const net::Endpoint& remote) {
    net::Reader in(remote.address.bytes());
    return VirtualEndpoint{VirtualEndpoint::Kind::socket, socket, in.u32be(), remote.port}.endpoint();
}

}  // namespace mesh
