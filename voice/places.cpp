#include "voice/places.hpp"

#include <algorithm>

namespace voice {

void Places::add(const net::Endpoint& place, net::Now now, std::string_view tls_name) {
    if (!known_.contains(place) && known_.size() >= kMax) {
        known_.erase(std::min_element(known_.begin(), known_.end(),
                                      [](const auto& a, const auto& b) { return a.second.until < b.second.until; }));
    }
    auto& known = known_[place];
    known.until = now.steady + kKeep;
    if (!tls_name.empty()) known.tls_name = tls_name;
}

void Places::heard(const net::Endpoint& place, net::Now now) {
    if (const auto known = known_.find(place); known != known_.end()) known->second.until = now.steady + kKeep;
}

bool Places::contains(const net::IpAddress& address) const {
    const auto first = known_.lower_bound(net::Endpoint{address, 0, 0});
    return first != known_.end() && first->first.address == address;
}

std::string Places::tls_name(const net::Endpoint& place) const {
    const auto known = known_.find(place);
    return known == known_.end() ? std::string() : known->second.tls_name;
}

void Places::tick(net::Now now) {
    if (now.steady < next_sweep_) return;
    next_sweep_ = now.steady + std::chrono::minutes(1);
    std::erase_if(known_, [&](const auto& entry) { return entry.second.until <= now.steady; });
}

}  // namespace voice
