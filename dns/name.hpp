/// A domain name (RFC 1035 section 3.1) as its labels in lower case, the root's child first: so a name's children stand
/// right behind it in an ordered map.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "net/address.hpp"

namespace dns {

class Name {
public:
    static constexpr std::size_t kMaxWireBytes = 255, kMaxLabelBytes = 63;

    Name() = default;  ///< the root
    /// "Trento.acme.internal", with or without the root's dot. Labels of any bytes but dots. nullopt: an empty label, or too
    /// long.
    static std::optional<Name> parse(std::string_view text);
    /// From the wire. nullopt: cut short, too long, or compressed: what asks has nothing to point to.
    static std::optional<Name> read(net::Reader& reader);

    const std::vector<std::string>& labels() const { return labels_; }
    bool is_root() const { return labels_.empty(); }
    /// Whether it is `other`, or below it.
    bool is_within(const Name& other) const;
    /// Its last `count` labels; all where it has fewer.
    Name last(std::size_t count) const;
    std::optional<Name> child(std::string_view label) const;

    net::Bytes wire() const;
    std::string text() const;  ///< without the root's dot; what is no printable ASCII as \DDD
    auto operator<=>(const Name&) const = default;

private:
    std::vector<std::string> labels_;
};

/// Under in-addr.arpa (RFC 1035 section 3.5) or ip6.arpa (RFC 3596 section 2.5).
Name reverse_name(const net::IpAddress& address);
/// The zones that hold the reverse names of a network: one, or, where its length is between two labels, up to 128.
std::vector<Name> reverse_zones(const net::Prefix& network);

}  // namespace dns
