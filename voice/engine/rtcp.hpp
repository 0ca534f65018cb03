/// RTCP (RFC 3550 6) as a voice call needs it: sender and receiver reports, the source's name, goodbye, and of extended
/// reports (RFC 3611) the VoIP metrics. A compound packet in, a compound packet out.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "net/bytes.hpp"
#include "net/time.hpp"

namespace voice::engine {

/// RFC 3550 6.4.1, without the SSRC that it is about.
struct ReceptionReport {
    std::uint8_t fraction_lost = 0;      ///< in 256ths, since the last report
    std::int32_t lost = 0;               ///< since the beginning, 24 bits with sign
    std::uint32_t highest_sequence = 0;  ///< extended
    std::uint32_t jitter_ticks = 0;
    std::uint32_t last_sender_report = 0;       ///< middle of its NTP time; zero for none
    std::uint32_t delay_since = 0;              ///< in 65536ths of a second
};

struct SenderInfo {
    std::uint64_t ntp = 0;  ///< 32.32 seconds since 1900
    std::uint32_t rtp_timestamp = 0;
    std::uint32_t packets = 0;
    std::uint32_t bytes = 0;  ///< of payload
};

/// RFC 3611 4.7, without the SSRC that it is about; as it stands on the wire. 127 means not known where it says "or 127".
struct VoipMetrics {
    std::uint8_t loss_rate = 0, discard_rate = 0;    ///< in 256ths
    std::uint8_t burst_density = 0, gap_density = 0; ///< in 256ths
    std::uint16_t burst_ms = 0, gap_ms = 0;
    std::uint16_t round_trip_ms = 0, end_system_ms = 0;
    std::uint8_t signal_level = 127, noise_level = 127;  ///< dBm0 with sign, or 127
    std::uint8_t echo_loss_db = 127;                     ///< or 127
    std::uint8_t gap_min = 16;
    std::uint8_t r_factor = 127, external_r = 127;       ///< 0 to 100, or 127
    std::uint8_t mos_listening = 127, mos_conversation = 127;  ///< tenths, or 127
    std::uint8_t concealment = 0, jitter_buffer = 0;     ///< RX config: PLC 0 to 3, JBA 0 to 3
    std::uint8_t jitter_buffer_rate = 0;
    std::uint16_t buffer_ms = 0, buffer_most_ms = 0, buffer_limit_ms = 0;
};

/// What a compound packet says of the one stream `about`, and of its sender.
struct RtcpReport {
    std::uint32_t from = 0;               ///< SSRC of who sent it
    std::optional<SenderInfo> sender;     ///< of what `from` sends
    std::optional<ReceptionReport> reception;
    std::optional<VoipMetrics> metrics;
    bool goodbye = false;

    /// Nullopt where it is no compound packet: every part's version, type and length must be right (RFC 3550 A.2), and the
    /// first be SR or RR. Parts nobody here knows are skipped.
    static std::optional<RtcpReport> parse(net::ByteView packet, std::uint32_t about);
};

/// What goes into one compound packet from `from` about `about`. `name` (CNAME) is cut at 255 bytes.
net::Bytes build_rtcp(const RtcpReport& report, std::uint32_t about, std::string_view name);

/// NTP's 32.32 format (RFC 3550 4).
std::uint64_t to_ntp(net::Wall at);

}  // namespace voice::engine
