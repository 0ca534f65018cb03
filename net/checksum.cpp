#include "net/checksum.hpp"

#include <bit>

namespace net {
namespace {

// The order of the bytes in a word changes a one's complement sum only by swapping its bytes (RFC 1071 section 2 B),
// and words may be added several at once (C). So the bulk is added as the machine loads it, as 32-bit halves in 64-bit
// lanes, which hold the carries of 2^32 of them.
using Lanes [[gnu::vector_size(16)]] = std::uint64_t;

constexpr std::size_t kStepBytes = 4 * sizeof(Lanes);

template <class T>
T load(const std::byte* from) {
    T out;
    std::memcpy(&out, from, sizeof out);
    return out;
}

std::uint64_t lower_and_upper(std::uint64_t value) {
    return (value & 0xffffffff) + (value >> 32);
}

}  // namespace

std::uint64_t checksum_add(ByteView bytes, std::uint64_t sum) {
    const std::byte* at = bytes.data();
    std::size_t left = bytes.size();
    std::uint64_t native = 0;
    if (left >= kStepBytes) {
        constexpr Lanes kLower = {0xffffffff, 0xffffffff};
        Lanes even{}, odd{}, more_even{}, more_odd{};
        for (; left >= kStepBytes; left -= kStepBytes, at += kStepBytes) {
            const auto a = load<Lanes>(at), b = load<Lanes>(at + 16), c = load<Lanes>(at + 32),
                       d = load<Lanes>(at + 48);
            even += (a & kLower) + (b & kLower);
            odd += (a >> 32) + (b >> 32);
            more_even += (c & kLower) + (d & kLower);
            more_odd += (c >> 32) + (d >> 32);
        }
        const Lanes all = even + odd + more_even + more_odd;
        native = lower_and_upper(all[0]) + lower_and_upper(all[1]);
    }
    for (; left >= 8; left -= 8, at += 8) native += lower_and_upper(load<std::uint64_t>(at));
    if (left >= 4) {
        native += load<std::uint32_t>(at);
        at += 4;
        left -= 4;
    }
    if (left >= 2) {
        native += load<std::uint16_t>(at);
        at += 2;
        left -= 2;
    }
    constexpr bool kLittle = std::endian::native == std::endian::little;
    if (left > 0) native += std::to_integer<std::uint64_t>(*at) << (kLittle ? 0 : 8);
    const auto folded = checksum_fold(native);
    return sum + (kLittle ? __builtin_bswap16(folded) : folded);
}

}  // namespace net
