#include "voice/engine/rtcp.hpp"

#include <algorithm>

namespace voice::engine {
namespace {

enum RtcpType : std::uint8_t { kSenderReport = 200, kReceiverReport = 201, kDescription = 202, kGoodbye = 203, kExtendedReport = 207 };
constexpr std::uint8_t kVoipMetrics = 7;        // RFC 3611 4.7
constexpr std::size_t kVoipMetricsBytes = 32;   // with its SSRC
constexpr std::size_t kMostRtcpBytes = 1500;
constexpr std::uint64_t kNtpToUnix = 2'208'988'800;

void write_reception(net::Writer& out, const ReceptionReport& report, std::uint32_t about) {
    out.u32be(about).u32be(std::uint32_t{report.fraction_lost} << 24 | (static_cast<std::uint32_t>(std::clamp(report.lost, -0x800000, 0x7fffff)) & 0xffffffU));
    out.u32be(report.highest_sequence).u32be(report.jitter_ticks).u32be(report.last_sender_report).u32be(report.delay_since);
}

ReceptionReport read_reception(net::Reader& in) {
    ReceptionReport out;
    const auto lost = in.u32be();
    out.fraction_lost = static_cast<std::uint8_t>(lost >> 24);
    out.lost = static_cast<std::int32_t>(lost << 8) >> 8;
    out.highest_sequence = in.u32be();
    out.jitter_ticks = in.u32be();
    out.last_sender_report = in.u32be();
    out.delay_since = in.u32be();
    return out;
}

void write_metrics(net::Writer& out, const VoipMetrics& it, std::uint32_t about) {
    out.u32be(about).u8(it.loss_rate).u8(it.discard_rate).u8(it.burst_density).u8(it.gap_density);
    out.u16be(it.burst_ms).u16be(it.gap_ms).u16be(it.round_trip_ms).u16be(it.end_system_ms);
    out.u8(it.signal_level).u8(it.noise_level).u8(it.echo_loss_db).u8(it.gap_min);
    out.u8(it.r_factor).u8(it.external_r).u8(it.mos_listening).u8(it.mos_conversation);
    out.u8(static_cast<std::uint8_t>((it.concealment & 3) << 6 | (it.jitter_buffer & 3) << 4 | (it.jitter_buffer_rate & 15))).u8(0);
    out.u16be(it.buffer_ms).u16be(it.buffer_most_ms).u16be(it.buffer_limit_ms);
}

VoipMetrics read_metrics(net::Reader& in) {
    VoipMetrics out;
    for (auto* rate : {&out.loss_rate, &out.discard_rate, &out.burst_density, &out.gap_density}) *rate = in.u8();
    for (auto* time : {&out.burst_ms, &out.gap_ms, &out.round_trip_ms, &out.end_system_ms}) *time = in.u16be();
    for (auto* level : {&out.signal_level, &out.noise_level, &out.echo_loss_db, &out.gap_min}) *level = in.u8();
    for (auto* quality : {&out.r_factor, &out.external_r, &out.mos_listening, &out.mos_conversation}) *quality = in.u8();
    const unsigned config = in.u8();
    in.u8();
    out.concealment = config >> 6 & 3U;
    out.jitter_buffer = config >> 4 & 3U;
    out.jitter_buffer_rate = config & 15U;
    for (auto* time : {&out.buffer_ms, &out.buffer_most_ms, &out.buffer_limit_ms}) *time = in.u16be();
    return out;
}

/// Header and body, whose size is a multiple of four.
void write_part(net::Writer& out, std::uint8_t count, std::uint8_t type, net::ByteView body) {
    out.u8(0x80 | count).u8(type).u16be(static_cast<std::uint16_t>(body.size() / 4)).bytes(body);
}

void read_extended(net::Reader& in, std::uint32_t about, RtcpReport& report) {
    in.u32be();
    while (in.left() >= 4) {
        const auto type = in.u8();
        in.u8();
        net::Reader block(in.bytes(4 * std::size_t{in.u16be()}));
        if (type != kVoipMetrics || block.left() != kVoipMetricsBytes || block.u32be() != about) continue;
        report.metrics = read_metrics(block);
    }
}

}  // namespace

std::optional<RtcpReport> RtcpReport::parse(net::ByteView packet, std::uint32_t about) {
    if (packet.empty() || packet.size() > kMostRtcpBytes) return std::nullopt;
    RtcpReport report;
    net::Reader in(packet);
    for (bool first = true; !in.at_end(); first = false) {
        const unsigned head = in.u8();
        const auto type = in.u8();
        auto body = in.bytes(4 * std::size_t{in.u16be()});
        if (!in.ok() || head >> 6 != 2) return std::nullopt;
        if (first && type != kSenderReport && type != kReceiverReport) return std::nullopt;
        if ((head & 0x20U) != 0) {  // padding: the last part's only
            const std::size_t padding = body.empty() ? 0 : std::to_integer<std::size_t>(body.back());
            if (padding == 0 || padding > body.size() || !in.at_end()) return std::nullopt;
            body = body.first(body.size() - padding);
        }
        net::Reader part(body);
        if (type == kSenderReport || type == kReceiverReport) {
            report.from = part.u32be();
            if (type == kSenderReport) {
                const auto ntp = part.u64be();
                const auto timestamp = part.u32be(), packets = part.u32be(), bytes = part.u32be();
                report.sender = SenderInfo{ntp, timestamp, packets, bytes};
            }
            for (unsigned i = head & 0x1fU; i > 0; --i) {
                const auto ssrc = part.u32be();
                const auto reception = read_reception(part);
                if (part.ok() && ssrc == about) report.reception = reception;
            }
            if (!part.ok()) return std::nullopt;
        } else if (type == kExtendedReport) {
            read_extended(part, about, report);
            if (!part.ok()) return std::nullopt;
        } else if (type == kGoodbye) {
            for (unsigned i = head & 0x1fU; i > 0; --i) report.goodbye |= part.u32be() == report.from && part.ok();
        }
    }
    return report;
}

net::Bytes build_rtcp(const RtcpReport& report, std::uint32_t about, std::string_view name) {
    net::Writer out, first, description;
    first.u32be(report.from);
    if (report.sender) first.u64be(report.sender->ntp).u32be(report.sender->rtp_timestamp).u32be(report.sender->packets).u32be(report.sender->bytes);
    if (report.reception) write_reception(first, *report.reception, about);
    write_part(out, report.reception ? 1 : 0, report.sender ? kSenderReport : kReceiverReport, first.view());
    const auto cut = name.substr(0, 255);
    description.u32be(report.from).u8(1).u8(static_cast<std::uint8_t>(cut.size())).bytes(net::as_bytes(cut));
    description.zeros(4 - description.size() % 4);  // at least one ends the list
    write_part(out, 1, kDescription, description.view());
    if (report.metrics) {
        net::Writer extended;
        extended.u32be(report.from).u8(kVoipMetrics).u8(0).u16be(kVoipMetricsBytes / 4);
        write_metrics(extended, *report.metrics, about);
        write_part(out, 0, kExtendedReport, extended.view());
    }
    if (report.goodbye) {
        net::Writer goodbye;
        goodbye.u32be(report.from);
        write_part(out, 1, kGoodbye, goodbye.view());
    }
    return out.take();
}

std::uint64_t to_ntp(net::Wall at) {
    const auto ns = at.time_since_epoch().count();
    const auto seconds = static_cast<std::uint64_t>(ns / 1'000'000'000) + kNtpToUnix;
    return seconds << 32 | (static_cast<std::uint64_t>(ns % 1'000'000'000) << 32) / 1'000'000'000;
}

}  // namespace voice::engine
