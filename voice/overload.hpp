/// Is there more to do than can be done? Judged by the fullest of the places where messages wait before they are read, of
/// whatever transport: short bursts, such as all phones of an office at once, only fill it; when it stays full, what waits is
/// lost or old by the time it is read, and it is better to say so (RFC 3261 21.5.4) than to answer everybody too late.
#pragma once

#include <string>

#include "net/random.hpp"
#include "net/time.hpp"

namespace voice {

/// The value of a Retry-After, in seconds from `least` to `most`: drawn for each, as those who are refused at the same time are
/// not to come back at the same time.
std::string retry_after(net::Random& random, std::uint64_t least_s = 5, std::uint64_t most_s = 15);

class Overload {
public:
    static constexpr auto kLookEvery = std::chrono::milliseconds(100);
    static constexpr auto kSustained = std::chrono::seconds(1);
    static constexpr unsigned kSustainedLooks = 3;   ///< so many at least, however late they come: one long pause is none
    static constexpr unsigned kFullPercent = 90;     ///< at every look for kSustained: from now on new requests are refused
    static constexpr unsigned kDrainedPercent = 50;  ///< at one look: no longer

    /// Whether the places are to be looked at now; asked whenever something is read.
    bool look_due(net::Now now) const { return now.steady >= next_look_; }
    /// When they are to be looked at, read or not; kNever while they are not full.
    net::Steady look_by() const { return overloaded_ || full_looks_ > 0 ? next_look_ : net::kNever; }
    void looked(unsigned full_percent, net::Now now);
    bool is_overloaded() const { return overloaded_; }
    std::uint64_t times() const { return times_; }  ///< how often it has come to that

private:
    bool overloaded_ = false;
    net::Steady next_look_ = net::Steady::min();
    unsigned full_looks_ = 0;  ///< in a row
    net::Steady full_since_;   ///< the first of them
    std::uint64_t times_ = 0;
};

}  // namespace voice
