#include "mesh/canary.hpp"

#include <algorithm>

namespace mesh {

namespace {

// Of kCount: so many alone must arrive for a round to say anything; a train of which no more arrive is a bad one, one of
// which so many arrive is a good one.
constexpr std::size_t kEnoughAlone = 7;
constexpr std::size_t kBadTrain = 1;
constexpr std::size_t kGoodTrain = 6;

}  // namespace

void Canary::start(net::Steady now, std::optional<net::Steady> harmful_since) {
    *this = {};
    if (harmful_since) {
        bad_ = kBadRounds;
        harmful_since_ = *harmful_since;
        again_ = harmful_since_ + kHarmStands;
    }
    rest(now);
    if (!harmful_since) next_ = now + kSoon;
}

void Canary::stop() { *this = {}; }

void Canary::ask_again(net::Steady now) {
    if (state_ == State::off) return;
    state_ = State::resting;
    if (!harmful()) bad_ = 0;
    again_ = now;
    next_ = now + kSoon;
}

void Canary::not_in_one_send(net::Steady now) {
    if (state_ != State::waiting) return;
    state_ = State::resting;
    next_ = now + kRoundEvery;
}

/// Until it is time for the next round.
void Canary::rest(net::Steady now) {
    state_ = State::resting;
    if (harmful()) {
        next_ = std::max(again_, now + kRoundEvery);
    } else {
        next_ = now + (bad_ == 0 ? kRoundEvery : kSoon);
    }
}

Canary::Due Canary::tick(net::Steady now, std::uint64_t carried_bytes, net::Random& random) {
    Due due;
    if (now < next_) return due;
    switch (state_) {
        case State::off: break;
        case State::resting:
            rest(now);
            if (carried_bytes - carried_ < kBusyBytes) break;
            carried_ = carried_bytes;
            token_ = random.u64() | 1;
            for (std::uint8_t i = 0; i < kCount; ++i) {
                due.train.push_back({token_, TrainProbe::Kind::train, i, 0});
                due.alone.push_back({token_, TrainProbe::Kind::alone, i, 0});
            }
            state_ = State::waiting;
            asks_ = 0;
            next_ = now + kAskAfter;
            break;
        case State::waiting:
            if (asks_ == kAsks) {  // nobody answers: it says nothing
                state_ = State::resting;
                next_ = now + kRoundEvery;
                break;
            }
            ++asks_;
            due.alone.push_back({token_, TrainProbe::Kind::ask, 0, 0});
            next_ = now + kAskAfter;
            break;
    }
    return due;
}

void Canary::counted(const TrainProbe& counts, net::Steady now) {
    if (state_ != State::waiting || counts.token != token_) return;
    if (counts.alone >= kEnoughAlone && counts.train <= kBadTrain) {
        bad_ = std::min(bad_ + 1, kBadRounds);
        if (harmful()) {
            harmful_since_ = now;
            again_ = now + kHarmStands;
        }
    } else if (counts.train >= kGoodTrain) {
        bad_ = 0;
    }
    rest(now);
}

std::optional<TrainProbe> CanaryCount::heard(const TrainProbe& probe) {
    if (probe.token != token_) {
        token_ = probe.token;
        train_.reset();
        alone_.reset();
    }
    switch (probe.kind) {
        case TrainProbe::Kind::train:
            if (probe.train < Canary::kCount) train_.set(probe.train);
            return std::nullopt;
        case TrainProbe::Kind::alone:
            if (probe.train < Canary::kCount) alone_.set(probe.train);
            return std::nullopt;
        case TrainProbe::Kind::ask:
            return TrainProbe{token_, TrainProbe::Kind::counts, static_cast<std::uint8_t>(train_.count()),
                              static_cast<std::uint8_t>(alone_.count())};
        case TrainProbe::Kind::counts: return std::nullopt;
    }
    return std::nullopt;
}

}  // namespace mesh
