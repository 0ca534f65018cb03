/// Whether this machine's clock may end anything: it may if the system says that it is synchronised, or if it agrees with
/// the median of what three members said in their Hellos.
#pragma once

#include <map>
#include <optional>

#include "net/secret.hpp"
#include "net/time.hpp"

namespace mesh {

class ClockTrust {
public:
    static constexpr auto kAgrees = std::chrono::minutes(10);
    static constexpr std::size_t kWitnesses = 3;

    /// A member's Hello arrived and told its clock.
    void witness(const net::NodeKey& member, std::int64_t unix_seconds, net::Now now);
    void forget(const net::NodeKey& member) { offsets_.erase(member); }
    /// `now.wall` if it is to be believed.
    std::optional<net::Wall> trusted(net::Now now, bool synchronised) const;
    /// What that member's clock shows now; ours if it has not told.
    net::Wall clock_of(const net::NodeKey& member, net::Now now) const;

private:
    struct Offset {
        std::int64_t steady_to_wall_s;  ///< the member's clock less our steady one, so that our own steps do not count
    };
    std::map<net::NodeKey, Offset> offsets_;
};

}  // namespace mesh
