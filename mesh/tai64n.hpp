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

/// Stamps for our initiations. They lie below a mark that the owner has made durable before, so a restart that begins at
/// the mark never repeats one, whatever the clock says then.
///
/// The trade, where the disk cannot be written: the mark is kept far ahead, and asked for long before it is reached; if
/// it still is not durable when it is, stamps go on above it, in memory alone. To stop there would end every tunnel of a
/// node for a full disk. What it costs: a restart begins at the later of the clock and the last durable mark, so a node
/// that had gone on above it, and restarts under a clock that has been set back as well, is refused by its peers until
/// its clock has caught up with what it had used. A clock that is right is always ahead of that.
class StampSource {
public:
    static constexpr auto kReserve = std::chrono::hours(1);  ///< how far ahead of the clock a mark is
    /// How long a stamp waits for its mark: many times what a sync takes, few of what a person notices.
    static constexpr auto kPatience = std::chrono::seconds(10);

    /// `reserved`: the mark that was stored last; zero on the very first start.
    explicit StampSource(Tai64n reserved) : last_(reserved), reserved_(reserved) {}

    /// A stamp above all before, or nullopt while it would pass the durable mark: store `wanted()`, then try again; or
    /// try again when patience_ends().
    std::optional<Tai64n> next(net::Now now);
    net::Steady patience_ends() const { return asked_at_ + kPatience; }
    /// Whether stamps above the durable mark have been given out.
    bool is_past_mark() const { return last_ > reserved_; }
    /// The mark to store now, given once; nullopt if the last one is still enough or is under way.
    std::optional<Tai64n> wanted();
    /// `mark` is on the disk.
    void stored(Tai64n mark);

private:
    Tai64n last_;      ///< all given out are at or below
    Tai64n reserved_;  ///< durable
    Tai64n asked_;     ///< given out by wanted(), or about to be
    net::Steady asked_at_{};  ///< when first, of those that are not durable yet
    bool ask_ = false;
};

}  // namespace mesh
