#include "mesh/clock_trust.hpp"

#include <algorithm>
#include <vector>

namespace mesh {
namespace {

constexpr std::int64_t kLatest_s = 4'102'444'800;  // the year 2100; what 64 bits of nanoseconds hold ends in 2262

std::int64_t steady_seconds(net::Now now) {
    return std::chrono::duration_cast<std::chrono::seconds>(now.steady.time_since_epoch()).count();
}

}  // namespace

void ClockTrust::witness(const net::NodeKey& member, std::int64_t unix_seconds, net::Now now) {
    if (unix_seconds < 0 || unix_seconds > kLatest_s) return;
    offsets_[member] = {unix_seconds - steady_seconds(now)};
}

std::optional<net::Wall> ClockTrust::trusted(net::Now now, bool synchronised) const {
    if (synchronised) return now.wall;
    if (offsets_.size() < kWitnesses) return std::nullopt;
    std::vector<std::int64_t> offsets;
    for (const auto& [_, offset] : offsets_) offsets.push_back(offset.steady_to_wall_s);
    const auto middle = offsets.begin() + static_cast<std::ptrdiff_t>(offsets.size() / 2);
    std::nth_element(offsets.begin(), middle, offsets.end());
    const auto difference = std::chrono::seconds(net::unix_seconds(now.wall) - steady_seconds(now) - *middle);
    if (difference > kAgrees || difference < -kAgrees) return std::nullopt;
    return now.wall;
}

net::Wall ClockTrust::clock_of(const net::NodeKey& member, net::Now now) const {
    const auto found = offsets_.find(member);
    return found == offsets_.end() ? now.wall
                                   : net::from_unix_seconds(found->second.steady_to_wall_s + steady_seconds(now));
}

}  // namespace mesh
