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

/// RTP, and not RTCP on the same port (RFC 5761 4).
bool is_rtp(net::ByteView packet) {
    if (packet.size() < 12 || std::to_integer<unsigned>(packet[0]) >> 6 != 2) return false;
    const auto type = std::to_integer<unsigned>(packet[1]);
    return type < 192 || type > 223;
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
    it.remote = remote;
    it.latched = {};
    it.candidate = {};
    it.repeats = {};
    it.stats.source = {};
}

bool Relay::accept(Side& it, Channel channel, const net::Endpoint& from, net::Steady now) {
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
        if (++it.repeats[at] < kRepeats[at] && !(latched.is_none() && from == signalled)) return false;
        latched = from;
        it.repeats[at] = 0;
        it.candidate[at] = {};
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
            // A leap of the timestamp (silence, hold) is no jitter.
            if (std::abs(arrival_ms - sent_ms) < 1000) stats.jitter_ms += (std::abs(arrival_ms - sent_ms) - stats.jitter_ms) / 16;
        }
    }
    ++it.counted;
    it.timestamp = timestamp;
    const std::uint64_t expected = it.highest_sequence - it.first_sequence + 1;
    stats.lost = it.lost_before + (expected > it.counted ? expected - it.counted : 0);
    stats.last = now;
}

std::optional<Relay::Forward> Relay::receive(Leg leg, Channel channel, const net::Endpoint& from, net::ByteView packet,
                                             net::Steady now) {
    auto& in = side(leg);
    auto source = from;
    source.address = from.address.unmapped();
    if (!is_media(packet)) {
        ++in.stats.not_media;
        return std::nullopt;
    }
    if (!accept(in, channel, source, now)) {
        ++in.stats.wrong_source;
        return std::nullopt;
    }
    // Last, so that strangers use up nothing of it.
    if (!within_rate(in, now)) {
        ++in.stats.over_rate;
        return std::nullopt;
    }
    if (channel == Channel::rtcp) {
        ++in.stats.rtcp_packets;
    } else if (is_rtp(packet)) {
        measure(in, packet, now);
    }
    auto& out = side(other(leg));
    const auto& signalled = channel == Channel::rtp ? out.remote.rtp : out.remote.rtcp;
    if (!can_be_sent_to(signalled)) return std::nullopt;  // nothing known yet, or held by 0.0.0.0
    const auto& latched = out.latched[static_cast<std::size_t>(channel)];
    ++out.stats.sent;
    return Forward{other(leg), latched.is_none() ? signalled : latched};
}

RelayStats Relay::stats() const { return {sides_[0].stats, sides_[1].stats}; }

CallMedia::CallMedia(CallMedia&& from) noexcept
    : ports_(from.ports_),
      relays_(std::move(from.relays_)),
      through_mesh_(from.through_mesh_),
      far_end_(from.far_end_),
      expects_(from.expects_) {
    from.relays_.clear();
}

CallMedia& CallMedia::operator=(CallMedia&& from) noexcept {
    if (this == &from) return *this;
    close();
    ports_ = from.ports_;
    relays_ = std::move(from.relays_);
    through_mesh_ = from.through_mesh_;
    far_end_ = from.far_end_;
    expects_ = from.expects_;
    from.relays_.clear();
    return *this;
}

std::optional<std::string> CallMedia::pass(std::string_view sdp, const From& from, const To& to, net::Now now) {
    const auto session = SessionDescription::parse(sdp);
    if (!session) return std::nullopt;
    if (relays_.size() < session->media.size()) relays_.resize(session->media.size());

    // All sockets first: half a call is none.
    for (std::size_t i = 0; i < session->media.size(); ++i) {
        const auto& media = session->media[i];
        if (relays_[i].id != 0 || !media.is_rtp() || media.rejected()) continue;
        const auto opened = ports_->open(now);
        if (!opened) return std::nullopt;
        relays_[i] = *opened;
    }
    expects_[static_cast<std::size_t>(from.leg)] =
        std::any_of(session->media.begin(), session->media.end(), [](const auto& media) {
            return media.is_rtp() && !media.rejected() && !media.held() && media.direction == Direction::sendrecv;
        });
    std::vector<Anchor> anchors(session->media.size());
    bool first = from.leg == Leg::far;
    for (std::size_t i = 0; i < session->media.size(); ++i) {
        const auto& media = session->media[i];
        auto& relay = relays_[i];
        if (relay.id == 0 || !media.is_rtp()) continue;
        if (media.rejected()) {
            ports_->close(relay.id);
            relay = {};
            continue;
        }
        LegRemote remote{media.rtp, media.rtcp, {}, from.exact};
        if (first && from.exact && !media.held()) far_end_ = media.rtp;
        if (!from.source.is_none()) remote.also_from.push_back(from.source.unmapped());
        if (from.believes) {
            for (const auto& mesh : media.mesh) {
                if (!from.believes(mesh.node, mesh.anchor.address)) continue;
                auto rtcp = mesh.anchor;
                if (!media.rtcp_mux) ++rtcp.port;
                remote = {mesh.anchor, rtcp, {}, true};
                if (media.held()) remote.rtp.address = remote.rtcp.address = media.rtp.address;
                through_mesh_ = true;
                if (first) far_end_ = mesh.anchor;
                break;
            }
        }
        first = false;
        ports_->set_remote(relay.id, from.leg, remote, now);
        const auto port = from.leg == Leg::near ? relay.far_port : relay.near_port;
        anchors[i].rtp = {to.address, port};
        if (!to.node.empty() && !to.overlay.is_none()) anchors[i].mesh = MeshMedia{to.node, {to.overlay, port}};
    }
    return rewrite_sdp(sdp, anchors);
}

void CallMedia::close() {
    for (const auto& relay : relays_) {
        if (relay.id != 0) ports_->close(relay.id);
    }
    relays_.clear();
}

std::uint16_t CallMedia::far_port() const {
    const auto first = std::find_if(relays_.begin(), relays_.end(), [](const auto& relay) { return relay.id != 0; });
    return first == relays_.end() ? std::uint16_t{0} : first->far_port;
}

std::optional<RelayStats> CallMedia::stats(std::size_t stream) const {
    if (stream >= relays_.size() || relays_[stream].id == 0) return std::nullopt;
    return ports_->stats(relays_[stream].id);
}

}  // namespace voice
