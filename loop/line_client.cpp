#include "loop/line_client.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "loop/clock.hpp"
#include "loop/unix_address.hpp"

namespace loop {
namespace {

/// Waits for `event` until `deadline`; false at the deadline.
bool wait_for(int fd, short event, net::Steady deadline) {
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - read_clocks().steady).count();
        pollfd entry{fd, event, 0};
        const int ready = ::poll(&entry, 1, static_cast<int>(std::clamp<std::int64_t>(left, 0, 1'000'000'000)));
        if (ready > 0) return true;
        if (ready == 0 && left <= 0) return false;
        if (ready < 0 && errno != EINTR) return false;
    }
}

/// now + timeout, without overflow for "as long as it takes".
net::Steady deadline_in(net::Duration timeout) {
    const auto now = read_clocks().steady;
    return timeout > net::kNever - now ? net::kNever : now + timeout;
}

}  // namespace

net::Result<LineClient> LineClient::connect(const std::string& path, std::size_t longest_line_bytes) {
    const auto address = to_unix_address(path);
    if (!address) return net::fail("the socket's path must have between 1 and 107 bytes: " + path);
    FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0) {
        switch (errno) {
            case ENOENT: return net::fail("no socket at " + path + "; is meshd running?");
            case ECONNREFUSED: return net::fail("nobody listens on " + path + "; is meshd running?");
            case EACCES: return net::fail("no permission to open " + path + "; try it with sudo");
            default: return net::fail("cannot connect to " + path + ": " + std::strerror(errno));
        }
    }
    return LineClient(std::move(socket), longest_line_bytes);
}

net::Result<void> LineClient::send_line(std::string_view text, net::Duration timeout) {
    std::string line;
    line.reserve(text.size() + 1);
    line.append(text).push_back('\n');
    const net::WipedAtEnd wiped(line);
    const auto deadline = deadline_in(timeout);
    for (std::size_t sent = 0; sent < line.size();) {
        const auto size = ::send(socket_.get(), line.data() + sent, line.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (size >= 0) {
            sent += static_cast<std::size_t>(size);
        } else if (errno == EAGAIN) {
            if (!wait_for(socket_.get(), POLLOUT, deadline)) return net::fail("meshd takes no more input");
        } else if (errno != EINTR) {
            return net::fail("meshd closed the connection");
        }
    }
    return {};
}

net::Result<std::optional<std::string>> LineClient::receive_line(net::Duration timeout) {
    const auto deadline = deadline_in(timeout);
    for (;;) {
        if (auto line = lines_.next()) return line;
        if (lines_.overlong()) return net::fail("meshd's answer is too long");
        if (!wait_for(socket_.get(), POLLIN, deadline)) return std::optional<std::string>{};
        std::byte buffer[16384];
        const auto size = ::recv(socket_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
        if (size > 0) {
            lines_.add(net::ByteView(buffer, static_cast<std::size_t>(size)));
        } else if (size == 0 || (errno != EAGAIN && errno != EINTR)) {
            return net::fail("meshd closed the connection before it answered");
        }
    }
}

}  // namespace loop
