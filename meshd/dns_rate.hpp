/// How many DNS questions are answered: of one asker, so that none keeps the others from it, and altogether, so that calls
/// go on beside them. Passive.
#pragma once

#include <unordered_map>

#include "net/address.hpp"
#include "net/time.hpp"

namespace meshd {

/// Buckets that fill by the second. An asker is an IPv4 address or an IPv6 /64.
class DnsRate {
public:
    static constexpr unsigned kOfOnePerS = 200, kBurstOfOne = 100;
    static constexpr unsigned kOfAllPerS = 2000, kBurstOfAll = 1000;
    static constexpr std::size_t kMaxAskers = 4096;

    /// False: not now. Also for a new one where kMaxAskers have asked within the last second.
    [[nodiscard]] bool allow(const net::IpAddress& asker, net::Steady now);
    std::size_t askers() const { return askers_.size(); }

private:
    struct Bucket {
        net::Duration credit{};
        net::Steady at{};
        bool take(unsigned per_s, unsigned burst, net::Steady now);
    };
    void forget_idle(net::Steady now);

    Bucket all_;
    std::unordered_map<net::IpAddress, Bucket> askers_;
    net::Steady cleaned_{};
};

}  // namespace meshd
