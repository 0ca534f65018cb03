/// Offices with a Proxy each, joined by a mesh in memory, under one central server.
#pragma once

#include "scripted_centre.hpp"
#include "scripted_phone.hpp"
#include "voice/media.hpp"
#include "voice/proxy.hpp"

namespace test {

class Office;

/// What the roster would say.
struct Roster {
    struct User {
        voice::UserRecord record;
        std::set<voice::NodeId> nodes;  ///< "any": all
    };
    std::map<voice::Aor, User> users;
    std::map<std::string, voice::Aor> numbers;
    std::map<voice::NodeId, Office*> offices;
    std::set<voice::NodeId> voiceless;           ///< members without the voice role
    std::map<voice::NodeId, net::Duration> round_trips;  ///< to each, from everywhere

    void add_user(const std::string& user, const voice::NodeId& node, const std::string& password = "");
};

class Office final : public Host, public voice::Environment, public voice::Directory, public voice::MediaPorts {
public:
    /// Addresses: LAN 10.n.0.1 and fd00:n::1, WAN 203.0.113.n, overlay 10.99.0.n. `centre` none: its own registrar.
    Office(World& world, Roster& roster, voice::NodeId name, std::uint8_t n, std::optional<net::Endpoint> centre,
           const std::function<void(voice::ProxySettings&)>& change = {});

    net::Endpoint lan() const { return {net::IpAddress::v4(10, n_, 0, 1), 5060, 0}; }
    net::Endpoint lan6() const { return *net::Endpoint::parse("[fd00:" + std::to_string(n_) + "::1]:5060"); }
    net::Endpoint wan() const { return {net::IpAddress::v4(203, 0, 113, n_), 5060, 0}; }
    net::Endpoint phone(std::uint8_t i) const { return {net::IpAddress::v4(10, n_, 0, i), 5060, 0}; }
    net::IpAddress overlay_address() const { return net::IpAddress::v4(10, 99, 0, n_); }
    std::string mode() const { return proxy.voice().mode; }
    std::set<voice::Aor> bound;     ///< as its events said
    std::vector<std::string> told;  ///< its events as text
    std::map<voice::RelayId, std::array<voice::LegRemote, 2>> relays;
    std::size_t most_relays = 1000;
    std::map<std::string, net::Bytes> mail;  ///< what it has on its disk of messages
    bool disk_full = false;                  ///< nothing reaches it any more
    std::uint64_t media_packets = 0;  ///< what every relay says it has carried
    voice::RelayStats media_stats;    ///< what else it says
    std::vector<voice::AccountsAsked> asked;
    std::vector<voice::AccountsTold> accounts;
    std::map<std::uint64_t, voice::CallRecord> records;  ///< as its events said: what a disk has

    // Host
    void receive(const voice::Flow& flow, net::ByteView bytes, net::Now now) override;
    void tick(net::Now now) override;
    net::Steady next_deadline() const override { return proxy.next_deadline(); }
    std::vector<voice::Outgoing> take_outgoing() override;
    // Environment
    net::Endpoint local(const net::Endpoint& remote, voice::Transport, voice::Side side) const override;
    std::optional<net::IpAddress> overlay() const override { return overlay_address(); }
    voice::MediaPorts& media() override { return *this; }
    const voice::Directory& directory() const override { return *this; }
    // Directory
    std::vector<voice::NodeId> nodes_with(const voice::Aor& aor) const override;
    bool may_bind(const voice::NodeId& node, const voice::Aor& aor) const override;
    std::optional<voice::UserRecord> user(const voice::Aor& aor) const override;
    std::optional<voice::Aor> aor_of_number(std::string_view number) const override;
    std::vector<voice::NodeId> voice_nodes() const override;
    std::vector<std::string> numbers_of(const voice::Aor& aor) const override;
    std::vector<voice::RemoteTrunk> trunks() const override;
    std::optional<voice::NodeId> node_at(const net::IpAddress& overlay) const override;
    std::optional<net::IpAddress> overlay_of(const voice::NodeId& node) const override;
    // MediaPorts
    std::optional<voice::RelayPorts> open(net::Now now) override;
    void set_remote(voice::RelayId id, voice::Leg leg, const voice::LegRemote& remote, net::Now now) override;
    void close(voice::RelayId id) override;
    std::optional<voice::RelayStats> stats(voice::RelayId id) const override;

private:
    World& world_;
    Roster& roster_;
    voice::NodeId name_;
    std::uint8_t n_;
    voice::RelayId next_relay_ = 0;

public:
    voice::Proxy proxy;
};

/// The main job's scene: alice in trento, bob in munich, carol and dave in london; centre with passwords.
struct Scene {
    explicit Scene(std::uint64_t seed = 1, bool with_centre = true,
                   const std::function<void(voice::ProxySettings&)>& change = {});
    /// All phones register, and everybody knows it.
    void register_all();
    /// Every call is over and no media port is open anywhere; and 40 s later, which this takes, no transaction of an INVITE
    /// is left, and nothing that is being passed on.
    bool quiet();

    World world;
    Roster roster;
    net::Endpoint centre_at = *net::Endpoint::parse("198.51.100.1:5060");
    ScriptedCentre centre;
    Office trento, munich, london;
    Phone alice, bob, carol, dave;
};

}  // namespace test
