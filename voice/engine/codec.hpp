/// What a codec is to the engine. Its one place for virtual functions: an outside library, or none, stands behind each.
/// Sound is mono, 16 bits, at the rate the codec was made for.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "net/bytes.hpp"

namespace voice::engine {

using Sound = std::span<const std::int16_t>;  ///< borrowed
using Samples = std::vector<std::int16_t>;

/// Turns a stream's payloads into sound, in order. Neither bad nor hostile payloads make it fail for good.
class Decoder {
public:
    virtual ~Decoder() = default;

    /// How many samples the payload holds, without decoding it; nullopt where the codec does not know it, or it is longer
    /// than 120 ms.
    virtual std::optional<std::size_t> samples_in(net::ByteView payload) const = 0;
    /// Appends samples_in(payload) samples. Where the codec refuses it, as much concealment is appended: false.
    virtual bool decode(net::ByteView payload, Samples& out) = 0;
    /// Appends so many samples for sound that is missing, and fades where much of it is. In steps of 10 ms.
    virtual void conceal(std::size_t samples, Samples& out) = 0;
    /// How many samples before it `payload` also holds, coded more coarsely; zero for none.
    virtual std::size_t repairs(net::ByteView payload) const { return (void)payload, 0; }
    /// Appends what repairs() promised.
    virtual void decode_repair(net::ByteView payload, Samples& out) { (void)payload, (void)out; }
    /// Whether the payload says that from here on nothing is sent because nobody speaks; `already`: an earlier one did.
    virtual bool is_silence(net::ByteView payload, bool already) const = 0;
    /// Whether the two can hardly come from the same encoder's next two packets: a sign that it is no sound at all.
    virtual bool differs(net::ByteView before, net::ByteView payload) const { return (void)before, (void)payload, false; }
    /// Another stream begins.
    virtual void reset() = 0;
};

/// Turns sound into payloads.
class Encoder {
public:
    virtual ~Encoder() = default;

    /// One packet's time of sound. Empty: nothing needs to be sent, because nobody speaks.
    virtual net::Bytes encode(Sound sound) = 0;
    /// What the other side reports as lost, 0 to 100, and what the rate shall be; what the codec cannot do is ignored.
    virtual void set_loss(unsigned percent) { (void)percent; }
    virtual void set_bitrate(unsigned bits_per_second) { (void)bits_per_second; }
};

struct CodecSettings {
    unsigned rate_hz = 48000;     ///< of the sound here: for Opus 8000, 12000, 16000, 24000 or 48000; for G.711 8000
    unsigned packet_ms = 20;      ///< 10, 20, 40 or 60; G.711 any multiple of 10 up to 60
    unsigned bitrate = 24000;     ///< Opus only
    unsigned complexity = 5;      ///< Opus only, 0 to 10
    bool dtx = true;              ///< Opus only
    bool in_band_fec = true;      ///< Opus only: written only while loss is reported
};

/// One row a codec.
struct CodecKind {
    std::string_view name;  ///< as SDP writes it
    unsigned clock_hz;      ///< RTP's
    std::unique_ptr<Decoder> (*decoder)(unsigned rate_hz);
    std::unique_ptr<Encoder> (*encoder)(const CodecSettings& settings);
};

/// By SDP's name, in either case; null for one that the engine does not have.
const CodecKind* find_codec(std::string_view name);

}  // namespace voice::engine
