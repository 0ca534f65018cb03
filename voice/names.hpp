/// Telephone numbers and SIP URIs to the places to try: ENUM, then RFC 3263, over the answers of DNS. Passive: it is
/// asked, puts questions for DNS into an outbox, is fed the answers, and tells what it has found.
///
///   find_number(), find_uri() -> take_questions() -> answered() ... -> take_found()
///
/// Where DNS does not answer, or too late for somebody who waits for ring-back, the last good answer stands in for it. A
/// DNS that was silent is remembered for some seconds, and asked again for as long as somebody may want it, so that only the
/// first caller of an outage waits for it; and not even he where the owner knows beforehand that callers will come.
#pragma once

#include <set>

#include "net/random.hpp"
#include "net/time.hpp"
#include "voice/dns_cache.hpp"
#include "voice/enum.hpp"
#include "voice/locate.hpp"

namespace voice {

struct NamesSettings {
    std::vector<std::string> suffixes = {"e164.arpa"};  ///< of ENUM, in the order in which they are tried
    LocateSettings locate;
    std::size_t max_answers = 4096;  ///< that are kept
    std::size_t max_queries = 512;   ///< at a time
};

/// Never reused, never zero.
using NameQuery = std::uint64_t;

/// A URI, and where it leads.
struct Lead {
    Uri uri;
    Located at;
};

struct NameFound {
    NameQuery id = 0;
    std::string number;       ///< empty if a URI was asked for
    EnumResult said;          ///< of the number
    std::vector<Lead> leads;  ///< of each usable URI, in order
    bool stale = false;       ///< some of it is what DNS said the last time that it answered
};

class Names {
public:
    /// RFC 8767 section 5: so long somebody waits for DNS where an older answer is at hand.
    static constexpr auto kPatience = std::chrono::milliseconds(1800);
    /// And so long where there is none, whatever chains lead on.
    static constexpr auto kLimit = std::chrono::seconds(12);
    /// So long after a question that stayed without an answer, all DNS is taken for silent, unless an answer comes.
    static constexpr auto kSilentFor = std::chrono::seconds(10);
    /// So soon after one has failed, a silent DNS is asked again, until nobody has looked for anything for kProbeFor.
    static constexpr auto kProbeAfter = std::chrono::seconds(3);
    static constexpr auto kProbeFor = std::chrono::minutes(5);
    static constexpr std::size_t kMaxLeads = 8;
    static constexpr std::size_t kMaxLearnt = 256;  ///< that wait to be taken; more are forgotten

    struct Counters {
        std::uint64_t asked = 0, answered = 0, unanswered = 0;  ///< questions to DNS
        std::uint64_t stale = 0;    ///< answers that stood in for DNS
        std::uint64_t skipped = 0;  ///< records that were malformed
        std::uint64_t refused = 0;  ///< too many at a time
    };

    /// `random` is borrowed for life.
    Names(NamesSettings settings, net::Random& random);
    ~Names();
    Names(const Names&) = delete;
    Names& operator=(const Names&) = delete;

    /// `e164` as parse_e164() gives it. 0: there are too many already. What is known at once is found at once, and is
    /// told by take_found() too.
    NameQuery find_number(std::string e164, net::Now now);
    NameQuery find_uri(Uri uri, net::Now now);
    void forget(NameQuery id);  ///< nothing will be told of it
    /// It is still looked for.
    bool is_open(NameQuery id) const;
    /// While `on`, callers are expected: all numbers outside are up to DNS, as the centre has been lost. From then on one
    /// question is asked, the NAPTR of the first suffix (which any resolver can ask of the world, and most have at hand
    /// while the world is there); a silence is known before the first caller, and watched until this is taken back.
    void expect_callers(bool on, net::Now now);
    /// A question has waited for kPatience and no answer to anything has come since it was asked: as of the last call
    /// that told the time. Who has another way need not wait; who has none waits for kPatience, not kLimit.
    bool is_silent(net::Now now) const { return now.steady < silent_until_; }

    /// Each question that was taken is answered once: with the raw message, or by unanswered() if there is none.
    void answered(const DnsQuestion& question, net::ByteView message, net::Now now);
    void unanswered(const DnsQuestion& question, net::Now now);
    void tick(net::Now now);
    net::Steady next_deadline() const;

    /// An answer of an earlier run, as if it had come at that time. Nothing waits for it.
    void restore(const DnsQuestion& question, net::ByteView message, net::Wall came, net::Now now);
    /// The messages that answered something, be it that there is nothing, for the owner to keep over a restart.
    struct Learnt {
        DnsQuestion question;
        net::Bytes message;
    };
    std::vector<Learnt> take_learnt() { return std::exchange(learnt_, {}); }

    std::vector<DnsQuestion> take_questions() { return std::exchange(questions_, {}); }
    std::vector<NameFound> take_found() { return std::exchange(found_, {}); }
    const Counters& counters() const { return counters_; }

private:
    struct Query;
    NameQuery open(Query query, net::Now now);
    /// As far as the answers go; true when it is done.
    bool advance(Query& query, net::Now now);
    void add_fact(Query& query, const DnsQuestion& question, DnsAnswer answer, bool stale);
    void learn(const DnsQuestion& question, DnsAnswer answer, net::Now now);
    void settle(net::Now now);
    void put_question(const DnsQuestion& question, net::Now now);
    void note_silence(net::Now now);
    bool is_wanted(net::Now now) const { return callers_expected_ || now.steady < wanted_until_; }
    void probe(net::Now now);

    NamesSettings settings_;
    net::Random& random_;
    DnsCache cache_;
    std::map<NameQuery, Query> queries_;
    std::map<DnsQuestion, net::Steady> under_way_;  ///< since when
    /// Until then DNS is taken for dead: the last good answers are used at once, and asked for all the same.
    net::Steady dead_until_{};
    net::Steady silent_until_{};
    net::Steady heard_{};         ///< the last answer
    net::Steady wanted_until_{};  ///< somebody has looked for something lately
    bool callers_expected_ = false;
    std::optional<DnsQuestion> probe_;  ///< what a silent DNS was asked
    net::Steady probe_at_ = net::kNever;
    std::vector<DnsQuestion> questions_;
    std::vector<NameFound> found_;
    std::vector<Learnt> learnt_;
    NameQuery last_ = 0;
    Counters counters_;
};

}  // namespace voice
