/// A network in memory under a virtual clock, for whole offices, phones and a central server in one test.
#pragma once

#include <functional>
#include <map>
#include <queue>
#include <set>

#include "net/random.hpp"
#include "net/time.hpp"
#include "voice/flow.hpp"

namespace test {

using namespace std::chrono_literals;

/// Something with addresses: a phone, a meshd, the centre.
class Host {
public:
    virtual ~Host() = default;
    virtual void receive(const voice::Flow& flow, net::ByteView bytes, net::Now now) = 0;
    virtual void tick(net::Now now) = 0;
    virtual net::Steady next_deadline() const = 0;
    virtual std::vector<voice::Outgoing> take_outgoing() = 0;
};

class World {
public:
    explicit World(std::uint64_t seed = 1) : random(seed) {}

    void attach(const net::Endpoint& at, Host& host) { hosts_[at] = &host; }
    void run(net::Duration duration);
    /// Runs until `done` or the limit; whether it was done.
    bool run_until(const std::function<bool()>& done, net::Duration limit = 30s);
    /// Sends what hosts have queued by calls from outside.
    void flush();

    net::Now now{net::Steady(1000s), net::Wall(1'700'000'000s)};
    net::SeededRandom random;
    net::Duration delay = 10ms;
    unsigned lost_percent = 0;
    std::set<net::IpAddress> cut;  ///< addresses that nothing reaches and that reach nothing
    /// Every message that was delivered.
    std::vector<std::pair<net::Steady, std::string>> log;
    /// What hosts sent by TCP: no host here hears it, a test does.
    std::vector<voice::Outgoing> by_tcp;
    std::size_t seen(std::string_view start) const;  ///< messages in the log that start so

private:
    struct Flight {
        net::Steady at;
        std::uint64_t order;
        net::Endpoint from, to;
        net::Bytes bytes;
        bool operator>(const Flight& other) const { return std::tie(at, order) > std::tie(other.at, other.order); }
    };
    void step(net::Steady to);

    std::map<net::Endpoint, Host*> hosts_;
    std::priority_queue<Flight, std::vector<Flight>, std::greater<>> flights_;
    std::uint64_t order_ = 0;
};

}  // namespace test
