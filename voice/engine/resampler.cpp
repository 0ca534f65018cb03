#include "voice/engine/resampler.hpp"

#include <speex/speex_resampler.h>

#include <stdexcept>
#include <string>

namespace voice::engine {
namespace {

constexpr int kQuality = 4;  // of 10: Speex's for VoIP is 3
constexpr unsigned kMostRate = 192000;

}  // namespace

void Resampler::Free::operator()(SpeexResamplerState_* it) const { speex_resampler_destroy(it); }

Resampler::Resampler(unsigned from_hz, unsigned to_hz) : from_hz_(from_hz), to_hz_(to_hz) {
    if (from_hz == 0 || to_hz == 0 || from_hz > kMostRate || to_hz > kMostRate) {
        throw std::invalid_argument("no way from " + std::to_string(from_hz) + " to " + std::to_string(to_hz) + " Hz");
    }
    if (from_hz == to_hz) return;
    int error = RESAMPLER_ERR_SUCCESS;
    state_.reset(speex_resampler_init(1, from_hz, to_hz, kQuality, &error));
    if (!state_) throw std::invalid_argument("no resampler for these rates");
}

Resampler::~Resampler() = default;
Resampler::Resampler(Resampler&&) noexcept = default;
Resampler& Resampler::operator=(Resampler&&) noexcept = default;

void Resampler::run(Sound in, Samples& out) {
    if (!state_) {
        out.insert(out.end(), in.begin(), in.end());
        return;
    }
    while (!in.empty()) {
        const auto before = out.size();
        out.resize(before + in.size() * to_hz_ / from_hz_ + 2);
        auto taken = static_cast<spx_uint32_t>(in.size()), given = static_cast<spx_uint32_t>(out.size() - before);
        const auto error = speex_resampler_process_int(state_.get(), 0, in.data(), &taken, out.data() + before, &given);
        out.resize(before + given);
        if (error != RESAMPLER_ERR_SUCCESS || taken == 0) return;
        in = in.subspan(taken);
    }
}

std::size_t Resampler::latency_samples() const { return state_ ? static_cast<std::size_t>(speex_resampler_get_output_latency(state_.get())) : 0; }

}  // namespace voice::engine
