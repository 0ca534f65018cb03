/// TAI64N time stamps of handshake initiations, and where ours come from: they only ever grow, also over a restart
/// and when the clock steps back.
#pragma once

#include <array>
#include <compare>

#include "net/bytes.hpp"
#include "net/time.hpp"

namespace mesh {

/// 64 bits of TAI seconds and 32 of nanoseconds; on the wire 12 bytes, big endian, so that bytes compare as times do.
struct Tai64n {
    static constexpr std::size_t kBytes = 12;

    std::uint64_t seconds = 0;
    std::uint32_t nanoseconds = 0;

    static Tai64n from(net::Wall wall);
    static std::optional<Tai64n> from(net::ByteView bytes);  ///< 12 bytes, else nullopt
    std::array<std::byte, kBytes> bytes() const;
    Tai64n next() const;                                ///< the smallest stamp above
    Tai64n plus(std::chrono::seconds more) const { return {seconds + static_cast<std::uint64_t>(more.count()), nanoseconds}; }
    auto operator<=>(const Tai64n&) const = default;
};

/// Stamps for our initiations. Every stamp given out lies below a mark that the owner has made durable before, so a
/// restart that begins at the mark never repeats one.
class StampSource {
public:
    /// `reserved`: the mark that was stored last; zero on the very first start.
    explicit StampSource(Tai64n reserved) : last_(reserved), reserved_(reserved) {}

    /// A stamp above all before, or nullopt if it would pass the durable mark: store `wanted()`, then try again.
    std::optional<Tai64n> next(net::Wall wall);
    /// The mark to store now, given once; nullopt if the last one is still enough or is under way.
    std::optional<Tai64n> wanted();
    /// `mark` is on the disk.
    void stored(Tai64n mark);

private:
    Tai64n last_;      ///< all given out are at or below
    Tai64n reserved_;  ///< durable
    Tai64n asked_;     ///< given out by wanted(), or about to be
    bool ask_ = false;
};

}  // namespace mesh
