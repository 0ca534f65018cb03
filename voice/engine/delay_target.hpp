/// How long after the fastest packet a sound shall be played, judged by what the network did in the last 20 seconds.
///
/// Each sound's transit (arrival minus the time it stands for, by two clocks that need not agree) is compared with the
/// fastest within two seconds of it: clocks that drift by 500 ppm shift that by 2 ms at most. The target is the delay at
/// which delay and late sound together cost least: a packet of 20 ms that comes too late is as bad as 4 ms of delay for all.
/// So jitter that goes on is followed within a second, and a burst that passes (half a second of +200 ms: 25 packets, 100 ms)
/// is not. What has not come again for six seconds is over. The ceiling, what the last second needed, keeps what a burst has
/// brought while it lasts.
#pragma once

#include <deque>
#include <vector>

#include "net/time.hpp"

namespace voice::engine {

class DelayTarget {
public:
    static constexpr net::Duration kMost = std::chrono::milliseconds(500);
    static constexpr net::Duration kMargin = std::chrono::milliseconds(4);
    static constexpr net::Duration kAtFirst = std::chrono::milliseconds(20);  ///< the least, within the first half second

    /// A sound's first copy has come. `repair`: by a later packet, its own is lost. So the target waits for repair where that
    /// is worth it; a sound that is missed then is missed for good, and weighs four times as much as one that is late.
    void arrived(net::Duration transit, net::Duration length, bool repair, net::Steady now);
    /// The fastest transit now; zero before the first.
    net::Duration fastest() const { return fastest_; }
    /// How much later than that to play: at least, and at most.
    net::Duration floor() const { return floor_; }
    net::Duration ceiling() const { return ceiling_; }
    bool known() const { return !seconds_.empty(); }

private:
    struct Arrival {
        net::Steady at;
        net::Duration transit;
        double weight;  ///< in packets of 20 ms
        bool repair;
    };
    struct Second {
        net::Steady began;
        net::Duration fastest;
        std::vector<Arrival> arrivals;
    };
    void judge(net::Steady now);
    net::Duration fastest_near(std::size_t second) const;

    std::deque<Second> seconds_;  ///< those with arrivals
    net::Steady began_;
    net::Steady judge_at_ = net::Steady::min();
    net::Duration fastest_{}, floor_ = kAtFirst, ceiling_ = kAtFirst;
};

}  // namespace voice::engine
