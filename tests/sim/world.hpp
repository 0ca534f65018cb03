/// Whole nodes, the daemon's own objects, on a network in memory under a virtual clock. A run is a function of its seed.
///
/// Each host has one underlay address, a disk that takes a moment to write, and a node that can be crashed and started
/// again from what the disk had. What a node sends travels with delay, jitter and loss, unless the hosts are cut apart.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <string>

#include "mesh/join.hpp"
#include "mesh/shaper.hpp"
#include "meshd/core.hpp"

namespace sim {

class World;

/// Whatever has an address on the network and is no meshd: a phone, a central server. Owned by the test.
class Actor {
public:
    virtual ~Actor() = default;
    virtual void receive(const net::Endpoint& from, const net::Endpoint& to, net::ByteView bytes, net::Now now) = 0;
    virtual void tick(net::Now) {}
    virtual net::Steady next_deadline() const { return net::kNever; }
};

struct Weather {
    net::Duration delay = std::chrono::milliseconds(10);  ///< one way
    net::Duration jitter{};                               ///< added, uniform
    double loss = 0;                                      ///< share of packets
};

/// Ports by number, and relays that say they carry packets both ways, or that they do not.
class MemoryMediaPorts final : public voice::MediaPorts {
public:
    std::optional<voice::RelayPorts> open(net::Now) override;
    void set_remote(voice::RelayId id, voice::Leg leg, const voice::LegRemote& remote, net::Now) override;
    void close(voice::RelayId id) override { open_.erase(id); }
    std::optional<voice::RelayStats> stats(voice::RelayId) const override;
    bool carries = true;
    std::size_t open_relays() const { return open_.size(); }

private:
    std::map<voice::RelayId, std::map<voice::Leg, voice::LegRemote>> open_;
    voice::RelayId next_ = 1;
    mutable std::uint64_t packets_ = 0;
};

/// What survives a crash.
struct Disk {
    std::optional<mesh::NodeIdentity> identity;
    std::map<net::Bytes, net::Bytes> records;
    std::optional<mesh::Tai64n> stamp;
    std::vector<std::pair<net::NodeKey, net::Endpoint>> endpoints;
    std::map<voice::Aor, std::vector<voice::SavedBinding>> phones;
    std::map<std::string, net::Bytes> mail;  ///< messages, by the proxy's names
    std::map<std::uint64_t, voice::CallRecord> calls;
    std::map<std::string, net::Bytes> lamps;  ///< the centre's subscriptions, by the proxy's names
};

class Host {
public:
    Host(World& world, std::string name, net::IpAddress address);

    const std::string name;
    const net::IpAddress address;
    Disk disk;
    mesh::NodeSettings settings;              ///< for the next start
    std::optional<voice::ProxySettings> voice;  ///< for the next start; none: no proxy
    net::Duration clock_offset{};             ///< of the wall clock
    MemoryMediaPorts media;

    bool running() const { return core_ != nullptr; }
    meshd::Core& core() { return deadline_.reset(), *core_; }
    mesh::Node& node() { return core().node(); }

    void start();  ///< from the disk
    void crash();  ///< now, with what had not reached the disk
    void stop();   ///< in order
    /// Members this node has a session with, itself left out.
    std::size_t peers_up() const;
    /// SIP from a phone or the centre, which are outside this world; what is for them goes to `sip_out`.
    void receive_sip(const voice::Flow& flow, net::ByteView bytes);
    std::function<void(voice::Outgoing)> sip_out;
    /// An IP packet of this host's own programs into the mesh.
    void send_overlay(const net::IpAddress& to, std::uint16_t from_port, std::uint16_t to_port, net::ByteView payload,
                      std::uint8_t traffic_class = 0);
    /// From now on what leaves is shaped to this rate, as the data threads do: bulk waits, voice does not.
    void shape(std::uint64_t rate_bytes_per_s);

    /// Inner UDP payloads that came for this host on ports that nothing here listens on.
    struct Inner {
        net::IpAddress from;
        std::uint16_t to_port;
        net::Bytes payload;
        net::Steady at{};
    };
    std::vector<Inner> inner;
    std::vector<mesh::NodeEvent> events;         ///< all since the last start
    std::vector<voice::ProxyEvent> voice_events; ///< likewise

private:
    friend class World;
    net::Now now() const;
    void receive(const net::Endpoint& from, const net::Endpoint& to, net::MutableBytes bytes);
    void told_too_big(const net::Endpoint& to, std::size_t mtu_bytes);
    void tick();
    net::Steady next_deadline() const;  ///< asked of the node once after each input: it goes through all its peers
    net::Steady work_out_deadline() const;
    void drain();
    void written(const mesh::DurableBatch& batch, std::uint64_t life);
    void written(const voice::MailBatch& batch, std::uint64_t life);
    void deliver(net::ByteView packet);
    void run_shaper();

    World& world_;
    mutable std::optional<mesh::Uplink> uplink_;
    std::optional<mesh::Shaper> shaper_;
    std::unique_ptr<meshd::Core> core_;
    std::unique_ptr<mesh::Joiner> joiner_;
    mutable std::optional<net::Steady> deadline_;  ///< as last worked out; none: something may have changed since
    std::uint64_t life_ = 0;  ///< counts starts: what was under way in an earlier life is void
};

class World {
public:
    explicit World(std::uint64_t seed);
    ~World();

    net::SeededRandom& random() { return random_; }
    net::Now now() const { return now_; }
    std::uint64_t seed() const { return seed_; }

    Host& host(const std::string& name);
    Host& add_host(const std::string& name, std::string_view address);
    /// A new mesh with this host as its first member and admin.
    Host& found(const std::string& name, std::string_view address, std::vector<net::Prefix> subnets = {});
    /// Invited by `admin`, joined, and started; runs the world until then. Throws with the reason if it is refused.
    Host& join(const std::string& name, std::string_view address, Host& admin, std::vector<net::Prefix> subnets = {});
    /// Runs the join exchange from a token. Gives the joiner's last word if it failed.
    std::optional<std::string> join_with(Host& host, const std::string& token);
    std::vector<Host*> hosts();

    void attach(Actor& actor, const net::IpAddress& address) { actors_[address] = &actor; }
    void detach(const net::IpAddress& address) { actors_.erase(address); }
    /// What must not be fragmented is lost where a link is smaller; else `from`'s host is told, unless the link is silent.
    void send(const net::Endpoint& from, const net::Endpoint& to, net::Bytes bytes, bool never_fragment = false);

    mesh::NodeSettings defaults;  ///< of hosts that are added from now on
    /// Sees each datagram as it is sent.
    std::function<void(const net::Endpoint& from, const net::Endpoint& to, net::ByteView bytes)> tap;
    Weather weather;
    /// Only hosts in the same set reach each other; hosts in no set reach nobody. Empty: all reach all.
    void partition(std::vector<std::set<net::IpAddress>> sets) { sets_ = std::move(sets); }
    void heal() { sets_.clear(); }
    /// The line of a host takes packets of so many bytes, IP header included. `silent`: it does not say so.
    struct Line {
        std::size_t mtu_bytes = 65535;
        bool silent = false;
        std::uint64_t rate_bytes_per_s = 0;  ///< of what the host sends; 0: any
        std::size_t buffer_bytes = 0;        ///< what waits for that in the modem, first in first out
    };
    std::map<net::IpAddress, Line> lines;
    void unplug(const net::IpAddress& address) { unplugged_.insert(address); }
    void plug_in(const net::IpAddress& address) { unplugged_.erase(address); }
    bool connected(const net::IpAddress& a, const net::IpAddress& b) const;

    void at(net::Steady when, std::function<void()> what);
    void run_for(net::Duration time);
    /// True as soon as `holds`; false if it does not within `limit`.
    bool run_until(const std::function<bool()>& holds, net::Duration limit);
    /// Every running node has a session with every other one.
    bool full_mesh();
    /// All running nodes see the same members, users and revocations.
    bool same_rosters();

private:
    bool step(net::Steady limit);
    void forget_deadlines();  ///< a test may have kept a node or a proxy by reference

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
    std::priority_queue<Event> events_;
    std::uint64_t order_ = 0;
    std::map<std::string, std::unique_ptr<Host>> hosts_;
    std::map<net::IpAddress, Host*> by_address_;
    std::map<net::IpAddress, Actor*> actors_;
    std::vector<std::set<net::IpAddress>> sets_;
    std::set<net::IpAddress> unplugged_;
    std::map<net::IpAddress, net::Steady> busy_until_;  ///< lines with a rate
};

}  // namespace sim
