#include "mesh/paths.hpp"

#include <algorithm>
#include <utility>

#include "mesh/virtual_endpoint.hpp"

namespace mesh {
namespace {

using namespace std::chrono_literals;

// Of a round: by the second step the other end's NAT is open in most cases, the others are for what is lost.
constexpr std::array<net::Duration, 4> kSteps{0ms, 200ms, 400ms, 800ms};
constexpr std::array<net::Duration, 7> kPauses{3s, 7s, 15s, 30s, 60s, 120s, 300s};
constexpr unsigned kEnoughAnswers = 3;  // in a round

constexpr double kBudgetBurst = 2 * Paths::kMax;
constexpr double kBudgetPerSecond = 4;

constexpr auto kAnswerTime = 1s;  // a probe younger than this may be answered yet
constexpr std::size_t kLeastProbes = 8;
constexpr auto kClearlyShorter = 5ms;

}  // namespace

std::string_view text(Source source) {
    switch (source) {
        case Source::mdns: return "mdns";
        case Source::cache: return "cache";
        case Source::join: return "join";
        case Source::gossip: return "gossip";
        case Source::told: return "told";
        case Source::heard: return "heard";
        case Source::bootstrap: return "bootstrap";
        case Source::stream: return "stream";
        case Source::relay: return "relay";
    }
    return "";
}

std::string_view text(Found found) {
    switch (found) {
        case Found::unsaid: return "";
        case Found::local: return "local";
        case Found::configured: return "configured";
        case Found::mapped: return "mapped";
        case Found::seen: return "seen";
    }
    return "";
}

std::string_view text(Rank rank) {
    switch (rank) {
        case Rank::lan: return "lan";
        case Rank::open: return "open";
        case Rank::mapped: return "mapped";
        case Rank::punched: return "punched";
        case Rank::stream: return "stream";
        case Rank::relay:
        case Rank::trickle: return "relay";
    }
    return "";
}

// One path.

Rank Path::rank() const {
    if (const auto is = VirtualEndpoint::of(to)) {
        switch (is->kind) {
            case VirtualEndpoint::Kind::relay: return trickle ? Rank::trickle : Rank::relay;
            case VirtualEndpoint::Kind::stream: return Rank::stream;
            case VirtualEndpoint::Kind::socket: return Rank::punched;
        }
    }
    if (to.address.is_private()) return Rank::lan;
    switch (found) {
        case Found::local:
        case Found::configured: return Rank::open;
        case Found::mapped: return Rank::mapped;
        case Found::unsaid:
        case Found::seen: return Rank::punched;
    }
    return Rank::punched;
}

std::optional<double> Path::loss(net::Steady now) const {
    std::size_t counted = 0, lost = 0;
    for (const auto& one : sent) {
        if (one.token == 0 || (!one.answered && now - one.at < kAnswerTime)) continue;
        ++counted;
        lost += one.answered ? 0 : 1;
    }
    if (counted < kLeastProbes) return std::nullopt;
    return static_cast<double>(lost) / static_cast<double>(counted);
}

void Path::note_sent(std::uint64_t token, net::Steady at) {
    sent[next_sent] = {token, at, false};
    next_sent = (next_sent + 1) % kRemembered;
    tried = at;
    ++probes;
}

bool Path::note_answer(std::uint64_t token, net::Steady at) {
    if (token == 0) return false;
    for (auto& one : sent) {
        if (one.token != token || one.answered) continue;
        one.answered = true;
        ++answers;
        ++answers_in_round;
        const auto took = std::chrono::duration_cast<std::chrono::microseconds>(at - one.at);
        rtt = rtt ? (*rtt * 7 + took) / 8 : took;
        proven = at;
        dead = false;
        return true;
    }
    return false;
}

// All of them.

bool Paths::usable(const net::Endpoint& endpoint) {
    return !endpoint.is_none() && endpoint.port != 0 && !endpoint.address.is_multicast() &&
           !endpoint.address.is_unspecified() && !is_virtual(endpoint);
}

Path* Paths::find_mutable(const net::Endpoint& endpoint) {
    const auto found = std::find_if(all_.begin(), all_.end(), [&](const auto& one) { return one.to == endpoint; });
    return found == all_.end() ? nullptr : &*found;
}
const Path* Paths::find(const net::Endpoint& endpoint) const { return const_cast<Paths*>(this)->find_mutable(endpoint); }

bool Paths::add(const net::Endpoint& endpoint, Source source, Found found, net::Steady now) {
    if (!usable(endpoint) && !is_virtual(endpoint)) return false;
    if (auto* const known = find_mutable(endpoint)) {
        known->added = now;
        if (!known->ever_proven()) known->source = std::min(known->source, source);
        if (found != Found::unsaid) known->found = found;
        return false;
    }
    if (all_.size() == kMax) {
        auto stalest = all_.end();
        for (auto one = all_.begin(); one != all_.end(); ++one) {
            if (one->to == used_ || one->ever_proven()) continue;
            if (stalest == all_.end() || one->added < stalest->added) stalest = one;
        }
        if (stalest == all_.end()) {  // all have worked at some time: the one whose time was first
            for (auto one = all_.begin(); one != all_.end(); ++one) {
                if (one->to != used_ && (stalest == all_.end() || one->proven < stalest->proven)) stalest = one;
            }
        }
        all_.erase(stalest);
    }
    Path path;
    path.to = endpoint;
    path.source = source;
    path.found = found;
    path.added = now;
    all_.push_back(path);
    return true;
}

bool Paths::replace(Source source, std::span<const Told> endpoints, net::Steady now) {
    std::erase_if(all_, [&](const auto& one) {
        return one.source == source && !one.ever_proven() && one.to != used_ &&
               std::none_of(endpoints.begin(), endpoints.end(), [&](const auto& told) { return told.endpoint == one.to; });
    });
    bool news = false;
    for (const auto& told : endpoints) news |= usable(told.endpoint) && add(told.endpoint, source, told.found, now);
    return news;
}

void Paths::remove(const net::Endpoint& endpoint) {
    std::erase_if(all_, [&](const auto& one) { return one.to == endpoint; });
}

void Paths::set_trickle(const net::Endpoint& endpoint, bool trickle) {
    if (auto* const path = find_mutable(endpoint)) path->trickle = trickle;
}

void Paths::heard_from(const net::Endpoint& endpoint, net::Steady now) {
    const auto is = VirtualEndpoint::of(endpoint);
    const auto source = !is || is->kind == VirtualEndpoint::Kind::socket ? Source::heard
                        : is->kind == VirtualEndpoint::Kind::relay       ? Source::relay
                                                                         : Source::stream;
    add(endpoint, source, Found::unsaid, now);
}

void Paths::refused(const net::Endpoint& endpoint, net::Steady now) {
    if (auto* const path = find_mutable(endpoint)) {
        path->refused = now;
        path->dead = true;
    }
}

void Paths::good(const net::Endpoint& endpoint, net::Steady now) {
    if (find(endpoint) == nullptr) heard_from(endpoint, now);
    if (auto* const path = find_mutable(endpoint)) {
        path->proven = now;
        path->dead = false;
    }
}

void Paths::use(const net::Endpoint& endpoint) {
    used_ = endpoint;
    used_dead_ = false;
}

Rank Paths::used_rank() const {
    const auto* const path = find(used_);
    return path == nullptr ? Rank::trickle : path->rank();
}

// Probing.

void Paths::begin_round(net::Steady now, bool again) {
    step_ = 0;
    next_step_ = now;
    if (again) rounds_ = 0;
    for (auto& path : all_) path.answers_in_round = 0;
}

void Paths::forgive() {
    for (auto& path : all_) {
        path.deaths = 0;
        path.not_before = net::Steady::min();
    }
}

void Paths::stop() {
    next_step_ = next_round_ = next_warm_ = net::kNever;
    call_ = false;
    used_ = {};
    used_dead_ = false;
}

/// A way as good as the one in use is left alone while that lives: it is found again when it is needed.
bool Paths::wanted(const Path& path) const {
    if (path.to == used_ || path.answers_in_round >= kEnoughAnswers) return false;
    if (used_.is_none() || used_dead_ || !is_direct(used_rank())) return true;
    return path.rank() < used_rank() || (path.rank() == used_rank() && rounds_ == 0);
}

std::optional<Paths::Probe> Paths::probe(Path& path, net::Steady now, net::Random& random) {
    if (!path.ever_proven() || now - path.proven > kFresh) {
        if (budget_ < 1) return std::nullopt;
        budget_ -= 1;
    }
    const auto token = random.u64() | 1;
    path.note_sent(token, now);
    return Probe{path.to, token};
}

std::vector<Paths::Probe> Paths::due(net::Steady now, net::Random& random) {
    std::vector<Probe> out;
    if (budget_at_ == net::Steady::min()) {
        budget_ = kBudgetBurst;
    } else {
        budget_ = std::min(kBudgetBurst, budget_ + kBudgetPerSecond * std::chrono::duration<double>(now - budget_at_).count());
    }
    budget_at_ = now;
    if (now >= next_round_) {
        next_round_ = net::kNever;
        begin_round(now, false);
        call_ = !is_direct(used_rank());
    }
    if (now >= next_step_) {
        for (auto& path : all_) {
            if (!wanted(path)) continue;
            if (const auto one = probe(path, now, random)) out.push_back(*one);
        }
        if (++step_ < kSteps.size()) {
            next_step_ = now + kSteps[step_];
        } else {
            next_step_ = net::kNever;
            next_round_ = now + kPauses[std::min<std::size_t>(rounds_, kPauses.size() - 1)];
            ++rounds_;
        }
    }
    if (!is_direct(used_rank()) && !used_.is_none()) {
        if (next_warm_ == net::kNever) next_warm_ = now + kWarmEvery;
        if (now >= next_warm_) {
            next_warm_ = now + kWarmEvery;
            std::size_t warm = 0;
            for (const auto rank : {Rank::stream, Rank::relay, Rank::trickle}) {
                for (auto& path : all_) {
                    if (path.to == used_ || path.dead || !path.ever_proven() || path.rank() != rank || warm == kWarm) continue;
                    ++warm;
                    if (const auto one = probe(path, now, random)) out.push_back(*one);
                }
            }
        }
    } else {
        next_warm_ = net::kNever;
    }
    return out;
}

bool Paths::take_call() { return std::exchange(call_, false); }

void Paths::probed_used(std::uint64_t token, net::Steady now) {
    if (auto* const path = find_mutable(used_)) path->note_sent(token, now);
}

bool Paths::answered(std::uint64_t token, const net::Endpoint& from, net::Steady now) {
    auto* const path = find_mutable(from);
    if (path == nullptr || !path->note_answer(token, now)) return false;
    if (from == used_) used_dead_ = false;
    return true;
}

void Paths::used_is_dead(net::Steady now) {
    if (std::exchange(used_dead_, true)) return;
    auto* const path = find_mutable(used_);
    if (path == nullptr) return;
    path->dead = true;
    if (path->not_before != net::Steady::min() && now - path->not_before >= kForgiven) path->deaths = 0;
    path->not_before = now + std::min<net::Duration>(kHoldDown * (1U << std::min(path->deaths, 16U)), kLongestHoldDown);
    ++path->deaths;
}

std::optional<net::Endpoint> Paths::choose(net::Steady now) const {
    const Path* best = nullptr;
    const auto* const used = find(used_);
    const bool lives = used != nullptr && !used_dead_;
    for (const auto& path : all_) {
        if (path.dead || !path.ever_proven() || now - path.proven > kFresh || path.to == used_) continue;
        if (lives && (now < path.not_before || (path.deaths > 0 && path.answers_in_round < kEnoughAnswers))) continue;
        const auto rtt = path.rtt.value_or(1s);
        if (best == nullptr || path.rank() < best->rank() ||
            (path.rank() == best->rank() && rtt < best->rtt.value_or(1s)))
            best = &path;
    }
    if (best == nullptr) return std::nullopt;
    if (!lives) return best->to;
    if (!is_direct(used->rank()) && best->rank() < used->rank()) return best->to;
    if (best->answers_in_round < 2) return std::nullopt;
    const auto mine = used->rtt.value_or(1s), its = best->rtt.value_or(1s);
    if (best->rank() < used->rank()) return its <= 2 * mine + 2 * kClearlyShorter ? std::optional(best->to) : std::nullopt;
    if (best->rank() > used->rank()) return std::nullopt;
    if (best->answers_in_round < kEnoughAnswers) return std::nullopt;
    return its + kClearlyShorter < mine * 4 / 5 ? std::optional(best->to) : std::nullopt;
}

std::vector<net::Endpoint> Paths::best(std::size_t limit) const {
    auto sorted = all_;
    std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
        return a.proven != b.proven ? a.proven > b.proven : a.source < b.source;
    });
    std::vector<net::Endpoint> out;
    for (const auto& one : sorted)
        if (out.size() < limit) out.push_back(one.to);
    return out;
}

net::Steady Paths::next_deadline() const { return std::min({next_step_, next_round_, next_warm_}); }

}  // namespace mesh
