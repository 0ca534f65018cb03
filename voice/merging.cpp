#include "voice/merging.hpp"

#include <algorithm>

namespace voice {

Merging::Judgement Merging::judge(const Message& invite, const Aor& caller, const Aor& callee, Side side, bool second,
                                  bool centre_doubtful) const {
    const auto name = InviteIndex::name_of(invite);
    Judgement found;
    const auto [first, last] = by_pair_.equal_range(pair_of(caller, callee));
    for (auto at = first; at != last; ++at) {
        const auto& other = by_id_.at(at->second);
        const bool same = other.invite == name;
        if (found.other != 0 && !same) continue;  // the same one says more than another of that pair
        if (side == Side::centre && other.second) found = {Verdict::hold, other.id, same};
        if (side != Side::centre && second && other.side == Side::centre && !other.until) {
            found = {centre_doubtful && same ? Verdict::adopt : Verdict::refuse, other.id, same};
        }
    }
    return found;
}

void Merging::deliver(ServerId id, const Message& invite, const Aor& caller, const Aor& callee, Side side,
                      bool second) {
    const auto pair = pair_of(caller, callee);
    // The same one twice: a spare that is tried again.
    const auto fresh = by_id_.insert_or_assign(id, Delivery{id, pair, InviteIndex::name_of(invite), side, second, std::nullopt, false}).second;
    if (fresh) by_pair_.emplace(pair, id);
}

std::vector<ServerId> Merging::copies(const std::string& pair, std::string_view name, bool answered) const {
    std::vector<ServerId> out;
    const auto [first, last] = by_pair_.equal_range(pair);
    for (auto at = first; at != last; ++at) {
        const auto& other = by_id_.at(at->second);
        if (other.side != Side::centre || (other.until && !(answered && other.answered))) continue;
        if (std::string_view(other.invite).starts_with(name)) out.push_back(other.id);
    }
    std::sort(out.begin(), out.end());
    return out;
}

std::vector<ServerId> Merging::copies(const Message& invite, const Aor& caller, const Aor& callee, bool answered) const {
    return copies(pair_of(caller, callee), InviteIndex::name_of(invite), answered);
}

std::vector<ServerId> Merging::ringing(const Message& withdrawal, const Aor& caller, const Aor& callee, bool any) const {
    const auto pair = pair_of(caller, callee);
    auto out = copies(pair, std::string(withdrawal.call_id()) + '\n' + withdrawal.from_tag() + '\n', false);
    if (!out.empty() || !any) return out;
    out = copies(pair, "", false);
    return out.empty() ? out : copies(pair, by_id_.at(out.back()).invite, false);
}

void Merging::ended(ServerId id, bool answered, net::Now now) {
    const auto at = by_id_.find(id);
    if (at == by_id_.end()) return;
    at->second.answered = answered;
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
