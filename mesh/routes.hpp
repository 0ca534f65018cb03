/// Which peer an address belongs to: longest prefix first, IPv4 and IPv6.
#pragma once

#include "net/address.hpp"

namespace mesh {

/// Immutable. The prefixes are cut into ranges that do not overlap, so a look-up is one binary search.
class RouteTable {
public:
    using Slot = std::uint32_t;
    struct Entry {
        net::Prefix prefix;
        Slot slot = 0;
    };

    RouteTable() = default;
    /// Of two entries for one prefix the later replaces the earlier. Entries without an address are ignored.
    explicit RouteTable(const std::vector<Entry>& entries);

    /// The slot of the longest prefix that holds `address`.
    std::optional<Slot> find(const net::IpAddress& address) const;
    bool empty() const { return v4_.empty() && v6_.empty(); }

private:
    template <class Key>
    struct Range {
        Key first;
        std::int64_t slot;  ///< kNobody from here on, or a Slot, up to the next range's first
    };
    struct Key6 {
        std::uint64_t high = 0, low = 0;
        auto operator<=>(const Key6&) const = default;
    };
    static constexpr std::int64_t kNobody = -1;
    friend struct RangeBuilder;

    std::vector<Range<std::uint32_t>> v4_;
    std::vector<Range<Key6>> v6_;
};

}  // namespace mesh
