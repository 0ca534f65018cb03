/// One cell of the grid: two members at two kinds of place, and a third, open, that both can reach and that passes on.
#pragma once

#include "tests/sim/sites.hpp"
#include "tests/sim/world.hpp"

namespace sim {

/// What stands at the ends of a cell: a kind of place for each, or both at the same.
struct ReachCell {
    enum class Together : std::uint8_t { no, same_lan, same_carrier, same_carrier_without_hairpinning };
    Site left = Site::open, right = Site::open;
    Together together = Together::no;
};

struct ReachResult {
    bool carries = false;                ///< inner packets, both ways, within a minute
    std::optional<mesh::Rank> rank;      ///< of the way that the two have at the end, the worse of both sides'
    net::Duration first_data{};          ///< from the start of the later one until packets came both ways
    net::Duration final_way{};           ///< until the last change of the way
    std::string report;                  ///< seed and trace

    bool direct() const { return rank && mesh::is_direct(*rank); }
};

/// The members have joined before, and start together at places that they were never at. A function of its seed.
ReachResult reach(const ReachCell& cell, std::uint64_t seed);

std::string text(const ReachCell& cell);

}  // namespace sim
