/// Keeps noise from the ear that no voice makes: bytes that were no sound (another codec's, or encrypted) come out as loud
/// hiss. What is both loud and unpredictable is turned down at once, and comes back within a tenth of a second.
#pragma once

#include <span>

#include "voice/engine/codec.hpp"

namespace voice::engine {

class NoiseGuard {
public:
    static constexpr double kLoud_db = -24;  ///< hissing sounds of speech stay below
    static constexpr double kLeft_db = -40;  ///< what is left of noise

    /// One frame of 10 ms, in place.
    void check(std::span<std::int16_t> frame);
    /// So many frames were turned down.
    std::uint64_t hushed() const { return hushed_; }

private:
    double gain_ = 1;
    std::uint64_t hushed_ = 0;
};

/// How many times more energy the sound has than what a linear predictor of order 8 cannot foresee in it: 1 for white
/// noise, 10 and much more for voices and tones.
double predictability(Sound sound);

}  // namespace voice::engine
