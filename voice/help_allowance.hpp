/// How many calls for help of each other office are let through where others are refused: in need they are few, and a
/// member that calls every call one must not get past the limits that hold for all.
#pragma once

#include <map>

#include "net/time.hpp"
#include "voice/directory.hpp"

namespace voice {

class HelpAllowance {
public:
    static constexpr unsigned kAtOnce = 20;                    ///< of one member
    static constexpr auto kOneMoreEvery = std::chrono::seconds(3);
    static constexpr std::size_t kMaxMembers = 1024;           ///< that have used some of it; beyond, nobody new has any

    /// Whether one more of this member's is let through now; each that is counts.
    bool take(const NodeId& member, net::Steady now);
    std::size_t members() const { return full_at_.size(); }

private:
    std::map<NodeId, net::Steady> full_at_;  ///< when it has all of its allowance again; not listed: it has
};

}  // namespace voice
