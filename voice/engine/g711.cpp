#include "voice/engine/g711.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <stdexcept>

#include "voice/engine/concealment.hpp"

namespace voice::engine {
namespace {

constexpr unsigned kG711Rate = 8000;
constexpr int kMuBias = 0x84, kMuClip = 32635;

using Expand = std::int16_t (*)(std::uint8_t);
using Compress = std::uint8_t (*)(std::int16_t);

class G711Receiver final : public Decoder {
public:
    explicit G711Receiver(Expand expand) {
        for (unsigned code = 0; code < table_.size(); ++code) table_[code] = expand(static_cast<std::uint8_t>(code));
    }
    std::optional<std::size_t> samples_in(net::ByteView payload) const override {
        if (payload.empty() || payload.size() > kG711Rate * 120 / 1000) return std::nullopt;
        return payload.size();
    }
    bool decode(net::ByteView payload, Samples& out) override {
        if (!samples_in(payload)) return false;
        const auto before = out.size();
        for (const auto code : payload) out.push_back(table_[std::to_integer<std::size_t>(code)]);
        concealment_.good(std::span(out).subspan(before));
        return true;
    }
    void conceal(std::size_t samples, Samples& out) override { concealment_.conceal(samples, out); }
    bool is_silence(net::ByteView, bool) const override { return false; }
    void reset() override { concealment_ = Concealment(kG711Rate); }

private:
    std::array<std::int16_t, 256> table_;
    Concealment concealment_{kG711Rate};
};

class G711Sender final : public Encoder {
public:
    G711Sender(Compress compress, unsigned packet_ms) : compress_(compress), packet_samples_(kG711Rate / 1000 * packet_ms) {}
    net::Bytes encode(Sound sound) override {
        if (sound.size() != packet_samples_) return {};
        net::Bytes out;
        out.reserve(sound.size());
        for (const auto sample : sound) out.push_back(static_cast<std::byte>(compress_(sample)));
        return out;
    }

private:
    Compress compress_;
    std::size_t packet_samples_;
};

std::unique_ptr<Decoder> make_g711_decoder(Expand expand, unsigned rate_hz) {
    if (rate_hz != kG711Rate) throw std::invalid_argument("G.711 is 8000 Hz");
    return std::make_unique<G711Receiver>(expand);
}
std::unique_ptr<Encoder> make_g711_encoder(Compress compress, const CodecSettings& settings) {
    if (settings.rate_hz != kG711Rate || settings.packet_ms == 0 || settings.packet_ms > 60 || settings.packet_ms % 10 != 0) {
        throw std::invalid_argument("G.711 is 8000 Hz in packets of 10 to 60 ms");
    }
    return std::make_unique<G711Sender>(compress, settings.packet_ms);
}

/// The number of the highest bit that is set.
unsigned segment_of(unsigned value) {
    unsigned segment = 0;
    while (value > 1) {
        value >>= 1;
        ++segment;
    }
    return segment;
}

}  // namespace

// G.711 table 1a: 13 bits, even bits inverted.
std::uint8_t to_a_law(std::int16_t sample) {
    const unsigned sign = sample >= 0 ? 0x80 : 0;
    const unsigned magnitude = static_cast<unsigned>(sample >= 0 ? sample : -1 - sample) >> 4;  // 0 to 2047
    const unsigned segment = magnitude < 32 ? magnitude >> 4 : segment_of(magnitude) - 3;
    const unsigned step = magnitude < 32 ? magnitude & 0x0fU : magnitude >> (segment - 1) & 0x0fU;
    return static_cast<std::uint8_t>((sign | segment << 4 | step) ^ 0x55U);
}

std::int16_t from_a_law(std::uint8_t code) {
    const unsigned bits = code ^ 0x55U;
    const unsigned segment = bits >> 4 & 7U, step = bits & 0x0fU;
    const unsigned magnitude = segment == 0 ? step << 4 | 8U : (step << 4 | 0x108U) << (segment - 1);
    return static_cast<std::int16_t>((bits & 0x80U) != 0 ? static_cast<int>(magnitude) : -static_cast<int>(magnitude));
}

// G.711 table 2a: 14 bits, all inverted.
std::uint8_t to_mu_law(std::int16_t sample) {
    const unsigned sign = sample < 0 ? 0x80 : 0;
    const unsigned magnitude = static_cast<unsigned>(std::min(std::abs(int{sample}), kMuClip) + kMuBias);
    const unsigned segment = segment_of(magnitude) - 7;
    return static_cast<std::uint8_t>(~(sign | segment << 4 | (magnitude >> (segment + 3) & 0x0fU)));
}

std::int16_t from_mu_law(std::uint8_t code) {
    const unsigned bits = static_cast<std::uint8_t>(~code);
    const unsigned segment = bits >> 4 & 7U, step = bits & 0x0fU;
    const int magnitude = static_cast<int>(((step << 3) + kMuBias) << segment) - kMuBias;
    return static_cast<std::int16_t>((bits & 0x80U) != 0 ? -magnitude : magnitude);
}

std::unique_ptr<Decoder> make_a_law_decoder(unsigned rate_hz) { return make_g711_decoder(from_a_law, rate_hz); }
std::unique_ptr<Decoder> make_mu_law_decoder(unsigned rate_hz) { return make_g711_decoder(from_mu_law, rate_hz); }
std::unique_ptr<Encoder> make_a_law_encoder(const CodecSettings& settings) { return make_g711_encoder(to_a_law, settings); }
std::unique_ptr<Encoder> make_mu_law_encoder(const CodecSettings& settings) { return make_g711_encoder(to_mu_law, settings); }

}  // namespace voice::engine
