/// Whether the kernel passes on packets that are not its own, without which a node routes no subnet.
#pragma once

namespace meshd {

struct IpForwarding {
    bool v4 = true;
    bool v6 = true;
};

/// As the kernel has it now, in this network namespace. What cannot be read is taken to be on.
IpForwarding ip_forwarding();

}  // namespace meshd
