/// Time is an argument: whoever owns the clock reads it once per turn and hands it down.
#pragma once

#include <chrono>

namespace net {

using namespace std::chrono_literals;

using Duration = std::chrono::nanoseconds;
using Steady = std::chrono::time_point<std::chrono::steady_clock, Duration>;  ///< monotonic, for deadlines
using Wall = std::chrono::time_point<std::chrono::system_clock, Duration>;    ///< may step, for stamps and expiry

/// One reading of both clocks.
struct Now {
    Steady steady;
    Wall wall;
};

/// The deadline of something that waits for nothing.
inline constexpr Steady kNever = Steady::max();

inline std::int64_t unix_seconds(Wall at) {
    return std::chrono::duration_cast<std::chrono::seconds>(at.time_since_epoch()).count();
}
inline Wall from_unix_seconds(std::int64_t seconds) { return Wall(std::chrono::seconds(seconds)); }

}  // namespace net
