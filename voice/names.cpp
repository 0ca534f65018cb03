#include "voice/names.hpp"

#include <algorithm>

namespace voice {

struct Names::Query {
    std::string number;
    Uri uri;
    DnsFacts facts;
    std::set<DnsQuestion> waiting;
    net::Steady patience = net::kNever;  ///< when older answers stand in
    net::Steady limit = net::kNever;
    NameFound found;
};

Names::Names(NamesSettings settings, net::Random& random)
    : settings_(std::move(settings)), random_(random), cache_(settings_.max_answers) {}
Names::~Names() = default;

NameQuery Names::find_number(std::string e164, net::Now now) {
    Query query;
    query.number = std::move(e164);
    return open(std::move(query), now);
}

NameQuery Names::find_uri(Uri uri, net::Now now) {
    Query query;
    query.uri = std::move(uri);
    return open(std::move(query), now);
}

NameQuery Names::open(Query query, net::Now now) {
    if (queries_.size() >= settings_.max_queries) {
        ++counters_.refused;
        return 0;
    }
    note_silence(now);
    wanted_until_ = now.steady + kProbeFor;
    const auto id = ++last_;
    query.limit = now.steady + (is_silent(now) ? net::Duration(kPatience) : net::Duration(kLimit));
    query.found.id = id;
    query.found.number = query.number;
    queries_.emplace(id, std::move(query));
    settle(now);
    return id;
}

void Names::expect_callers(bool on, net::Now now) {
    if (!std::exchange(callers_expected_, on) && on && !probe_ && !settings_.suffixes.empty()) {
        const DnsQuestion question{settings_.suffixes.front(), DnsType::naptr};
        if (!under_way_.contains(question)) put_question(question, now);
    }
}

bool Names::is_open(NameQuery id) const { return queries_.contains(id); }

void Names::forget(NameQuery id) {
    queries_.erase(id);
    std::erase_if(found_, [&](const auto& found) { return found.id == id; });
}

void Names::answered(const DnsQuestion& question, net::ByteView message, net::Now now) {
    auto answer = parse_dns_answer(question, message);
    if (!answer) return unanswered(question, now);
    ++counters_.answered;
    dead_until_ = {};
    heard_ = now.steady;
    if (probe_) cache_.ask_again();  // nothing is known of those whom the silence has failed
    silent_until_ = {};
    probe_.reset();
    probe_at_ = net::kNever;
    if (under_way_.contains(question) && learnt_.size() < kMaxLearnt) {
        learnt_.push_back({question, net::copy(message)});
    }
    learn(question, std::move(*answer), now);
}

void Names::restore(const DnsQuestion& question, net::ByteView message, net::Wall came, net::Now now) {
    auto answer = parse_dns_answer(question, message);
    const auto age = std::max<net::Duration>(now.wall - came, net::Duration(0));
    if (!answer || age >= DnsCache::kMaxStale) return;
    cache_.put(question, std::move(*answer), {now.steady - age, now.wall - age});
}

void Names::unanswered(const DnsQuestion& question, net::Now now) {
    ++counters_.unanswered;
    note_silence(now);
    if (question == probe_) probe_at_ = now.steady + kProbeAfter;
    learn(question, {}, now);
}

void Names::learn(const DnsQuestion& question, DnsAnswer answer, net::Now now) {
    if (under_way_.erase(question) == 0) return;  // nobody has asked for it
    cache_.put(question, answer, now);
    const bool failed = answer.kind == DnsAnswer::Kind::failed;
    for (auto& [id, query] : queries_) {
        if (query.waiting.erase(question) == 0) continue;
        const auto known = cache_.look(question, now);
        if (failed && known.answer != nullptr) dead_until_ = now.steady + DnsCache::kAskAgain;
        add_fact(query, question, failed && known.answer != nullptr ? *known.answer : answer, failed && known.answer != nullptr);
    }
    settle(now);
}

void Names::add_fact(Query& query, const DnsQuestion& question, DnsAnswer answer, bool stale) {
    if (stale) ++counters_.stale;
    query.facts.add(question, std::move(answer), stale);
}

bool Names::advance(Query& query, net::Now now) {
    while (query.waiting.empty()) {
        query.found.leads.clear();
        query.found.said = {};
        std::vector<Uri> uris{query.uri};
        if (!query.number.empty()) {
            query.found.said = look_up_number(query.number, settings_.suffixes, query.facts);
            uris = query.found.said.uris;
        }
        if (uris.size() > kMaxLeads) uris.resize(kMaxLeads);
        if (query.facts.complete()) {
            for (auto& uri : uris) {
                auto at = locate(uri, settings_.locate, query.facts, random_);
                query.found.leads.push_back({std::move(uri), std::move(at)});
            }
        }
        const auto missing = query.facts.take_missing();
        if (missing.empty()) {
            query.found.stale = query.facts.any_stale();
            counters_.skipped += query.found.said.skipped;
            return true;
        }
        for (const auto& question : missing) {
            if (query.facts.knows(question)) continue;
            const auto known = cache_.look(question, now);
            const bool at_hand = known.answer != nullptr;
            if (known.state == DnsCache::State::fresh) {
                add_fact(query, question, *known.answer, false);
                continue;
            }
            if (known.state == DnsCache::State::failing) {
                add_fact(query, question, at_hand ? *known.answer : DnsAnswer{}, at_hand);
                continue;
            }
            if (!under_way_.contains(question)) put_question(question, now);
            if (at_hand && (now.steady < dead_until_ || is_silent(now))) {
                add_fact(query, question, *known.answer, true);
                continue;
            }
            query.waiting.insert(question);
            query.patience = now.steady + kPatience;
        }
    }
    return false;
}

void Names::settle(net::Now now) {
    for (auto entry = queries_.begin(); entry != queries_.end();) {
        if (!advance(entry->second, now)) {
            ++entry;
            continue;
        }
        found_.push_back(std::move(entry->second.found));
        entry = queries_.erase(entry);
    }
}

void Names::put_question(const DnsQuestion& question, net::Now now) {
    under_way_.emplace(question, now.steady);
    ++counters_.asked;
    questions_.push_back(question);
}

void Names::note_silence(net::Now now) {
    for (const auto& [question, since] : under_way_) {
        if (since < heard_ || now.steady < since + kPatience) continue;
        silent_until_ = now.steady + kSilentFor;
        // One is enough: while it is under way, or waits to be asked again, no other takes its place.
        if (!probe_) probe_ = question;
        return;
    }
}

void Names::probe(net::Now now) {
    if (now.steady < probe_at_) return;
    probe_at_ = net::kNever;
    if (!is_wanted(now)) {
        probe_.reset();
    } else if (probe_ && !under_way_.contains(*probe_)) {
        put_question(*probe_, now);
    }
}

void Names::tick(net::Now now) {
    note_silence(now);
    probe(now);
    for (auto& [id, query] : queries_) {
        const bool late = query.limit <= now.steady;
        if (!late && query.patience > now.steady) continue;
        query.patience = net::kNever;
        for (const auto& question : std::vector(query.waiting.begin(), query.waiting.end())) {
            const auto known = cache_.look(question, now);
            if (!late && known.answer == nullptr) continue;
            if (known.answer != nullptr) dead_until_ = now.steady + DnsCache::kAskAgain;
            query.waiting.erase(question);
            add_fact(query, question, known.answer != nullptr ? *known.answer : DnsAnswer{}, known.answer != nullptr);
        }
    }
    settle(now);
}

net::Steady Names::next_deadline() const {
    auto next = probe_at_;
    for (const auto& [id, query] : queries_) next = std::min({next, query.patience, query.limit});
    for (const auto& [question, since] : under_way_) {
        const auto silent_at = since + kPatience;
        if (since >= heard_ && silent_until_ < silent_at) next = std::min(next, silent_at);
    }
    return next;
}

}  // namespace voice
