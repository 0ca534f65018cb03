/// A timer that fires once at a point of steady time, and can be set again from its own callback.
#pragma once

#include "loop/loop.hpp"

namespace loop {

class Timer {
public:
    Timer(Loop& loop, std::function<void()> fired);
    ~Timer();
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;

    /// Replaces what was set. A point in the past fires in the next turn; net::kNever cancels. It never fires early:
    /// loop.now() in the callback is at or behind the deadline. Setting the same deadline again costs nothing.
    void at(net::Steady deadline);
    void after(net::Duration delay);
    void cancel() { at(net::kNever); }
    net::Steady deadline() const;  ///< kNever if it is not set, or has fired

private:
    struct Inner;
    Inner* inner_;
};

}  // namespace loop
