/// What meshd's own sockets bear, so that the machine's policy routing keeps them out of the tunnel: all that they send
/// goes by the main table, whatever else is routed through the mesh.
#pragma once

#include <sys/socket.h>

#include <cstdint>

namespace loop {

/// Of SO_MARK, as `ip rule` shows it: 0x6d/0xff. Only the lowest byte is ours; the others may be somebody else's.
inline constexpr std::uint32_t kUnderlayMark = 0x6d, kUnderlayMask = 0xff;

/// Needs CAP_NET_ADMIN. Without it nothing happens: then no default route through the mesh is made here either.
inline void mark_underlay(int socket) {
    std::uint32_t mark = 0;
    socklen_t size = sizeof mark;
    if (::getsockopt(socket, SOL_SOCKET, SO_MARK, &mark, &size) != 0) mark = 0;
    mark = (mark & ~kUnderlayMask) | kUnderlayMark;
    (void)::setsockopt(socket, SOL_SOCKET, SO_MARK, &mark, sizeof mark);
}

}  // namespace loop
