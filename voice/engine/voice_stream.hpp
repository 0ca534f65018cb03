/// One call's sound, both ways: what a user agent drives. Passive, for one thread.
///
///   sound card --10 ms--> capture() --> RTP packets to send        RTP packets that came --> receive()
///   sound card <--10 ms-- play()                                   (any bytes: strangers' ones do no harm)
#pragma once

#include "voice/engine/jitter_buffer.hpp"
#include "voice/engine/noise_guard.hpp"
#include "voice/engine/redundancy.hpp"
#include "voice/engine/telephone_event.hpp"

namespace voice::engine {

/// What signalling agreed on. Payload types are the same both ways.
struct StreamSettings {
    const CodecKind* codec = nullptr;  ///< see find_codec()
    CodecSettings sound;
    std::uint8_t payload_type = 0;
    std::optional<std::uint8_t> event_type;  ///< telephone-event at the codec's clock; none: keys cannot be sent
    std::optional<std::uint8_t> red_type;    ///< RFC 2198 of this codec; none: no redundancy
    std::uint32_t ssrc = 0;                  ///< these three at random (RFC 3550 5.1)
    std::uint16_t sequence = 0;
    std::uint32_t timestamp = 0;
};

struct StreamFigures {
    BufferFigures buffer;
    std::uint64_t packets = 0, bytes = 0;       ///< that came and are the stream's; bytes of RTP
    std::uint64_t not_ours = 0;                 ///< no RTP, another's SSRC, or of a payload type nobody agreed on
    std::uint64_t restarts = 0;                 ///< the sender began anew
    std::uint64_t hushed = 0;                   ///< frames of 10 ms that were noise and were turned down
    std::uint64_t sent_packets = 0, sent_bytes = 0;
    double heard_db = -100, spoken_db = -100;   ///< level of the last frame, below full scale
};

class VoiceStream {
public:
    static constexpr std::size_t kMostRedBytes = 400;  ///< of a payload with its redundancy

    /// Throws std::invalid_argument for settings that the codec does not have.
    explicit VoiceStream(const StreamSettings& settings);

    /// How many samples a frame of 10 ms has, at settings.sound.rate_hz.
    std::size_t frame_samples() const { return frame_samples_; }
    /// Anything that came in on the RTP port.
    void receive(net::ByteView packet, net::Steady now);
    /// Fills the frame that is heard from `now` on; silence where there is nothing.
    void play(std::span<std::int16_t> frame, net::Steady now);
    /// A frame that was spoken until `now`. Appends what is to be sent at once: nothing, or a packet. Muted and held
    /// streams are given silence.
    void capture(Sound frame, std::vector<net::Bytes>& out);

    /// Loss that the other side reports, 0 to 100 %: what in-band FEC is made for.
    void set_loss(unsigned percent) { encoder_->set_loss(percent); }
    void set_bitrate(unsigned bits_per_second) { encoder_->set_bitrate(bits_per_second); }
    /// Which packets are repeated; see RedSender. Nothing without red_type.
    void set_redundancy(std::span<const unsigned> packets_back) { red_.set_offsets(packets_back); }

    /// False where the other side takes no telephone-events, the key is unknown or too many wait.
    bool press(char key, net::Duration length) { return settings_.event_type && keys_.press(key, length); }
    /// A key that the other side pressed, each once; nullopt for no more.
    std::optional<char> take_key();

    StreamFigures figures() const;

private:
    void receive_red(const RtpPacket& packet, net::Steady now);
    void send(std::uint8_t payload_type, bool marker, std::uint32_t timestamp, net::ByteView payload, std::vector<net::Bytes>& out);

    StreamSettings settings_;
    std::unique_ptr<Decoder> decoder_;
    std::unique_ptr<Encoder> encoder_;
    std::size_t frame_samples_, packet_samples_;
    std::uint32_t packet_ticks_;
    Source source_;
    JitterBuffer buffer_;
    NoiseGuard guard_;
    RedSender red_;
    KeySender keys_;
    KeyReceiver pressed_;
    std::deque<char> heard_keys_;
    Samples spoken_;          ///< not yet a packet's
    bool after_pause_ = true; ///< the next packet begins a talkspurt
    StreamFigures figures_;
};

}  // namespace voice::engine
