/// A conference's sound: everybody hears all the others and not himself. In steps of 10 ms, one rate for all.
#pragma once

#include <map>
#include <span>

#include "voice/engine/codec.hpp"

namespace voice::engine {

class Mixer {
public:
    using Member = std::uint64_t;
    static constexpr std::size_t kMostMembers = 8;

    explicit Mixer(std::size_t frame_samples) : sum_(frame_samples) {}

    /// False where the conference is full, or it is in already.
    bool join(Member member);
    void leave(Member member);
    std::size_t size() const { return members_.size(); }

    /// What a member said in this step; the last one counts, and who says nothing is silent. Frames of another size and
    /// strangers' are ignored.
    void say(Member member, Sound frame);
    /// What that member hears of this step: silence for a stranger. Loud sums are turned down, not cut.
    void hear(Member member, std::span<std::int16_t> frame);
    /// The step is over.
    void next();

private:
    struct Voice {
        Samples said;     ///< empty: silent
        double gain = 1;  ///< of what it hears
    };
    std::map<Member, Voice> members_;
    std::vector<std::int32_t> sum_;  ///< of all
};

}  // namespace voice::engine
