/// One call's sound, both ways: what a user agent drives. Passive, for one thread.
///
///   sound card --10 ms--> capture() --> RTP packets to send        RTP packets that came --> receive()
///   sound card <--10 ms-- play()                                   (any bytes: strangers' ones do no harm)
#pragma once

#include <array>

#include "net/random.hpp"
#include "voice/engine/jitter_buffer.hpp"
#include "voice/engine/loss_control.hpp"
#include "voice/engine/loss_runs.hpp"
#include "voice/engine/noise_guard.hpp"
#include "voice/engine/quality.hpp"
#include "voice/engine/reception.hpp"
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
    std::uint64_t expected = 0, lost = 0;       ///< packets, by their numbers: before any repair
    double jitter_ms = 0;                       ///< RFC 3550 A.8
    std::optional<net::Duration> round_trip;    ///< by RTCP
    double one_way_ms = 0;                      ///< mouth to ear: packet, half the round trip (zero unless known), buffer
    double concealed_percent = 0;               ///< of what was played: after all repair
    Quality quality;                            ///< of what is heard here
    LossPlan plan;                              ///< what is done for the other side
    std::optional<ReceptionReport> reception;   ///< what the other side reported last of what it gets
    std::optional<VoipMetrics> metrics;
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

    /// RTCP that came, on its own port or beside RTP. What it says of loss is acted upon.
    void receive_rtcp(net::ByteView packet, net::Now now);
    /// When report() shall be called next: after a second, then about each five; each second while losses go on.
    net::Steady report_at() const { return report_at_; }
    /// A report to send, with VoIP metrics. `random` spreads the next one (RFC 3550 6.3). `goodbye` ends the stream.
    net::Bytes report(net::Now now, net::Random& random, std::string_view name, bool goodbye = false);
    /// Loss that somebody else knows of (the mesh's path): as if it had been reported.
    void lossy_path(double loss_percent, net::Duration burst, net::Steady now);
    /// What is done against loss, from now to the next report.
    void apply(const LossPlan& plan);

    /// False where the other side takes no telephone-events, the key is unknown or too many wait.
    bool press(char key, net::Duration length) { return settings_.event_type && keys_.press(key, length); }
    /// A key that the other side pressed, each once; nullopt for no more.
    std::optional<char> take_key();

    StreamFigures figures() const;

private:
    std::optional<Source::Place> place(const RtpHeader& header, std::int64_t length_ticks, net::Steady now);
    VoipMetrics metrics() const;
    bool take(const RtpPacket& packet, net::Steady now);
    bool receive_red(const RtpPacket& packet, net::Steady now);
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
    Reception reception_;
    LossRuns runs_;
    LossControl control_;
    struct SentReport {
        std::uint32_t ntp = 0;  ///< middle of its NTP time
        net::Steady at;
    };
    std::array<SentReport, 4> sent_reports_{};  ///< the newest first
    net::Steady report_at_ = net::Steady::min();
    std::uint64_t reported_sent_ = 0, sent_payload_bytes_ = 0;
    StreamFigures figures_;
};

}  // namespace voice::engine
