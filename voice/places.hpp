/// The places outside that calls of ours have gone to. What they send is heard for as long as they are here.
#pragma once

#include <map>

#include "net/address.hpp"
#include "net/time.hpp"

namespace voice {

class Places {
public:
    static constexpr auto kKeep = std::chrono::hours(24);  ///< since the last that was sent there or came from there
    static constexpr std::size_t kMax = 2048;              ///< beyond it the one that was quiet longest goes

    void add(const net::Endpoint& place, net::Now now);
    /// Renews a place that is known.
    void heard(const net::Endpoint& place, net::Now now);
    bool contains(const net::Endpoint& place) const { return until_.contains(place); }
    bool contains(const net::IpAddress& address) const;  ///< on any port
    void tick(net::Now now);

private:
    std::map<net::Endpoint, net::Steady> until_;
    net::Steady next_sweep_{};
};

}  // namespace voice
