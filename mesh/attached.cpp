#include "mesh/attached.hpp"

#include <algorithm>

#include "mesh/virtual_endpoint.hpp"
#include <array>

namespace mesh {
namespace {

/// The upper half of a prefix that is no host's.
net::Prefix upper_half(const net::Prefix& prefix) {
    std::array<std::byte, 16> bytes{};
    const auto from = prefix.address().bytes();
    std::copy(from.begin(), from.end(), bytes.begin());
    bytes[prefix.length() / 8] |= static_cast<std::byte>(0x80U >> prefix.length() % 8);
    return {net::IpAddress::from_bytes(net::ByteView(bytes).first(from.size())), prefix.length() + 1};
}

void put_without(const net::Prefix& route, std::span<const net::Prefix> attached, std::vector<net::Prefix>& out) {
    if (attached_covers(attached, route)) return;
    if (std::none_of(attached.begin(), attached.end(), [&](const auto& one) { return route.contains(one); })) {
        out.push_back(route);
        return;
    }
    put_without({route.address(), route.length() + 1}, attached, out);
    put_without(upper_half(route), attached, out);
}

}  // namespace

bool attached_covers(std::span<const net::Prefix> attached, const net::Prefix& route) {
    return std::any_of(attached.begin(), attached.end(), [&](const auto& one) { return one.contains(route); });
}

bool any_contains(std::span<const net::Prefix> prefixes, const net::IpAddress& address) {
    return std::any_of(prefixes.begin(), prefixes.end(), [&](const auto& one) { return one.contains(address); });
}

std::vector<net::Prefix> without_attached(const net::Prefix& route, std::span<const net::Prefix> attached) {
    std::vector<net::Prefix> out;
    put_without(route, attached, out);
    return out;
}

bool has_family_of(std::span<const net::Endpoint> own, const net::Endpoint& endpoint) {
    return own.empty() || is_virtual(endpoint) || endpoint.address.is_loopback() ||
           std::any_of(own.begin(), own.end(), [&](const auto& one) { return one.address.is_v6() == endpoint.address.is_v6(); });
}

}  // namespace mesh
