#include "mesh/routes.hpp"

#include <algorithm>

namespace mesh {

/// Cuts nested prefixes of one family into ranges, in order of their first addresses.
struct RangeBuilder {
    static std::uint32_t key4(const net::IpAddress& address) { return address.v4_host_order(); }
    static RouteTable::Key6 key6(const net::IpAddress& address) {
        net::Reader reader(address.bytes());
        const auto high = reader.u64be();
        return {high, reader.u64be()};
    }
    static std::optional<std::uint32_t> after(std::uint32_t first, unsigned length) {
        const auto last = length == 0 ? UINT32_MAX : first | (length == 32 ? 0 : UINT32_MAX >> length);
        if (last == UINT32_MAX) return std::nullopt;
        return last + 1;
    }
    static std::optional<RouteTable::Key6> after(RouteTable::Key6 first, unsigned length) {
        auto last = first;
        if (length < 64) last.high |= length == 0 ? UINT64_MAX : UINT64_MAX >> length;
        last.low |= length <= 64 ? UINT64_MAX : length == 128 ? 0 : UINT64_MAX >> (length - 64);
        if (last.low != UINT64_MAX) return RouteTable::Key6{last.high, last.low + 1};
        if (last.high != UINT64_MAX) return RouteTable::Key6{last.high + 1, 0};
        return std::nullopt;
    }

    /// `entries`: sorted by (address, length), one per prefix. A prefix's inner ones come right behind it.
    template <class Key, class KeyOf>
    static std::vector<RouteTable::Range<Key>> build(const std::vector<RouteTable::Entry>& entries, KeyOf key_of) {
        struct Open {
            std::optional<Key> end;  // nullopt: up to the very last address
            std::int64_t slot;
        };
        std::vector<RouteTable::Range<Key>> ranges;
        std::vector<Open> open;
        const auto add = [&ranges](Key first, std::int64_t slot) {
            if (!ranges.empty() && ranges.back().first == first) {
                ranges.back().slot = slot;  // the inner prefix begins where the outer one does
            } else {
                ranges.push_back({first, slot});
            }
        };
        const auto close_until = [&](std::optional<Key> first) {
            while (!open.empty() && open.back().end && (!first || *open.back().end <= *first)) {
                const auto end = *open.back().end;
                open.pop_back();
                add(end, open.empty() ? RouteTable::kNobody : open.back().slot);
            }
        };
        for (const auto& entry : entries) {
            const Key first = key_of(entry.prefix.address());
            close_until(first);
            add(first, entry.slot);
            open.push_back({after(first, entry.prefix.length()), entry.slot});
        }
        close_until(std::nullopt);
        return ranges;
    }

    template <class Ranges, class Key>
    static std::optional<RouteTable::Slot> find(const Ranges& ranges, const Key& key) {
        const auto next = std::upper_bound(ranges.begin(), ranges.end(), key,
                                           [](const Key& value, const auto& range) { return value < range.first; });
        if (next == ranges.begin() || std::prev(next)->slot == RouteTable::kNobody) return std::nullopt;
        return static_cast<RouteTable::Slot>(std::prev(next)->slot);
    }
};

RouteTable::RouteTable(const std::vector<Entry>& entries) {
    std::vector<Entry> v4, v6;
    for (const auto& entry : entries) {
        if (entry.prefix.address().is_v4()) v4.push_back(entry);
        if (entry.prefix.address().is_v6()) v6.push_back(entry);
    }
    for (auto* const family : {&v4, &v6}) {
        // Reversed, so that of equals the later stands first and is the one that `unique` keeps.
        std::reverse(family->begin(), family->end());
        std::stable_sort(family->begin(), family->end(),
                         [](const Entry& a, const Entry& b) { return a.prefix < b.prefix; });
        family->erase(std::unique(family->begin(), family->end(),
                                  [](const Entry& a, const Entry& b) { return a.prefix == b.prefix; }),
                      family->end());
    }
    v4_ = RangeBuilder::build<std::uint32_t>(v4, RangeBuilder::key4);
    v6_ = RangeBuilder::build<Key6>(v6, RangeBuilder::key6);
}

std::optional<RouteTable::Slot> RouteTable::find(const net::IpAddress& address) const {
    if (address.is_v4()) return RangeBuilder::find(v4_, RangeBuilder::key4(address));
    if (address.is_v6()) return RangeBuilder::find(v6_, RangeBuilder::key6(address));
    return std::nullopt;
}

}  // namespace mesh
