/// Which packets are the stream's, and where in time each lies: for senders whose sequence numbers jump, whose source
/// changes, or whose timestamps lie.
///
///   following  --- sequence leaps by 1000, or time by 1 s ahead or 3 s back, twice in a row --->  anew (the buffer begins again)
///   following  --- another SSRC, three in a row, the old one silent for 100 ms --->  anew
///   following  --- 12 of 16 steps of timestamps are not what the payloads hold --->  anew, by sequence numbers alone
#pragma once

#include <optional>

#include "net/time.hpp"
#include "voice/engine/rtp.hpp"

namespace voice::engine {

class Source {
public:
    explicit Source(unsigned clock_hz) : clock_hz_(clock_hz) {}

    struct Place {
        std::int64_t ticks = 0;     ///< of the RTP clock, since the stream began
        std::int64_t sequence = 0;  ///< extended
        bool anew = false;          ///< forget what came before: places count from another beginning
        bool by_timestamp = true;   ///< places follow timestamps, so offsets from them mean something
    };
    /// `length_ticks`: what the payload holds; zero where that is not known (its timestamp is believed).
    /// Nullopt: not of this stream, or not yet believed.
    std::optional<Place> place(const RtpHeader& header, std::int64_t length_ticks, net::Steady now);

    /// A packet of the stream that holds no sound (a telephone event, comfort noise): where it lies. It moves sequence
    /// numbers on, but its timestamp may stand still, so no sound is measured by it.
    std::optional<Place> beside(const RtpHeader& header, net::Steady now);

    std::optional<std::uint32_t> ssrc() const { return started_ ? std::optional(last_.ssrc) : std::nullopt; }
    std::uint64_t refused() const { return refused_; }
    std::uint64_t restarts() const { return restarts_; }

private:
    Place begin(const RtpHeader& header, net::Steady now);
    bool another_source(const RtpHeader& header, net::Steady now);
    bool leaps(const RtpHeader& header, net::Steady now) const;
    bool lies(const RtpHeader& header, std::int64_t length_ticks);

    unsigned clock_hz_;
    bool started_ = false;
    bool by_sequence_ = false;
    RtpHeader last_;             ///< the furthest that came
    std::int64_t last_ticks_ = 0, last_sequence_ = 0;
    net::Steady heard_;
    RtpHeader candidate_;        ///< the last one refused
    unsigned repeats_ = 0;       ///< refused ones in a row that follow each other
    unsigned leaps_ = 0;         ///< in a row
    std::uint16_t lied_ = 0;     ///< one bit a step
    std::uint64_t refused_ = 0, restarts_ = 0;
};

}  // namespace voice::engine
