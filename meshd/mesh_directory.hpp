/// The proxy's questions, answered from the roster: who is where in the mesh, and who may be.
#pragma once

#include <unordered_map>

#include "mesh/node.hpp"
#include "voice/directory.hpp"

namespace meshd {

class MeshDirectory final : public voice::Directory {
public:
    /// Both are borrowed for life. `now` is what the owner keeps up to date: bindings end by it.
    MeshDirectory(const mesh::Node& node, const net::Now& now) : node_(node), now_(now) {}

    std::vector<voice::NodeId> nodes_with(const voice::Aor& aor) const override;
    bool may_bind(const voice::NodeId& node, const voice::Aor& aor) const override;
    std::optional<voice::UserRecord> user(const voice::Aor& aor) const override;
    std::optional<voice::Aor> aor_of_number(std::string_view number) const override;
    std::vector<std::string> numbers_of(const voice::Aor& aor) const override;
    std::vector<voice::RemoteTrunk> trunks() const override;
    std::vector<voice::NodeId> voice_nodes() const override;
    std::optional<voice::NodeId> node_at(const net::IpAddress& overlay) const override;
    std::optional<net::IpAddress> overlay_of(const voice::NodeId& node) const override;

    /// To be told of every mesh::RosterChanged: who could open credentials may not be able to any more.
    void roster_changed() { opened_.clear(); }

private:
    /// Credentials as they were opened, while they are what the roster says. Wiped at their end.
    struct Opened {
        Opened(const mesh::User& says, voice::UserRecord read) : voice_key(says.voice_key), sealed(says.credentials), record(std::move(read)) {}
        ~Opened();
        Opened(const Opened&) = delete;
        Opened& operator=(const Opened&) = delete;

        std::uint64_t voice_key;
        net::Bytes sealed;
        voice::UserRecord record;
    };

    const mesh::Node& node_;
    const net::Now& now_;
    mutable std::unordered_map<voice::Aor, Opened> opened_;
};

/// The address of a member that others write into SIP and SDP: IPv4 where it has one, for old phones' sake. None if it
/// has no address at all.
net::IpAddress voice_address(const mesh::Member& member);

}  // namespace meshd
