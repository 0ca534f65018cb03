#include "voice/centre.hpp"

#include <algorithm>

namespace voice {

using namespace std::chrono_literals;

CentreMonitor::CentreMonitor(const CentreTimes& times, net::Now now)
    : times_(times),
      since_(now),
      last_answer_(now.steady),
      last_probe_(now.steady),
      next_probe_(now.steady),
      hold_down_(times.hold_down) {}

bool CentreMonitor::probe_due(net::Now now) {
    if (now.steady < next_probe_) return false;
    ++unanswered_;
    last_probe_ = now.steady;
    // A probe that is lost costs 500 ms and not 2 s, and the last second before the verdict asks twice as often: at
    // 5 % loss each way six lost in a row would otherwise happen once a month.
    const auto silence = now.steady - last_answer_;
    next_probe_ = now.steady + (state_ == State::down                                   ? times_.probe_every
                                : silence >= times_.silent_for - 4 * times_.probe_hurry ? times_.probe_hurry
                                                                                        : times_.probe_again);
    return true;
}

void CentreMonitor::hurry() {
    if (unanswered_ == 0) next_probe_ = std::min(next_probe_, last_probe_ + times_.probe_hurry);
}

void CentreMonitor::answered(net::Now now) {
    last_answer_ = now.steady;
    if (unanswered_ >= times_.restart_probes && believed_up()) ++silences_;
    unanswered_ = 0;
    next_probe_ = last_probe_ + times_.probe_every;
    switch (state_) {
        case State::checking:
            enter(State::up, "it answers", now);
            break;
        case State::down:
            // One that was never up has nothing to flap from: a machine that starts before its uplink need not wait.
            if (up_since_) {
                enter(State::holding, "it answers again, and has to go on doing so", now);
            } else {
                enter(State::up, "it answers", now);
            }
            break;
        case State::up:
        case State::failing:
        case State::holding:
            break;
    }
}

void CentreMonitor::measured(net::Duration round_trip) {
    round_trip_ = round_trip_ == 0ns ? round_trip : (7 * round_trip_ + round_trip) / 8;
}

void CentreMonitor::request_failed(net::Now now) {
    if (!believed_up() || ++requests_failed_ < times_.failed_requests) return;
    lose(State::failing,
         "it answers, but " + std::to_string(requests_failed_) + " registrations or calls in a row failed there", now);
}

void CentreMonitor::request_went_through() {
    requests_failed_ = 0;
}

void CentreMonitor::asked_for_rest(std::chrono::seconds rest, net::Now now) {
    requests_failed_ = 0;
    const auto until = now.steady + std::min<net::Duration>(rest, times_.busy_max);
    if (until > now.steady) rests_until_ = std::max(rests_until_, until);
}

void CentreMonitor::unreachable(std::string_view why, net::Now now) {
    if (state_ == State::down) return;
    lose(State::down, std::string(why), now);
}

void CentreMonitor::tick(net::Now now) {
    if (rests_until_ <= now.steady) rests_until_ = net::Steady::min();
    switch (state_) {
        case State::down:
            return;
        case State::checking:
        case State::up:
            if (silent(now)) lose(State::down, "it no longer answers", now);
            return;
        case State::failing:
        case State::holding:
            if (silent(now)) return lose(State::down, "it no longer answers", now);
            if (now.steady - since_.steady >= hold_down_)
                enter(State::up, "it answers, and has for the hold-down", now);
            return;
    }
}

net::Steady CentreMonitor::next_deadline() const {
    auto next = next_probe_;
    if (state_ == State::failing || state_ == State::holding) next = std::min(next, since_.steady + hold_down_);
    if (state_ != State::down && unanswered_ >= times_.silent_probes) {
        next = std::min(next, last_answer_ + times_.silent_for);
    }
    if (rests_until_ != net::Steady::min()) next = std::min(next, rests_until_);
    return next;
}

net::Duration CentreMonitor::patience() const {
    return std::clamp<net::Duration>(4 * round_trip_, 300ms, 1s);
}

bool CentreMonitor::silent(net::Now now) const {
    return unanswered_ >= times_.silent_probes && now.steady - last_answer_ >= times_.silent_for;
}

void CentreMonitor::lose(State next, std::string why, net::Now now) {
    if (believed_up()) {
        ++losses_;
        const bool flapping = lost_from_up_ && up_since_ && now.steady - *up_since_ < times_.steady_after;
        hold_down_ = flapping ? std::min(2 * hold_down_, times_.hold_down_max) : times_.hold_down;
        lost_from_up_ |= state_ == State::up;
    }
    requests_failed_ = 0;
    rests_until_ = net::Steady::min();
    enter(next, std::move(why), now);
}

void CentreMonitor::enter(State next, std::string why, net::Now now) {
    if (next == State::up) up_since_ = now.steady;
    state_ = next;
    since_ = now;
    why_ = std::move(why);
}

std::string_view name_of(CentreMonitor::State state) {
    switch (state) {
        case CentreMonitor::State::checking:
            return "checking";
        case CentreMonitor::State::up:
            return "up";
        case CentreMonitor::State::failing:
            return "failing";
        case CentreMonitor::State::down:
            return "down";
        case CentreMonitor::State::holding:
            return "holding";
    }
    return "";
}

}  // namespace voice
