/// Is the central SIP server alive? A passive judge: it says when to probe, is told of answers and failures, and
/// decides. It sends nothing itself.
///
///   checking --answer--> up --silent, unreachable--> down --answer--> holding --hold-down over--> up
///      |                  '--calls fail in a row--> failing --hold-down over--> up
///      '--silent--> down                 holding, failing --silent, unreachable--> down
///                   down --answer, the first ever--> up
///
/// Busy is beside these: it lives, works, and asks to be left alone until a time that it names.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "net/time.hpp"

namespace voice {

struct CentreTimes {
    net::Duration probe_every = std::chrono::seconds(2);
    net::Duration probe_again = std::chrono::milliseconds(500);  ///< while a probe is unanswered
    net::Duration probe_hurry = std::chrono::milliseconds(250);  ///< in the last second before the verdict
    net::Duration silent_for = std::chrono::seconds(5);          ///< down when silent this long, and ...
    unsigned silent_probes = 6;                                  ///< ... after at least so many transmissions
    unsigned restart_probes = 4;                                 ///< silent for so many: it may have restarted
    unsigned failed_requests = 3;                                ///< so many 408/500/503/504 in a row: failing
    net::Duration busy_max = std::chrono::minutes(2);            ///< the longest Retry-After that is honoured
    net::Duration hold_down = std::chrono::seconds(60);
    net::Duration hold_down_max = std::chrono::minutes(16);
    /// Up for less than this before it went down again is flapping, and doubles the hold-down.
    net::Duration steady_after = std::chrono::minutes(10);
};

class CentreMonitor {
public:
    enum class State : std::uint8_t { checking, up, failing, down, holding };

    CentreMonitor(const CentreTimes& times, net::Now now);

    /// True when an OPTIONS is due; the caller sends one, and it counts as transmitted.
    bool probe_due(net::Now now);
    /// A call waits for it: the next probe is sent soon.
    void hurry();
    /// Any SIP response from the centre, whatever its status: it lives.
    void answered(net::Now now);
    /// How long a probe took that was answered (smoothed as RFC 6298 does).
    void measured(net::Duration round_trip);
    /// A 408, 500, 503 (without Retry-After) or 504 to a REGISTER or INVITE, or no answer at all to one while OPTIONS
    /// are answered.
    void request_failed(net::Now now);
    /// Any other response above 100 to a REGISTER or INVITE.
    void request_went_through();
    /// 503 with Retry-After (RFC 3261 21.5.4): alive and well, but nothing new is wanted for so long.
    void asked_for_rest(std::chrono::seconds rest, net::Now now);
    /// ICMP unreachable, connection refused or reset, no route.
    void unreachable(std::string_view why, net::Now now);
    void tick(net::Now now);
    net::Steady next_deadline() const;

    State state() const { return state_; }
    /// Whether new calls and refreshes are to go there: checking or up.
    bool believed_up() const { return state_ == State::checking || state_ == State::up; }
    /// Believed up, but nothing new is to go there for a while. What is under way goes on.
    bool busy() const { return believed_up() && rests_until_ != net::Steady::min(); }
    bool answered_since(net::Steady then) const { return last_answer_ >= then; }
    /// Not lost yet, but not answering either: two probes, or one for longer than patience().
    bool doubtful(net::Now now) const {
        return !believed_up() || unanswered_ >= 2 || (unanswered_ == 1 && now.steady - last_probe_ >= patience());
    }
    /// Counts the times it was lost.
    std::uint64_t losses() const { return losses_; }
    /// Counts these, and silences in which it may have restarted: what it confirmed under an older number it may have
    /// forgotten.
    std::uint64_t lapses() const { return losses_ + silences_; }
    net::Now since() const { return since_; }
    std::string_view why() const { return busy() ? kBusy : std::string_view(why_); }
    /// How long to wait for any answer to an INVITE before the mesh is tried too: four round trips, at least 300 ms.
    net::Duration patience() const;
    net::Duration hold_down() const { return hold_down_; }

private:
    static constexpr std::string_view kBusy = "it answers, but has too much to do and asked for a rest";
    bool silent(net::Now now) const;
    void lose(State next, std::string why, net::Now now);
    void enter(State next, std::string why, net::Now now);

    CentreTimes times_;
    State state_ = State::checking;
    net::Now since_;
    std::string why_ = "not heard from yet";
    net::Steady last_answer_;
    net::Steady last_probe_;
    net::Steady next_probe_;
    std::optional<net::Steady> up_since_;
    unsigned unanswered_ = 0;  ///< probes sent since the last answer
    bool lost_from_up_ = false;  ///< ever: a second time soon after is flapping
    unsigned requests_failed_ = 0;
    net::Steady rests_until_ = net::Steady::min();  ///< min: it does not rest
    std::uint64_t losses_ = 0;
    std::uint64_t silences_ = 0;
    net::Duration hold_down_;
    net::Duration round_trip_{0};
};

std::string_view name_of(CentreMonitor::State state);

}  // namespace voice
