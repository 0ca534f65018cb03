/// Random runs: members of one mesh at random places, to whom random things happen for some minutes. When all that is
/// over, those who are physically connected must find together again. A run is a function of its seed.
#pragma once

#include "tests/sim/sites.hpp"
#include "tests/sim/world.hpp"

namespace sim {

/// Members that have joined and were stopped, the others at places where nobody is in a run. Made once, for many runs.
struct ChaosMembers {
    explicit ChaosMembers(std::size_t count);
    std::vector<Disk> disks;  ///< the first is the admin's, who listens for streams at the first open place of Sites
};

struct ChaosResult {
    static constexpr auto kSoon = std::chrono::seconds(10);  ///< by then they should be together

    std::string violated;         ///< with seed and trace; empty: nothing. Not together after 30 s is a violation
    net::Duration found_in{};     ///< from the last fault until all had sessions and the same roster
    net::Duration lasted{};       ///< all of it, by the world's clock
    std::uint64_t datagrams = 0;  ///< that were sent in it
};

/// `verbose`: tells what happens on standard output while it runs.
ChaosResult run_chaos(const ChaosMembers& members, std::uint64_t seed, bool verbose = false);

/// What the process has allocated after each of so many times of faults and five minutes of rest in one run. Zeros where
/// the C library does not count (sanitizers).
std::vector<std::size_t> heap_under_chaos(const ChaosMembers& members, std::uint64_t seed, unsigned times);

}  // namespace sim
