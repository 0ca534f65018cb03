/// Whole nodes, the daemon's own objects, on a network in memory under a virtual clock. A run is a function of its seed.
///
/// What a node sends travels with delay, jitter and loss, by the routers' rules, unless the hosts are cut apart.
#pragma once

#include <queue>
#include <set>

#include "tests/sim/host.hpp"
#include "tests/sim/streams.hpp"
#include "tests/sim/trace.hpp"

namespace sim {

struct Weather {
    net::Duration delay = std::chrono::milliseconds(10);  ///< one way
    net::Duration jitter{};                               ///< added, uniform
    double loss = 0;                                      ///< share of packets
};

class World {
public:
    explicit World(std::uint64_t seed);
    ~World();

    net::SeededRandom& random() { return random_; }
    net::Now now() const { return now_; }
    std::uint64_t seed() const { return seed_; }

    Host& host(const std::string& name);
    /// A text stands for one address on the Internet itself.
    Host& add_host(const std::string& name, std::string_view address);
    Host& add_host(const std::string& name, const Place& place);
    /// A new mesh with this host as its first member and admin.
    Host& found(const std::string& name, std::string_view address, std::vector<net::Prefix> subnets = {});
    Host& found(const std::string& name, const Place& place, std::vector<net::Prefix> subnets = {});
    /// Invited by `admin`, joined, and started; runs the world until then. Throws with the reason if it is refused.
    Host& join(const std::string& name, std::string_view address, Host& admin, std::vector<net::Prefix> subnets = {});
    Host& join(const std::string& name, const Place& place, Host& admin, std::vector<net::Prefix> subnets = {});
    /// Runs the join exchange from a token. Gives the joiner's last word if it failed.
    std::optional<std::string> join_with(Host& host, const std::string& token);
    std::vector<Host*> hosts();

    Network& network() { return network_; }
    /// Carries a host to another place. Its node is told at once, or when it wakes.
    void move(Host& host, const Place& place);
    /// From this port of the host. What must not be fragmented is lost where a link is smaller; else the host is told,
    /// unless the link is silent.
    void send(Host& from, std::uint16_t from_port, const net::Endpoint& to, net::Bytes bytes, bool never_fragment = false);

    mesh::NodeSettings defaults;  ///< of hosts that are added from now on
    /// Sees each datagram as it is sent, from an address of the host.
    std::function<void(const net::Endpoint& from, const net::Endpoint& to, net::ByteView bytes)> tap;
    Weather weather;  ///< of the Internet; a LAN has none
    /// Only hosts in the same set reach each other; hosts in no set reach nobody. Empty: all reach all.
    void partition_hosts(std::vector<std::set<const Host*>> sets) { sets_ = std::move(sets); }
    void partition(const std::vector<std::set<net::IpAddress>>& sets);  ///< by the first addresses that they have now
    void heal() { sets_.clear(); }
    /// The line of a host takes packets of so many bytes, IP header included. `silent`: it does not say so.
    struct Line {
        std::size_t mtu_bytes = 65535;
        bool silent = false;
        std::uint64_t rate_bytes_per_s = 0;  ///< of what the host sends; 0: any
        std::size_t buffer_bytes = 0;        ///< what waits for that in the modem, first in first out
    };
    std::map<net::IpAddress, Line> lines;  ///< by the first address of the host
    void unplug(const net::IpAddress& address) { unplugged_.insert(at_address(address)); }
    void plug_in(const net::IpAddress& address) { unplugged_.erase(at_address(address)); }
    void plug_in_all() { unplugged_.clear(); }
    const Streams& streams() const { return streams_; }
    bool connected(const Host& a, const Host& b) const;

    void at(net::Steady when, std::function<void()> what);
    /// Throws with a report if some node wants to be woken at once for ever.
    void run_for(net::Duration time);
    /// True as soon as `holds`; false if it does not within `limit`.
    bool run_until(const std::function<bool()>& holds, net::Duration limit);
    /// Every node that is awake has a session with every other one.
    bool full_mesh();
    /// All running nodes see the same members, users and revocations.
    bool same_rosters();
    /// The seed, what was violated, and the last packets.
    std::string report(std::string_view violated) const;
    void note(std::string what) { trace_.note(now_.steady, std::move(what)); }  ///< among the packets

private:
    friend class Host;
    friend class Streams;
    net::Duration travel_time(const Network::Transit& transit);  ///< drawn anew each time
    bool is_lost();
    const Host* at_address(const net::IpAddress& address) const;  ///< the host whose first address it is, or null
    bool fits(Host& sender, const Host& end, const net::Endpoint& to, std::size_t packet_bytes);
    Network::Fate fate_at(const Host& sender, const Host& receiver) const;
    bool step(net::Steady limit);
    void forget_deadlines();  ///< a test may have kept a node or a proxy by reference

    static constexpr net::Duration kLanDelay = std::chrono::milliseconds(1);
    static constexpr unsigned kMaxStepsAtOnce = 100'000;  ///< without the clock going on; more is an endless loop
    struct Event {
        net::Steady when;
        std::uint64_t order;
        std::function<void()> what;
        bool operator<(const Event& other) const {
            return when != other.when ? when > other.when : order > other.order;
        }
    };
    std::uint64_t seed_;
    net::SeededRandom random_;
    net::Now now_;
    net::Steady began_ = now_.steady;
    std::priority_queue<Event> events_;
    std::uint64_t order_ = 0;
    unsigned steps_ = 0;  ///< at this time
    std::map<std::string, std::unique_ptr<Host>> hosts_;
    std::vector<Host*> stations_;
    Network network_;
    Trace trace_{400};
    Streams streams_{*this};
    std::vector<std::set<const Host*>> sets_;
    std::set<const Host*> unplugged_;
    std::map<const Host*, net::Steady> busy_until_;  ///< lines with a rate
};

}  // namespace sim
