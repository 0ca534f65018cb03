/// Accepts TCP connections.
#pragma once

#include "loop/stream.hpp"

namespace loop {

class TcpListener {
public:
    /// Binds (port 0 takes a free one; an IPv6 listener takes IPv6 only) and listens. Each connection comes as a
    /// stream that its receiver must start(). With `device`, an interface's index, only by that one: whoever comes by
    /// another finds the port closed. Throws std::runtime_error, naming the endpoint, if it cannot.
    TcpListener(Loop& loop, const net::Endpoint& local, std::function<void(std::unique_ptr<Stream>)> accepted,
                const Stream::Limits& limits = {}, std::uint32_t device = 0);
    ~TcpListener();
    TcpListener(const TcpListener&) = delete;
    TcpListener& operator=(const TcpListener&) = delete;

    const net::Endpoint& local() const;
    /// How full the queue is of connections that nobody has accepted yet, in percent. 64 are accepted in a turn of the loop.
    unsigned backlog_percent() const;

private:
    struct Inner;
    std::shared_ptr<Inner> inner_;
};

}  // namespace loop
