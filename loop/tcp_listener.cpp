#include "loop/tcp_listener.hpp"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "loop/fd_watch.hpp"
#include "loop/socket_address.hpp"
#include "loop/underlay_mark.hpp"
#include "loop/timer.hpp"

namespace loop {
namespace {

constexpr int kBacklog = 1024;  // all phones of an office connect in the same second; the system may allow less
constexpr int kAcceptsPerTurn = 64;  ///< then others on the loop get their turn
constexpr auto kOutOfDescriptors = std::chrono::milliseconds(100);  ///< until the next attempt to accept

FileDescriptor listening(const net::Endpoint& local, std::uint32_t device) {
    const auto address = to_socket_address(local);
    const int yes = 1, index = static_cast<int>(device);
    FileDescriptor socket(::socket(family_of(local.address), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int fd = socket.get();
    mark_underlay(fd);  // and with it all that it accepts
    const bool failed =
        fd < 0 || ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        (local.address.is_v6() && ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes) != 0) ||
        (device != 0 && ::setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &index, sizeof index) != 0) ||
        ::bind(fd, address.get(), address.length) != 0 || ::listen(fd, kBacklog) != 0;
    if (failed) {
        const int error = errno;
        std::string message = "cannot listen on TCP " + local.text() + ": " + std::strerror(error);
        if (error == EADDRINUSE) message += "; another program has this port: choose another, or stop that program";
        if (error == EADDRNOTAVAIL) message += "; this machine has no such address";
        if (error == EACCES) message += "; ports below 1024 need CAP_NET_BIND_SERVICE";
        throw std::runtime_error(message);
    }
    return socket;
}

}  // namespace

struct TcpListener::Inner : std::enable_shared_from_this<Inner> {
    Inner(Loop& on, std::function<void(std::unique_ptr<Stream>)> tell, const Stream::Limits& bounds)
        : loop(on), accepted(std::move(tell)), limits(bounds), again(on, [this] { watch->want(true, false); }) {}

    void accept();

    Loop& loop;
    std::function<void(std::unique_ptr<Stream>)> accepted;
    Stream::Limits limits;
    FileDescriptor socket;
    net::Endpoint local;
    std::unique_ptr<FdWatch> watch;  ///< null once the owner has gone
    Timer again;
};

TcpListener::TcpListener(Loop& loop, const net::Endpoint& local,
                         std::function<void(std::unique_ptr<Stream>)> accepted, const Stream::Limits& limits,
                         std::uint32_t device)
    : inner_(std::make_shared<Inner>(loop, std::move(accepted), limits)) {
    inner_->socket = listening(local, device);
    inner_->local = local_endpoint(inner_->socket.get());
    inner_->watch =
        std::make_unique<FdWatch>(loop, inner_->socket.get(), [inner = inner_.get()](Readiness) { inner->accept(); });
    inner_->watch->want(true, false);
}

TcpListener::~TcpListener() {
    inner_->again.cancel();
    inner_->watch.reset();
    inner_->socket.close();
}

void TcpListener::Inner::accept() {
    const auto alive = shared_from_this();  // the callback may destroy the listener
    for (int i = 0; watch && i < kAcceptsPerTurn; ++i) {
        FileDescriptor connection(::accept4(socket.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (connection.is_open()) {
            accepted(Stream::adopt(loop, std::move(connection), limits));
            continue;
        }
        if (errno == EINTR || errno == ECONNABORTED) continue;
        if (errno != EAGAIN) {
            watch->want(false, false);
            again.after(kOutOfDescriptors);
        }
        return;
    }
}

unsigned TcpListener::backlog_percent() const {
    tcp_info info{};
    socklen_t size = sizeof info;
    if (::getsockopt(inner_->socket.get(), IPPROTO_TCP, TCP_INFO, &info, &size) != 0 || info.tcpi_sacked == 0) return 0;
    return info.tcpi_unacked * 100 / info.tcpi_sacked;  // of one that listens: how many wait, how many may
}

const net::Endpoint& TcpListener::local() const { return inner_->local; }

}  // namespace loop
