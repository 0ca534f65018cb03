/// What one direction of a wire does to its frames: loss, rate, delay, jitter, order. Passive and exact by seed.
#pragma once

#include <optional>

#include "net/random.hpp"
#include "net/time.hpp"

namespace lab {

/// All at rest: a perfect wire.
struct Settings {
    net::Duration delay{0};           ///< of every frame
    net::Duration jitter{0};          ///< added, even on [-jitter, +jitter]; never makes the sum negative
    double loss_percent = 0;          ///< independent
    double reorder_percent = 0;       ///< share of frames that skip the delay, and so overtake
    std::uint64_t rate_bit_s = 0;     ///< frames are serialised at this rate; 0 is no limit
    std::size_t queue_bytes = 65536;  ///< before the rate; what does not fit is dropped at the tail
    bool down = false;                ///< swallows everything, silently
};

struct Counters {
    std::uint64_t offered = 0, delivered = 0, lost = 0, lost_queue = 0, lost_down = 0;
};

/// One direction. Frames are offered in the order they came in.
class Impairment {
public:
    explicit Impairment(std::uint64_t seed) : random_(seed) {}

    Settings settings;
    Counters counters;

    /// When a frame of this size that came in at `now` shall leave, or nothing if it is lost. Every frame meets the
    /// same number of draws, so that one impairment does not shift the others' draws.
    std::optional<net::Steady> due(std::size_t frame_bytes, net::Steady now);

private:
    /// Uniform on [0, 1).
    double draw() { return static_cast<double>(random_.u64() >> 11) * 0x1p-53; }

    net::SeededRandom random_;
    net::Steady sent_until_{};  ///< the serialiser is busy until then
    net::Steady last_due_{};    ///< nothing but a reordered frame leaves earlier
};

/// One line of the control language, applied: "delay MS", "jitter MS", "loss PERCENT", "reorder PERCENT",
/// "rate MBIT_S", "queue BYTES", "down", "up". False if it is none of these, and then nothing has changed.
bool apply_setting(Settings& settings, const std::string& line);

}  // namespace lab
