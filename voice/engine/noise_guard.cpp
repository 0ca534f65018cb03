#include "voice/engine/noise_guard.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "voice/engine/time_scale.hpp"

namespace voice::engine {
namespace {

constexpr std::size_t kOrder = 8;
constexpr double kUnforeseen = 2.5;  // white noise of 80 samples measures 1.0 to 1.5

}  // namespace

double predictability(Sound sound) {
    std::array<double, kOrder + 1> correlation{};
    for (std::size_t lag = 0; lag <= kOrder; ++lag) {
        for (std::size_t i = lag; i < sound.size(); ++i) correlation[lag] += static_cast<double>(sound[i]) * sound[i - lag];
    }
    // Levinson and Durbin's recursion.
    std::array<double, kOrder + 1> predictor{};
    double error = correlation[0] * 1.0001 + 1;
    const double energy = error;
    for (std::size_t order = 1; order <= kOrder; ++order) {
        double reflection = correlation[order];
        for (std::size_t i = 1; i < order; ++i) reflection -= predictor[i] * correlation[order - i];
        reflection /= error;
        auto next = predictor;
        next[order] = reflection;
        for (std::size_t i = 1; i < order; ++i) next[i] = predictor[i] - reflection * predictor[order - i];
        predictor = next;
        error *= 1 - reflection * reflection;
    }
    return energy / std::max(error, 1e-9);
}

void NoiseGuard::check(std::span<std::int16_t> frame) {
    const auto level = level_db(frame);
    double target = 1;
    if (level > kLoud_db && predictability(frame) < kUnforeseen) {
        target = std::pow(10, (kLeft_db - level) / 20);
        gain_ = std::min(gain_, target);
        ++hushed_;
    }
    if (gain_ == 1) return;
    const double step = 0.1 / static_cast<double>(frame.size());
    for (auto& sample : frame) {
        gain_ = std::min(target, gain_ + step);
        sample = static_cast<std::int16_t>(std::lround(sample * gain_));
    }
}

}  // namespace voice::engine
