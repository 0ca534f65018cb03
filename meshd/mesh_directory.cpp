#include "meshd/mesh_directory.hpp"

#include <algorithm>

#include "meshd/credentials.hpp"
#include "net/wiped.hpp"

namespace meshd {
namespace {

constexpr std::size_t kMostOpened = 2048;  // who calls and registers in a quarter of an hour, at a large office; some 1 MB

}  // namespace

std::vector<voice::NodeId> MeshDirectory::nodes_with(const voice::Aor& aor) const {
    std::vector<voice::NodeId> out;
    for (const auto& key : node_.nodes_for(aor, now_.wall)) {
        if (key == node_.key() || !node_.is_up(key)) continue;
        if (const auto* member = node_.view().member(key)) out.push_back(member->says.name);
    }
    return out;
}

bool MeshDirectory::may_bind(const voice::NodeId& node, const voice::Aor& aor) const {
    const auto* member = node_.view().by_name(node);
    return member != nullptr && node_.may_bind(member->key, aor);
}

MeshDirectory::Opened::~Opened() {
    for (auto* const value : {&record.ha1_md5, &record.ha1_sha256, &record.ha1_sha512_256}) net::wipe(*value);
}

std::optional<voice::UserRecord> MeshDirectory::user(const voice::Aor& aor) const {
    const auto known = node_.view().users.find(aor);
    if (known == node_.view().users.end()) return std::nullopt;
    const auto& says = known->second.says;
    if (const auto opened = opened_.find(aor); opened != opened_.end()) {
        if (opened->second.voice_key == says.voice_key && opened->second.sealed == says.credentials) return opened->second.record;
        opened_.erase(opened);
    }
    if (auto plain = node_.credentials(aor)) {
        const net::WipedAtEnd wiped(*plain);
        if (auto record = read_credentials(aor, *plain)) {
            if (opened_.size() == kMostOpened) opened_.clear();
            return opened_.try_emplace(aor, says, std::move(*record)).first->second.record;
        }
    }
    return voice::UserRecord{aor, {}, {}, {}, {}};
}

std::optional<voice::Aor> MeshDirectory::aor_of_number(std::string_view number) const {
    const auto& numbers = node_.view().numbers;
    const auto found = numbers.find(std::string(number));
    return found == numbers.end() ? std::nullopt : std::optional(found->second);
}

std::vector<std::string> MeshDirectory::numbers_of(const voice::Aor& aor) const {
    const auto& users = node_.view().users;
    const auto user = users.find(aor);
    return user == users.end() ? std::vector<std::string>() : user->second.says.numbers;
}

std::vector<voice::RemoteTrunk> MeshDirectory::trunks() const {
    std::map<net::NodeKey, net::Duration> round_trips;
    std::vector<voice::RemoteTrunk> out;
    for (const auto& [key, member] : node_.view().members) {
        const bool lends = member.node && !member.node->trunks.empty() && member.says.roles.has(mesh::Role::voice);
        if (!lends || key == node_.key() || !node_.is_up(key)) continue;
        if (round_trips.empty()) {
            for (const auto& peer : node_.peers(now_)) round_trips[peer.key] = peer.rtt.value_or(std::chrono::seconds(1));
        }
        for (const auto& trunk : member.node->trunks) {
            out.push_back({member.says.name, {trunk.name, trunk.prefixes, trunk.cost, trunk.emergency}, round_trips[key]});
        }
    }
    return out;
}

std::vector<voice::NodeId> MeshDirectory::voice_nodes() const {
    std::vector<voice::NodeId> out;
    for (const auto& [key, member] : node_.view().members) {
        if (key != node_.key() && member.says.roles.has(mesh::Role::voice) && node_.is_up(key)) out.push_back(member.says.name);
    }
    return out;
}

std::optional<voice::NodeId> MeshDirectory::node_at(const net::IpAddress& overlay) const {
    const auto* member = node_.view().by_address(overlay);
    if (member == nullptr || member->says.stock) return std::nullopt;
    return member->says.name;
}

std::optional<net::IpAddress> MeshDirectory::overlay_of(const voice::NodeId& node) const {
    const auto* member = node_.view().by_name(node);
    if (member == nullptr || !node_.is_up(member->key)) return std::nullopt;
    const auto address = voice_address(member->says);
    return address.is_none() ? std::nullopt : std::optional(address);
}

net::IpAddress voice_address(const mesh::Member& member) {
    const auto& all = member.addresses;
    const auto v4 = std::find_if(all.begin(), all.end(), [](const auto& address) { return address.is_v4(); });
    if (v4 != all.end()) return *v4;
    return all.empty() ? net::IpAddress() : all.front();
}

}  // namespace meshd
