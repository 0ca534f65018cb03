#include <array>

#include "meshctl/command.hpp"

namespace meshctl {

extern const Command kInit, kInvite, kJoin, kRevoke, kStatus, kPeers, kMembers, kStock, kUserAdd, kUserList,
    kUserRemove, kPhones, kCalls, kVoice, kData;

std::span<const Command* const> commands() {
    static constexpr std::array kCommands = {
        &kInit,  &kInvite,  &kJoin,     &kRevoke,     &kStatus, &kPeers, &kMembers,
        &kStock, &kUserAdd, &kUserList, &kUserRemove, &kPhones, &kCalls, &kVoice,
        &kData,
    };
    return kCommands;
}

}  // namespace meshctl
