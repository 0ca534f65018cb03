/// Which of the sockets that share the underlay's port is given a datagram: a small program in the kernel chooses.
///
///   voice by its outer DSCP                                -> the last socket
///   data of type 4    receiver index                       -> a socket of bulk
///   data of type 5    receiver index + its sender's queue  -> a socket of bulk
///   all else: handshakes, introductions, what is no message -> the first
///
/// So what keeps its order on one queue of its sender keeps it here, whatever the numbers of queues of both: the network
/// sees one flow, and the kernel's own hash of it would lead to one socket. Nothing here is believed: a datagram that
/// somebody forged reaches a wrong socket at worst, and all of them do the same.
#pragma once

#include "loop/datagram.hpp"

namespace meshd {

/// The sockets of one family that share a port (UdpOptions::reuse_port), in the order in which they were bound: `bulk` of
/// bulk, of which `first` is the first, and voice's. False if the kernel will not have it.
[[nodiscard]] bool steer_datagrams(const loop::Datagram& first, std::size_t bulk);

}  // namespace meshd
