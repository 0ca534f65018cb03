#include "meshd/avahi_poll.hpp"

#include <sys/time.h>

#include <algorithm>

#include "loop/fd_watch.hpp"
#include "loop/timer.hpp"

// avahi leaves these two types to whoever provides its event loop.

struct AvahiWatch {
    AvahiWatch(loop::Loop& loop, int descriptor, AvahiWatchCallback tell, void* argument)
        : fd(descriptor), callback(tell), userdata(argument),
          watch(loop, descriptor, [this](loop::Readiness ready) { happen(ready); }) {}

    void happen(loop::Readiness ready) {
        happened = (ready.readable ? POLLIN : 0) | (ready.writable ? POLLOUT : 0);
        callback(this, fd, static_cast<AvahiWatchEvent>(happened), userdata);  // may free this
    }
    void want(AvahiWatchEvent events) { watch.want((events & AVAHI_WATCH_IN) != 0, (events & AVAHI_WATCH_OUT) != 0); }

    int fd;
    AvahiWatchCallback callback;
    void* userdata;
    int happened = 0;
    loop::FdWatch watch;
};

struct AvahiTimeout {
    AvahiTimeout(loop::Loop& on, AvahiTimeoutCallback tell, void* argument)
        : callback(tell), userdata(argument), timer(on, [this] { callback(this, userdata); }) {}

    /// `when` is wall time, as gettimeofday tells it: a clock that steps moves only what is set after that.
    void at(const timeval* when) {
        if (when == nullptr) return timer.cancel();
        timeval now{};
        ::gettimeofday(&now, nullptr);
        const auto seconds = std::chrono::seconds(when->tv_sec - now.tv_sec);
        const auto wait = seconds + std::chrono::microseconds(when->tv_usec - now.tv_usec);
        timer.after(std::max<net::Duration>(wait, net::Duration::zero()));
    }

    AvahiTimeoutCallback callback;
    void* userdata;
    loop::Timer timer;
};

namespace meshd {
namespace {

loop::Loop& loop_of(const AvahiPoll* api) { return *static_cast<loop::Loop*>(api->userdata); }

}  // namespace

LoopAvahiPoll::LoopAvahiPoll(loop::Loop& loop) {
    api_.userdata = &loop;
    api_.watch_new = [](const AvahiPoll* api, int fd, AvahiWatchEvent events, AvahiWatchCallback callback,
                        void* userdata) {
        auto* const watch = new AvahiWatch(loop_of(api), fd, callback, userdata);
        watch->want(events);
        return watch;
    };
    api_.watch_update = [](AvahiWatch* watch, AvahiWatchEvent events) { watch->want(events); };
    api_.watch_get_events = [](AvahiWatch* watch) { return static_cast<AvahiWatchEvent>(watch->happened); };
    api_.watch_free = [](AvahiWatch* watch) { delete watch; };
    api_.timeout_new = [](const AvahiPoll* api, const timeval* when, AvahiTimeoutCallback callback, void* userdata) {
        auto* const timeout = new AvahiTimeout(loop_of(api), callback, userdata);
        timeout->at(when);
        return timeout;
    };
    api_.timeout_update = [](AvahiTimeout* timeout, const timeval* when) { timeout->at(when); };
    api_.timeout_free = [](AvahiTimeout* timeout) { delete timeout; };
}

}  // namespace meshd
