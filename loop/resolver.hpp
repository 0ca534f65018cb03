/// Names to addresses, by DNS and /etc/hosts, and questions to DNS of any type, without blocking (c-ares on our loop).
#pragma once

#include <chrono>
#include <string>

#include "loop/loop.hpp"
#include "net/address.hpp"
#include "net/result.hpp"

namespace loop {

struct Addresses {
    std::vector<net::IpAddress> addresses;  ///< IPv6 and IPv4, in the order to try (RFC 6724); never empty
    std::chrono::seconds ttl{0};            ///< how long the answer holds; 0 if it came from /etc/hosts
};

class Resolver {
public:
    struct Options {
        std::vector<net::Endpoint> servers;  ///< empty: as /etc/resolv.conf says, read anew when it has changed
        std::chrono::milliseconds timeout{2000};  ///< of the first try; the second waits longer
        int tries = 2;
    };
    Resolver(Loop& loop, Options options);
    explicit Resolver(Loop& loop) : Resolver(loop, Options{}) {}
    ~Resolver();  ///< queries under way are dropped; their callbacks are not called
    Resolver(const Resolver&) = delete;
    Resolver& operator=(const Resolver&) = delete;

    /// Calls `done` exactly once, never before resolve() has returned. The error is for people: "no such name".
    /// An address as text is answered as itself.
    void resolve(const std::string& name, std::function<void(net::Result<Addresses>)> done);
    /// Asks DNS, and DNS only, for the records of `type` (RFC 1035's number) in class IN, over TCP where the answer does
    /// not fit. Calls `done` as above, with the whole raw message, be it one that says that there is nothing; or with
    /// why there is none, or none but a server's failure.
    void ask(const std::string& name, std::uint16_t type, std::function<void(net::Result<net::Bytes>)> done);

private:
    struct Inner;
    std::shared_ptr<Inner> inner_;
};

}  // namespace loop
