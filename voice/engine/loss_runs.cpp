#include "voice/engine/loss_runs.hpp"

namespace voice::engine {

void LossRuns::received(std::int64_t sequence, bool anew) {
    if (!next_ || anew || sequence - *next_ > 1000) {
        next_ = sequence;
        came_.reset();
    }
    while (sequence - *next_ >= kPatience) {
        judge(!came_[0]);
        came_ >>= 1;
        ++*next_;
    }
    if (sequence >= *next_) came_.set(static_cast<std::size_t>(sequence - *next_));
}

void LossRuns::close_burst() {
    if (open_lost_ >= 2) {
        ++bursts;
        burst_packets += open_packets_;
        burst_lost += open_lost_;
    } else {
        gap_packets += open_packets_;
        gap_lost += open_lost_;
    }
    gap_packets += since_loss_;
    open_packets_ = open_lost_ = since_loss_ = 0;
}

void LossRuns::judge(bool lost) {
    if (!lost) {
        if (++since_loss_ >= kGapMin) close_burst();
        return;
    }
    if (open_lost_ == 0) {
        gap_packets += since_loss_;
        open_packets_ = 1;
    } else {
        open_packets_ += since_loss_ + 1;
    }
    since_loss_ = 0;
    ++open_lost_;
}

}  // namespace voice::engine
