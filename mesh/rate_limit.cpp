#include "mesh/rate_limit.hpp"

#include <algorithm>

namespace mesh {

namespace {

constexpr net::Duration kCost = std::chrono::milliseconds(50);
constexpr net::Duration kBurst = 5 * kCost;
constexpr net::Duration kIdle = std::chrono::seconds(1);

}  // namespace

bool RateLimit::allow(const net::IpAddress& source, net::Steady now) {
    const auto key = source.is_v6() ? net::Prefix(source, 64).address() : source;
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
