/// Random runs: members of one mesh at random places, to whom random things happen for some minutes. When all that is
/// over, those who are physically connected must find together again. A run is a function of its seed.
#pragma once

#include "tests/sim/sites.hpp"
#include "tests/sim/world.hpp"

namespace sim {

/// Members that have joined and were stopped. Made once, for many runs.
struct ChaosMembers {
    explicit ChaosMembers(std::size_t count);
    std::vector<Disk> disks;  ///< the first is the admin's, who listens for streams at the first open place of Sites
};

struct ChaosResult {
    std::string violated;         ///< with seed and trace; empty: nothing
    net::Duration found_in{};     ///< from the last fault until all had sessions and the same roster
    net::Duration lasted{};       ///< all of it, by the world's clock
    std::uint64_t datagrams = 0;  ///< that were sent in it
};

/// `verbose`: tells what happens on standard output while it runs.
ChaosResult run_chaos(const ChaosMembers& members, std::uint64_t seed, bool verbose = false);

}  // namespace sim
