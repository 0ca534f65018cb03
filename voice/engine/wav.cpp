#include "voice/engine/wav.hpp"

#include <algorithm>

namespace voice::engine {
namespace {

constexpr unsigned kPcm = 1, kExtensible = 0xfffe;
constexpr unsigned kMostChannels = 8;

struct WavFormat {
    unsigned kind, channels, rate_hz, bits;
};

net::Result<WavFormat> read_format(net::ByteView chunk) {
    net::Reader in(chunk);
    WavFormat out{};
    out.kind = in.u16le();
    out.channels = in.u16le();
    out.rate_hz = in.u32le();
    in.bytes(6);
    out.bits = in.u16le();
    if (!in.ok()) return net::fail("its format chunk is cut short");
    if (out.kind == kExtensible) {
        in.bytes(8);
        out.kind = in.u16le();  // the first bytes of its sub-format
        if (!in.ok()) return net::fail("its format chunk is cut short");
    }
    if (out.kind != kPcm || out.bits != 16) return net::fail("its sound is not PCM of 16 bits");
    if (out.channels == 0 || out.channels > kMostChannels) return net::fail("it has " + std::to_string(out.channels) + " channels: 1 to 8 can be read");
    if (out.rate_hz < 8000 || out.rate_hz > 192000) return net::fail("its rate is " + std::to_string(out.rate_hz) + " Hz: 8000 to 192000 can be read");
    return out;
}

}  // namespace

net::Result<WavSound> parse_wav(net::ByteView file) {
    net::Reader in(file);
    const auto riff = net::as_text(in.bytes(4));
    in.u32le();
    if (!in.ok() || riff != "RIFF" || net::as_text(in.bytes(4)) != "WAVE") return net::fail("it is no RIFF WAVE file");
    std::optional<WavFormat> format;
    while (in.left() >= 8) {
        const auto name = net::as_text(in.bytes(4));
        const std::size_t told = in.u32le();
        const auto chunk = in.bytes(std::min(told, in.left()));
        if (told % 2 != 0 && in.left() > 0) in.u8();
        if (name == "fmt ") {
            auto read = read_format(chunk);
            if (!read) return tl::unexpected(read.error());
            format = *read;
        } else if (name == "data") {
            if (!format) return net::fail("its sound comes before its format");
            // A length that was never written: zero, and all that follows is sound.
            net::Reader data(told == 0 ? in.rest() : chunk);
            WavSound out;
            out.rate_hz = format->rate_hz;
            out.samples.reserve(data.left() / 2 / format->channels);
            while (data.left() >= 2 * std::size_t{format->channels}) {
                int sum = 0;
                for (unsigned i = 0; i < format->channels; ++i) sum += static_cast<std::int16_t>(data.u16le());
                out.samples.push_back(static_cast<std::int16_t>(sum / static_cast<int>(format->channels)));
            }
            return out;
        }
    }
    return net::fail("it has no sound in it");
}

net::Bytes wav_header(unsigned rate_hz, std::uint64_t samples) {
    const auto bytes = static_cast<std::uint32_t>(std::min<std::uint64_t>(2 * samples, 0xffffffffU - kWavHeaderBytes));
    net::Writer out;
    out.bytes(net::as_bytes("RIFF")).u32le(bytes + kWavHeaderBytes - 8).bytes(net::as_bytes("WAVEfmt "));
    out.u32le(16).u16le(kPcm).u16le(1).u32le(rate_hz).u32le(2 * rate_hz).u16le(2).u16le(16);
    out.bytes(net::as_bytes("data")).u32le(bytes);
    return out.take();
}

net::Bytes wav_samples(Sound sound) {
    net::Writer out;
    for (const auto sample : sound) out.u16le(static_cast<std::uint16_t>(sample));
    return out.take();
}

}  // namespace voice::engine
