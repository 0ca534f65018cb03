/// What a person should know at once about this node, each with what to do: what `meshctl status` shows, and the log.
#pragma once

#include <string>
#include <vector>

#include "mesh/node.hpp"
#include "meshd/ip_forwarding.hpp"

namespace meshd {

/// What the warnings depend on beside the node itself.
struct Surroundings {
    std::string store_trouble;  ///< why nothing can be written at present; empty: it can
    IpForwarding forwarding{};
    std::vector<std::string> strict_interfaces = {};        ///< where answers from the Internet are dropped (rp_filter)
    std::vector<net::Prefix> subnets_not_allowed = {};  ///< in the configuration, and not in the member record
    std::vector<std::string> of_exit = {};              ///< sentences: what is wrong with a way to the Internet through the mesh
};

/// The most important first. Empty: all is well.
std::vector<std::string> warnings_of(const mesh::Node& node, const Surroundings& around);

/// Why this node is no member, and what to do; empty if it is one.
std::string standing_in_words(const mesh::Node& node);

/// What holds while Node::stamps_are_unstored().
inline constexpr const char* kStampsAreUnstored =
    "the state folder could not be written for long. The tunnels go on; but if this machine restarts with its clock set "
    "back, the others will refuse it until that clock has caught up: make room on the disk, or mend it";

}  // namespace meshd
