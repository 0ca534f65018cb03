/// What is done against loss that the other side reports: in-band FEC for little, repeated packets for more, and a lower
/// bitrate for each copy, so that the whole stays within a bound. It goes up at once and comes down after ten seconds.
///
///   reported    FEC    repeated (packets back)   with bursts
///   under 1 %   none   none
///   from 1 %    yes    none                      from 2 %: 2
///   from 4 %    yes    1                         2 and 6
///   from 12 %   yes    1 and 2                   2 and 6
///   from 25 %   yes    1, 2 and 3                2, 4 and 6
#pragma once

#include <vector>

#include "net/time.hpp"

namespace voice::engine {

struct LossPlan {
    unsigned fec_percent = 0;            ///< for Encoder::set_loss()
    std::vector<unsigned> packets_back;  ///< for RedSender::set_offsets()
    unsigned bitrate = 0;                ///< for Encoder::set_bitrate()
    bool operator==(const LossPlan&) const = default;
};

class LossControl {
public:
    static constexpr auto kComesDown = std::chrono::seconds(10);

    /// `bitrate`: without loss. `redundancy`: whether the other side takes RFC 2198.
    LossControl(unsigned bitrate, bool redundancy) : bitrate_(bitrate), redundancy_(redundancy) { plan_.bitrate = bitrate; }

    /// A report: loss before repair, and how long losses last in the mean where that is known (zero: not). True where the
    /// plan is another now.
    bool reported(double loss_percent, net::Duration burst, net::Steady now);
    const LossPlan& plan() const { return plan_; }
    double loss_percent() const { return loss_percent_; }

private:
    LossPlan plan_for(double loss_percent, bool bursts) const;

    unsigned bitrate_;
    bool redundancy_;
    double loss_percent_ = 0;  ///< that the plan is for
    bool bursts_ = false;
    net::Steady worst_at_;     ///< when it was reported last that it is so much
    double since_percent_ = 0; ///< the most since then
    LossPlan plan_;
};

}  // namespace voice::engine
