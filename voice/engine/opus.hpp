/// Opus (RFC 6716) in RTP (RFC 7587): mono, for speech.
#pragma once

#include "voice/engine/codec.hpp"

namespace voice::engine {

/// Throws std::invalid_argument for a rate that Opus does not have.
std::unique_ptr<Decoder> make_opus_decoder(unsigned rate_hz);
/// Throws std::invalid_argument for settings that Opus does not have.
std::unique_ptr<Encoder> make_opus_encoder(const CodecSettings& settings);

}  // namespace voice::engine
