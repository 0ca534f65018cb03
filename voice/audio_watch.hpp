/// Notices one-way audio: of the two sides of a stream one is heard and the other is not, though both should be.
///
///                      quiet for 2 s while the other flows
///   both or neither  ------------------------------------->  one is silent
///        ^                                                        |
///        +---- it flows again; hold; its description changes -----+
///
/// Not mistaken for it: hold (nothing is expected), comfort noise and pauses (a side whose last packet was comfort noise,
/// or that has resumed from silence before, gets a minute), RTCP (only RTP counts), and early media (the watch begins when
/// the call is answered).
#pragma once

#include <array>

#include "voice/media.hpp"

namespace voice {

class AudioWatch {
public:
    /// With a look each half second, and figures that are half a second old, it is noticed within three.
    static constexpr auto kQuiet = std::chrono::seconds(2);
    static constexpr auto kPause = std::chrono::seconds(60);

    /// The call has been answered: silence counts from here.
    void begin(net::Steady now);
    /// `expected`: by leg, whether its side ought to send sound. Tells the leg whose side is silent, if one is.
    std::optional<Leg> look(const RelayStats& stats, std::array<bool, 2> expected, net::Steady now);
    std::optional<Leg> silent() const { return silent_; }
    bool begun() const { return begun_; }
    /// Whether packets came from the silent side, but from where the relay takes none.
    bool from_elsewhere() const { return from_elsewhere_; }

private:
    struct Side {
        std::optional<std::uint32_t> resumed;  ///< when it was heard first
        std::uint64_t wrong_source = 0;
    };
    bool may_pause(const Side& side, const LegStats& stats) const;

    net::Steady began_;
    bool begun_ = false;
    std::array<bool, 2> expected_{};
    std::array<Side, 2> sides_;
    std::optional<Leg> silent_;
    bool from_elsewhere_ = false;
};

}  // namespace voice
