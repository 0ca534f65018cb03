#include "voice/media.hpp"

#include <algorithm>
#include <cmath>

namespace voice {
namespace {

constexpr net::Duration kSilence = std::chrono::seconds(2);  // after which another source may take over
constexpr auto kPacketPeriod = net::Duration(std::chrono::seconds(1)) / Relay::kPacketsPerSecond;
constexpr std::uint8_t kRepeats[] = {3, 1};                  // by channel

/// RFC 7983: what may run where media runs. STUN (0 to 3) is not among it: ICE has been taken out of the SDP.
bool is_media(net::ByteView packet) {
    if (packet.size() < 8) return false;
    const auto first = std::to_integer<unsigned>(packet[0]);
    return (first >= 128 && first <= 191) || (first >= 16 && first <= 63);
}

bool is_dtls(net::ByteView packet) {
    const auto first = std::to_integer<unsigned>(packet[0]);
    return first >= 20 && first <= 63;
}

/// RTP and RTCP may come on the same port (RFC 5761 4).
bool is_rtcp(net::ByteView packet) {
    const auto type = std::to_integer<unsigned>(packet[1]);
    return std::to_integer<unsigned>(packet[0]) >> 6 == 2 && type >= 192 && type <= 223;
}
bool is_rtp(net::ByteView packet) {
    return packet.size() >= 12 && std::to_integer<unsigned>(packet[0]) >> 6 == 2 && !is_rtcp(packet);
}

/// RFC 3389, its draft's number, or less than any codec makes of 10 ms of speech: the silence descriptors of G.729, AMR and
/// Opus. SRTP adds 4 to 16 bytes.
bool is_comfort_noise(net::ByteView packet, Content content) {
    constexpr std::size_t kSilenceBytes = 8, kSealBytes = 10;
    const auto first = std::to_integer<unsigned>(packet[0]);
    const auto type = std::to_integer<unsigned>(packet[1]) & 0x7fU;
    if (type == 13 || type == 19) return true;
    std::size_t header = 12 + 4 * (first & 0x0fU);
    if ((first & 0x10U) != 0) {  // RFC 3550 5.3.1
        if (packet.size() < header + 4) return false;
        net::Reader extension(packet.subspan(header + 2));
        header += 4 + 4 * std::size_t{extension.u16be()};
    }
    return packet.size() <= header + kSilenceBytes + (content == Content::srtp ? kSealBytes : 0);
}

double clock_hz(unsigned payload_type) {
    switch (payload_type) {
    case 6: return 16000;
    case 10:
    case 11: return 44100;
    case 14: return 90000;
    default: break;
    }
    return payload_type >= 96 ? 48000 : payload_type >= 24 ? 90000 : 8000;  // RFC 3551 tables 4 and 5
}

bool can_be_sent_to(const net::Endpoint& to) { return !to.is_none() && to.port != 0 && !to.address.is_unspecified(); }

}  // namespace

void Relay::set_remote(Leg leg, const LegRemote& remote) {
    auto& it = side(leg);
    if (it.remote == remote) return;  // the same again (183, then 200): what has latched stays
    const bool same_rules = it.remote.also_from == remote.also_from && it.remote.exact == remote.exact;
    const std::array<bool, 2> stays{same_rules && it.remote.rtp == remote.rtp, same_rules && it.remote.rtcp == remote.rtcp};
    it.remote = remote;
    for (std::size_t at = 0; at < stays.size(); ++at) {
        if (stays[at]) continue;
        it.latched[at] = it.candidate[at] = it.handshake[at] = {};
        it.repeats[at] = 0;
    }
    if (!stays[0]) it.stats.source = {};
}

bool Relay::accept(Side& it, Channel channel, const net::Endpoint& from, bool is_dtls, net::Steady now) {
    const auto at = static_cast<std::size_t>(channel);
    const auto& signalled = channel == Channel::rtp ? it.remote.rtp : it.remote.rtcp;
    if (it.remote.exact) return from == signalled;
    const bool named = from.address == it.remote.rtp.address || from.address == it.remote.rtcp.address ||
                       std::find(it.remote.also_from.begin(), it.remote.also_from.end(), from.address) != it.remote.also_from.end();
    if (!named) return false;
    auto& latched = it.latched[at];
    if (latched != from) {
        if (!latched.is_none() && now - it.heard[at] < kSilence) return false;
        if (it.candidate[at] != from) {
            it.candidate[at] = from;
            it.repeats[at] = 0;
        }
        if (++it.repeats[at] < kRepeats[at] && !(latched.is_none() && from == signalled)) {
            if (!is_dtls || !latched.is_none()) return false;
            it.handshake[at] = from;
            return true;
        }
        latched = from;
        it.repeats[at] = 0;
        it.candidate[at] = it.handshake[at] = {};
    }
    it.heard[at] = now;
    if (channel == Channel::rtp) it.stats.source = from;
    return true;
}

/// A token bucket told as time: each packet costs its period, and credit is a burst's at most.
bool Relay::within_rate(Side& it, net::Steady now) {
    const auto paid = std::max(it.paid_until, now - kBurst * kPacketPeriod) + kPacketPeriod;
    if (paid > now) return false;
    it.paid_until = paid;
    return true;
}

void Relay::measure(Side& it, net::ByteView packet, net::Steady now) {
    auto& stats = it.stats;
    net::Reader reader(packet);
    reader.u8();
    const auto payload_type = reader.u8() & 0x7fU;
    const auto sequence = reader.u16be();
    const auto timestamp = reader.u32be();
    const auto ssrc = reader.u32be();
    ++stats.packets;
    stats.bytes += packet.size();
    if (!stats.first) {
        stats.first = now;
    } else {
        stats.longest_gap = std::max(stats.longest_gap, now - *stats.last);
    }
    if (it.counted == 0 || ssrc != stats.ssrc) {
        it.lost_before = stats.lost;
        it.first_sequence = it.highest_sequence = sequence + 0x10000U;
        it.counted = 0;
        stats.ssrc = ssrc;
    } else {
        const auto ahead = static_cast<std::int16_t>(sequence - static_cast<std::uint16_t>(it.highest_sequence));
        // RFC 3550 A.1: a leap of thousands is a restart, not a loss.
        if (ahead > 3000 || ahead < -3000) {
            it.lost_before = stats.lost;
            it.first_sequence = it.highest_sequence = sequence + 0x10000U;
            it.counted = 0;
        } else {
            if (ahead > 0) it.highest_sequence += static_cast<std::uint32_t>(ahead);
            const auto arrival_ms = std::chrono::duration<double, std::milli>(now - *stats.last).count();
            const auto sent_ms = static_cast<std::int32_t>(timestamp - it.timestamp) * 1000.0 / clock_hz(payload_type);
            // RFC 3550 5.1: the marker, and a timestamp that went on while nothing was sent.
            const bool marked = (std::to_integer<unsigned>(packet[1]) & 0x80U) != 0;
            if (marked && ahead == 1 && sent_ms >= 200) ++stats.resumed;
            // A leap of the timestamp (silence, hold) is no jitter.
            if (std::abs(arrival_ms - sent_ms) < 1000) stats.jitter_ms += (std::abs(arrival_ms - sent_ms) - stats.jitter_ms) / 16;
        }
    }
    ++it.counted;
    it.timestamp = timestamp;
    stats.comfort_noise = is_comfort_noise(packet, it.remote.content);
    const std::uint64_t expected = it.highest_sequence - it.first_sequence + 1;
    stats.lost = it.lost_before + (expected > it.counted ? expected - it.counted : 0);
    stats.last = now;
}

std::optional<Relay::Forward> Relay::receive(Leg leg, Channel channel, const net::Endpoint& from, net::ByteView packet,
                                             net::Steady now) {
    auto& in = side(leg);
    auto source = from;
    source.address = from.address.unmapped();
    const bool is_fax = in.remote.content == Content::fax;
    if (is_fax ? packet.empty() : !is_media(packet)) {
        ++in.stats.not_media;
        return std::nullopt;
    }
    const bool handshake = !is_fax && is_dtls(packet);
    if (!accept(in, channel, source, handshake, now)) {
        ++in.stats.wrong_source;
        return std::nullopt;
    }
    // Last, so that strangers use up nothing of it.
    if (!within_rate(in, now)) {
        ++in.stats.over_rate;
        return std::nullopt;
    }
    if (is_fax) {
        ++in.stats.packets;
        in.stats.bytes += packet.size();
    } else if (channel == Channel::rtcp || is_rtcp(packet)) {
        ++in.stats.rtcp_packets;
    } else if (is_rtp(packet)) {
        measure(in, packet, now);
    }
    auto& out = side(other(leg));
    const auto& signalled = channel == Channel::rtp ? out.remote.rtp : out.remote.rtcp;
    if (!can_be_sent_to(signalled)) return std::nullopt;  // nothing known yet, or held by 0.0.0.0
    const auto at = static_cast<std::size_t>(channel);
    ++out.stats.sent;
    if (!out.latched[at].is_none()) return Forward{other(leg), out.latched[at]};
    return Forward{other(leg), handshake && !out.handshake[at].is_none() ? out.handshake[at] : signalled};
}

RelayStats Relay::stats() const { return {sides_[0].stats, sides_[1].stats}; }

}  // namespace voice
