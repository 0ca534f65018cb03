/// Between the rates of files, sound cards and codecs.
#pragma once

#include <memory>

#include "voice/engine/codec.hpp"

struct SpeexResamplerState_;

namespace voice::engine {

class Resampler {
public:
    /// Throws std::invalid_argument for rates of zero or above 192000 Hz.
    Resampler(unsigned from_hz, unsigned to_hz);
    ~Resampler();
    Resampler(Resampler&&) noexcept;
    Resampler& operator=(Resampler&&) noexcept;

    /// Appends what `in` becomes. The first samples are the filter's delay (latency_samples() of them) and so is the rest
    /// at the end: what goes in by frames of 10 ms comes out so on the whole.
    void run(Sound in, Samples& out);
    std::size_t latency_samples() const;  ///< at the rate that comes out

private:
    struct Free {
        void operator()(SpeexResamplerState_* it) const;
    };
    unsigned from_hz_, to_hz_;
    std::unique_ptr<SpeexResamplerState_, Free> state_;  ///< null: one rate
};

}  // namespace voice::engine
