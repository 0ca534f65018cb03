#include "mesh/replay.hpp"

#include <algorithm>

#include "mesh/protocol.hpp"

namespace mesh {

// Counter c has bit c mod 64 of word c / 64 mod kWords. The words ahead of the greatest counter's are always stale and
// are cleared when it gets there; that one word of slack is why the window is kWords - 1 words long.
bool ReplayWindow::accept(std::uint64_t counter) {
    if (counter >= kRejectAfterMessages) return false;
    if (next_ > kSize && counter < next_ - kSize) return false;
    const std::uint64_t word = counter / kWordBits;
    if (counter >= next_) {
        const std::uint64_t newest = next_ == 0 ? 0 : (next_ - 1) / kWordBits;
        const std::uint64_t steps = std::min<std::uint64_t>(word - newest, kWords);
        for (std::uint64_t i = 1; i <= steps; ++i) words_[(newest + i) % kWords] = 0;
        next_ = counter + 1;
    }
    const std::uint64_t bit = std::uint64_t{1} << counter % kWordBits;
    auto& bits = words_[word % kWords];
    if ((bits & bit) != 0) return false;
    bits |= bit;
    return true;
}

}  // namespace mesh
