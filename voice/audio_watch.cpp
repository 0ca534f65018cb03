#include "voice/audio_watch.hpp"

#include <algorithm>

namespace voice {
namespace {

constexpr auto kFlowing = std::chrono::milliseconds(1500);  // figures may be half a second old
constexpr std::uint64_t kElsewhere = 20;                    // packets; a stray one says nothing

const LegStats& of(const RelayStats& stats, Leg leg) { return leg == Leg::near ? stats.near : stats.far; }
bool flows(const LegStats& stats, net::Steady now) { return stats.last && now - *stats.last < kFlowing; }

}  // namespace

void AudioWatch::begin(net::Steady now) {
    *this = {};
    began_ = now;
    begun_ = true;
}

bool AudioWatch::may_pause(const Side& side, const LegStats& stats) const {
    const bool heard = stats.last && *stats.last >= began_;
    return heard && (stats.comfort_noise || (side.resumed && stats.resumed > *side.resumed));
}

std::optional<Leg> AudioWatch::look(const RelayStats& stats, std::array<bool, 2> expected, net::Steady now) {
    if (!begun_) return std::nullopt;
    if (expected != expected_) {
        // Held, or taken back: from now on. What the first packet ends was no pause in speech.
        begin(now);
        expected_ = expected;
        for (const auto leg : {Leg::near, Leg::far}) sides_[static_cast<std::size_t>(leg)].wrong_source = of(stats, leg).wrong_source;
    }
    for (const auto leg : {Leg::near, Leg::far}) {
        auto& side = sides_[static_cast<std::size_t>(leg)];
        const auto& its = of(stats, leg);
        if (!side.resumed && its.last && *its.last >= began_) side.resumed = its.resumed;
        if (silent_ == leg && flows(its, now)) {
            silent_.reset();
            from_elsewhere_ = false;
        }
        if (silent_ || !expected[0] || !expected[1] || !flows(of(stats, other(leg)), now)) continue;
        const auto since = its.last ? std::max(began_, *its.last) : began_;
        if (now - since >= (may_pause(side, its) ? net::Duration(kPause) : net::Duration(kQuiet))) silent_ = leg;
    }
    if (silent_) {
        const auto& side = sides_[static_cast<std::size_t>(*silent_)];
        from_elsewhere_ = of(stats, *silent_).wrong_source >= side.wrong_source + kElsewhere;
    }
    return silent_;
}

}  // namespace voice
