/// G.711 (RFC 3551 4.5.14): A-law and mu-law, with concealment of our own in the manner of G.711 appendix I.
#pragma once

#include "voice/engine/codec.hpp"

namespace voice::engine {

std::uint8_t to_a_law(std::int16_t sample);
std::int16_t from_a_law(std::uint8_t code);
std::uint8_t to_mu_law(std::int16_t sample);
std::int16_t from_mu_law(std::uint8_t code);

/// `rate_hz` and settings.rate_hz must be 8000: std::invalid_argument otherwise.
std::unique_ptr<Decoder> make_a_law_decoder(unsigned rate_hz);
std::unique_ptr<Decoder> make_mu_law_decoder(unsigned rate_hz);
std::unique_ptr<Encoder> make_a_law_encoder(const CodecSettings& settings);
std::unique_ptr<Encoder> make_mu_law_encoder(const CodecSettings& settings);

}  // namespace voice::engine
