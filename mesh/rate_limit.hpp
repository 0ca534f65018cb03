/// How many handshakes one source may ask for while we are under load (whitepaper section 5.3).
#pragma once

#include <unordered_map>

#include "net/address.hpp"
#include "net/time.hpp"

namespace mesh {

/// A bucket of five tokens per source, refilled at 20 a second. A source is an IPv4 address, an IPv6 /64, or a virtual endpoint.
class RateLimit {
public:
    static constexpr std::size_t kMaxSources = 8192;

    /// False: drop it. Also when more sources than kMaxSources have been seen within the last second.
    [[nodiscard]] bool allow(const net::IpAddress& source, net::Steady now);
    std::size_t sources() const { return buckets_.size(); }

private:
    struct Bucket {
        net::Duration credit{};  ///< a message costs 50 ms
        net::Steady at;
    };
    void forget_idle(net::Steady now);

    std::unordered_map<net::IpAddress, Bucket> buckets_;
    net::Steady cleaned_ = net::Steady::min();
};

}  // namespace mesh
