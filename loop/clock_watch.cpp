#include "loop/clock_watch.hpp"

#include <sys/timerfd.h>
#include <unistd.h>

#include <ctime>
#include <utility>

#include "loop/clock.hpp"
#include "loop/fd_watch.hpp"
#include "loop/file_descriptor.hpp"
#include "loop/timer.hpp"

namespace loop {
namespace {

net::Duration read_clock(clockid_t clock) {
    timespec time{};
    ::clock_gettime(clock, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

net::Duration unless_small(net::Duration change) {
    return change > -kLeastClockChange && change < kLeastClockChange ? net::Duration{} : change;
}

}  // namespace

ClockReading read_clocks_for_watch() { return {read_clock(CLOCK_MONOTONIC), read_clock(CLOCK_BOOTTIME), read_clocks().wall}; }

ClockChange change_between(const ClockReading& before, const ClockReading& after) {
    const auto passed = after.passed - before.passed;
    return {unless_small(passed - (after.running - before.running)), unless_small(after.wall - before.wall - passed)};
}

struct ClockWatch::Inner {
    std::function<void(const ClockChange&)> changed;
    Options options;
    ClockReading before;
    FileDescriptor timer_fd;
    std::unique_ptr<FdWatch> watch;
    std::unique_ptr<Timer> timer;

    /// It is to fire never, and to be cancelled whenever the wall clock jumps, which it does on waking, too.
    void arm() const {
        if (!timer_fd.is_open()) return;
        itimerspec far{};
        far.it_value.tv_sec = std::int64_t{1} << 33;  // in the year 2242
        (void)::timerfd_settime(timer_fd.get(), TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far, nullptr);
    }
    void look() {
        const auto now = options.read();
        const auto change = change_between(std::exchange(before, now), now);
        timer->after(options.look_every);
        if (change.any()) changed(change);
    }
};

ClockWatch::ClockWatch(Loop& loop, std::function<void(const ClockChange&)> changed, Options options) : inner_(std::make_shared<Inner>()) {
    auto& in = *inner_;
    in.changed = std::move(changed);
    in.options = std::move(options);
    in.before = in.options.read();
    const std::weak_ptr<Inner> weak = inner_;
    const auto look = [weak] {
        if (const auto self = weak.lock()) self->look();
    };
    in.timer = std::make_unique<Timer>(loop, look);
    in.timer->after(in.options.look_every);
    in.timer_fd = FileDescriptor(::timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC));
    if (!in.timer_fd.is_open()) return;  // then it is looked for now and then
    in.watch = std::make_unique<FdWatch>(loop, in.timer_fd.get(), [weak, look](Readiness) {
        const auto self = weak.lock();
        if (!self) return;
        std::uint64_t fired = 0;
        (void)!::read(self->timer_fd.get(), &fired, sizeof fired);  // ECANCELED, mostly
        self->arm();
        look();
    });
    in.watch->want(true, false);
    in.arm();
}

ClockWatch::~ClockWatch() {
    inner_->watch.reset();
    inner_->timer.reset();
}

}  // namespace loop
