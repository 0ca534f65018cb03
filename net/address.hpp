/// IP addresses, prefixes and endpoints as values, with their text forms (RFC 4291, RFC 5952).
#pragma once

#include <array>
#include <compare>

#include "net/bytes.hpp"

namespace net {

/// An IPv4 or IPv6 address. The default is "none", which is neither and compares below both.
class IpAddress {
public:
    IpAddress() = default;
    static IpAddress v4(std::uint32_t host_order);
    static IpAddress v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d);
    static IpAddress v6(std::span<const std::byte, 16> bytes);
    /// 4 or 16 bytes in network order; anything else is none.
    static IpAddress from_bytes(ByteView bytes);
    /// Strict dotted quad, or RFC 4291 text without a zone; nullopt if it is neither.
    static std::optional<IpAddress> parse(std::string_view text);

    bool is_none() const { return family_ == Family::none; }
    bool is_v4() const { return family_ == Family::v4; }
    bool is_v6() const { return family_ == Family::v6; }
    bool is_unspecified() const;  ///< 0.0.0.0 or ::
    bool is_loopback() const;
    bool is_link_local() const;
    bool is_multicast() const;
    bool is_private() const;  ///< RFC 1918, RFC 6598, fc00::/7, link-local or loopback

    ByteView bytes() const;              ///< 0, 4 or 16 bytes in network order, borrowed from this object
    unsigned bits() const;               ///< 0, 32 or 128
    std::uint32_t v4_host_order() const; ///< requires is_v4()
    /// ::ffff:a.b.c.d becomes a.b.c.d; all else stays.
    IpAddress unmapped() const;
    bool bit(unsigned index) const { return (std::to_integer<unsigned>(bytes_[index / 8]) >> (7 - index % 8) & 1) != 0; }

    std::string text() const;  ///< RFC 5952; "none" for none
    auto operator<=>(const IpAddress&) const = default;

private:
    enum class Family : std::uint8_t { none, v4, v6 };
    Family family_ = Family::none;
    std::array<std::byte, 16> bytes_{};
};

/// An address with the number of its leading bits that count; the bits behind are zero.
class Prefix {
public:
    Prefix() = default;
    /// Clears the host bits. `length` must not exceed the address's bits.
    Prefix(const IpAddress& address, unsigned length);
    static Prefix host(const IpAddress& address) { return {address, address.bits()}; }
    /// "10.1.0.0/16", or a bare address as a host prefix. Host bits that are set are refused: "10.1.2.3/16" is
    /// more often a slip than a wish.
    static std::optional<Prefix> parse(std::string_view text);

    const IpAddress& address() const { return address_; }
    unsigned length() const { return length_; }
    bool contains(const IpAddress& address) const;
    bool contains(const Prefix& other) const;
    bool overlaps(const Prefix& other) const { return contains(other) || other.contains(*this); }

    std::string text() const;
    auto operator<=>(const Prefix&) const = default;

private:
    IpAddress address_;
    std::uint8_t length_ = 0;
};

/// An address and a UDP or TCP port. `scope` is the interface index of an IPv6 link-local address, else 0.
struct Endpoint {
    IpAddress address;
    std::uint16_t port = 0;
    std::uint32_t scope = 0;

    /// "192.0.2.1:51820", "[2001:db8::1]:51820", "[fe80::1%3]:51820" (a numeric zone); a port is required.
    static std::optional<Endpoint> parse(std::string_view text);
    std::string text() const;
    bool is_none() const { return address.is_none(); }
    auto operator<=>(const Endpoint&) const = default;
};

}  // namespace net

template <>
struct std::hash<net::IpAddress> {
    std::size_t operator()(const net::IpAddress& address) const noexcept {
        return std::hash<std::string_view>{}(net::as_text(address.bytes()));
    }
};
template <>
struct std::hash<net::Endpoint> {
    std::size_t operator()(const net::Endpoint& endpoint) const noexcept {
        return std::hash<net::IpAddress>{}(endpoint.address) * 31 + endpoint.port + (std::size_t{endpoint.scope} << 16);
    }
};
