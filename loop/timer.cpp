#include "loop/timer.hpp"

#include <algorithm>
#include <cassert>

#include "loop/inner.hpp"

namespace loop {

struct Timer::Inner {
    Loop::Inner& loop;
    std::function<void()> fired;
    uv_timer_t handle{};
    net::Steady deadline = net::kNever;
    bool closed = false;
};

Timer::Timer(Loop& loop, std::function<void()> fired)
    : inner_(new Inner{.loop = loop.inner(), .fired = std::move(fired)}) {
    uv_timer_init(&loop.inner().uv, &inner_->handle);
    inner_->handle.data = inner_;
}

Timer::~Timer() {
    inner_->closed = true;
    close_and_delete(inner_, &inner_->handle);
}

void Timer::at(net::Steady deadline) {
    if (deadline == inner_->deadline) return;
    inner_->deadline = deadline;
    if (deadline == net::kNever) {
        uv_timer_stop(&inner_->handle);
        return;
    }
    // libuv counts whole milliseconds of the same clock; rounding up keeps the promise not to fire early. Within a
    // timer's callback "at once" must be later than libuv's present time, or its loop over timers would not end.
    const auto due = std::chrono::ceil<std::chrono::milliseconds>(deadline.time_since_epoch()).count();
    const auto present = static_cast<std::int64_t>(uv_now(&inner_->loop.uv));
    const auto wait = std::max<std::int64_t>(due - present, inner_->loop.in_timer ? 1 : 0);
    uv_timer_start(
        &inner_->handle,
        [](uv_timer_t* handle) {
            auto* const inner = static_cast<Inner*>(handle->data);
            if (inner->closed) return;
            auto& loop = inner->loop;
            inner->deadline = net::kNever;
            loop.in_timer = true;
            loop.guarded(inner->fired);
            loop.in_timer = false;
        },
        static_cast<std::uint64_t>(wait), 0);
}

void Timer::after(net::Duration delay) {
    at(inner_->loop.now().steady + delay);
}

net::Steady Timer::deadline() const { return inner_->deadline; }

}  // namespace loop
