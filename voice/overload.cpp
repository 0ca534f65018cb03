#include "voice/overload.hpp"

namespace voice {

void Overload::looked(unsigned full_percent, net::Now now) {
    // Nobody looked for a while: nothing was read, so that nothing is known of the time between.
    if (next_look_ != net::Steady::min() && now.steady - next_look_ > kSustained / 2) full_since_ = net::kNever;
    next_look_ = now.steady + kLookEvery;
    if (full_percent < kFullPercent) full_since_ = net::kNever;
    if (full_percent >= kFullPercent && full_since_ == net::kNever) full_since_ = now.steady;
    if (overloaded_) {
        overloaded_ = full_percent >= kDrainedPercent;
    } else if (full_since_ != net::kNever && now.steady - full_since_ >= kSustained) {
        overloaded_ = true;
        ++times_;
    }
}

}  // namespace voice
