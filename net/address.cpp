#include "net/address.hpp"

#include <algorithm>
#include <arpa/inet.h>

#include "net/text.hpp"

namespace net {

IpAddress IpAddress::v4(std::uint32_t host_order) {
    IpAddress out;
    out.family_ = Family::v4;
    for (unsigned i = 0; i < 4; ++i) out.bytes_[i] = static_cast<std::byte>(host_order >> (24 - 8 * i) & 0xff);
    return out;
}

IpAddress IpAddress::v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
    return v4(std::uint32_t{a} << 24 | std::uint32_t{b} << 16 | std::uint32_t{c} << 8 | d);
}

IpAddress IpAddress::v6(std::span<const std::byte, 16> bytes) {
    IpAddress out;
    out.family_ = Family::v6;
    std::copy(bytes.begin(), bytes.end(), out.bytes_.begin());
    return out;
}

IpAddress IpAddress::from_bytes(ByteView bytes) {
    IpAddress out;
    if (bytes.size() == 4) {
        out.family_ = Family::v4;
    } else if (bytes.size() == 16) {
        out.family_ = Family::v6;
    } else {
        return out;
    }
    std::copy(bytes.begin(), bytes.end(), out.bytes_.begin());
    return out;
}

namespace {

/// As inet_pton(3) has it: four numbers, none with a zero in front.
std::optional<IpAddress> parse_v4(std::string_view text) {
    std::uint32_t bits = 0;
    for (unsigned part = 0; part < 4; ++part) {
        const auto digits = text.substr(0, part < 3 ? text.find('.') : text.npos);
        const auto number = parse_decimal(digits, 255);
        if (!number || digits.size() > 3 || (digits.size() > 1 && digits.front() == '0')) return std::nullopt;
        bits = bits << 8 | static_cast<std::uint32_t>(*number);
        if (part < 3) {
            if (digits.size() == text.size()) return std::nullopt;
            text.remove_prefix(digits.size() + 1);
        }
    }
    return IpAddress::v4(bits);
}

}  // namespace

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
    if (text.find(':') == text.npos) return parse_v4(text);
    const std::string copy(text);
    if (copy.size() != std::strlen(copy.c_str())) return std::nullopt;
    std::array<std::byte, 16> raw{};
    if (inet_pton(AF_INET6, copy.c_str(), raw.data()) == 1) return from_bytes(raw);
    return std::nullopt;
}

ByteView IpAddress::bytes() const { return std::span(bytes_).first(bits() / 8); }

unsigned IpAddress::bits() const {
    switch (family_) {
        case Family::none: return 0;
        case Family::v4: return 32;
        case Family::v6: return 128;
    }
    return 0;
}

std::uint32_t IpAddress::v4_host_order() const { return Reader(bytes()).u32be(); }

IpAddress IpAddress::unmapped() const {
    if (!is_v6()) return *this;
    static const auto kMapped = Prefix(*parse("::ffff:0:0"), 96);
    return kMapped.contains(*this) ? from_bytes(std::span(bytes_).subspan(12)) : *this;
}

namespace {

/// Asked of every datagram: by numbers, not by text. `network` is in host order.
bool v4_within(const IpAddress& address, std::uint32_t network, unsigned length) {
    return address.is_v4() && (address.v4_host_order() ^ network) >> (32 - length) == 0;
}
/// By its first 16 bits, of which `length` count.
bool v6_within(const IpAddress& address, unsigned network, unsigned length) {
    if (!address.is_v6()) return false;
    const auto bytes = address.bytes();
    const auto first = std::to_integer<unsigned>(bytes[0]) << 8 | std::to_integer<unsigned>(bytes[1]);
    return (first ^ network) >> (16 - length) == 0;
}

}  // namespace

bool IpAddress::is_unspecified() const {
    return !is_none() && std::all_of(bytes_.begin(), bytes_.end(), [](std::byte b) { return b == std::byte{0}; });
}
bool IpAddress::is_loopback() const {
    constexpr std::array<std::byte, 16> kLoopback{{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, std::byte{1}}};
    return v4_within(*this, 0x7F000000, 8) || (is_v6() && bytes_ == kLoopback);
}
bool IpAddress::is_link_local() const { return v4_within(*this, 0xA9FE0000, 16) || v6_within(*this, 0xFE80, 10); }
bool IpAddress::is_multicast() const { return v4_within(*this, 0xE0000000, 4) || v6_within(*this, 0xFF00, 8); }
bool IpAddress::is_private() const {
    return v4_within(*this, 0x0A000000, 8) || v4_within(*this, 0xAC100000, 12) || v4_within(*this, 0xC0A80000, 16) ||
           v4_within(*this, 0x64400000, 10) || v6_within(*this, 0xFC00, 7) || is_link_local() || is_loopback();
}

std::string IpAddress::text() const {
    switch (family_) {
        case Family::none: return "none";
        case Family::v4: {
            std::string out;
            for (unsigned i = 0; i < 4; ++i) {
                if (i != 0) out += '.';
                out += std::to_string(std::to_integer<unsigned>(bytes_[i]));
            }
            return out;
        }
        case Family::v6: break;
    }
    std::array<char, INET6_ADDRSTRLEN> out{};
    inet_ntop(AF_INET6, bytes_.data(), out.data(), out.size());
    return out.data();
}

Prefix::Prefix(const IpAddress& address, unsigned length) : length_(static_cast<std::uint8_t>(length)) {
    const auto from = address.bytes();
    std::array<std::byte, 16> raw{};
    std::copy_n(from.begin(), (length + 7) / 8, raw.begin());
    if (length % 8 != 0) raw[length / 8] &= ~(std::byte{0xFF} >> (length % 8));
    address_ = IpAddress::from_bytes(std::span(raw).first(from.size()));
}

std::optional<Prefix> Prefix::parse(std::string_view text) {
    const auto slash = text.find('/');
    const auto address = IpAddress::parse(text.substr(0, slash));
    if (!address) return std::nullopt;
    if (slash == std::string_view::npos) return host(*address);
    const auto length = parse_decimal(text.substr(slash + 1), address->bits());
    if (!length) return std::nullopt;
    const Prefix prefix(*address, static_cast<unsigned>(*length));
    if (prefix.address() != *address) return std::nullopt;
    return prefix;
}

bool Prefix::contains(const IpAddress& address) const {
    if (address.bits() != address_.bits()) return false;
    const auto mine = address_.bytes(), theirs = address.bytes();
    const unsigned whole = length_ / 8, rest = length_ % 8;
    if (!std::equal(mine.begin(), mine.begin() + whole, theirs.begin())) return false;
    return rest == 0 || ((mine[whole] ^ theirs[whole]) >> (8 - rest)) == std::byte{0};
}

bool Prefix::contains(const Prefix& other) const { return other.length_ >= length_ && contains(other.address_); }

std::string Prefix::text() const { return address_.text() + "/" + std::to_string(length_); }

std::optional<Endpoint> Endpoint::parse(std::string_view text) {
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    const auto port = parse_decimal(text.substr(colon + 1), 65535);
    auto host = text.substr(0, colon);
    if (!port || host.empty()) return std::nullopt;
    std::uint64_t scope = 0;
    const bool bracketed = host.front() == '[' && host.back() == ']';
    if (bracketed) {
        host = host.substr(1, host.size() - 2);
        if (const auto zone = host.find('%'); zone != std::string_view::npos) {
            const auto index = parse_decimal(host.substr(zone + 1), UINT32_MAX);
            if (!index) return std::nullopt;
            scope = *index;
            host = host.substr(0, zone);
        }
    }
    const auto address = IpAddress::parse(host);
    if (!address || address->is_v6() != bracketed) return std::nullopt;
    return Endpoint{*address, static_cast<std::uint16_t>(*port), static_cast<std::uint32_t>(scope)};
}

std::string Endpoint::text() const {
    if (!address.is_v6()) return address.text() + ":" + std::to_string(port);
    const auto zone = scope == 0 ? std::string() : "%" + std::to_string(scope);
    return "[" + address.text() + zone + "]:" + std::to_string(port);
}

}  // namespace net
