// What a stream tells of itself: RTCP both ways, the figures, and what follows from reported loss.
#include <algorithm>
#include <cmath>

#include "voice/engine/voice_stream.hpp"

namespace voice::engine {
namespace {

constexpr auto kFirstReport = std::chrono::seconds(1);
constexpr auto kReports = std::chrono::seconds(5);  // RFC 3550 6.2's minimum; between our own ends loss is told sooner
constexpr auto kLossReports = std::chrono::seconds(1);
constexpr unsigned kDense = 128;  // of 256: losses in bursts, not strewn

double to_ms(net::Duration time) { return std::chrono::duration<double, std::milli>(time).count(); }

std::uint8_t in_256ths(std::uint64_t part, std::uint64_t whole) {
    return whole == 0 ? 0 : static_cast<std::uint8_t>(std::min<std::uint64_t>(255, part * 256 / whole));
}
std::uint16_t whole_ms(double ms) { return static_cast<std::uint16_t>(std::clamp(ms, 0.0, 65535.0)); }

}  // namespace

void VoiceStream::apply(const LossPlan& plan) {
    encoder_->set_loss(plan.fec_percent);
    if (plan.bitrate != 0) encoder_->set_bitrate(plan.bitrate);
    red_.set_offsets(plan.packets_back);
    figures_.plan = plan;
}

void VoiceStream::lossy_path(double loss_percent, net::Duration burst, net::Steady now) {
    if (control_.reported(loss_percent, burst, now)) apply(control_.plan());
}

void VoiceStream::receive_rtcp(net::ByteView packet, net::Now now) {
    const auto report = RtcpReport::parse(packet, settings_.ssrc);
    if (!report || (source_.ssrc() && report->from != *source_.ssrc())) {
        ++figures_.not_ours;
        return;
    }
    if (report->sender) reception_.sender_report(*report->sender, now.steady);
    if (report->metrics) figures_.metrics = report->metrics;
    if (!report->reception) return;
    figures_.reception = report->reception;
    for (const auto& sent : sent_reports_) {
        if (sent.ntp == 0 || sent.ntp != report->reception->last_sender_report) continue;
        const auto there = net::Duration(std::int64_t{report->reception->delay_since} * 1'000'000'000 / 65536);
        figures_.round_trip = std::max(net::Duration{}, now.steady - sent.at - there);
        break;
    }
    const auto* metrics = report->metrics ? &*report->metrics : nullptr;
    const auto burst = !metrics ? net::Duration{} : metrics->burst_density >= kDense ? net::Duration(std::chrono::milliseconds(metrics->burst_ms)) : net::Duration(1);
    lossy_path(report->reception->fraction_lost * 100.0 / 256, burst, now.steady);
}

net::Bytes VoiceStream::report(net::Now now, net::Random& random, std::string_view name, bool goodbye) {
    RtcpReport out;
    out.from = settings_.ssrc;
    out.goodbye = goodbye;
    const auto about = source_.ssrc();
    if (figures_.sent_packets != reported_sent_) {
        const auto ntp = to_ntp(now.wall);
        out.sender = SenderInfo{ntp, settings_.timestamp, static_cast<std::uint32_t>(figures_.sent_packets), static_cast<std::uint32_t>(sent_payload_bytes_)};
        reported_sent_ = figures_.sent_packets;
        std::rotate(sent_reports_.begin(), sent_reports_.end() - 1, sent_reports_.end());
        sent_reports_.front() = {static_cast<std::uint32_t>(ntp >> 16), now.steady};
    }
    auto interval = report_at_ == net::Steady::min() ? net::Duration(kFirstReport) : net::Duration(kReports);
    if (about) {
        out.reception = reception_.report(now.steady);
        out.metrics = metrics();
        if (out.reception->fraction_lost != 0) interval = kLossReports;
    }
    // RFC 3550 6.3.1: half to one and a half of it.
    report_at_ = now.steady + interval / 2 + net::Duration(random.below(static_cast<std::uint64_t>(interval.count())));
    return build_rtcp(out, about.value_or(0), name);
}

VoipMetrics VoiceStream::metrics() const {
    const auto now = figures();
    VoipMetrics out;
    out.loss_rate = in_256ths(now.lost, now.expected);
    out.discard_rate = in_256ths(now.buffer.late + now.buffer.discarded, now.expected);
    out.burst_density = in_256ths(runs_.burst_lost, runs_.burst_packets);
    out.gap_density = in_256ths(runs_.gap_lost, runs_.gap_packets);
    const double packet_ms = settings_.sound.packet_ms, bursts = static_cast<double>(std::max<std::uint64_t>(runs_.bursts, 1));
    out.burst_ms = whole_ms(static_cast<double>(runs_.burst_packets) * packet_ms / bursts);
    out.gap_ms = whole_ms(static_cast<double>(runs_.gap_packets) * packet_ms / (bursts + 1));
    out.round_trip_ms = whole_ms(now.round_trip ? to_ms(*now.round_trip) : 0);
    out.end_system_ms = whole_ms(packet_ms + to_ms(now.buffer.delay));
    if (now.heard_db > -99) out.signal_level = static_cast<std::uint8_t>(static_cast<std::int8_t>(std::lround(now.heard_db)));
    if (now.quality.narrow_mos > 0) {
        out.r_factor = static_cast<std::uint8_t>(std::lround(now.quality.narrow_r));
        out.mos_conversation = static_cast<std::uint8_t>(std::lround(10 * now.quality.narrow_mos));
    } else {
        out.mos_conversation = static_cast<std::uint8_t>(std::lround(10 * now.quality.mos));
    }
    out.concealment = out.jitter_buffer = 3;  // standard; adaptive
    out.buffer_ms = whole_ms(to_ms(now.buffer.target));
    out.buffer_most_ms = whole_ms(to_ms(now.buffer.depth));
    out.buffer_limit_ms = whole_ms(to_ms(JitterBuffer::kMostHeld));
    return out;
}

StreamFigures VoiceStream::figures() const {
    auto out = figures_;
    out.buffer = buffer_.figures();
    out.restarts = source_.restarts();
    out.hushed = guard_.hushed();
    out.expected = reception_.expected();
    out.lost = reception_.lost();
    out.jitter_ms = reception_.jitter_ms();
    const double ahead_ms = settings_.codec->clock_hz == 48000 ? 6.5 : 0;  // RFC 6716 2.1.7
    out.one_way_ms = settings_.sound.packet_ms + ahead_ms + (out.round_trip ? to_ms(*out.round_trip) / 2 : 0) + to_ms(out.buffer.delay);
    if (out.buffer.played > 0) out.concealed_percent = 100.0 * static_cast<double>(out.buffer.concealed) / static_cast<double>(out.buffer.played);
    QualityInput input;
    input.one_way_ms = out.one_way_ms;
    input.concealed_percent = out.concealed_percent;
    input.rate_hz = settings_.sound.rate_hz;
    input.opus = settings_.codec->clock_hz == 48000;
    input.bitrate = figures_.plan.bitrate != 0 ? figures_.plan.bitrate : settings_.sound.bitrate;
    out.quality = rate_quality(input);
    return out;
}

}  // namespace voice::engine
