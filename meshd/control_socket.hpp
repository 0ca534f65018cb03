/// The control API's socket: connections of a UNIX listener, each with its ControlSession.
#pragma once

#include <map>

#include "loop/loop.hpp"
#include "meshd/control.hpp"

namespace meshd {

class ControlSocket {
public:
    /// The socket's file has mode 0660; it belongs to the group "meshd" if there is one and we may give it away, so
    /// that its members may look. Throws std::runtime_error. `methods` must outlive this.
    ControlSocket(loop::Loop& loop, const std::string& path, const Methods& methods);
    ~ControlSocket();
    ControlSocket(const ControlSocket&) = delete;
    ControlSocket& operator=(const ControlSocket&) = delete;

private:
    struct Connection;
    void accepted(std::unique_ptr<loop::LineConnection> line);

    loop::Loop& loop_;
    const Methods& methods_;
    std::map<std::uint64_t, std::unique_ptr<Connection>> connections_;
    std::uint64_t next_id_ = 0;
    loop::UnixListener listener_;
};

inline constexpr const char* kDefaultControlPath = "/run/meshd/control.sock";

}  // namespace meshd
