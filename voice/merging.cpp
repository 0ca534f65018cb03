#include "voice/merging.hpp"

#include <algorithm>

namespace voice {

std::string Merging::name_of(const Message& invite) {
    return std::string(invite.call_id()) + '\n' + invite.from_tag() + '\n' + invite.cseq().text();
}

Merging::Judgement Merging::judge(const Message& invite, const Aor& caller, const Aor& callee, Side side, bool second,
                                  bool centre_doubtful) const {
    const auto [first, last] = by_pair_.equal_range(pair_of(caller, callee));
    for (auto at = first; at != last; ++at) {
        const auto& other = by_id_.at(at->second);
        if (side == Side::centre && other.second) return {Verdict::hold, other.id, other.invite == name_of(invite)};
        if (side != Side::centre && second && other.side == Side::centre && !other.until) {
            const bool same = other.invite == name_of(invite);
            return {centre_doubtful && same ? Verdict::adopt : Verdict::refuse, other.id, same};
        }
    }
    return {};
}

void Merging::deliver(ServerId id, const Message& invite, const Aor& caller, const Aor& callee, Side side,
                      bool second) {
    const auto pair = pair_of(caller, callee);
    // The same one twice: a spare that is tried again.
    const auto fresh = by_id_.insert_or_assign(id, Delivery{id, pair, name_of(invite), side, second, std::nullopt}).second;
    if (fresh) by_pair_.emplace(pair, id);
}

ServerId Merging::ringing(const Message& withdrawal, const Aor& caller, const Aor& callee, bool any) const {
    const auto name = std::string(withdrawal.call_id()) + '\n' + withdrawal.from_tag() + '\n';
    const auto [first, last] = by_pair_.equal_range(pair_of(caller, callee));
    ServerId of_pair = 0;
    for (auto at = first; at != last; ++at) {
        const auto& other = by_id_.at(at->second);
        if (other.side != Side::centre || other.until) continue;
        if (other.invite.starts_with(name)) return other.id;
        of_pair = other.id;
    }
    return any ? of_pair : 0;
}

void Merging::ended(ServerId id, bool answered, net::Now now) {
    const auto at = by_id_.find(id);
    if (at == by_id_.end()) return;
    at->second.until = now.steady + (answered ? net::Duration(kRememberAnswered) : net::Duration(kRememberEnded));
}

void Merging::tick(net::Now now) {
    if (now.steady < next_sweep_) return;
    next_sweep_ = now.steady + std::chrono::seconds(1);
    std::erase_if(by_id_, [&](const auto& entry) {
        const auto id = entry.first;
        const auto& delivery = entry.second;
        if (!delivery.until || *delivery.until > now.steady) return false;
        const auto [first, last] = by_pair_.equal_range(delivery.pair);
        by_pair_.erase(std::find_if(first, last, [&](const auto& other) { return other.second == id; }));
        return true;
    });
}

}  // namespace voice
