#include "voice/overload.hpp"

#include <algorithm>

namespace voice {

std::string retry_after(net::Random& random, std::uint64_t least_s, std::uint64_t most_s) {
    return std::to_string(least_s + random.below(most_s - least_s + 1));
}

void Overload::looked(unsigned full_percent, net::Now now) {
    next_look_ = now.steady + kLookEvery;
    if (full_percent < kFullPercent) {
        full_looks_ = 0;
    } else {
        if (full_looks_ == 0) full_since_ = now.steady;
        full_looks_ = std::min(full_looks_ + 1, kSustainedLooks);
    }
    if (overloaded_) {
        overloaded_ = full_percent >= kDrainedPercent;
    } else if (full_looks_ == kSustainedLooks && now.steady - full_since_ >= kSustained) {
        overloaded_ = true;
        ++times_;
    }
}

}  // namespace voice
