#include "meshd/control_socket.hpp"

#include <grp.h>
#include <unistd.h>

namespace meshd {

struct ControlSocket::Connection {
    std::unique_ptr<loop::LineConnection> line;
    std::unique_ptr<ControlSession> session;
};

namespace {

constexpr loop::UnixListener::Options kOptions{
    .mode = 0660, .longest_line_bytes = 1 << 20, .queue_bytes = 8 << 20, .connections = 64};

void give_to_group(const std::string& path) {
    // No such group, or no right to: then only root and our own user may open it, which is the safe side.
    if (const auto* group = ::getgrnam("meshd"); group != nullptr) {
        if (::lchown(path.c_str(), static_cast<uid_t>(-1), group->gr_gid) != 0) return;
    }
}

}  // namespace

ControlSocket::ControlSocket(loop::Loop& loop, const std::string& path, const Methods& methods)
    : loop_(loop),
      methods_(methods),
      listener_(loop, path, kOptions,
                [this](std::unique_ptr<loop::LineConnection> line) { accepted(std::move(line)); }) {
    give_to_group(path);
}

ControlSocket::~ControlSocket() = default;

void ControlSocket::accepted(std::unique_ptr<loop::LineConnection> line) {
    const auto id = next_id_++;
    auto& connection = connections_[id] = std::make_unique<Connection>();
    connection->line = std::move(line);
    auto* const out = connection->line.get();
    const auto drop = [this, id] { connections_.erase(id); };
    connection->session = std::make_unique<ControlSession>(methods_, out->credentials(), ::geteuid(),
                                                           [this, id, out, drop](std::string_view text) {
                                                               // Somebody who does not read what he asked for is cut
                                                               // off, once nobody up the stack uses the connection.
                                                               if (!out->send_line(text) && connections_.contains(id))
                                                                   loop_.defer(drop);
                                                           });
    out->start([session = connection->session.get()](std::string_view text) { session->receive(text); }, drop);
}

}  // namespace meshd
