#include "voice/engine/codec.hpp"

#include <algorithm>

#include "voice/engine/g711.hpp"
#include "voice/engine/opus.hpp"

namespace voice::engine {
namespace {

// Ie and Bpl: G.711 with concealment by G.113 appendix I (0 and 25.1). Opus has no figures from ITU-T: it is taken for a
// wideband codec without audible loss at our rates whose concealment is as good as G.711's.
constexpr CodecKind kKinds[] = {
    {"opus", 48000, 0, 25.1, make_opus_decoder, make_opus_encoder},
    {"PCMA", 8000, 0, 25.1, make_a_law_decoder, make_a_law_encoder},
    {"PCMU", 8000, 0, 25.1, make_mu_law_decoder, make_mu_law_encoder},
};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

const CodecKind* find_codec(std::string_view name) {
    const auto same = [&](const CodecKind& kind) {
        return std::equal(kind.name.begin(), kind.name.end(), name.begin(), name.end(), [](char a, char b) { return lower(a) == lower(b); });
    };
    const auto found = std::find_if(std::begin(kKinds), std::end(kKinds), same);
    return found == std::end(kKinds) ? nullptr : found;
}

}  // namespace voice::engine
