#include "mesh/wireguard.hpp"

#include <algorithm>
#include <utility>

#include "mesh/wireguard_core.hpp"

namespace mesh {

namespace {

constexpr net::Duration kRekeyRepeatTime = std::chrono::seconds(1);

// Section 5.4: the first four bytes are the type; each type but data has one length.
bool is_message(net::ByteView datagram, MessageType type, std::size_t bytes) {
    return datagram.size() == bytes && net::Reader(datagram).u32le() == static_cast<std::uint32_t>(type);
}

bool is_ip(net::ByteView payload) {
    const auto version = std::to_integer<unsigned>(payload[0]) >> 4;
    return version == 4 || version == 6;
}

}  // namespace

WireGuardCore::WireGuardCore(const net::TunnelSecret& secret, net::Random& random, Tai64n last_stamp)
    : own_(secret), random_(random), stamps_(last_stamp), checker_(own_.key, random), mac1_key_(mac1_key(own_.key)) {}

WireGuardPeer* WireGuardCore::find(const net::TunnelKey& key) {
    const auto found = peers_.find(key);
    return found == peers_.end() ? nullptr : found->second.get();
}

WireGuardPeer* WireGuardCore::add(const PeerSettings& settings) {
    SymmetricKey static_static;
    if (settings.key == own_.key || !x25519(static_static, own_.secret, settings.key)) return nullptr;
    const auto free = std::find(slots_.begin(), slots_.end(), nullptr);
    const auto slot = static_cast<RouteTable::Slot>(free - slots_.begin());
    if (free == slots_.end()) slots_.push_back(nullptr);
    auto peer = std::make_unique<Peer>(settings, slot);
    peer->static_static = static_static;
    slots_[slot] = peer.get();
    return peers_.emplace(settings.key, std::move(peer)).first->second.get();
}

void WireGuardCore::remove(Peer& peer) {
    abandon_attempt(peer);
    end_all_sessions(peer);
    slots_[peer.slot] = nullptr;
    routes_changed();
    peers_.erase(net::TunnelKey(peer.settings.key));
}

void WireGuardCore::take_prefixes_from_other_stock_peers(const Peer& owner) {
    const auto& taken = owner.settings.allowed_ips;
    for (const auto& [key, peer] : peers_) {
        if (peer.get() == &owner || !peer->settings.follows_endpoint) continue;
        const auto lost = std::erase_if(peer->settings.allowed_ips, [&](const net::Prefix& prefix) {
            return std::find(taken.begin(), taken.end(), prefix) != taken.end();
        });
        if (lost > 0) changed(*peer);
    }
}

std::uint32_t WireGuardCore::claim_index(Peer& peer) {
    for (;;) {
        const auto index = static_cast<std::uint32_t>(random_.u64() & UINT32_MAX);
        if (indices_.emplace(index, &peer).second) return index;
    }
}

WireGuard::WireGuard(const net::TunnelSecret& secret, net::Random& random, Tai64n last_stamp)
    : core_(std::make_unique<WireGuardCore>(secret, random, last_stamp)) {}
WireGuard::~WireGuard() = default;

const net::TunnelKey& WireGuard::own_key() const { return core_->own_.key; }

void WireGuard::set_peer(const PeerSettings& settings) {
    auto* peer = core_->find(settings.key);
    if (peer == nullptr) {
        peer = core_->add(settings);
        if (peer == nullptr) return;
    } else {
        if (!peer->settings.psk.equals(settings.psk)) {
            core_->abandon_attempt(*peer);
            core_->end_all_sessions(*peer);
        }
        peer->settings = settings;
    }
    if (settings.follows_endpoint) core_->take_prefixes_from_other_stock_peers(*peer);
    core_->changed(*peer);
    core_->routes_changed();
    core_->promise(*peer);
}

void WireGuard::remove_peer(const net::TunnelKey& key) {
    if (auto* const peer = core_->find(key)) core_->remove(*peer);
}

bool WireGuard::has_peer(const net::TunnelKey& key) const { return core_->find(key) != nullptr; }

std::vector<net::TunnelKey> WireGuard::peers() const {
    std::vector<net::TunnelKey> keys;
    for (const auto& [key, peer] : core_->peers_) keys.push_back(key);
    return keys;
}

void WireGuard::set_routes(std::vector<Route> routes) {
    core_->configured_routes_ = std::move(routes);
    core_->routes_changed();
}

void WireGuard::set_overlay(std::vector<net::Prefix> overlay) {
    core_->overlay_ = std::make_shared<std::vector<net::Prefix>>(std::move(overlay));
    core_->published_ = nullptr;
}

void WireGuard::set_local(std::vector<net::Prefix> local) {
    core_->local_ = std::make_shared<std::vector<net::Prefix>>(std::move(local));
    core_->published_ = nullptr;
}

void WireGuard::set_destinations(std::shared_ptr<const Destinations> destinations) {
    core_->destinations_ = std::move(destinations);
    core_->published_ = nullptr;
}

void WireGuard::set_subnet_map(std::shared_ptr<const SubnetMap> map) {
    core_->subnet_map_ = std::move(map);
    core_->published_ = nullptr;
}

void WireGuard::set_mtu(std::size_t mtu_bytes) {
    core_->mtu_bytes_ = mtu_bytes;
    core_->published_ = nullptr;
    for (const auto& [key, peer] : core_->peers_) core_->changed(*peer);
}

std::size_t WireGuard::mtu() const { return core_->mtu_bytes_; }

void WireGuard::set_path_mtu(const net::TunnelKey& key, std::size_t mtu_bytes, bool proven) {
    auto* const peer = core_->find(key);
    if (peer == nullptr || (peer->path_mtu_bytes == mtu_bytes && peer->path_mtu_proven == proven)) return;
    peer->path_mtu_bytes = mtu_bytes;
    peer->path_mtu_proven = proven;
    core_->changed(*peer);
}

std::size_t WireGuard::path_mtu(const net::TunnelKey& key) const {
    const auto* const peer = core_->find(key);
    return peer == nullptr ? core_->mtu_bytes_ : core_->mtu_of(*peer);
}

void WireGuard::set_endpoint(const net::TunnelKey& key, const net::Endpoint& endpoint) {
    auto* const peer = core_->find(key);
    if (peer == nullptr || peer->endpoint == endpoint) return;
    if (!endpoint.is_none() && !core_->may_be_endpoint(endpoint)) return;
    peer->endpoint = endpoint;
    core_->changed(*peer);
    if (peer->attempt) core_->spread_initiation(*peer, peer->attempt->sent);
}

net::Endpoint WireGuard::endpoint(const net::TunnelKey& key) const {
    const auto* const peer = core_->find(key);
    return peer == nullptr ? net::Endpoint{} : peer->endpoint;
}

void WireGuard::set_candidates(const net::TunnelKey& key, std::vector<net::Endpoint> candidates) {
    auto* const peer = core_->find(key);
    if (peer == nullptr) return;
    if (candidates.size() > kMaxCandidates) candidates.resize(kMaxCandidates);
    peer->candidates = std::move(candidates);
    if (peer->attempt) core_->spread_initiation(*peer, peer->attempt->sent);
}

void WireGuard::allow_aes(const net::TunnelKey& key, bool queues) {
    const auto* const peer = core_->find(key);
    if (peer != nullptr && peer->current) peer->current->allow_aes(queues);
}

void WireGuard::connect(const net::TunnelKey& key, net::Now now) {
    auto* const peer = core_->find(key);
    if (peer == nullptr || WireGuardCore::has_session(*peer, now.steady)) return;
    core_->want_handshake(*peer, now, true);
    core_->promise(*peer);
}

void WireGuard::rekey(const net::TunnelKey& key, net::Now now) {
    auto* const peer = core_->find(key);
    if (peer == nullptr) return;
    if (peer->attempt && now.steady - peer->attempt->sent < kRekeyRepeatTime) {
        core_->want_handshake(*peer, now, true);  // it has hardly had the time to be answered
    } else {
        peer->everywhere = true;
        peer->tries_began = now.steady;
        core_->send_initiation(*peer, now);
    }
    core_->promise(*peer);
}

void WireGuard::receive_handshake(net::ByteView datagram, const net::Endpoint& from, net::Now now, bool under_load) {
    if (is_message(datagram, MessageType::initiation, kInitiationBytes)) {
        if (core_->admit(datagram, from, now.steady, under_load)) core_->receive_initiation(datagram, from, now);
    } else if (is_message(datagram, MessageType::response, kResponseBytes)) {
        if (core_->admit(datagram, from, now.steady, under_load)) core_->receive_response(datagram, from, now);
    } else if (is_message(datagram, MessageType::cookie_reply, kCookieReplyBytes)) {
        core_->receive_cookie(datagram, now.steady);
    } else {
        core_->drops_->add(Drop::malformed_datagram);
    }
}

void WireGuard::send(const net::TunnelKey& key, net::ByteView payload, net::Now now, std::optional<net::Endpoint> to, bool bulk) {
    auto* const peer = core_->find(key);
    if (peer == nullptr) return;
    if (peer->settings.follows_endpoint && !payload.empty() && !is_ip(payload)) {
        return core_->drops_->add(Drop::not_for_stock);
    }
    // What the data path has seen comes first: a new session, a new endpoint.
    if (peer->activity->looks_at() <= now.steady) core_->tick(*peer, now);
    if (WireGuardCore::has_session(*peer, now.steady)) {
        core_->transmit(*peer, payload, now, to, false, bulk);
    } else {
        core_->stage(*peer, payload, to, bulk);
        core_->want_handshake(*peer, now, true);
        peer->tries_began = now.steady;  // section 6.4: data that waits begins the 90 s anew
    }
    core_->promise(*peer);
}

void WireGuard::send_probe(const net::TunnelKey& key, net::ByteView payload, net::Now now) {
    auto* const peer = core_->find(key);
    if (peer == nullptr || peer->settings.follows_endpoint || !WireGuardCore::has_session(*peer, now.steady)) return;
    core_->transmit(*peer, payload, now, std::nullopt, true);
    core_->promise(*peer);
}

void WireGuard::set_trains(const net::TunnelKey& key, bool may) {
    auto* const peer = core_->find(key);
    if (peer == nullptr || peer->trains == may) return;
    peer->trains = may;
    core_->changed(*peer);
}

void WireGuard::send_train(const net::TunnelKey& key, std::span<const net::Bytes> payloads, net::Now now) {
    auto* const peer = core_->find(key);
    if (peer == nullptr || peer->settings.follows_endpoint || !WireGuardCore::has_session(*peer, now.steady)) return;
    auto& outbox = core_->outbox_;
    const auto before = static_cast<std::ptrdiff_t>(outbox.size());
    if (++core_->last_train_ == 0) ++core_->last_train_;
    for (const auto& payload : payloads) {
        const auto next = outbox.size();
        core_->transmit(*peer, payload, now, std::nullopt);
        if (next < outbox.size()) outbox[next].train = core_->last_train_;  // what follows it is a handshake's
    }
    std::stable_partition(outbox.begin() + before, outbox.end(), [](const Datagram& one) { return one.train != 0; });
    core_->promise(*peer);
}

void WireGuard::tick(net::Now now) {
    const bool stamps_ready = std::exchange(core_->stamps_ready_, false);
    for (const auto& [key, peer] : core_->peers_) {
        if (peer->activity->looks_at() <= now.steady || (stamps_ready && peer->waits_for_stamp)) {
            core_->tick(*peer, now);
        }
    }
}

net::Steady WireGuard::next_deadline() const {
    if (core_->stamps_ready_) return net::Steady::min();
    auto next = net::kNever;
    for (const auto& [key, peer] : core_->peers_) next = std::min(next, peer->activity->looks_at());
    return next;
}

void WireGuard::stamp_persisted(Tai64n stamp) {
    core_->stamps_.stored(stamp);
    core_->stamps_ready_ = true;
}

bool WireGuard::stamps_are_unstored() const { return core_->stamps_.is_past_mark(); }

std::vector<Datagram> WireGuard::take_datagrams() { return std::exchange(core_->outbox_, {}); }
std::vector<Event> WireGuard::take_events() { return std::exchange(core_->events_, {}); }
std::shared_ptr<const ForwardingTable> WireGuard::table() { return core_->table(); }
const DropCounters& WireGuard::drops() const { return *core_->drops_; }
std::shared_ptr<DropCounters> WireGuard::shared_drops() const { return core_->drops_; }

std::optional<PeerStatus> WireGuard::status(const net::TunnelKey& key) const {
    const auto* const peer = core_->find(key);
    if (peer == nullptr) return std::nullopt;
    PeerStatus status;
    if (peer->told_up) {
        status.state = PeerStatus::State::session;
    } else if (peer->attempt || peer->begin_at != net::kNever || peer->waits_for_stamp || peer->next) {
        status.state = PeerStatus::State::connecting;
    }
    status.endpoint = peer->endpoint;
    status.last_handshake = peer->last_handshake;
    if (const auto at = peer->activity->last_received(); at != net::Steady::min()) status.last_received = at;
    if (const auto at = peer->activity->unanswered_since(); at != net::kNever) status.unanswered_since = at;
    status.aes = peer->current && peer->current->sends_aes();
    status.rx_bytes = peer->activity->rx_bytes();
    status.tx_bytes = peer->activity->tx_bytes();
    return status;
}

}  // namespace mesh
