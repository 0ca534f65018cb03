/// The window of counters already seen: a sliding bitmap (RFC 6479).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace mesh {

/// Not thread safe. Ask only about counters that are authentic: asking is telling.
class ReplayWindow {
public:
    /// How far behind the greatest counter one may lie and still be new. More than the kernel's and wireguard-go's 8,128:
    /// voice overtakes what waits in bulk's receive buffer, which holds some 30,000 small datagrams.
    static constexpr std::uint64_t kSize = 65'472;

    /// True, once, for every counter below kRejectAfterMessages that is not more than kSize - 1 behind the greatest.
    [[nodiscard]] bool accept(std::uint64_t counter);

private:
    static constexpr std::size_t kWordBits = 64;
    static constexpr std::size_t kWords = 1024;  ///< one word more than the window needs: the one being cleared
    static_assert((kWords - 1) * kWordBits == kSize);

    std::array<std::uint64_t, kWords> words_{};
    std::uint64_t next_ = 0;  ///< greatest counter seen + 1
};

}  // namespace mesh
