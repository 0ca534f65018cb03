/// Where random bytes come from. The daemon hands in the system's generator, a test a seeded one.
#pragma once

#include "net/bytes.hpp"

namespace net {

class Random {
public:
    virtual ~Random() = default;

    /// Fills all of `out` with bytes that nobody else can predict (or, under a seed, everybody can).
    virtual void fill(MutableBytes out) = 0;

    std::uint64_t u64() {
        std::uint64_t value = 0;
        fill(std::as_writable_bytes(std::span(&value, 1)));
        return value;
    }
    /// Uniform in [0, bound); bound must not be zero.
    std::uint64_t below(std::uint64_t bound) {
        const std::uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
        for (;;) {
            if (const auto value = u64(); value < limit) return value % bound;
        }
    }
};

/// SplitMix64 under a seed: exact and fast, and no secret. For tests and simulations only.
class SeededRandom final : public Random {
public:
    explicit SeededRandom(std::uint64_t seed) : state_(seed) {}
    void fill(MutableBytes out) override {
        for (std::size_t i = 0; i < out.size();) {
            std::uint64_t value = next();
            for (unsigned k = 0; k < 8 && i < out.size(); ++k, ++i, value >>= 8) {
                out[i] = static_cast<std::byte>(value & 0xff);
            }
        }
    }

private:
    std::uint64_t next() {
        std::uint64_t z = state_ += 0x9e3779b97f4a7c15U;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
        z = (z ^ z >> 27) * 0x94d049bb133111ebU;
        return z ^ z >> 31;
    }
    std::uint64_t state_;
};

}  // namespace net
