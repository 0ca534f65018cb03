// Sound files by strangers: what is read of one is bounded by its size, and can be written and read again.
#include <cstdlib>

#include "voice/engine/wav.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto sound = voice::engine::parse_wav(std::as_bytes(std::span(data, size)));
    if (!sound) {
        if (sound.error().message.empty()) std::abort();
        return 0;
    }
    if (sound->samples.size() * 2 > size || sound->rate_hz < 8000 || sound->rate_hz > 192000) std::abort();
    auto file = voice::engine::wav_header(sound->rate_hz, sound->samples.size());
    const auto bytes = voice::engine::wav_samples(sound->samples);
    file.insert(file.end(), bytes.begin(), bytes.end());
    const auto again = voice::engine::parse_wav(file);
    if (!again || again->samples != sound->samples || again->rate_hz != sound->rate_hz) std::abort();
    return 0;
}
