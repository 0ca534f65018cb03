/// What a node's NAT does, judged by where members say they see it (RFC 4787 4.1).
#pragma once

#include <span>
#include <vector>

#include "mesh/bodies.hpp"

namespace mesh {

/// A member's word of where it sees us.
struct Observation {
    net::Endpoint by;    ///< where that member is, as we reach it: no relay, no stream
    net::Endpoint seen;  ///< where it sees us
};

/// By what is seen of one family, by members that are no neighbours of ours: those on private addresses are left out.
/// `local`: our own endpoints. Endpoint-dependent needs two members at two addresses that disagree.
NatMapping judge_mapping(std::span<const Observation> observations, std::span<const net::Endpoint> local, bool v6);

}  // namespace mesh
