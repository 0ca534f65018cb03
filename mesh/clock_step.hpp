/// A wall clock that is set, as at the first word of NTP on a machine without a battery: from 1970 to now.
#pragma once

#include "net/time.hpp"

namespace mesh {

/// By how many seconds the wall clock was set between two looks; 0 for what it may be slewed by.
inline std::int64_t clock_step_s(net::Now before, net::Now now) {
    const auto ahead = (now.wall - before.wall) - (now.steady - before.steady);
    const auto step_s = std::chrono::duration_cast<std::chrono::seconds>(ahead).count();
    return step_s > -2 && step_s < 2 ? 0 : step_s;
}

}  // namespace mesh
