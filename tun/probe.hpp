/// Whether the kernel takes superpackets that are written to a TUN device. Some refuse what they ought to take.
#pragma once

#include "tun/offload.hpp"

namespace tun {

/// Asked by writing one. `queue_fd` is a queue with IFF_VNET_HDR of a device that is still down: the kernel looks at
/// the superpacket, refuses it or not, and then throws it away because of that. `v6`: of UDP, over IPv6.
bool takes_superpackets(int queue_fd, Gso gso, bool v6 = false);

}  // namespace tun
