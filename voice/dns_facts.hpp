/// What one resolution knows of DNS so far. The rules of ENUM and of RFC 3263 are plain functions over it: they ask for
/// what they need, and where something is missing their result does not count. The owner then asks DNS, adds the
/// answers, and calls them again, with the same answers as before and some more. So they keep no state of their own, and
/// a resolution cannot ask for more than kMax questions, whatever chains and aliases it is given.
#pragma once

#include <map>
#include <utility>

#include "voice/dns.hpp"

namespace voice {

class DnsFacts {
public:
    static constexpr std::size_t kMax = 96;

    /// The answer, borrowed for the life of this object; nullptr: not known yet, and noted as missing. Past the bound
    /// everything has failed.
    const DnsAnswer* find(const DnsQuestion& question) {
        static const DnsAnswer kFailed;
        if (const auto known = known_.find(question); known != known_.end()) return &known->second.answer;
        if (known_.size() + missing_.size() >= kMax) return &kFailed;
        missing_.push_back(question);
        return nullptr;
    }
    void add(const DnsQuestion& question, DnsAnswer answer, bool stale) {
        any_stale_ |= stale;
        known_.insert_or_assign(question, Fact{std::move(answer), stale});
    }
    bool knows(const DnsQuestion& question) const { return known_.contains(question); }
    bool is_stale(const DnsQuestion& question) const {
        const auto known = known_.find(question);
        return known != known_.end() && known->second.stale;
    }
    /// Some answer was the last good one, past its time, because DNS does not answer.
    bool any_stale() const { return any_stale_; }

    /// What find() has missed since the last time that this was called.
    std::vector<DnsQuestion> take_missing() { return std::exchange(missing_, {}); }
    bool complete() const { return missing_.empty(); }

private:
    struct Fact {
        DnsAnswer answer;
        bool stale = false;
    };
    std::map<DnsQuestion, Fact> known_;
    std::vector<DnsQuestion> missing_;
    bool any_stale_ = false;
};

}  // namespace voice
