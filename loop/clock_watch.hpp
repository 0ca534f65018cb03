/// Tells when this machine has slept, or when somebody has set its clock: the kernel says so at once (a timer of
/// timerfd_create(2) that is cancelled then), and it is looked for now and then in case it did not.
#pragma once

#include <functional>

#include "loop/loop.hpp"

namespace loop {

/// One reading of the clocks that tell both.
struct ClockReading {
    net::Duration running{};  ///< CLOCK_MONOTONIC: stands still in sleep
    net::Duration passed{};   ///< CLOCK_BOOTTIME: does not
    net::Wall wall;
};
ClockReading read_clocks_for_watch();

struct ClockChange {
    net::Duration slept{};   ///< 0, or at least kLeastClockChange
    net::Duration stepped{}; ///< of the wall clock, either way, besides the time that has passed; 0, or at least that much
    bool any() const { return slept != net::Duration{} || stepped != net::Duration{}; }
};
inline constexpr auto kLeastClockChange = std::chrono::seconds(1);
/// Less than a second of either is nothing: clocks are read one after the other, and adjusted all the time.
ClockChange change_between(const ClockReading& before, const ClockReading& after);

class ClockWatch {
public:
    struct Options {
        std::function<ClockReading()> read = read_clocks_for_watch;
        net::Duration look_every = std::chrono::minutes(1);
    };
    /// `changed` may destroy the watch.
    ClockWatch(Loop& loop, std::function<void(const ClockChange&)> changed, Options options);
    ClockWatch(Loop& loop, std::function<void(const ClockChange&)> changed) : ClockWatch(loop, std::move(changed), Options{}) {}
    ~ClockWatch();
    ClockWatch(const ClockWatch&) = delete;
    ClockWatch& operator=(const ClockWatch&) = delete;

private:
    struct Inner;
    std::shared_ptr<Inner> inner_;
};

}  // namespace loop
