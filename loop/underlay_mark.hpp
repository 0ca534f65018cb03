/// What meshd's own sockets bear, so that the machine's policy routing keeps them out of the tunnel: all that they send
/// goes by the main table, whatever else is routed through the mesh.
#pragma once

#include <sys/socket.h>

#include <cstdint>

namespace loop {

/// Of SO_MARK, as `ip rule` shows it. Only in the lowest byte: others mask theirs out of the higher ones.
inline constexpr std::uint32_t kUnderlayMark = 0x6d;

/// Needs CAP_NET_ADMIN. Without it nothing happens: then no default route through the mesh is made here either.
inline void mark_underlay(int socket) {
    (void)::setsockopt(socket, SOL_SOCKET, SO_MARK, &kUnderlayMark, sizeof kUnderlayMark);
}

}  // namespace loop
