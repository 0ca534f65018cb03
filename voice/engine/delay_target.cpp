#include "voice/engine/delay_target.hpp"

#include <algorithm>
#include <array>

namespace voice::engine {
namespace {

constexpr std::size_t kSeconds = 20;
constexpr auto kLately = std::chrono::seconds(6), kNow = std::chrono::seconds(1);
constexpr std::size_t kNear = 2;
constexpr std::size_t kMaxArrivals = 400;  // a second: packets of 2.5 ms
constexpr double kLateCost_ms = 4;
constexpr double kRepairWeight = 4;
constexpr int kBin_ms = 2;
constexpr std::size_t kBins = 250;

}  // namespace

void DelayTarget::arrived(net::Duration transit, net::Duration length, bool repair, net::Steady now) {
    if (seconds_.empty()) began_ = now;
    if (seconds_.empty() || now - seconds_.back().began >= std::chrono::seconds(1)) {
        seconds_.push_back({now, transit, {}});
        if (seconds_.size() > kSeconds) seconds_.pop_front();
        judge_at_ = now;
    }
    auto& second = seconds_.back();
    if (transit < second.fastest) {
        second.fastest = transit;
        judge_at_ = now;
    }
    if (second.arrivals.size() < kMaxArrivals) {
        second.arrivals.push_back({now, transit, std::chrono::duration<double>(length) / std::chrono::milliseconds(20) * (repair ? kRepairWeight : 1), repair});
    }
    if (now >= judge_at_ || transit - fastest_ > ceiling_) judge(now);
}

net::Duration DelayTarget::fastest_near(std::size_t second) const {
    const auto from = second >= kNear ? second - kNear : 0, to = std::min(second + kNear, seconds_.size() - 1);
    auto fastest = seconds_[from].fastest;
    for (auto i = from + 1; i <= to; ++i) fastest = std::min(fastest, seconds_[i].fastest);
    return fastest;
}

void DelayTarget::judge(net::Steady now) {
    using std::chrono::milliseconds;
    std::array<double, kBins> late{};  // by how late: weight of the packets in each bin
    net::Duration worst_now{}, worst_lately{};
    for (std::size_t i = 0; i < seconds_.size(); ++i) {
        const auto fastest = fastest_near(i);
        for (const auto& arrival : seconds_[i].arrivals) {
            const auto excess = std::max(arrival.transit - fastest, net::Duration{});
            late[std::min(static_cast<std::size_t>(excess / milliseconds(kBin_ms)), kBins - 1)] += arrival.weight;
            // Loss is rarer than delay: what repaired it is not forgotten so soon.
            if (arrival.repair || now - arrival.at < kLately) worst_lately = std::max(worst_lately, excess);
            if (now - arrival.at < kNow) worst_now = std::max(worst_now, excess);
        }
    }
    fastest_ = fastest_near(seconds_.size() - 1);
    // From the longest delay down: what lies above each is late.
    double above = 0, least = 1e9;
    std::size_t best = 0;
    for (std::size_t bin = kBins; bin-- > 0;) {
        const double cost = static_cast<double>((bin + 1) * kBin_ms) + above * kLateCost_ms;
        if (cost < least) {
            least = cost;
            best = bin;
        }
        above += late[bin];
    }
    const auto at_least = now - began_ < milliseconds(500) ? kAtFirst : net::Duration{};
    const auto cheapest = std::min<net::Duration>(milliseconds((best + 1) * kBin_ms), worst_lately + milliseconds(kBin_ms));
    floor_ = std::max<net::Duration>(cheapest + kMargin, at_least);
    ceiling_ = std::clamp<net::Duration>(worst_now + kMargin, floor_, std::max(kMost, floor_));
    judge_at_ = now + milliseconds(100);
}

}  // namespace voice::engine
