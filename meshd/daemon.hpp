/// The daemon: its state folder, its control socket, and, once this machine belongs to a mesh, a LiveNode.
///
///   idle --init--> member            idle --join--> joining --admitted--> member
///                                    joining --refused, nobody answers--> idle
#pragma once

#include "loop/signals.hpp"
#include "loop/udp.hpp"
#include "meshd/control_socket.hpp"
#include "meshd/live_node.hpp"

namespace meshd {

struct DaemonPaths {
    std::string state;
    std::string control;
};

class Daemon {
public:
    /// Opens everything. `random` is borrowed for life. Throws std::runtime_error (StateError among them) with what is
    /// wrong and what to do.
    Daemon(Config config, const DaemonPaths& paths, net::Random& random);
    ~Daemon();

    /// Until SIGTERM or SIGINT. Throws std::runtime_error if this machine became a member and could not act as one.
    void run();

    const Config& config() const { return config_; }
    loop::Loop& loop() { return loop_; }
    net::Random& random() { return random_; }
    const std::string& store_trouble() const { return store_trouble_; }
    /// `task` runs once all that was handed to the store so far is on the disk.
    void when_synced(std::function<void()> task) { store_.submit({}, Durability::synced, std::move(task)); }
    /// Null while this machine is in no mesh.
    LiveNode* live() { return live_.get(); }
    bool is_joining() const { return joining_ != nullptr || tell_joiner_ != nullptr; }

    /// Stores the new identity and records, then becomes a member and calls `done` (with why not). `advertise`: where
    /// others reach this node, as a person said. `progress` is told why they cannot be stored; that is tried again.
    void become_member(mesh::NodeIdentity identity, std::vector<net::Bytes> records,
                       std::vector<std::pair<net::TunnelKey, net::Endpoint>> contacts,
                       const std::vector<net::Endpoint>& advertise, std::function<void(const std::string&)> progress,
                       std::function<void(net::Result<void>)> done);
    /// Runs the join exchange. `progress` is told what it waits for, when that changes.
    void join(const mesh::Token& token, std::function<void(const std::string&)> progress,
              std::function<void(net::Result<void>)> done);

private:
    void leave();
    class Joining;

    Config config_;
    net::Random& random_;
    loop::Loop loop_;
    loop::Signals signals_;
    bool leaving_ = false;
    std::string store_trouble_, failure_;
    std::function<void(const std::string&)> tell_joiner_;  ///< while a new membership is on its way to the disk
    Store store_;
    Methods methods_;
    std::unique_ptr<LiveNode> live_;
    std::unique_ptr<Joining> joining_;
    std::unique_ptr<ControlSocket> control_;
};

}  // namespace meshd
