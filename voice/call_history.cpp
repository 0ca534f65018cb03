#include "voice/call_history.hpp"

#include <algorithm>
#include <utility>

namespace voice {

std::uint64_t CallHistory::new_number(net::Wall now) {
    // By the clock, so that they rise over restarts of which nothing is known; and if that steps back, still.
    const auto by_clock = static_cast<std::uint64_t>(std::max<std::int64_t>(net::unix_seconds(now), 0)) * 1000;
    last_number_ = std::max(last_number_ + 1, by_clock);
    return last_number_;
}

void CallHistory::put(CallRecord record, net::Now now) {
    const auto number = record.number;
    record.seen = now.wall;
    records_.insert_or_assign(number, std::move(record));
    change(number, now);
    forget_old(now);
}

void CallHistory::restore(std::vector<CallRecord> records, net::Now now) {
    for (auto& record : records) {
        const auto number = record.number;
        last_number_ = std::max(last_number_, number);
        if (!record.ended) {
            record.ended = record.seen;
            record.why = kStopped;
            change(number, now);
        }
        records_.insert_or_assign(number, std::move(record));
    }
    forget_old(now);
}

void CallHistory::change(std::uint64_t number, net::Now now) {
    if (changed_.empty()) tell_at_ = now.steady + kTellAfter;
    changed_.insert(number);
}

void CallHistory::forget_old(net::Now now) {
    while (!records_.empty()) {
        const auto& [number, oldest] = *records_.begin();
        if (records_.size() <= kMaxRecords && oldest.seen + kMaxAge > now.wall) return;
        change(number, now);
        records_.erase(records_.begin());
    }
}

std::vector<CallHistory::Change> CallHistory::take_changes(net::Now now) {
    std::vector<Change> out;
    if (changed_.empty() || tell_at_ > now.steady) return out;
    for (const auto number : std::exchange(changed_, {})) {
        const auto record = records_.find(number);
        out.push_back({number, record == records_.end() ? std::nullopt : std::optional(record->second)});
    }
    return out;
}

namespace {

template <class Time, class Better>
void take(std::optional<Time>& mine, const std::optional<Time>& other, Better better) {
    if (other && (!mine || better(*other, *mine))) mine = other;
}

/// What one side saw of the other's end says less than what that side did itself.
bool says_more(const CallRecord& a, const CallRecord& b) {
    if (a.why.empty() != b.why.empty()) return b.why.empty();
    const bool stopped = a.why == CallHistory::kStopped;
    return stopped != (b.why == CallHistory::kStopped) ? !stopped : a.ended < b.ended;
}

/// How long a B2BUA may take to call, and how far two offices' clocks may differ.
constexpr auto kApart = std::chrono::seconds(30);

/// Under which of its ids a call is counted.
class OneName {
public:
    explicit OneName(const std::vector<CallRecord>& records) {
        std::multimap<std::pair<net::Endpoint, net::Wall>, const CallRecord*> by_end;
        for (const auto& record : records) {
            if (record.our_end) by_end.emplace(std::pair(*record.our_end, record.started), &record);
        }
        for (const auto& record : records) {
            if (!record.far_end) continue;
            const CallRecord* other = nullptr;  // ports are used again: the nearest
            auto at = by_end.lower_bound({*record.far_end, record.started - kApart});
            for (; at != by_end.end() && at->first <= std::pair(*record.far_end, record.started + kApart); ++at) {
                const auto& one = *at->second;
                if (one.from != record.from || one.to != record.to) continue;
                if (other == nullptr || apart(one, record) < apart(*other, record)) other = &one;
            }
            if (other != nullptr) join(record.id, other->id);
        }
    }
    std::string of(std::string id) const {
        for (auto at = under_.find(id); at != under_.end(); at = under_.find(id)) id = at->second;
        return id;
    }

private:
    static net::Duration apart(const CallRecord& a, const CallRecord& b) {
        return a.started < b.started ? b.started - a.started : a.started - b.started;
    }
    void join(const std::string& a, const std::string& b) {
        const auto one = of(a), other = of(b);
        if (one != other) under_[std::max(one, other)] = std::min(one, other);
    }
    std::map<std::string, std::string> under_;
};

}  // namespace

std::vector<WholeCall> whole_calls(const std::vector<CallRecord>& records) {
    const OneName name(records);
    std::map<std::string, std::map<std::pair<NodeId, std::uint64_t>, const CallRecord*>> by_id;
    for (const auto& record : records) {
        auto& kept = by_id[name.of(record.id)][{record.node, record.number}];
        if (kept == nullptr || kept->seen < record.seen) kept = &record;
    }
    std::vector<WholeCall> out;
    for (const auto& [id, accounts] : by_id) {
        WholeCall call;
        for (const auto& [key, record] : accounts) call.sides.push_back(*record);
        std::stable_sort(call.sides.begin(), call.sides.end(),
                         [](const auto& a, const auto& b) { return a.started < b.started; });
        call.whole = call.sides.front();
        bool going_on = false;
        const auto* best = &call.sides.front();
        for (const auto& side : call.sides) {
            going_on |= !side.ended;
            if (says_more(side, *best)) best = &side;
            call.whole.started = std::min(call.whole.started, side.started);
            take(call.whole.rang, side.rang, std::less<>());
            take(call.whole.answered, side.answered, std::less<>());
            take(call.whole.ended, side.ended, std::greater<>());
            call.whole.seen = std::max(call.whole.seen, side.seen);
            if (call.whole.audio.empty()) call.whole.audio = side.audio;
        }
        call.whole.why = going_on ? std::string() : best->why;
        call.whole.status = going_on ? 0 : best->status;
        if (going_on) call.whole.ended.reset();
        out.push_back(std::move(call));
    }
    std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) {
        return std::tie(b.whole.started, b.whole.id) < std::tie(a.whole.started, a.whole.id);
    });
    return out;
}

}  // namespace voice
