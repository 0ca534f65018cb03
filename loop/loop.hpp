/// The event loop: one per thread that has one. Everything else in this folder hangs on a Loop, must be used from its
/// thread only, and must be destroyed before it. An object may be destroyed from within its own callback.
#pragma once

#include <functional>
#include <memory>

#include "net/time.hpp"

namespace loop {

class Loop {
public:
    Loop();
    ~Loop();
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

    /// Runs until stop(). What a callback throws comes out of here, and the loop can be run again.
    void run();
    /// Waits for events at most until something happened once, and handles it. For tests.
    void run_once();
    /// Ends run() after the present turn. From another thread: post() a stop.
    void stop();

    /// Both clocks, read once per turn of the loop. Inside run() only the first call of a turn costs anything.
    net::Now now() const;

    /// From any thread: `task` runs on the loop's thread, in the order of posting. Tasks that are still waiting when
    /// the loop is destroyed are dropped unrun.
    void post(std::function<void()> task);
    /// From the loop's thread: `task` runs in this turn, once the present callback has returned.
    void defer(std::function<void()> task);

    struct Inner;
    Inner& inner() const { return *inner_; }

private:
    std::unique_ptr<Inner> inner_;
};

}  // namespace loop
