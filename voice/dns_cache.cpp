#include "voice/dns_cache.hpp"

#include <utility>

namespace voice {

DnsCache::Entry& DnsCache::touch(const DnsQuestion& question) {
    const auto [found, is_new] = entries_.try_emplace(question);
    auto& entry = found->second;
    if (is_new) {
        by_use_.push_front(question);
        entry.place = by_use_.begin();
        if (entries_.size() > max_answers_) {
            entries_.erase(by_use_.back());
            by_use_.pop_back();
        }
    } else {
        by_use_.splice(by_use_.begin(), by_use_, entry.place);
    }
    return entry;
}

DnsCache::View DnsCache::look(const DnsQuestion& question, net::Now now) {
    if (!entries_.contains(question)) return {};
    auto& entry = touch(question);
    const bool any = entry.answer.kind != DnsAnswer::Kind::failed && now.steady < entry.until + kMaxStale;
    const auto* answer = any ? &entry.answer : nullptr;
    if (any && now.steady < entry.until) return {State::fresh, answer};
    if (now.steady < entry.quiet_until) return {State::failing, answer};
    return {any ? State::stale : State::unknown, answer};
}

void DnsCache::put(const DnsQuestion& question, DnsAnswer answer, net::Now now) {
    auto& entry = touch(question);
    if (answer.kind == DnsAnswer::Kind::failed) {
        entry.quiet_until = now.steady + kAskAgain;
        return;
    }
    entry.until = now.steady + answer.ttl;
    entry.quiet_until = {};
    entry.answer = std::move(answer);
}

void DnsCache::ask_again() {
    for (auto& [question, entry] : entries_) entry.quiet_until = {};
}

}  // namespace voice
