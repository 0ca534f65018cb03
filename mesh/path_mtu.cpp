#include "mesh/path_mtu.hpp"

#include <algorithm>

#include "mesh/protocol.hpp"

namespace mesh {
namespace {

constexpr std::size_t kIp4Bytes = 20, kIp6Bytes = 40, kUdpBytes = 8;  // RFC 791, RFC 8200, RFC 768

}  // namespace

std::size_t inner_bytes(std::size_t underlay_bytes, const net::Endpoint& path) {
    const auto around = (path.address.is_v6() ? kIp6Bytes : kIp4Bytes) + kUdpBytes + kMinDataBytes;
    return underlay_bytes > around ? underlay_bytes - around : 0;
}

void PathMtu::start(const net::Endpoint& path, std::size_t most_bytes, net::Steady now) {
    if (path != path_ || result_ > most_bytes) result_ = 0;
    path_ = path;
    most_ = most_bytes;
    hints_from_ = net::Steady::min();
    search_at_ = now + kSearchEvery;
    begin({most_}, most_ + 1, now);
}

void PathMtu::stop() {
    state_ = State::off;
    next_ = net::kNever;
    rungs_.clear();
}

void PathMtu::forget() {
    stop();
    path_ = {};
    result_ = 0;
}

std::vector<PathMtu::Probe> PathMtu::tick(net::Steady now, net::Duration patience, std::uint64_t carried_bytes,
                                          net::Random& random) {
    if (now < next_) return {};
    switch (state_) {
        case State::off: return {};
        case State::searching: break;
        case State::settled: {
            const auto traffic = carried_bytes - carried_;
            const bool busy = traffic > own_ + kBusyBytes;
            if (!busy) {
                carried_ = carried_bytes;
                own_ = 0;
                next_ = now + kConfirmEvery;
                return {};
            }
            const auto used = result_ == 0 ? most_ : result_;
            if (now < search_at_) {
                begin({used}, used + 1, now);
            } else {
                search_at_ = now + kSearchEvery;
                begin({used, used + 1, most_}, most_ + 1, now);
            }
            break;
        }
    }
    if (stage_ == Stage::opening) {
        token_ = random.u64() | 1;
        carried_ = carried_bytes;
        own_ = 0;
    }
    return probe(now, patience);
}

void PathMtu::begin(std::vector<std::size_t> sizes, std::size_t too_large, net::Steady now) {
    state_ = State::searching;
    next_ = now;
    stage_ = Stage::opening;
    low_ = kFloorBytes - 1;
    high_ = too_large;
    rungs_.clear();
    for (const auto size : sizes) add_rung(size);
}

std::vector<PathMtu::Probe> PathMtu::probe(net::Steady now, net::Duration patience) {
    for (const auto& rung : rungs_)
        if (rung.tries >= kTries) high_ = std::min(high_, rung.bytes);
    // What was hoped for has had one try and no answer: time to ask for all else.
    const bool widen = stage_ == Stage::opened && !proven();
    stage_ = stage_ == Stage::opening ? Stage::opened : Stage::ladders;
    prune();
    if (concluded(now)) return {};
    if (rungs_.empty() || widen) add_ladder();
    std::vector<Probe> out;
    for (auto& rung : rungs_) {
        ++rung.tries;
        own_ += rung.bytes + kMinDataBytes;
        out.push_back({token_, rung.bytes});
    }
    next_ = now + patience;
    return out;
}

void PathMtu::add_rung(std::size_t bytes) {
    const bool there = std::any_of(rungs_.begin(), rungs_.end(), [&](const Rung& rung) { return rung.bytes == bytes; });
    if (!there && bytes > low_ && bytes < high_) rungs_.push_back({bytes, 0});
}

void PathMtu::add_ladder() {
    if (!proven()) add_rung(kFloorBytes);
    const auto sizes = high_ - low_ - 1;
    const auto rungs = std::min(sizes, kRungs);
    for (std::size_t i = 1; i <= rungs; ++i) add_rung(low_ + (sizes + 1) * i / (rungs + 1));
}

void PathMtu::prune() {
    std::erase_if(rungs_, [&](const Rung& rung) { return rung.bytes <= low_ || rung.bytes >= high_; });
}

/// Whether nothing is left to be asked. A size that is known to be too large is not used any longer than that.
bool PathMtu::concluded(net::Steady now) {
    const auto used = result_ == 0 ? most_ : result_;
    if (proven() && (low_ > used || high_ <= used)) result_ = low_;
    if (!rungs_.empty()) return false;
    if (proven() && high_ == low_ + 1) {
        result_ = low_;
        settle(now, search_at_);
        return true;
    }
    if (proven() || high_ > kFloorBytes) return false;
    settle(now, now + kSearchAgain);
    return true;
}

void PathMtu::settle(net::Steady now, net::Steady search_at) {
    state_ = State::settled;
    next_ = now + kConfirmEvery;
    search_at_ = search_at;
}

void PathMtu::acknowledged(std::uint64_t token, std::size_t bytes, net::Steady now) {
    const bool asked = std::any_of(rungs_.begin(), rungs_.end(), [&](const Rung& rung) { return rung.bytes == bytes; });
    if (state_ != State::searching || token != token_ || !asked) return;
    low_ = std::max(low_, bytes);
    prune();
    if (!concluded(now) && rungs_.empty()) next_ = now;
}

void PathMtu::refused(std::size_t bytes, net::Steady now) {
    if (state_ != State::searching || bytes <= low_) return;
    high_ = std::min(high_, bytes);
    if (result_ == 0 || result_ >= high_) result_ = high_ - 1;
    prune();
    if (!concluded(now) && rungs_.empty()) next_ = now;
}

void PathMtu::told_too_big(std::size_t bytes, net::Steady now) {
    const auto used = result_ == 0 ? most_ : result_;
    if (state_ != State::settled || bytes >= used || now < hints_from_) return;
    hints_from_ = now + kHintEvery;
    const auto hint = std::max(bytes, kFloorBytes);
    begin({hint, hint + 1, used}, used + 1, now);
}

}  // namespace mesh
