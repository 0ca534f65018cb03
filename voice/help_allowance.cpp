#include "voice/help_allowance.hpp"

#include <algorithm>

namespace voice {

bool HelpAllowance::take(const NodeId& member, net::Steady now) {
    auto at = full_at_.find(member);
    if (at == full_at_.end()) {
        if (full_at_.size() >= kMaxMembers) std::erase_if(full_at_, [&](const auto& other) { return other.second <= now; });
        if (full_at_.size() >= kMaxMembers) return false;
        at = full_at_.emplace(member, now).first;
    }
    const auto full_at = std::max(at->second, now) + kOneMoreEvery;
    if (full_at - now > kAtOnce * net::Duration(kOneMoreEvery)) return false;
    at->second = full_at;
    return true;
}

}  // namespace voice
