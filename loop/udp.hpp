/// A UDP socket on a loop.
#pragma once

#include "loop/datagram.hpp"
#include "loop/fd_watch.hpp"

namespace loop {

class UdpSocket {
public:
    struct Events {
        /// Borrowed until return; the bytes may be changed in place.
        std::function<void(const Received&)> received;
        /// May be empty.
        std::function<void(const Undelivered&)> undelivered;
    };

    /// Takes any socket that Datagram::open gave. `largest_bytes` bounds what can be received.
    UdpSocket(Loop& loop, Datagram socket, Events events, std::size_t largest_bytes = 65535);
    /// Opens and binds. Throws std::runtime_error with Datagram::open's message if that fails.
    UdpSocket(Loop& loop, const net::Endpoint& local, Events events, const UdpOptions& options = {},
              std::size_t largest_bytes = 65535);
    ~UdpSocket();
    UdpSocket(const UdpSocket&) = delete;
    UdpSocket& operator=(const UdpSocket&) = delete;

    const net::Endpoint& local() const;
    SendResult send(const net::Endpoint& to, net::ByteView bytes, const net::IpAddress& source = {}) const;
    void set_dscp(std::uint8_t dscp);
    /// For threads that only send: valid as long as this lives.
    const Datagram& socket() const;

private:
    struct Inner;
    std::shared_ptr<Inner> inner_;
};

}  // namespace loop
