#include "voice/engine/loss_control.hpp"

#include <algorithm>
#include <cmath>

namespace voice::engine {
namespace {

constexpr auto kBurst = std::chrono::milliseconds(45);  // longer than two packets
constexpr unsigned kLeastBitrate = 12000;               // below, Opus is a telephone
constexpr unsigned kMostWhole = 64000;                  // of all copies together

}  // namespace

LossPlan LossControl::plan_for(double loss_percent, bool bursts) const {
    LossPlan plan;
    plan.bitrate = bitrate_;
    if (loss_percent < 1) return plan;
    plan.fec_percent = static_cast<unsigned>(std::clamp(std::lround(std::ceil(loss_percent)), 5L, 30L));
    if (!redundancy_) return plan;
    if (bursts && loss_percent >= 2) plan.packets_back = loss_percent < 4 ? std::vector<unsigned>{2} : loss_percent < 25 ? std::vector<unsigned>{2, 6} : std::vector<unsigned>{2, 4, 6};
    else if (loss_percent >= 4) plan.packets_back = loss_percent < 12 ? std::vector<unsigned>{1} : loss_percent < 25 ? std::vector<unsigned>{1, 2} : std::vector<unsigned>{1, 2, 3};
    const auto copies = static_cast<unsigned>(plan.packets_back.size()) + 1;
    plan.bitrate = std::max(kLeastBitrate, std::min(bitrate_, kMostWhole / copies));
    return plan;
}

bool LossControl::reported(double loss_percent, net::Duration burst, net::Steady now) {
    loss_percent = std::clamp(loss_percent, 0.0, 100.0);
    if (loss_percent >= loss_percent_) {
        loss_percent_ = loss_percent;
        worst_at_ = now;
        since_percent_ = 0;
    } else {
        since_percent_ = std::max(since_percent_, loss_percent);
        if (now - worst_at_ >= kComesDown) {
            loss_percent_ = since_percent_;
            since_percent_ = 0;
            worst_at_ = now;
        }
    }
    if (burst != net::Duration{}) bursts_ = burst > kBurst;
    auto plan = plan_for(loss_percent_, bursts_);
    if (plan == plan_) return false;
    plan_ = std::move(plan);
    return true;
}

}  // namespace voice::engine
