/// Tones that a telephone makes by itself.
#pragma once

#include <span>

#include "net/time.hpp"
#include "voice/engine/codec.hpp"

namespace voice::engine {

/// One or two frequencies, on and off in turn; no `off` goes on for ever.
struct ToneKind {
    double hz = 425, second_hz = 0;
    net::Duration on = std::chrono::seconds(1), off{};
    double level_db = -20;  ///< below full scale, of each frequency's peak
};

inline constexpr ToneKind kRingBack{425, 0, std::chrono::seconds(1), std::chrono::seconds(4), -20};  ///< ITU-T E.180
inline constexpr ToneKind kBusy{425, 0, std::chrono::milliseconds(500), std::chrono::milliseconds(500), -20};
inline constexpr ToneKind kRecording{1400, 0, std::chrono::milliseconds(500), std::chrono::milliseconds(14500), -26};  ///< "this call is recorded"
inline constexpr ToneKind kTest{1000, 0, std::chrono::seconds(1), {}, -20};

class Tone {
public:
    Tone(const ToneKind& kind, unsigned rate_hz) : kind_(kind), rate_hz_(rate_hz) {}

    /// Adds the next samples to what is in the frame, held within full scale. Begins and ends of each tone are ramps of 5 ms.
    void add(std::span<std::int16_t> frame);

private:
    ToneKind kind_;
    unsigned rate_hz_;
    std::uint64_t at_ = 0;  ///< samples since it began
};

}  // namespace voice::engine
