/// Plays a little faster or slower without a change of pitch: a whole period of the voice is taken out or repeated where
/// it is like its neighbour, and the seam is blended (as in WSOLA).
#pragma once

#include "voice/engine/codec.hpp"

namespace voice::engine {

class TimeScale {
public:
    explicit TimeScale(unsigned rate_hz) : rate_hz_(rate_hz) {}

    /// Takes at most `most` samples out of `sound`; tells how many. Zero where it is too short (20 ms always suffice for
    /// some voices, 25 ms for all) or where no period is as like its neighbour as asked (0 to 1).
    std::size_t shorten(Samples& sound, std::size_t most, double likeness) const;
    /// Repeats what was played last, `history`, before `sound`; tells how many samples that added, zero as above.
    std::size_t lengthen(Sound history, Samples& sound, double likeness) const;

private:
    unsigned rate_hz_;
};

/// Root mean square in dB below full scale: 0 the loudest, -100 for silence.
double level_db(Sound sound);

}  // namespace voice::engine
