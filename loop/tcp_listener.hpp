/// Accepts TCP connections.
#pragma once

#include "loop/stream.hpp"

namespace loop {

class TcpListener {
public:
    /// Binds (port 0 takes a free one; an IPv6 listener takes IPv6 only) and listens. Each connection comes as a
    /// stream that its receiver must start(). Throws std::runtime_error, naming the endpoint, if it cannot.
    TcpListener(Loop& loop, const net::Endpoint& local, std::function<void(std::unique_ptr<Stream>)> accepted,
                const Stream::Limits& limits = {});
    ~TcpListener();
    TcpListener(const TcpListener&) = delete;
    TcpListener& operator=(const TcpListener&) = delete;

    const net::Endpoint& local() const;

private:
    struct Inner;
    std::shared_ptr<Inner> inner_;
};

}  // namespace loop
