#include "voice/engine/voice_stream.hpp"

#include <stdexcept>

namespace voice::engine {
namespace {

constexpr std::size_t kMostKeys = 64;
constexpr std::uint8_t kComfortNoise = 13;  // RFC 3551 table 4, at 8000 Hz

const CodecKind& known(const CodecKind* codec) {
    if (codec == nullptr) throw std::invalid_argument("no codec");
    return *codec;
}

}  // namespace

VoiceStream::VoiceStream(const StreamSettings& settings)
    : settings_(settings), decoder_(known(settings.codec).decoder(settings.sound.rate_hz)), encoder_(settings.codec->encoder(settings.sound)),
      frame_samples_(settings.sound.rate_hz / 100), packet_samples_(settings.sound.rate_hz / 1000 * settings.sound.packet_ms),
      packet_ticks_(settings.codec->clock_hz / 1000 * settings.sound.packet_ms), source_(settings.codec->clock_hz),
      buffer_(*decoder_, settings.codec->clock_hz, settings.sound.rate_hz), red_(settings.payload_type, kMostRedBytes), keys_(settings.codec->clock_hz),
      reception_(settings.codec->clock_hz), control_(settings.sound.bitrate, settings.red_type.has_value()) {}

void VoiceStream::receive(net::ByteView bytes, net::Steady now) {
    const auto packet = RtpPacket::parse(bytes);
    if (!packet || !take(*packet, now)) {
        ++figures_.not_ours;
        return;
    }
    ++figures_.packets;
    figures_.bytes += bytes.size();
}

bool VoiceStream::take(const RtpPacket& packet, net::Steady now) {
    const auto type = packet.header.payload_type;
    if (type == settings_.red_type) return receive_red(packet, now);
    if (type == settings_.payload_type) {
        const auto at = place(packet.header, buffer_.ticks_in(packet.payload), now);
        if (at) buffer_.insert(*at, packet.payload, now);
        return at.has_value();
    }
    const bool noise = type == kComfortNoise && settings_.codec->clock_hz == 8000;
    if (!noise && type != settings_.event_type) return false;
    const auto at = source_.beside(packet.header, now);
    if (!at) return false;
    reception_.counted(*at);
    runs_.received(at->sequence, false);
    if (noise) {
        // RFC 3389 3: the level in dB below the loudest.
        buffer_.pause(*at, packet.payload.empty() ? -100 : -std::to_integer<int>(packet.payload[0] & std::byte{0x7f}));
    } else {
        buffer_.pause(*at);
        const auto key = pressed_.receive(packet.header, packet.payload);
        if (key && heard_keys_.size() < kMostKeys) heard_keys_.push_back(*key);
    }
    return true;
}

std::optional<Source::Place> VoiceStream::place(const RtpHeader& header, std::int64_t length_ticks, net::Steady now) {
    const auto at = source_.place(header, length_ticks, now);
    if (at) {
        reception_.received(*at, header, now);
        runs_.received(at->sequence, at->anew);
    }
    return at;
}

bool VoiceStream::receive_red(const RtpPacket& packet, net::Steady now) {
    const auto blocks = parse_red(packet.payload);
    if (!blocks || blocks->back().payload_type != settings_.payload_type) return false;
    const auto& newest = blocks->back().payload;
    const auto at = place(packet.header, buffer_.ticks_in(newest), now);
    if (!at) return false;
    buffer_.insert(*at, newest, now);
    for (const auto& block : *blocks) {
        if (block.offset != 0 && block.payload_type == settings_.payload_type) buffer_.insert_copy(*at, block.offset, block.payload, now);
    }
    return true;
}

void VoiceStream::play(std::span<std::int16_t> frame, net::Steady now) {
    if (frame.size() != frame_samples_) throw std::invalid_argument("a frame is 10 ms");
    buffer_.play(frame, now);
    guard_.check(frame);
    figures_.heard_db = level_db(frame);
}

void VoiceStream::send(std::uint8_t payload_type, bool marker, std::uint32_t timestamp, net::ByteView payload, std::vector<net::Bytes>& out) {
    out.push_back(build_rtp({payload_type, marker, settings_.sequence++, timestamp, settings_.ssrc}, payload));
    ++figures_.sent_packets;
    figures_.sent_bytes += out.back().size();
    sent_payload_bytes_ += payload.size();
}

void VoiceStream::capture(Sound frame, std::vector<net::Bytes>& out) {
    if (frame.size() != frame_samples_) throw std::invalid_argument("a frame is 10 ms");
    figures_.spoken_db = level_db(frame);
    spoken_.insert(spoken_.end(), frame.begin(), frame.end());
    if (spoken_.size() < packet_samples_) return;
    const auto timestamp = settings_.timestamp;
    settings_.timestamp += packet_ticks_;
    const auto payload = encoder_->encode(spoken_);
    spoken_.clear();
    if (const auto key = keys_.next(timestamp, packet_ticks_)) {
        send(*settings_.event_type, key->marker, key->timestamp, key->payload, out);
        after_pause_ = true;
    } else if (payload.empty()) {
        after_pause_ = true;
    } else {
        if (settings_.red_type) send(*settings_.red_type, after_pause_, timestamp, red_.wrap(payload, timestamp), out);
        else send(settings_.payload_type, after_pause_, timestamp, payload, out);
        after_pause_ = false;
    }
}

std::optional<char> VoiceStream::take_key() {
    if (heard_keys_.empty()) return std::nullopt;
    const char key = heard_keys_.front();
    heard_keys_.pop_front();
    return key;
}

}  // namespace voice::engine
