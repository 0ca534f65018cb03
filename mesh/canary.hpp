/// Finds out whether sending many datagrams in one call (UDP_SEGMENT) loses or corrupts them, as some kernels and drivers
/// do. What is corrupted is not authentic, so it is lost, too.
///
///   sender    kCount probes in one train, kCount alone ...half a second... "how many of each?"       --> verdict
///   receiver  counts both of that round                                     the counts
///
/// A line that loses packets loses both kinds alike. Only if those alone arrive, and those of a train do not, and that
/// kBadRounds times in a row, is it the offload's fault. Asked only while there is bulk.
#pragma once

#include <bitset>
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

    /// Begins anew; the other end knows such probes. `harmful`: found so before, so that nothing needs to be asked.
    void start(net::Steady now, bool harmful = false);
    void stop();

    struct Due {
        std::vector<TrainProbe> train;  ///< in one send
        std::vector<TrainProbe> alone;  ///< each in one of its own
    };
    /// `carried_bytes`: all that has been sent to the peer so far.
    Due tick(net::Steady now, std::uint64_t carried_bytes, net::Random& random);
    /// The answer to a question.
    void counted(const TrainProbe& counts, net::Steady now);
    net::Steady next_deadline() const { return next_; }
    /// Trains do harm. Stays so until start() or stop().
    bool harmful() const { return bad_ >= kBadRounds; }

private:
    enum class State : std::uint8_t { off, resting, waiting };
    State state_ = State::off;
    net::Steady next_ = net::kNever;
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
