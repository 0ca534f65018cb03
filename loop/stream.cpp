#include "loop/stream.hpp"

#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "loop/fd_watch.hpp"
#include "loop/read_turns.hpp"
#include "loop/socket_address.hpp"
#include "loop/underlay_mark.hpp"
#include "loop/timer.hpp"

//              connected                close_when_drained
//  connecting -----------> open ----------------------------> draining
//       |                  |  ^                                  |
//       | failed, timed    |  | start()                          | drained, failed, 5 s
//       v out              v  |                                  v
//     closed <-------------+  waiting (accepted, not started)  closed <--1 s-- lingering <--drained, but not all is read
//
// To close what is not read to its end resets the connection (RFC 2525 section 2.17), and the other end may lose what it has
// not read yet: it gets a second.
//
// With TLS a stream is open before its handshake is done; what is written waits in the session, and the timer runs on.

namespace loop {
namespace {

constexpr std::size_t kReadBytes = 16384;
constexpr int kReadsPerTurn = 4;
constexpr auto kDrainTimeout = std::chrono::seconds(5);
constexpr auto kLinger = std::chrono::seconds(1);

Closed closed_by(int error) {
    using Reason = Closed::Reason;
    Reason reason = Reason::failed;
    switch (error) {
        case ECONNREFUSED: reason = Reason::refused; break;
        case ECONNRESET:
        case EPIPE: reason = Reason::reset; break;
        case ETIMEDOUT: reason = Reason::timed_out; break;
        case EHOSTUNREACH:
        case ENETUNREACH:
        case EADDRNOTAVAIL:
        case ENETDOWN: reason = Reason::unreachable; break;
        default: break;
    }
    std::string text = std::strerror(error);
    if (!text.empty() && text[0] >= 'A' && text[0] <= 'Z') text[0] = static_cast<char>(text[0] - 'A' + 'a');
    return {reason, text};
}

/// What both ends' sockets need, whatever made them. False with errno if the kernel refuses.
bool set_options(int fd, const Stream::Limits& limits) {
    const int yes = 1;
    const int user_timeout = static_cast<int>(limits.unacknowledged_timeout.count());
    const int buffer = limits.receive_buffer_bytes, send_buffer = limits.send_buffer_bytes, unsent = limits.unsent_bytes;
    // An urgent byte stays in the stream: aside, where nobody reads it, it would keep the socket's poll awake.
    return ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) == 0 &&
           ::setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &yes, sizeof yes) == 0 &&
           (buffer == 0 || ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer) == 0) &&
           (send_buffer == 0 || ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer) == 0) &&
           (unsent == 0 || ::setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent) == 0) &&
           (user_timeout == 0 ||
            ::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout, sizeof user_timeout) == 0);
}

}  // namespace

struct Stream::Inner : std::enable_shared_from_this<Inner> {
    enum class State : std::uint8_t { connecting, waiting, open, draining, lingering, closed };

    Inner(Loop& on, const Limits& bounds) : loop(on), limits(bounds), timer(on, [this] { timed_out(); }) {}

    void watch_now();
    void ready(Readiness readiness);
    void connect_finished();
    void read();
    bool read_once();
    void wait_for_turn();
    bool read_in_turn();
    void flush();
    void drained();
    std::size_t unread_bytes() const;
    void want();
    void timed_out();
    void finish(const Closed& why);
    void finish_later(Closed why);
    void release();
    void begin_handshake();
    void unprotect(net::ByteView wire);
    bool push(net::ByteView bytes);

    Loop& loop;
    Limits limits;
    Events events;
    State state = State::waiting;
    FileDescriptor socket;
    std::unique_ptr<FdWatch> watch;
    Timer timer;  ///< for connecting, then for draining
    std::unique_ptr<TlsSession> tls;
    std::vector<std::byte> queue;
    std::size_t queue_sent = 0;  ///< bytes at the queue's start that the kernel has
    bool in_line = false;        ///< of limits.turns
    bool unwatched = false;      ///< in line, and told often enough that there is something to read
};

void Stream::Inner::watch_now() {
    watch = std::make_unique<FdWatch>(loop, socket.get(), [this](Readiness readiness) { ready(readiness); });
    want();
}

void Stream::Inner::ready(Readiness readiness) {
    const auto alive = shared_from_this();  // a callback may destroy the stream
    switch (state) {
        case State::connecting:
            connect_finished();
            return;
        case State::waiting:
        case State::closed:
            return;
        case State::open:
            if (readiness.writable || readiness.error) flush();
            if (state == State::open && (readiness.readable || readiness.error)) read();
            return;
        case State::draining:
            flush();
            return;
        case State::lingering:
            return finish({Closed::Reason::by_us, "closed"});
    }
}

void Stream::Inner::connect_finished() {
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error == 0 && remote_endpoint(socket.get()).is_none()) return;  // woken too early
    if (error != 0) return finish(closed_by(error));
    state = State::open;
    if (tls) {
        begin_handshake();
    } else {
        timer.cancel();
        if (events.connected) events.connected();
    }
    if (state == State::open) flush();
}

void Stream::Inner::read() {
    if (limits.turns != nullptr) return wait_for_turn();
    for (int i = 0; i < kReadsPerTurn && read_once(); ++i) continue;
}

/// True if there may be more to read.
bool Stream::Inner::read_once() {
    if (state != State::open) return false;
    std::byte buffer[kReadBytes];
    ssize_t size = -1;
    do {
        size = ::recv(socket.get(), buffer, sizeof buffer, 0);
    } while (size < 0 && errno == EINTR);
    if (size > 0) {
        const net::ByteView came(buffer, static_cast<std::size_t>(size));
        tls ? unprotect(came) : events.received(came);
    } else if (size == 0) {
        finish({Closed::Reason::by_peer, "closed by the other end"});
    } else if (errno != EAGAIN) {
        finish(closed_by(errno));
    }
    return static_cast<std::size_t>(std::max<ssize_t>(size, 0)) == sizeof buffer && state == State::open;
}

void Stream::Inner::wait_for_turn() {
    if (in_line) {
        // Told anew in each turn, of each stream that waits: that would take up the turns.
        unwatched = true;
        want();
        return;
    }
    in_line = true;
    limits.turns->join([weak = weak_from_this()] {
        const auto self = weak.lock();
        return self && self->read_in_turn();
    });
}

bool Stream::Inner::read_in_turn() {
    if (read_once()) return true;
    in_line = false;
    if (std::exchange(unwatched, false)) want();
    return false;
}

/// Hands the kernel what it takes. Called from the loop, so that it may call back.
void Stream::Inner::flush() {
    const bool waited = !queue.empty();
    while (queue_sent < queue.size()) {
        const auto size = ::send(socket.get(), queue.data() + queue_sent, queue.size() - queue_sent, MSG_NOSIGNAL);
        if (size < 0) {
            if (errno == EINTR) continue;
            if (errno == EAGAIN) break;
            return finish(closed_by(errno));
        }
        queue_sent += static_cast<std::size_t>(size);
    }
    if (queue_sent == queue.size()) {
        queue.clear();
        queue_sent = 0;
        if (queue.capacity() > kReadBytes) queue.shrink_to_fit();
    }
    if (state == State::draining && queue.empty()) return drained();
    want();
    if (waited && queue.empty() && events.drained) events.drained();
}

void Stream::Inner::drained() {
    if (state != State::draining) return;
    if (unread_bytes() == 0 || ::shutdown(socket.get(), SHUT_WR) != 0) return finish({Closed::Reason::by_us, "closed"});
    state = State::lingering;
    timer.after(kLinger);
    want();
}

void Stream::Inner::want() {
    if (watch) watch->want(state == State::open && !unwatched, state == State::connecting || !queue.empty());
}

void Stream::Inner::timed_out() {
    const auto alive = shared_from_this();
    if (state == State::lingering) return finish({Closed::Reason::by_us, "closed"});
    finish({Closed::Reason::timed_out, state == State::draining ? "the other end takes nothing"
                                       : state == State::open   ? "TLS: the handshake was not finished in time"
                                                                : "no answer"});
}

void Stream::Inner::begin_handshake() {
    timer.after(limits.connect_timeout);
    push(tls->take_wire());
}

void Stream::Inner::unprotect(net::ByteView wire) {
    const bool was_open = tls->state() != TlsSession::State::handshaking;
    net::Bytes plain;
    tls->feed(wire, plain);
    push(tls->take_wire());
    const bool is_open = tls->state() == TlsSession::State::open || tls->state() == TlsSession::State::closed;
    if (!was_open && is_open) {
        timer.cancel();
        if (events.connected) events.connected();
    }
    if (!plain.empty() && state == State::open) events.received(plain);
    if (state != State::open) return;
    // TLS answers by itself, too (RFC 8446 section 4.6.3): whoever makes it do so, and reads nothing, is not waited for.
    if (queue.size() - queue_sent > limits.queue_bytes) return finish({Closed::Reason::failed, "the other end takes nothing"});
    if (tls->state() == TlsSession::State::failed) return finish({Closed::Reason::insecure, tls->why()});
    if (tls->state() == TlsSession::State::closed) finish({Closed::Reason::by_peer, "closed by the other end"});
}

/// Queues what goes on the wire, and writes at once what the kernel takes. False if it was not sent for a reason that
/// `closed` will tell.
bool Stream::Inner::push(net::ByteView bytes) {
    if (state == State::open && queue.empty() && !bytes.empty()) {
        const auto size = ::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (size > 0) bytes = bytes.subspan(static_cast<std::size_t>(size));
        if (size < 0 && errno != EAGAIN && errno != EINTR) {
            finish_later(closed_by(errno));
            return false;
        }
    }
    if (queue_sent > queue.size() / 2) {
        queue.erase(queue.begin(), queue.begin() + static_cast<std::ptrdiff_t>(queue_sent));
        queue_sent = 0;
    }
    queue.insert(queue.end(), bytes.begin(), bytes.end());
    want();
    return true;
}

void Stream::Inner::release() {
    state = State::closed;
    timer.cancel();
    watch.reset();
    socket.close();
    queue = {};
    queue_sent = 0;
}

void Stream::Inner::finish(const Closed& why) {
    if (state == State::closed) return;
    release();
    if (events.closed) events.closed(why);
}

/// For failures found inside a call of the owner, who must not be called back from there.
void Stream::Inner::finish_later(Closed why) {
    loop.defer([weak = weak_from_this(), why = std::move(why)] {
        if (const auto self = weak.lock()) self->finish(why);
    });
}

Stream::Stream(std::shared_ptr<Inner> inner) : inner_(std::move(inner)) {}

Stream::~Stream() { close(); }

std::unique_ptr<Stream> Stream::connect_tcp(Loop& loop, const net::Endpoint& to, Events events) {
    return connect_tcp(loop, to, std::move(events), Limits{});
}

std::unique_ptr<Stream> Stream::connect_tcp(Loop& loop, const net::Endpoint& to, Events events, const Limits& limits,
                                            const net::IpAddress& source) {
    auto inner = std::make_shared<Inner>(loop, limits);
    inner->events = std::move(events);
    inner->state = Inner::State::connecting;
    inner->socket = FileDescriptor(
        ::socket(family_of(to.address), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int fd = inner->socket.get();
    mark_underlay(fd);
    const auto address = to_socket_address(to);
    const auto from = to_socket_address({source, 0, source.is_link_local() ? to.scope : 0});
    const bool failed =
        fd < 0 || !set_options(fd, limits) ||
        (!source.is_none() && ::bind(fd, from.get(), from.length) != 0) ||
        (::connect(fd, address.get(), address.length) != 0 && errno != EINPROGRESS);
    if (failed) {
        inner->finish_later(closed_by(errno));
    } else {
        inner->timer.after(limits.connect_timeout);
        inner->watch_now();
    }
    return std::unique_ptr<Stream>(new Stream(std::move(inner)));
}

std::unique_ptr<Stream> Stream::adopt(Loop& loop, FileDescriptor socket, const Limits& limits) {
    auto inner = std::make_shared<Inner>(loop, limits);
    inner->socket = std::move(socket);
    if (!remote_endpoint(inner->socket.get()).is_none()) set_options(inner->socket.get(), limits);  // not for UNIX
    return std::unique_ptr<Stream>(new Stream(std::move(inner)));
}

void Stream::secure(std::unique_ptr<TlsSession> session) {
    inner_->tls = std::move(session);
    if (inner_->state == Inner::State::open) inner_->begin_handshake();
}

void Stream::start(Events events) {
    if (inner_->state != Inner::State::waiting) return;
    inner_->events = std::move(events);
    inner_->state = Inner::State::open;
    inner_->watch_now();
    if (inner_->tls) inner_->begin_handshake();
}

bool Stream::write(net::ByteView bytes) {
    auto& in = *inner_;
    if (in.state != Inner::State::open && in.state != Inner::State::connecting) return false;
    if (queued_bytes() + bytes.size() > in.limits.queue_bytes) return false;
    // What could not be sent is as lost as what was on its way: `closed` tells.
    if (!in.tls) {
        in.push(bytes);
        return true;
    }
    in.tls->write(bytes);
    // Its first message waits for the connection.
    if (in.state == Inner::State::open) in.push(in.tls->take_wire());
    return true;
}

std::size_t Stream::queued_bytes() const {
    return inner_->queue.size() - inner_->queue_sent + (inner_->tls ? inner_->tls->waiting_bytes() : 0);
}

void Stream::close_when_drained() {
    auto& in = *inner_;
    if (!is_open()) return;
    if (in.tls && in.state == Inner::State::open) {
        in.tls->close();
        in.push(in.tls->take_wire());
    }
    const bool nothing_to_send = in.queue.empty() || in.state == Inner::State::connecting;
    in.state = Inner::State::draining;
    in.timer.after(kDrainTimeout);
    in.want();
    if (!nothing_to_send) return;
    in.loop.defer([weak = in.weak_from_this()] {
        if (const auto self = weak.lock()) self->drained();
    });
}

void Stream::close() { inner_->release(); }

bool Stream::is_open() const {
    return inner_->state == Inner::State::open || inner_->state == Inner::State::connecting;
}

net::Endpoint Stream::local() const { return local_endpoint(inner_->socket.get()); }

net::Endpoint Stream::remote() const { return remote_endpoint(inner_->socket.get()); }

std::size_t Stream::unread_bytes() const { return inner_->unread_bytes(); }

std::size_t Stream::Inner::unread_bytes() const {
    int waiting = 0;
    return ::ioctl(socket.get(), FIONREAD, &waiting) == 0 && waiting > 0 ? static_cast<std::size_t>(waiting) : 0;
}

int Stream::fd() const { return inner_->socket.get(); }

}  // namespace loop
