#include "voice/engine/opus.hpp"

#include <opus/opus.h>

#include <algorithm>
#include <stdexcept>

namespace voice::engine {
namespace {

constexpr std::size_t kMaxOpusBytes = 1275;  // RFC 6716 3.4
constexpr std::size_t kDtxBytes = 2;         // opus_encode(): what is no longer need not be sent

struct FreeOpus {
    void operator()(OpusEncoder* it) const { opus_encoder_destroy(it); }
    void operator()(OpusDecoder* it) const { opus_decoder_destroy(it); }
};

unsigned configuration(net::ByteView payload) { return std::to_integer<unsigned>(payload[0]) >> 3; }

/// RFC 6716 4.2.3: a mono packet of one frame whose SILK part (configurations up to 15) begins with voice activity and FEC
/// flags.
bool has_silk_flags(net::ByteView payload) {
    return payload.size() >= 2 && configuration(payload) <= 15 && (std::to_integer<unsigned>(payload[0]) & 0x07U) == 0;
}

/// DTX: as good as nothing; or, each 400 ms while that goes on, the background's sound, which is no voice.
bool announces_silence(net::ByteView payload, bool already) {
    return payload.size() <= kDtxBytes || (already && has_silk_flags(payload) && (std::to_integer<unsigned>(payload[1]) & 0x80U) == 0);
}

class OpusReceiver final : public Decoder {
public:
    explicit OpusReceiver(unsigned rate_hz) : rate_hz_(rate_hz) {
        int error = OPUS_OK;
        opus_.reset(opus_decoder_create(static_cast<opus_int32>(rate_hz), 1, &error));
        if (!opus_) throw std::invalid_argument("Opus has no rate of " + std::to_string(rate_hz) + " Hz");
    }

    std::optional<std::size_t> samples_in(net::ByteView payload) const override {
        if (payload.empty()) return std::nullopt;
        const auto samples = opus_packet_get_nb_samples(net::u8(payload), static_cast<opus_int32>(payload.size()), static_cast<opus_int32>(rate_hz_));
        if (samples <= 0 || static_cast<unsigned>(samples) > rate_hz_ * 120 / 1000) return std::nullopt;
        return static_cast<std::size_t>(samples);
    }

    bool decode(net::ByteView payload, Samples& out) override {
        const auto samples = samples_in(payload);
        if (!samples) return false;
        if (run(payload, *samples, false, out)) return true;
        conceal(*samples, out);
        return false;
    }

    void conceal(std::size_t samples, Samples& out) override {
        const std::size_t step = rate_hz_ / 100;
        for (std::size_t done = 0; done < samples; done += step) {
            if (!run({}, step, false, out)) out.resize(out.size() + step);
        }
    }

    /// RFC 6716 4.2.3 to 4.2.5: whether the first SILK frame has a low-bitrate copy of the one before it.
    std::size_t repairs(net::ByteView payload) const override {
        if (!has_silk_flags(payload)) return 0;
        const auto frame = opus_packet_get_samples_per_frame(net::u8(payload), static_cast<opus_int32>(rate_hz_));
        const unsigned silk_frames = std::max(1, frame / static_cast<int>(rate_hz_ / 50));
        const unsigned flags = std::to_integer<unsigned>(payload[1]) >> (7 - silk_frames);
        return (flags & 1U) != 0 ? static_cast<std::size_t>(frame) : 0;
    }

    void decode_repair(net::ByteView payload, Samples& out) override {
        if (const auto samples = repairs(payload); samples != 0 && !run(payload, samples, true, out)) conceal(samples, out);
    }

    bool is_silence(net::ByteView payload, bool already) const override { return announces_silence(payload, already); }

    /// An encoder goes on with the mode and bandwidth it has, for a while: bytes that are no Opus choose anew each time.
    bool differs(net::ByteView before, net::ByteView payload) const override {
        return !before.empty() && !payload.empty() && configuration(before) != configuration(payload);
    }

    void reset() override { opus_decoder_ctl(opus_.get(), OPUS_RESET_STATE); }

private:
    bool run(net::ByteView payload, std::size_t samples, bool repair, Samples& out) {
        const auto before = out.size();
        out.resize(before + samples);
        const auto got = opus_decode(opus_.get(), payload.empty() ? nullptr : net::u8(payload), static_cast<opus_int32>(payload.size()),
                                     out.data() + before, static_cast<int>(samples), repair ? 1 : 0);
        if (got == static_cast<int>(samples)) return true;
        out.resize(before);
        return false;
    }

    unsigned rate_hz_;
    std::unique_ptr<OpusDecoder, FreeOpus> opus_;
};

class OpusSender final : public Encoder {
public:
    explicit OpusSender(const CodecSettings& settings) : packet_samples_(settings.rate_hz / 1000 * settings.packet_ms), dtx_(settings.dtx), fec_(settings.in_band_fec) {
        int error = OPUS_OK;
        opus_.reset(opus_encoder_create(static_cast<opus_int32>(settings.rate_hz), 1, OPUS_APPLICATION_VOIP, &error));
        const bool known = settings.packet_ms == 10 || settings.packet_ms == 20 || settings.packet_ms == 40 || settings.packet_ms == 60;
        if (!opus_ || !known) throw std::invalid_argument("Opus is not made of " + std::to_string(settings.rate_hz) + " Hz and " + std::to_string(settings.packet_ms) + " ms");
        set(OPUS_SET_SIGNAL(OPUS_SIGNAL_VOICE));
        set(OPUS_SET_COMPLEXITY(static_cast<opus_int32>(std::min(settings.complexity, 10U))));
        set(OPUS_SET_DTX(settings.dtx ? 1 : 0));
        set_bitrate(settings.bitrate);
    }

    net::Bytes encode(Sound sound) override {
        if (sound.size() != packet_samples_) return {};
        net::Bytes out(kMaxOpusBytes);
        const auto bytes = opus_encode(opus_.get(), sound.data(), static_cast<int>(sound.size()), net::u8(net::MutableBytes(out)), static_cast<opus_int32>(out.size()));
        out.resize(bytes > 0 ? static_cast<std::size_t>(bytes) : 0);
        // The first says that silence begins; the others of it are not sent.
        const bool already = silent_;
        silent_ = dtx_ && announces_silence(out, already);
        if (already && silent_ && out.size() <= kDtxBytes) out.clear();
        return out;
    }

    void set_loss(unsigned percent) override {
        set(OPUS_SET_PACKET_LOSS_PERC(static_cast<opus_int32>(std::min(percent, 100U))));
        set(OPUS_SET_INBAND_FEC(fec_ && percent > 0 ? 1 : 0));
    }
    void set_bitrate(unsigned bits_per_second) override { set(OPUS_SET_BITRATE(static_cast<opus_int32>(std::clamp(bits_per_second, 6000U, 128000U)))); }

private:
    template <class... Request>
    void set(Request... request) { opus_encoder_ctl(opus_.get(), request...); }

    std::size_t packet_samples_;
    bool dtx_, fec_;
    bool silent_ = false;
    std::unique_ptr<OpusEncoder, FreeOpus> opus_;
};

}  // namespace

std::unique_ptr<Decoder> make_opus_decoder(unsigned rate_hz) { return std::make_unique<OpusReceiver>(rate_hz); }
std::unique_ptr<Encoder> make_opus_encoder(const CodecSettings& settings) { return std::make_unique<OpusSender>(settings); }

}  // namespace voice::engine
