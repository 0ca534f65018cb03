#include "voice/engine/codec.hpp"

#include <algorithm>

#include "voice/engine/g711.hpp"
#include "voice/engine/opus.hpp"

namespace voice::engine {
namespace {

constexpr CodecKind kKinds[] = {
    {"opus", 48000, make_opus_decoder, make_opus_encoder},
    {"PCMA", 8000, make_a_law_decoder, make_a_law_encoder},
    {"PCMU", 8000, make_mu_law_decoder, make_mu_law_encoder},
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
