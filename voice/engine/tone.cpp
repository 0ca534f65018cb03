#include "voice/engine/tone.hpp"

#include <algorithm>
#include <cmath>

namespace voice::engine {

void Tone::add(std::span<std::int16_t> frame) {
    constexpr double kTwoPi = 6.283185307179586;
    const auto samples = [&](net::Duration time) { return static_cast<std::uint64_t>(time.count()) * rate_hz_ / 1'000'000'000; };
    const auto on = samples(kind_.on), whole = on + samples(kind_.off);
    const double ramp = rate_hz_ * 0.005, peak = 32767 * std::pow(10, kind_.level_db / 20);
    for (auto& sample : frame) {
        const auto place = whole == on ? std::min(at_, on / 2) : at_ % whole;
        const double edge = place >= on ? 0 : std::min({static_cast<double>(place) / ramp, static_cast<double>(on - place) / ramp, 1.0});
        const double t = static_cast<double>(at_) / rate_hz_;
        double value = std::sin(kTwoPi * kind_.hz * t);
        if (kind_.second_hz > 0) value += std::sin(kTwoPi * kind_.second_hz * t);
        sample = static_cast<std::int16_t>(std::clamp(std::lround(sample + peak * edge * value), -32768L, 32767L));
        ++at_;
    }
}

}  // namespace voice::engine
