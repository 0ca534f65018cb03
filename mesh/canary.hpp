/// Finds out whether sending many datagrams in one call (UDP_SEGMENT) loses or corrupts them, as some kernels and drivers
/// do. What is corrupted is not authentic, so it is lost, too.
///
///   sender    kCount probes in one train, kCount alone ...half a second... "how many of each?"       --> verdict
///   receiver  counts both of that round                                     the counts
///
/// A line that loses packets loses both kinds alike. Only if those alone arrive, and those of a train do not, and that
/// kBadRounds times in a row, is it the offload's fault. Asked only while there is bulk. A round whose train did not leave
/// in one send says nothing. The verdict stands until a round that is good: asked again after kHarmStands, or elsewhere.
#pragma once

#include <bitset>
#include <optional>
#include <vector>

#include "mesh/control_frame.hpp"
#include "net/random.hpp"
#include "net/time.hpp"

namespace mesh {

class Canary {
public:
    static constexpr std::size_t kCount = 8;
    static constexpr std::size_t kMostProbeBytes = 8000;  ///< of a probe's payload: a train fits one send
    static constexpr unsigned kBadRounds = 3;
    static constexpr auto kRoundEvery = std::chrono::seconds(10);
    static constexpr auto kSoon = std::chrono::seconds(1);  ///< the first, and after a bad one
    static constexpr auto kAskAfter = std::chrono::milliseconds(500);
    static constexpr unsigned kAsks = 3;
    static constexpr std::uint64_t kBusyBytes = 1 << 20;  ///< sent since the last round

    /// A kernel's or a driver's fault stays for as long as that runs; a path's, until the peer is elsewhere.
    static constexpr auto kHarmStands = std::chrono::hours(1);

    /// Begins anew; the other end knows such probes. `harmful_since`: when they were found so before.
    void start(net::Steady now, std::optional<net::Steady> harmful_since = {});
    void stop();
    /// The path is another one: whatever was found is asked again soon, and a verdict stands until then. Not while off.
    void ask_again(net::Steady now);
    /// The train of the round that runs has not left in one send.
    void not_in_one_send(net::Steady now);

    struct Due {
        std::vector<TrainProbe> train;  ///< in one send
        std::vector<TrainProbe> alone;  ///< each in one of its own
    };
    /// `carried_bytes`: all that has been sent to the peer so far.
    Due tick(net::Steady now, std::uint64_t carried_bytes, net::Random& random);
    /// The answer to a question.
    void counted(const TrainProbe& counts, net::Steady now);
    net::Steady next_deadline() const { return next_; }
    /// Trains do harm.
    bool harmful() const { return bad_ >= kBadRounds; }
    net::Steady harmful_since() const { return harmful_since_; }  ///< when that was found last; only if harmful()

private:
    void rest(net::Steady now);

    enum class State : std::uint8_t { off, resting, waiting };
    State state_ = State::off;
    net::Steady next_ = net::kNever;
    net::Steady harmful_since_{};
    net::Steady again_{};  ///< a verdict of harm is not asked before
    std::uint64_t token_ = 0;
    std::uint64_t carried_ = 0;
    unsigned asks_ = 0;
    unsigned bad_ = 0;
};

/// The receiver's side: remembers the newest round only.
class CanaryCount {
public:
    /// The answer to send, if the probe was a question.
    std::optional<TrainProbe> heard(const TrainProbe& probe);

private:
    std::uint64_t token_ = 0;
    std::bitset<Canary::kCount> train_, alone_;
};

}  // namespace mesh
