#include "voice/engine/concealment.hpp"

#include <algorithm>
#include <cmath>

namespace voice::engine {
namespace {

std::int16_t blend(std::int16_t from, std::int16_t to, std::size_t at, std::size_t of) {
    const auto weight = static_cast<double>(at + 1) / static_cast<double>(of + 1);
    return static_cast<std::int16_t>(std::lround(from * (1 - weight) + to * weight));
}

double likeness(Sound a, Sound b, std::size_t step) {
    double both = 0, energy_a = 1, energy_b = 1;
    for (std::size_t i = 0; i < a.size(); i += step) {
        both += static_cast<double>(a[i]) * b[i];
        energy_a += static_cast<double>(a[i]) * a[i];
        energy_b += static_cast<double>(b[i]) * b[i];
    }
    return both / std::sqrt(energy_a * energy_b);
}

}  // namespace

Period find_period(Sound sound, std::size_t window, std::size_t shortest, std::size_t longest, std::size_t coarse_step) {
    const auto newest = sound.last(window);
    const auto at = [&](std::size_t lag, std::size_t step) { return likeness(newest, sound.subspan(sound.size() - window - lag, window), step); };
    Period best{shortest, -1};
    const auto look = [&](std::size_t from, std::size_t to, std::size_t lag_step, std::size_t sample_step) {
        for (auto lag = from; lag <= to; lag += lag_step) {
            if (const auto like = at(lag, sample_step); like > best.likeness) best = {lag, like};
        }
    };
    look(shortest, longest, coarse_step, coarse_step);
    if (coarse_step > 1) {
        const auto near = best.samples;
        best.likeness = -1;
        look(near > shortest + coarse_step ? near - coarse_step : shortest, std::min(longest, near + coarse_step), 1, 1);
    }
    return best;
}

Concealment::Concealment(unsigned rate_hz) : rate_hz_(rate_hz), history_(rate_hz / 20) {}

void Concealment::remember(Sound sound) {
    const auto kept = std::min(sound.size(), history_.size());
    std::rotate(history_.begin(), history_.begin() + static_cast<std::ptrdiff_t>(kept), history_.end());
    std::copy(sound.end() - static_cast<std::ptrdiff_t>(kept), sound.end(), history_.end() - static_cast<std::ptrdiff_t>(kept));
}

void Concealment::begin_gap() {
    // 66 to 200 Hz; lower lags find a multiple of theirs.
    period_ = find_period(history_, rate_hz_ / 50, rate_hz_ / 200, rate_hz_ * 15 / 1000, std::max(1U, rate_hz_ / 8000)).samples;
    periods_ = 1;
    at_ = 0;
    cycle_.assign(history_.end() - static_cast<std::ptrdiff_t>(std::min(3 * period_, history_.size())), history_.end());
    // The last quarter period goes over into what stands before the period, so that its end meets its beginning.
    const auto quarter = period_ / 4;
    for (std::size_t i = 0; i < quarter; ++i) {
        auto& sample = cycle_[cycle_.size() - quarter + i];
        sample = blend(sample, history_[history_.size() - period_ - quarter + i], i, quarter);
    }
}

std::int16_t Concealment::next() {
    const auto ten_ms = rate_hz_ / 100;
    // Appendix I: whole for 10 ms, then down by a fifth each 10 ms.
    const double gain = std::clamp(1.2 - 0.2 * static_cast<double>(concealed_) / ten_ms, 0.0, 1.0);
    if (at_ == periods_ * period_) {
        at_ = 0;
        periods_ = std::min({concealed_ / ten_ms + 1, cycle_.size() / period_, std::size_t{3}});
    }
    const auto sample = cycle_[cycle_.size() - periods_ * period_ + at_++];
    ++concealed_;
    return static_cast<std::int16_t>(std::lround(sample * gain));
}

void Concealment::conceal(std::size_t samples, Samples& out) {
    if (concealed_ == 0) begin_gap();
    const auto before = out.size();
    for (std::size_t i = 0; i < samples; ++i) out.push_back(next());
    remember(Sound(out).subspan(before));
}

void Concealment::good(std::span<std::int16_t> sound) {
    if (concealed_ != 0) {
        // A quarter period, and 4 ms more for each 10 ms of the gap.
        const auto blended = std::min({period_ / 4 + concealed_ * 4 / 10, std::size_t{rate_hz_ / 100}, sound.size()});
        for (std::size_t i = 0; i < blended; ++i) sound[i] = blend(next(), sound[i], i, blended);
        concealed_ = 0;
    }
    remember(sound);
}

}  // namespace voice::engine
