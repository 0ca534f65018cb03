#include "mesh/nat.hpp"

#include <algorithm>

namespace mesh {

std::string_view text(NatMapping mapping) {
    switch (mapping) {
        case NatMapping::unknown: return "unknown";
        case NatMapping::none: return "none";
        case NatMapping::endpoint_independent: return "endpoint-independent";
        case NatMapping::endpoint_dependent: return "endpoint-dependent";
    }
    return "";
}

NatMapping judge_mapping(std::span<const Observation> observations, std::span<const net::Endpoint> local, bool v6) {
    const Observation* first = nullptr;
    bool agreed = false;
    for (const auto& one : observations) {
        if (one.seen.address.is_v6() != v6 || one.seen.is_none() || one.by.address.is_private()) continue;
        if (std::find(local.begin(), local.end(), one.seen) != local.end()) return NatMapping::none;
        if (first == nullptr) {
            first = &one;
        } else if (one.seen != first->seen && one.by.address != first->by.address) {
            return NatMapping::endpoint_dependent;
        } else if (one.by.address != first->by.address) {
            agreed = true;
        }
    }
    return agreed ? NatMapping::endpoint_independent : NatMapping::unknown;
}

}  // namespace mesh
