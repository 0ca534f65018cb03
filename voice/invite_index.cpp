#include "voice/invite_index.hpp"

#include <algorithm>

namespace voice {

std::string InviteIndex::name_of(const Message& invite) {
    return std::string(invite.call_id()) + '\n' + invite.from_tag() + '\n' + invite.cseq().text();
}

void InviteIndex::add(const Message& invite, ServerId id) { by_name_[name_of(invite)].push_back(id); }

void InviteIndex::remove(const Message& invite, ServerId id) {
    const auto at = by_name_.find(name_of(invite));
    if (at == by_name_.end()) return;
    at->second.erase(std::remove(at->second.begin(), at->second.end(), id), at->second.end());
    if (at->second.empty()) by_name_.erase(at);
}

std::vector<ServerId> InviteIndex::copies_of(const Message& invite) const {
    const auto at = by_name_.find(name_of(invite));
    return at == by_name_.end() ? std::vector<ServerId>() : at->second;
}

}  // namespace voice
