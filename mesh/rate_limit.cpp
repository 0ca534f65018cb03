#include "mesh/rate_limit.hpp"

#include <algorithm>

#include "mesh/virtual_endpoint.hpp"

namespace mesh {

namespace {

constexpr net::Duration kCost = std::chrono::milliseconds(50);
constexpr net::Duration kBurst = 5 * kCost;
constexpr net::Duration kIdle = std::chrono::seconds(1);

}  // namespace

bool RateLimit::allow(const net::IpAddress& source, net::Steady now) {
    // What comes through a relay is told apart by relay and sender, which share a prefix.
    const bool whole = source.is_v4() || is_virtual({source, 1});
    const auto key = whole ? source : net::Prefix(source, 64).address();
    if (cleaned_ == net::Steady::min() || now - cleaned_ >= kIdle) forget_idle(now);
    auto found = buckets_.find(key);
    if (found == buckets_.end()) {
        if (buckets_.size() >= kMaxSources) return false;
        found = buckets_.emplace(key, Bucket{kBurst, now}).first;
    }
    auto& bucket = found->second;
    bucket.credit = std::min(kBurst, bucket.credit + (now - bucket.at));
    bucket.at = now;
    if (bucket.credit < kCost) return false;
    bucket.credit -= kCost;
    return true;
}

void RateLimit::forget_idle(net::Steady now) {
    cleaned_ = now;
    std::erase_if(buckets_, [now](const auto& entry) { return now - entry.second.at >= kIdle; });
}

}  // namespace mesh
