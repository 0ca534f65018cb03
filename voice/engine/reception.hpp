/// What came of a stream, as RTCP reports it: losses by sequence numbers (RFC 3550 A.3) and jitter (A.8).
#pragma once

#include "voice/engine/rtcp.hpp"
#include "voice/engine/source.hpp"

namespace voice::engine {

class Reception {
public:
    explicit Reception(unsigned clock_hz) : clock_hz_(clock_hz) {}

    void received(const Source::Place& place, const RtpHeader& header, net::Steady now);
    /// One without sound: see Source::beside().
    void counted(const Source::Place& place);
    /// A sender report of the stream's came.
    void sender_report(const SenderInfo& info, net::Steady now);
    /// What to report now: the fraction counts from the last call.
    ReceptionReport report(net::Steady now);

    std::uint64_t expected() const;
    std::uint64_t lost() const { return expected() > received_ ? expected() - received_ : 0; }
    double jitter_ms() const { return jitter_ * 1000 / clock_hz_; }

private:
    unsigned clock_hz_;
    bool begun_ = false;
    std::int64_t first_ = 0, highest_ = 0;
    std::uint64_t before_ = 0;  ///< expected, before the sender began anew
    std::uint64_t received_ = 0, expected_told_ = 0, received_told_ = 0;
    std::uint32_t timestamp_ = 0;
    net::Steady arrived_;
    double jitter_ = 0;  ///< ticks
    std::uint32_t sender_report_ = 0;
    net::Steady sender_reported_;
};

}  // namespace voice::engine
