#include "voice/engine/mixer.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace voice::engine {
namespace {

constexpr double kPeak = 32000;
constexpr double kRecovers = 1.02;  // a step: 6 dB in a third of a second

}  // namespace

bool Mixer::join(Member member) { return members_.size() < kMostMembers && members_.try_emplace(member).second; }

void Mixer::leave(Member member) {
    say(member, Samples(sum_.size()));  // out of the sum
    members_.erase(member);
}

void Mixer::say(Member member, Sound frame) {
    const auto found = members_.find(member);
    if (found == members_.end() || frame.size() != sum_.size()) return;
    auto& said = found->second.said;
    for (std::size_t i = 0; i < sum_.size(); ++i) sum_[i] += frame[i] - (said.empty() ? 0 : said[i]);
    said.assign(frame.begin(), frame.end());
}

void Mixer::hear(Member member, std::span<std::int16_t> frame) {
    std::fill(frame.begin(), frame.end(), std::int16_t{});
    const auto found = members_.find(member);
    if (found == members_.end() || frame.size() != sum_.size()) return;
    const auto& said = found->second.said;
    auto& gain = found->second.gain;
    const auto others = [&](std::size_t i) { return sum_[i] - (said.empty() ? 0 : said[i]); };
    std::int32_t peak = 0;
    for (std::size_t i = 0; i < sum_.size(); ++i) peak = std::max(peak, std::abs(others(i)));
    const double before = gain, most = peak > kPeak ? kPeak / peak : 1;
    gain = std::min({most, gain * kRecovers, 1.0});
    for (std::size_t i = 0; i < sum_.size(); ++i) {
        // From one gain to the other without a step, but never above full scale.
        const double now = before + (gain - before) * static_cast<double>(i + 1) / static_cast<double>(sum_.size());
        frame[i] = static_cast<std::int16_t>(std::clamp(std::lround(others(i) * now), -32768L, 32767L));
    }
}

void Mixer::next() {
    std::fill(sum_.begin(), sum_.end(), 0);
    for (auto& [member, voice] : members_) voice.said.clear();
}

}  // namespace voice::engine
