/// Sound files: RIFF WAVE with PCM of 16 bits.
#pragma once

#include "net/result.hpp"
#include "voice/engine/codec.hpp"

namespace voice::engine {

struct WavSound {
    unsigned rate_hz = 0;
    Samples samples;  ///< mono: of more channels the mean
};

/// A whole file. What it is instead, in words, where it is none: no RIFF, no PCM of 16 bits, a rate below 8000 or above
/// 192000 Hz, more than 8 channels. Chunks nobody here knows are skipped; a data chunk that is cut short, or whose
/// length was never written, holds what is there.
net::Result<WavSound> parse_wav(net::ByteView file);

inline constexpr std::size_t kWavHeaderBytes = 44;
/// The header of a mono file with so many samples after it, at most what 32 bits of length can tell; written first, and once
/// more when their number is known.
net::Bytes wav_header(unsigned rate_hz, std::uint64_t samples);
/// Samples as they stand in the file.
net::Bytes wav_samples(Sound sound);

}  // namespace voice::engine
