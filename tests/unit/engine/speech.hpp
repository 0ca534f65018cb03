/// Sound like speech, exact by seed, and the comparing of sounds.
#pragma once

#include <cmath>

#include "net/random.hpp"
#include "voice/engine/codec.hpp"

namespace engine_test {

using voice::engine::Samples;
using voice::engine::Sound;

/// Syllables of 4 a second: pulses of a gliding pitch (100 to 180 Hz) through two formants; a pause of 300 ms every two
/// seconds. Peaks near -9 dB.
inline Samples speech(unsigned rate_hz, double seconds, std::uint64_t seed = 1) {
    net::SeededRandom random(seed);
    constexpr double kTwoPi = 6.283185307179586;
    const auto count = static_cast<std::size_t>(seconds * rate_hz);
    Samples out(count);
    double phase = 0, f1 = 500, f2 = 1500, pitch = 130;
    double a1 = 0, a2 = 0, b1 = 0, b2 = 0;
    for (std::size_t i = 0; i < count; ++i) {
        const double t = static_cast<double>(i) / rate_hz;
        if (i % (rate_hz / 4) == 0) {
            f1 = 300 + static_cast<double>(random.below(500));
            f2 = 1000 + static_cast<double>(random.below(1200));
            pitch = 100 + static_cast<double>(random.below(60));
        }
        phase += (pitch + 20 * std::sin(kTwoPi * 0.7 * t)) / rate_hz;
        double pulse = 0;
        if (phase >= 1) {
            phase -= 1;
            pulse = 1;
        }
        const auto resonate = [&](double in, double frequency, double& y1, double& y2) {
            const double r = std::exp(-3.14159 * 90 / rate_hz);
            const double y = in + 2 * r * std::cos(kTwoPi * frequency / rate_hz) * y1 - r * r * y2;
            y2 = y1;
            y1 = y;
            return y;
        };
        const double voiced = resonate(pulse, f1, a1, a2) + 0.5 * resonate(pulse, f2, b1, b2);
        const double syllable = std::pow(std::sin(3.14159 * 4 * t), 2);
        const bool pause = std::fmod(t, 2.0) > 1.7;
        out[i] = static_cast<std::int16_t>(std::lround(std::fmax(-30000, std::fmin(30000, pause ? 0 : 2500 * voiced * syllable))));
    }
    return out;
}

/// How many samples later `heard` has what stands in `said` at [from, from + window): the best match up to `most`.
inline std::size_t delay_of(Sound said, Sound heard, std::size_t from, std::size_t window, std::size_t most, std::size_t step = 1) {
    std::size_t best = 0;
    double best_like = -1;
    for (std::size_t delay = 0; delay <= most && from + delay + window <= heard.size(); delay += step) {
        double both = 0, energy = 1;
        for (std::size_t i = 0; i < window; ++i) {
            both += static_cast<double>(said[from + i]) * heard[from + delay + i];
            energy += static_cast<double>(heard[from + delay + i]) * heard[from + delay + i];
        }
        if (both / std::sqrt(energy) > best_like) {
            best_like = both / std::sqrt(energy);
            best = delay;
        }
    }
    return best;
}

/// How like two sounds of one length are: 1 the same but for loudness.
inline double likeness_of(Sound a, Sound b) {
    double both = 0, energy_a = 1, energy_b = 1;
    for (std::size_t i = 0; i < a.size() && i < b.size(); ++i) {
        both += static_cast<double>(a[i]) * b[i];
        energy_a += static_cast<double>(a[i]) * a[i];
        energy_b += static_cast<double>(b[i]) * b[i];
    }
    return both / std::sqrt(energy_a * energy_b);
}

}  // namespace engine_test
