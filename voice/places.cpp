#include "voice/places.hpp"

#include <algorithm>

namespace voice {

void Places::add(const net::Endpoint& place, net::Now now) {
    if (!until_.contains(place) && until_.size() >= kMax) {
        until_.erase(std::min_element(until_.begin(), until_.end(),
                                      [](const auto& a, const auto& b) { return a.second < b.second; }));
    }
    until_[place] = now.steady + kKeep;
}

void Places::heard(const net::Endpoint& place, net::Now now) {
    if (const auto known = until_.find(place); known != until_.end()) known->second = now.steady + kKeep;
}

bool Places::contains(const net::IpAddress& address) const {
    const auto first = until_.lower_bound(net::Endpoint{address, 0, 0});
    return first != until_.end() && first->first.address == address;
}

void Places::tick(net::Now now) {
    if (now.steady < next_sweep_) return;
    next_sweep_ = now.steady + std::chrono::minutes(1);
    std::erase_if(until_, [&](const auto& entry) { return entry.second <= now.steady; });
}

}  // namespace voice
