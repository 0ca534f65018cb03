#include "loop/udp.hpp"

#include <stdexcept>

namespace loop {
namespace {

constexpr int kDatagramsPerTurn = 64;  ///< then others on the loop get their turn

Datagram opened(const net::Endpoint& local, const UdpOptions& options) {
    auto socket = Datagram::open(local, options);
    if (!socket) throw std::runtime_error(socket.error().message);
    return std::move(*socket);
}

}  // namespace

struct UdpSocket::Inner : std::enable_shared_from_this<Inner> {
    Datagram socket;
    Events events;
    net::Bytes buffer;
    std::unique_ptr<FdWatch> watch;  ///< null once the owner has gone

    void ready(Readiness readiness);
};

UdpSocket::UdpSocket(Loop& loop, Datagram socket, Events events, std::size_t largest_bytes)
    : inner_(std::make_shared<Inner>()) {
    inner_->socket = std::move(socket);
    inner_->events = std::move(events);
    inner_->buffer.resize(largest_bytes);
    inner_->watch = std::make_unique<FdWatch>(loop, inner_->socket.fd(), [inner = inner_.get()](Readiness readiness) {
        inner->ready(readiness);
    });
    inner_->watch->want(true, false);
}

UdpSocket::UdpSocket(Loop& loop, const net::Endpoint& local, Events events, const UdpOptions& options,
                     std::size_t largest_bytes)
    : UdpSocket(loop, opened(local, options), std::move(events), largest_bytes) {}

UdpSocket::~UdpSocket() { inner_->watch.reset(); }

void UdpSocket::Inner::ready(Readiness readiness) {
    const auto alive = shared_from_this();  // a callback may destroy the socket
    if (readiness.error) {
        while (const auto undelivered = socket.take_error()) {
            if (events.undelivered) events.undelivered(*undelivered);
            if (!watch) return;
        }
    }
    for (int i = 0; i < kDatagramsPerTurn; ++i) {
        const auto received = socket.receive(buffer);
        if (!received) return;
        events.received(*received);
        if (!watch) return;
    }
}

const net::Endpoint& UdpSocket::local() const { return inner_->socket.local(); }

SendResult UdpSocket::send(const net::Endpoint& to, net::ByteView bytes, const net::IpAddress& source) const {
    return inner_->socket.send(to, bytes, source);
}

void UdpSocket::set_dscp(std::uint8_t dscp) { inner_->socket.set_dscp(dscp); }

const Datagram& UdpSocket::socket() const { return inner_->socket; }

}  // namespace loop
