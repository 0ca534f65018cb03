/// A machine that runs the daemon's own objects, with a disk that takes a moment to write. It can be crashed and started
/// again from what the disk had, sleep, and be carried to another network.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "mesh/join.hpp"
#include "mesh/shaper.hpp"
#include "meshd/core.hpp"
#include "tests/sim/network.hpp"

namespace sim {

class World;

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
    static constexpr std::uint16_t kPort = 51820;  ///< of its underlay socket
    /// Its number on the network is the world's to give.
    Host(World& world, std::string name, StationId station, const Place& place);

    const std::string name;
    const StationId station;
    net::IpAddress address;                   ///< the first that it has; World::move() changes it
    Disk disk;
    mesh::NodeSettings settings;              ///< for the next start
    std::optional<voice::ProxySettings> voice;  ///< for the next start; none: no proxy
    net::Duration clock_offset{};             ///< of the wall clock
    bool listens = false;                     ///< for streams, from its next start or move on
    MemoryMediaPorts media;

    bool running() const { return core_ != nullptr; }
    bool awake() const { return running() && !asleep_since_; }
    meshd::Core& core() { return deadline_.reset(), *core_; }
    mesh::Node& node() { return core().node(); }

    void start();  ///< from the disk
    void crash();  ///< now, with what had not reached the disk
    void stop();   ///< in order
    /// It does nothing and hears nothing, and its steady clock stands still, until wake(): then the wall clock is ahead.
    void sleep();
    void wake();
    net::Now now() const;  ///< by its own clocks
    /// Members this node has a session with, itself left out.
    std::size_t peers_up() const;
    bool is_up(const Host& other) const { return core_->node().is_up(other.core_->node().key()); }  ///< both run
    net::IpAddress overlay(bool v6 = false) const;  ///< its address in the mesh; it runs
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
    std::size_t further_sockets() const { return sockets_.size(); }  ///< of birthday probing
    std::vector<mesh::NodeEvent> events;         ///< all since the last start
    std::vector<voice::ProxyEvent> voice_events; ///< likewise

private:
    friend class World;
    friend class Streams;
    net::Steady of_world(net::Steady own) const { return own == net::kNever ? own : own + slept_; }
    void receive(const net::Endpoint& from, const net::Endpoint& to, net::MutableBytes bytes);
    static std::uint16_t port_of(std::uint32_t socket) { return static_cast<std::uint16_t>(kFirstSocketPort + socket % kSocketPorts); }
    std::optional<std::uint32_t> socket_at(std::uint16_t port) const;
    void told_too_big(const net::Endpoint& to, std::size_t mtu_bytes);
    void tick();
    net::Steady next_deadline() const;  ///< by the world's clock; asked of the node once after each input
    net::Steady work_out_deadline() const;
    void drain();
    void moved(const Place& place);
    void tell_streams();
    void stream_opened(mesh::StreamId id, const net::Endpoint& remote);
    void stream_closed(mesh::StreamId id);
    void stream_failed(const net::Endpoint& to);
    void stream_brings(mesh::StreamId id, net::MutableBytes bytes);
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
    std::optional<net::Steady> asleep_since_;  ///< of the world's clock
    net::Duration slept_{};                    ///< by so much its steady clock is behind the world's
    std::vector<std::function<void()>> after_wake_;  ///< what its disk has done meanwhile
    std::vector<net::Endpoint> stream_endpoints_;
    static constexpr std::uint16_t kFirstSocketPort = 20000, kSocketPorts = 20000;
    std::set<std::uint32_t> sockets_;  ///< of birthday probing
    std::uint32_t next_socket_ = 1;
    std::uint64_t life_ = 0;  ///< counts starts: what was under way in an earlier life is void
};

}  // namespace sim
