#include "mesh/tai64n.hpp"

#include <array>

namespace mesh {

namespace {

// TAI64 labels begin at 2^62 for 1970, and TAI ran 10 s ahead of UTC then. WireGuard's peers compare stamps only with
// earlier ones, so leap seconds do not matter.
constexpr std::uint64_t kUnixEpoch = 0x400000000000000aU;
constexpr std::uint32_t kLastNanosecond = 999'999'999;

// The low bits are cleared, so that a stamp does not tell when exactly our clock ticks.
constexpr std::uint32_t kShownNanoseconds = ~std::uint32_t{0xffffff};

constexpr auto kReserveLow = std::chrono::seconds(StampSource::kReserve) / 2;

}  // namespace

Tai64n Tai64n::from(net::Wall wall) {
    const auto since = std::max(wall.time_since_epoch(), net::Duration::zero());
    const auto whole = std::chrono::duration_cast<std::chrono::seconds>(since);
    return {kUnixEpoch + static_cast<std::uint64_t>(whole.count()),
            static_cast<std::uint32_t>((since - whole).count()) & kShownNanoseconds};
}

std::optional<Tai64n> Tai64n::from(net::ByteView bytes) {
    if (bytes.size() != kBytes) return std::nullopt;
    net::Reader reader(bytes);
    const auto seconds = reader.u64be();
    return Tai64n{seconds, reader.u32be()};
}

std::array<std::byte, Tai64n::kBytes> Tai64n::bytes() const {
    std::array<std::byte, kBytes> out;
    for (unsigned i = 0; i < 8; ++i) out[i] = static_cast<std::byte>(seconds >> (56 - 8 * i) & 0xff);
    for (unsigned i = 0; i < 4; ++i) out[8 + i] = static_cast<std::byte>(nanoseconds >> (24 - 8 * i) & 0xff);
    return out;
}

Tai64n Tai64n::next() const {
    return nanoseconds >= kLastNanosecond ? Tai64n{seconds + 1, 0} : Tai64n{seconds, nanoseconds + 1};
}

std::optional<Tai64n> StampSource::next(net::Now now) {
    const auto stamp = std::max(Tai64n::from(now.wall), last_.next());
    // When the clock is behind the mark, every stamp takes a nanosecond: a second more is enough, and a node that
    // crashes over and over does not run far ahead of the clock.
    const auto mark = std::max(Tai64n::from(now.wall).plus(kReserve), last_.plus(std::chrono::seconds(1)));
    const bool under_way = asked_ > reserved_;
    const bool low = stamp > reserved_ || mark > reserved_.plus(kReserveLow);
    if (low && (!under_way || stamp > asked_)) {
        if (!under_way) asked_at_ = now.steady;
        asked_ = mark;
        ask_ = true;
    }
    if (stamp > reserved_ && now.steady < patience_ends()) return std::nullopt;
    last_ = stamp;
    return stamp;
}

std::optional<Tai64n> StampSource::wanted() {
    if (!ask_) return std::nullopt;
    ask_ = false;
    return asked_;
}

void StampSource::stored(Tai64n mark) { reserved_ = std::max(reserved_, mark); }

}  // namespace mesh
