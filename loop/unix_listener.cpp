#include "loop/unix_listener.hpp"

#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "loop/fd_watch.hpp"
#include "loop/lines.hpp"
#include "loop/timer.hpp"
#include "loop/unix_address.hpp"

namespace loop {
namespace {

constexpr int kBacklog = 64;
constexpr auto kOutOfDescriptors = std::chrono::milliseconds(100);

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
    throw std::runtime_error("cannot listen on " + path + ": " + why);
}

/// Removes a socket file on which nobody listens. A live one, or anything else at that path, is refused.
void clear_stale(const std::string& path, const sockaddr_un& address) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) return;
    if (!S_ISSOCK(status.st_mode)) refuse(path, "there is a file of another kind; remove it or choose another path");
    const FileDescriptor probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int connected = ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    if (connected == 0 || errno == EAGAIN) refuse(path, "another process listens there already; stop it, or choose another path");
    if (errno == ECONNREFUSED) ::unlink(path.c_str());
}

Credentials credentials_of(int fd) {
    ucred kernel{};
    socklen_t size = sizeof kernel;
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &kernel, &size) != 0) {
        return {.user_id = UINT32_MAX, .group_id = UINT32_MAX, .process_id = 0};
    }
    return {.user_id = kernel.uid, .group_id = kernel.gid, .process_id = kernel.pid};
}

}  // namespace

std::optional<sockaddr_un> to_unix_address(const std::string& path) {
    sockaddr_un address{};
    if (path.empty() || path.size() >= sizeof address.sun_path) return std::nullopt;
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    return address;
}

struct LineConnection::Inner : std::enable_shared_from_this<Inner> {
    Inner(std::unique_ptr<Stream> over, std::size_t longest, std::shared_ptr<int> count)
        : stream(std::move(over)), lines(longest), peer(credentials_of(stream->fd())), live(std::move(count)) {
        ++*live;
    }
    ~Inner() { --*live; }

    void received(net::ByteView bytes);
    void finished();

    std::unique_ptr<Stream> stream;
    Lines lines;
    Credentials peer;
    std::shared_ptr<int> live;  ///< how many connections the listener has
    std::function<void(std::string_view)> line;
    std::function<void()> closed;
    bool owned = true;  ///< false once the owner has gone
};

void LineConnection::Inner::received(net::ByteView bytes) {
    const auto alive = shared_from_this();  // a callback may destroy the connection
    lines.add(bytes);
    while (owned && stream->is_open()) {
        auto next = lines.next();
        if (!next) break;
        const net::WipedAtEnd wiped(*next);
        line(*next);
    }
    if (owned && lines.overlong()) {
        stream->close();
        finished();
    }
}

void LineConnection::Inner::finished() {
    const auto alive = shared_from_this();
    if (owned && closed) closed();
}

LineConnection::LineConnection(std::shared_ptr<Inner> inner) : inner_(std::move(inner)) {}

LineConnection::~LineConnection() {
    inner_->owned = false;
    inner_->stream->close();
}

void LineConnection::start(std::function<void(std::string_view)> line, std::function<void()> closed) {
    inner_->line = std::move(line);
    inner_->closed = std::move(closed);
    auto* const inner = inner_.get();
    inner_->stream->start({.connected = {},
                           .received = [inner](net::ByteView bytes) { inner->received(bytes); },
                           .closed = [inner](const Closed&) { inner->finished(); },
                           .drained = {}});
}

bool LineConnection::send_line(std::string_view text) {
    std::string line(text);
    line += '\n';
    return inner_->stream->write(net::as_bytes(line));
}

void LineConnection::close_when_drained() { inner_->stream->close_when_drained(); }

bool LineConnection::is_open() const { return inner_->stream->is_open(); }

const Credentials& LineConnection::credentials() const { return inner_->peer; }

struct UnixListener::Inner : std::enable_shared_from_this<Inner> {
    Inner(Loop& on, std::string at, const Options& chosen, std::function<void(std::unique_ptr<LineConnection>)> tell)
        : loop(on), path(std::move(at)), options(chosen), accepted(std::move(tell)),
          again(on, [this] { watch->want(true, false); }) {}

    void listen();
    void accept();

    Loop& loop;
    std::string path;
    Options options;
    std::function<void(std::unique_ptr<LineConnection>)> accepted;
    FileDescriptor socket;
    dev_t device = 0;  ///< with `inode`: which file is ours
    ino_t inode = 0;
    std::unique_ptr<FdWatch> watch;  ///< null once the owner has gone
    Timer again;
    std::shared_ptr<int> live = std::make_shared<int>(0);
};

void UnixListener::Inner::listen() {
    const auto address = to_unix_address(path);
    if (!address) refuse(path, "the path must have between 1 and 107 bytes");
    clear_stale(path, *address);
    socket = FileDescriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    // The mode is set before the file exists as well as after: never is it more open than asked for.
    if (!socket.is_open() || ::fchmod(socket.get(), options.mode) != 0 ||
        ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0) {
        const int error = errno;
        std::string why = std::strerror(error);
        if (error == ENOENT) why = "its folder does not exist; create it, or choose another path";
        if (error == EACCES) why = "no permission to write to its folder; run as root or choose another path";
        refuse(path, why);
    }
    struct stat status {};
    if (::chmod(path.c_str(), options.mode) != 0 || ::lstat(path.c_str(), &status) != 0 ||
        ::listen(socket.get(), kBacklog) != 0) {
        refuse(path, std::strerror(errno));
    }
    device = status.st_dev;
    inode = status.st_ino;
}

void UnixListener::Inner::accept() {
    const auto alive = shared_from_this();  // the callback may destroy the listener
    while (watch) {
        FileDescriptor connection(::accept4(socket.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (!connection.is_open()) {
            if (errno == EINTR || errno == ECONNABORTED) continue;
            if (errno != EAGAIN) {
                watch->want(false, false);
                again.after(kOutOfDescriptors);
            }
            return;
        }
        if (static_cast<std::size_t>(*live) >= options.connections) continue;
        auto stream = Stream::adopt(loop, std::move(connection), {.queue_bytes = options.queue_bytes});
        accepted(std::unique_ptr<LineConnection>(new LineConnection(
            std::make_shared<LineConnection::Inner>(std::move(stream), options.longest_line_bytes, live))));
    }
}

UnixListener::UnixListener(Loop& loop, const std::string& path, const Options& options,
                           std::function<void(std::unique_ptr<LineConnection>)> accepted)
    : inner_(std::make_shared<Inner>(loop, path, options, std::move(accepted))) {
    inner_->listen();
    inner_->watch =
        std::make_unique<FdWatch>(loop, inner_->socket.get(), [inner = inner_.get()](Readiness) { inner->accept(); });
    inner_->watch->want(true, false);
}

UnixListener::~UnixListener() {
    inner_->again.cancel();
    inner_->watch.reset();
    struct stat status {};
    if (::lstat(inner_->path.c_str(), &status) == 0 && status.st_dev == inner_->device &&
        status.st_ino == inner_->inode) {
        ::unlink(inner_->path.c_str());
    }
}

}  // namespace loop
