#include <array>

#include "meshctl/command.hpp"

namespace meshctl {

extern const Command kInit, kInvite, kJoin, kRevoke, kStatus, kPeers, kMembers, kStock, kUserAdd, kUserList,
    kUserRemove, kPhones, kCalls, kMessages, kVoice, kTrunks, kEnum, kDns, kExit, kData, kWhy,
    kNetcheck;

std::span<const Command* const> commands() {
    static constexpr std::array kCommands = {
        &kInit,  &kInvite,  &kJoin,     &kRevoke,     &kStatus, &kPeers, &kWhy,    &kNetcheck, &kMembers,
        &kStock, &kUserAdd, &kUserList, &kUserRemove, &kPhones, &kCalls, &kMessages,
        &kVoice, &kTrunks, &kEnum,    &kDns,      &kExit,     &kData,
    };
    return kCommands;
}

}  // namespace meshctl
