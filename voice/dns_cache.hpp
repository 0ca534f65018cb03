/// Answers of DNS for as long as they hold, and the last good ones for when nobody answers any more (RFC 8767).
#pragma once

#include <list>
#include <map>

#include "net/time.hpp"
#include "voice/dns.hpp"

namespace voice {

class DnsCache {
public:
    /// RFC 8767 section 5: how long an answer is of use past its time, and how soon one who did not answer is asked again.
    static constexpr auto kMaxStale = std::chrono::hours(7 * 24);
    static constexpr auto kAskAgain = std::chrono::seconds(30);

    explicit DnsCache(std::size_t max_answers) : max_answers_(max_answers) {}

    enum class State {
        unknown,  ///< to be asked for
        fresh,
        stale,   ///< past its time: to be asked for, and used if nobody answers
        failing  ///< nobody has answered a moment ago: not to be asked for now. There may be a stale answer.
    };
    struct View {
        State state = State::unknown;
        const DnsAnswer* answer = nullptr;  ///< borrowed until the next call that is not const
    };
    View look(const DnsQuestion& question, net::Now now);
    /// What a name server has said; kind `failed` keeps what was known before.
    void put(const DnsQuestion& question, DnsAnswer answer, net::Now now);
    /// Nobody is `failing` any more.
    void ask_again();

    std::size_t size() const { return entries_.size(); }

private:
    struct Entry {
        DnsAnswer answer;  ///< kind `failed`: none yet
        net::Steady until{};
        net::Steady quiet_until{};
        std::list<DnsQuestion>::iterator place;
    };
    Entry& touch(const DnsQuestion& question);

    std::size_t max_answers_;
    std::map<DnsQuestion, Entry> entries_;
    std::list<DnsQuestion> by_use_;  ///< the one that was used last in front
};

}  // namespace voice
