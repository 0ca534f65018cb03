/// Concealment for codecs without one of their own, in the manner of G.711 appendix I: the last pitch period is repeated,
/// one period at first and more of them later so that it does not buzz, and it fades to silence within 60 ms. What comes
/// after the gap is blended in. No delay is added.
#pragma once

#include <span>

#include "voice/engine/codec.hpp"

namespace voice::engine {

class Concealment {
public:
    explicit Concealment(unsigned rate_hz);

    /// Sound that came, in order; its beginning is changed where it follows concealed sound.
    void good(std::span<std::int16_t> sound);
    /// Appends so many samples in the place of sound that did not come.
    void conceal(std::size_t samples, Samples& out);

private:
    void begin_gap();
    void remember(Sound sound);
    std::int16_t next();

    unsigned rate_hz_;
    Samples history_;           ///< the last 50 ms
    Samples cycle_;             ///< what is repeated: up to three pitch periods
    std::size_t period_ = 0;
    std::size_t periods_ = 1;   ///< of cycle_, from its end, that are repeated now
    std::size_t at_ = 0;        ///< in the repeated part
    std::size_t concealed_ = 0; ///< samples in this gap; zero: no gap
};

/// The lag from `shortest` to `longest` samples at which `sound`'s last `window` samples are most like what came before
/// them, and how like: 1 the same, 0 not at all. `sound` must hold window + longest samples.
struct Period {
    std::size_t samples = 0;
    double likeness = 0;
};
Period find_period(Sound sound, std::size_t window, std::size_t shortest, std::size_t longest, std::size_t coarse_step);

}  // namespace voice::engine
