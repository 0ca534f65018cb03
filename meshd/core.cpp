#include "meshd/core.hpp"

#include <algorithm>

#include "meshd/config.hpp"

namespace meshd {

std::map<net::Bytes, net::Bytes> keyed_records(const net::NodeKey& mesh_id, std::span<const net::Bytes> records) {
    std::map<net::Bytes, net::Bytes> out;
    for (const auto& wire : records) {
        const auto opened = mesh::open_record(mesh_id, wire);
        if (const auto* record = std::get_if<mesh::Record>(&opened)) out[net::copy(record->key.id().view())] = wire;
    }
    return out;
}

Core::Core(mesh::NodeIdentity identity, std::span<const net::Bytes> records, std::optional<mesh::Tai64n> last_stamp,
           net::Random& random, mesh::NodeSettings settings, std::optional<CoreVoice> voice, net::Now now)
    : now_(now),
      node_(std::move(identity), records, last_stamp, random, std::move(settings), now),
      directory_(node_, now_),
      voice_(std::move(voice)) {
    if (!voice_) return;
    auto& wanted = voice_->settings;
    wanted.node = node_.self().says.name;
    if (wanted.domain.empty()) wanted.domain = node_.mesh_name() + ".internal";
    proxy_ = std::make_unique<voice::Proxy>(wanted, static_cast<voice::Environment&>(*this), random, now);
}

void Core::tick(net::Now now) {
    now_ = now;
    node_.tick(now);
    if (proxy_) proxy_->tick(now);
    settle(now);
}

net::Steady Core::next_deadline() const {
    const auto mesh = node_.next_deadline();
    return proxy_ ? std::min(mesh, proxy_->next_deadline()) : mesh;
}

void Core::settle(net::Now now) {
    now_ = now;
    if (proxy_) {
        for (auto& event : proxy_->take_events()) {
            if (const auto* binding = std::get_if<voice::BindingChanged>(&event)) {
                node_.set_binding(binding->aor, binding->until ? std::optional(net::unix_seconds(*binding->until)) : std::nullopt,
                                  now);
            }
            if (std::holds_alternative<voice::TrunkChanged>(event)) {
                std::vector<mesh::OfferedTrunk> offers;
                for (auto& offer : proxy_->trunk_offers()) {
                    offers.push_back({std::move(offer.name), std::move(offer.prefixes), offer.cost, offer.emergency});
                }
                node_.set_trunks(std::move(offers), now);
            }
            voice_events_.push_back(std::move(event));
        }
    }
    auto told = node_.take_events();
    for (const auto& event : told) {
        if (std::holds_alternative<mesh::RosterChanged>(event)) directory_.roster_changed();
    }
    std::move(told.begin(), told.end(), std::back_inserter(node_events_));
}

net::Endpoint Core::local(const net::Endpoint& remote, voice::Transport transport, voice::Side side) const {
    if (side == voice::Side::mesh) {
        // The same family as the other end: what comes back must come from the address that the mesh knows us by.
        for (const auto& address : node_.self().says.addresses) {
            if (address.bits() == remote.address.bits()) return {address, kOverlaySipPort};
        }
        return {voice_address(node_.self().says), kOverlaySipPort};
    }
    return {voice_->local_toward(remote.address), transport == voice::Transport::tls ? voice_->tls_port : voice_->port};
}

std::optional<net::IpAddress> Core::overlay() const {
    const auto address = voice_address(node_.self().says);
    return address.is_none() ? std::nullopt : std::optional(address);
}

}  // namespace meshd
