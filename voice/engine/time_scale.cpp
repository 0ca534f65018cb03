#include "voice/engine/time_scale.hpp"

#include <algorithm>
#include <cmath>

#include "voice/engine/concealment.hpp"

namespace voice::engine {
namespace {

/// Goes over from `from` to `to`, both `of` samples.
void cross_fade(std::int16_t* out, const std::int16_t* from, const std::int16_t* to, std::size_t of) {
    for (std::size_t i = 0; i < of; ++i) {
        const auto weight = static_cast<double>(i + 1) / static_cast<double>(of + 1);
        out[i] = static_cast<std::int16_t>(std::lround(from[i] * (1 - weight) + to[i] * weight));
    }
}

}  // namespace

std::size_t TimeScale::shorten(Samples& sound, std::size_t most, double likeness) const {
    const std::size_t window = rate_hz_ * 8 / 1000, shortest = rate_hz_ * 25 / 10000;
    if (sound.size() < window + shortest || most < shortest) return 0;
    const auto longest = std::min({std::size_t{rate_hz_ * 15 / 1000}, sound.size() - window, most});
    const auto period = find_period(sound, window, shortest, longest, std::max(1U, rate_hz_ / 8000));
    if (period.likeness < likeness) return 0;
    const auto seam = sound.size() - window - period.samples;
    cross_fade(sound.data() + seam, sound.data() + seam, sound.data() + seam + period.samples, window);
    // What follows the seam now begins a period later.
    sound.erase(sound.begin() + static_cast<std::ptrdiff_t>(seam + window), sound.end());
    return period.samples;
}

std::size_t TimeScale::lengthen(Sound history, Samples& sound, double likeness) const {
    const std::size_t window = rate_hz_ * 8 / 1000, shortest = rate_hz_ * 25 / 10000, longest = rate_hz_ * 15 / 1000;
    if (sound.size() < window || history.size() < longest) return 0;
    Samples both(history.begin(), history.end());
    both.insert(both.end(), sound.begin(), sound.begin() + static_cast<std::ptrdiff_t>(window));
    const auto period = find_period(both, window, shortest, longest, std::max(1U, rate_hz_ / 8000));
    if (period.likeness < likeness) return 0;
    // Sound's beginning goes over into what was played a period before it, then all of it follows.
    const auto earlier = both.size() - window - period.samples;
    Samples inserted(both.begin() + static_cast<std::ptrdiff_t>(earlier), both.end() - static_cast<std::ptrdiff_t>(window));
    Samples longer;
    longer.reserve(sound.size() + period.samples);
    longer.insert(longer.end(), inserted.begin(), inserted.end());
    longer.insert(longer.end(), sound.begin(), sound.end());
    const auto blended = std::min(window, period.samples);
    cross_fade(longer.data(), sound.data(), inserted.data(), blended);
    sound = std::move(longer);
    return period.samples;
}

double level_db(Sound sound) {
    double energy = 0;
    for (const auto sample : sound) energy += static_cast<double>(sample) * sample;
    if (sound.empty() || energy < 1) return -100;
    return std::max(-100.0, 10 * std::log10(energy / static_cast<double>(sound.size()) / (32768.0 * 32768.0)));
}

}  // namespace voice::engine
