#include "voice/engine/quality.hpp"

#include <algorithm>
#include <cmath>

namespace voice::engine {
namespace {

constexpr double kNarrowbandBest = 93.2;   // G.107: Ro - Is with its default values
constexpr double kFullbandBest = 148;      // G.107.2
constexpr double kFullbandScale = 1.48;

/// G.107 7.5 and G.107.2: `most` is 95, or 132.
double equipment_impairment(double ie, double bpl, double most, const QualityInput& input) {
    const double loss = std::clamp(input.concealed_percent, 0.0, 100.0);
    return ie + (most - ie) * loss / (loss / std::max(1.0, input.burst_ratio) + bpl);
}

double band_impairment(unsigned rate_hz) {
    if (rate_hz <= 8000) return kFullbandBest - 93;
    if (rate_hz <= 12000) return kFullbandBest - 111;
    if (rate_hz <= 16000) return kFullbandBest - 129;
    return rate_hz <= 24000 ? 8 : 0;
}

}  // namespace

double delay_impairment(double one_way_ms) {
    if (one_way_ms <= 100) return 0;
    const double x = std::log2(one_way_ms / 100);
    return 25 * (std::pow(1 + std::pow(x, 6), 1.0 / 6) - 3 * std::pow(1 + std::pow(x / 3, 6), 1.0 / 6) + 2);
}

double mos_of_r(double r) {
    if (r <= 0) return 1;
    if (r >= 100) return 4.5;
    return std::max(1.0, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6);
}

Quality rate_quality(const QualityInput& input) {
    const auto delay = delay_impairment(input.one_way_ms);
    const double coding = !input.opus ? 0 : input.bitrate >= 16000 ? 10 : 20;
    const double bpl = input.opus ? 20 : 25.1;
    const double r = kFullbandBest - kFullbandScale * delay - equipment_impairment(band_impairment(input.rate_hz) + coding, bpl, 132, input);
    Quality out{std::clamp(r, 0.0, kFullbandBest), mos_of_r(r / kFullbandScale), 0, 0};
    if (!input.opus) {
        out.narrow_r = std::clamp(kNarrowbandBest - delay - equipment_impairment(0, bpl, 95, input), 0.0, 100.0);
        out.narrow_mos = mos_of_r(out.narrow_r);
    }
    return out;
}

}  // namespace voice::engine
