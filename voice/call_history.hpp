/// The calls of this node, over and going on, for people who ask later; bounded by number and age. What changed is told
/// in bundles, so that the owner can keep it over a crash without writing each call many times.
#pragma once

#include <map>
#include <set>

#include "voice/call_record.hpp"

namespace voice {

class CallHistory {
public:
    static constexpr std::size_t kMaxRecords = 5000;
    static constexpr auto kMaxAge = std::chrono::hours(24 * 90);
    static constexpr auto kTellAfter = std::chrono::milliseconds(250);
    static constexpr std::string_view kStopped = "meshd stopped";

    /// For a call that begins: later than all before, over restarts too.
    std::uint64_t new_number(net::Wall now);
    /// The record of that number is this from now on.
    void put(CallRecord record, net::Now now);
    /// What was there when we last lived. A call that had not ended by then has: we stopped.
    void restore(std::vector<CallRecord> records, net::Now now);

    /// What is to be kept or, where there is no record, forgotten; told once.
    struct Change {
        std::uint64_t number = 0;
        std::optional<CallRecord> record;
    };
    std::vector<Change> take_changes(net::Now now);
    net::Steady next_deadline() const { return changed_.empty() ? net::kNever : tell_at_; }

    const std::map<std::uint64_t, CallRecord>& records() const { return records_; }

private:
    void change(std::uint64_t number, net::Now now);
    void forget_old(net::Now now);

    std::map<std::uint64_t, CallRecord> records_;
    std::set<std::uint64_t> changed_;
    net::Steady tell_at_;
    std::uint64_t last_number_ = 0;
};

/// One call as all who carried it saw it.
struct WholeCall {
    CallRecord whole;               ///< the earliest beginning, the latest end, and the end's reason
    std::vector<CallRecord> sides;  ///< the caller's first, where it can be told
};
/// Puts the accounts of each call together, whoever's they are and in whatever order they come; the latest call first.
/// The same account twice (number and node) counts once: the later `seen`. Accounts of two ids, as a B2BUA leaves them, are of
/// one call where the media of one leads to the other's.
std::vector<WholeCall> whole_calls(const std::vector<CallRecord>& records);

}  // namespace voice
