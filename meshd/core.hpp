/// A whole node, passive: the mesh node, and the SIP proxy that stands on it. The daemon gives it sockets, a clock and
/// a store; the simulation gives it a network in memory. One thread's.
///
/// After every input (to node() or proxy() too) call settle(), then drain node() and proxy() of what is to be sent and
/// stored, and ask next_deadline().
#pragma once

#include <functional>
#include <map>

#include "mesh/node.hpp"
#include "meshd/mesh_directory.hpp"
#include "voice/media.hpp"
#include "voice/proxy.hpp"

namespace meshd {

/// What the voice side needs that is not the mesh's.
struct CoreVoice {
    voice::ProxySettings settings;  ///< node and domain are filled in from the roster where they are empty
    std::uint16_t port = 5060;      ///< of this node's SIP sockets outside the mesh
    std::uint16_t tls_port = 5061;
    voice::MediaPorts* media = nullptr;  ///< borrowed for life
    /// Our own address toward another, as the machine's routes stand; none if there is no way.
    std::function<net::IpAddress(const net::IpAddress&)> local_toward;
};

/// Records as the store keeps them, by their keys' ids: those that a mesh or a membership begins with. What is no record
/// of this mesh is left out.
std::map<net::Bytes, net::Bytes> keyed_records(const net::NodeKey& mesh_id, std::span<const net::Bytes> records);

class Core final : private voice::Environment {
public:
    /// `random` is borrowed for life. Throws as mesh::Node does. Without `voice` there is no proxy.
    Core(mesh::NodeIdentity identity, std::span<const net::Bytes> records, std::optional<mesh::Tai64n> last_stamp,
         net::Random& random, mesh::NodeSettings settings, std::optional<CoreVoice> voice, net::Now now);

    mesh::Node& node() { return node_; }
    const mesh::Node& node() const { return node_; }
    voice::Proxy* proxy() { return proxy_.get(); }
    const voice::Proxy* proxy() const { return proxy_.get(); }

    /// The trunks that other nodes offer, and that can be reached now.
    std::vector<voice::RemoteTrunk> other_trunks() const { return directory_.trunks(); }

    void tick(net::Now now);
    net::Steady next_deadline() const;
    /// Hands what one side has told to the other.
    void settle(net::Now now);
    /// What neither side needs, for the owner: since last asked.
    std::vector<mesh::NodeEvent> take_node_events() { return std::exchange(node_events_, {}); }
    std::vector<voice::ProxyEvent> take_voice_events() { return std::exchange(voice_events_, {}); }

private:
    net::Endpoint local(const net::Endpoint& remote, voice::Transport transport, voice::Side side) const override;
    std::optional<net::IpAddress> overlay() const override;
    voice::MediaPorts& media() override { return *voice_->media; }
    const voice::Directory& directory() const override { return directory_; }

    net::Now now_;
    mesh::Node node_;
    MeshDirectory directory_;
    std::optional<CoreVoice> voice_;
    std::unique_ptr<voice::Proxy> proxy_;
    std::vector<mesh::NodeEvent> node_events_;
    std::vector<voice::ProxyEvent> voice_events_;
};

}  // namespace meshd
