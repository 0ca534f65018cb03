/// How losses lie together: bursts and gaps as RFC 3611 4.7.2 defines them (a burst begins and ends with a loss and has
/// fewer than 16 packets in a row that came; a single loss is part of a gap).
#pragma once

#include <bitset>
#include <cstdint>
#include <optional>

namespace voice::engine {

class LossRuns {
public:
    static constexpr unsigned kGapMin = 16;
    static constexpr int kPatience = 64;  ///< a packet is lost when one so much later has come

    /// By extended sequence number; `anew` forgets what is still open.
    void received(std::int64_t sequence, bool anew);

    std::uint64_t bursts = 0;  ///< that have ended
    std::uint64_t burst_packets = 0, burst_lost = 0;
    std::uint64_t gap_packets = 0, gap_lost = 0;

private:
    void judge(bool lost);
    void close_burst();

    std::optional<std::int64_t> next_;  ///< not judged yet
    std::bitset<kPatience> came_;       ///< from next_ on
    std::uint64_t open_packets_ = 0, open_lost_ = 0, since_loss_ = 0;
};

}  // namespace voice::engine
