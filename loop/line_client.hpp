/// The other end of a UnixListener, without a loop: for a command that asks and waits.
#pragma once

#include "loop/file_descriptor.hpp"
#include "loop/lines.hpp"
#include "net/result.hpp"
#include "net/time.hpp"

namespace loop {

class LineClient {
public:
    /// The error says whether nobody listens, the file is missing, or access is denied, each with the path.
    static net::Result<LineClient> connect(const std::string& path, std::size_t longest_line_bytes = 64 << 20);

    /// Adds the line's end. Waits at most `timeout` for room.
    net::Result<void> send_line(std::string_view text, net::Duration timeout = std::chrono::seconds(5));
    /// A line without its end; nullopt if none came within `timeout` (call again to go on waiting).
    /// The other end's closing is an error.
    net::Result<std::optional<std::string>> receive_line(net::Duration timeout);

private:
    LineClient(FileDescriptor socket, std::size_t longest) : socket_(std::move(socket)), lines_(longest) {}
    FileDescriptor socket_;
    Lines lines_;
};

}  // namespace loop
