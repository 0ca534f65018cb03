/// Whether the kernel passes on packets that are not its own, without which a node routes no subnet.
#pragma once

#include <string>
#include <vector>

namespace meshd {

struct IpForwarding {
    bool v4 = true;
    bool v6 = true;
};

/// As the kernel has it now, in this network namespace. What cannot be read is taken to be on.
IpForwarding ip_forwarding();

/// Interfaces, `except` left out, where the kernel drops an IPv4 packet that it would not answer by the same one (rp_filter
/// is 1, RFC 3704's strict check): with a default route through the mesh, whatever comes from the Internet.
std::vector<std::string> strict_interfaces(const std::string& except);

}  // namespace meshd
