#include "meshd/dns_rate.hpp"

#include <algorithm>

namespace meshd {
namespace {

constexpr net::Duration kSecond = std::chrono::seconds(1);
constexpr net::Duration kIdle = kSecond;  // a bucket is full again by then

}  // namespace

bool DnsRate::Bucket::take(unsigned per_s, unsigned burst, net::Steady now) {
    const auto cost = kSecond / per_s;
    credit = std::min<net::Duration>(burst * cost, credit + std::min(now - at, kIdle));
    at = now;
    if (credit < cost) return false;
    credit -= cost;
    return true;
}

bool DnsRate::allow(const net::IpAddress& asker, net::Steady now) {
    const auto key = asker.is_v6() ? net::Prefix(asker, 64).address() : asker;
    auto found = askers_.find(key);
    if (found == askers_.end()) {
        if (now - cleaned_ >= kIdle) forget_idle(now);
        if (askers_.size() >= kMaxAskers) return false;
        found = askers_.emplace(key, Bucket{kSecond, now}).first;
    }
    // Whoever is over his own rate takes nothing from the others.
    return found->second.take(kOfOnePerS, kBurstOfOne, now) && all_.take(kOfAllPerS, kBurstOfAll, now);
}

void DnsRate::forget_idle(net::Steady now) {
    cleaned_ = now;
    std::erase_if(askers_, [now](const auto& entry) { return now - entry.second.at >= kIdle; });
}

}  // namespace meshd
