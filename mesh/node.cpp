// A node's inputs, outputs and time. Tunnels are in node_peers.cpp, newcomers in node_join.cpp, what is signed here in
// node_admin.cpp and node_users.cpp.
#include "mesh/node.hpp"

#include <algorithm>
#include <stdexcept>

#include "mesh/attached.hpp"
#include "mesh/clock_step.hpp"
#include "mesh/data_path.hpp"
#include "mesh/introduction.hpp"
#include "mesh/mss.hpp"
#include "net/fill_checksum.hpp"
#include "net/text.hpp"

namespace mesh {
namespace {

constexpr auto kClockLookEvery = std::chrono::seconds(10);
constexpr std::size_t kMaxAnybody = 16;

template <class... Visitors>
struct Overloaded : Visitors... {
    using Visitors::operator()...;
};
template <class... Visitors>
Overloaded(Visitors...) -> Overloaded<Visitors...>;

}  // namespace

Node::Node(NodeIdentity identity, std::span<const net::Bytes> records, std::optional<Tai64n> last_stamp,
           net::Random& random, NodeSettings settings, net::Now now)
    : identity_(std::move(identity)),
      key_(public_key(identity_.node_secret)),
      tunnel_key_(public_key(identity_.tunnel_secret)),
      random_(random),
      settings_(std::move(settings)),
      roster_(identity_.mesh_id),
      gossip_(roster_, random),
      wireguard_(identity_.tunnel_secret, random, last_stamp.value_or(Tai64n{})) {
    const auto added = roster_.add_all(records);
    std::vector<Record> lapsed;
    for (std::size_t i = 0; i < records.size(); ++i) {
        if (!added[i].refused) continue;
        auto opened = open_record(identity_.mesh_id, records[i]);
        auto* record = std::get_if<Record>(&opened);
        if (record != nullptr && is_about_us(record->key) && decode(record->key, record->body())) {
            lapsed.push_back(std::move(*record));
        } else {
            events_.push_back(Refused{*added[i].refused, added[i].key});
        }
    }
    roster_.take_changed();  // they are stored already
    roster_.take_view_changed();
    const auto* self = view().member(key_);
    const auto gone = view().gone.find(key_);
    if (self != nullptr) {
        self_ = *self;
        for (const auto& record : lapsed) batch_.records.push_back({net::copy(record.key.id().view()), {}});
    } else if (gone != view().gone.end()) {
        self_ = {key_, gone->second, {}, false, {}};
    } else if (!lapsed.empty()) {
        const auto& last = *std::max_element(lapsed.begin(), lapsed.end(),
                                             [](const Record& a, const Record& b) { return b.newer_than(a); });
        self_ = {key_, std::get<Member>(*decode(last.key, last.body())), last.key.signer, false, {}};
    } else {
        throw std::runtime_error("the stored roster does not name this node: the state belongs to another node or mesh");
    }
    for (const auto& endpoint : settings_.bootstrap)
        if (anybody_.size() < kMaxAnybody) anybody_.emplace(endpoint, Source::bootstrap);
    // What an earlier life said of its phones: the voice side first gets to say who is still here.
    next_bindings_ = now.steady + kBindingsEvery;
    for (unsigned shard = 0; shard < kShards; ++shard)
        if (!signed_bindings(static_cast<std::uint8_t>(shard)).empty()) shards_to_sign_.insert(static_cast<std::uint8_t>(shard));
    if (!settings_.mapped.empty()) wireguard_.set_subnet_map(std::make_shared<SubnetMap>(settings_.mapped));
    seen_ = now;
    after_roster_change(now);
    drain(now);
}

Node::~Node() = default;

// Inputs.

void Node::receive(net::MutableBytes datagram, const net::Endpoint& from, net::Now now) {
    if (is_introduction(datagram)) return receive_handshake(datagram, from, now);
    const auto table = wireguard_.table();
    const auto in = inbound(*table, datagram, from, now.steady);
    if (in.wake) wireguard_.tick(now);
    if (in.verdict != Inbound::Verdict::handshake && in.verdict != Inbound::Verdict::drop) brought(from);
    drain(now);
    switch (in.verdict) {
        case Inbound::Verdict::tun:
            clamp_mss(in.bytes, in.mtu_bytes, in.checksum_left);
            if (in.checksum_left) net::fill_checksum(in.bytes);
            packets_.push_back(net::copy(in.bytes));
            break;
        case Inbound::Verdict::control: receive_control(in.peer, in.bytes, from, now); break;
        case Inbound::Verdict::handshake: receive_handshake(in.bytes, from, now); break;
        case Inbound::Verdict::nothing:
        case Inbound::Verdict::drop: break;
    }
}

void Node::receive_handshake(net::ByteView datagram, const net::Endpoint& from, net::Now now, bool under_load) {
    if (is_introduction(datagram)) {
        if (!under_load) receive_introduction(datagram, from, now);
    } else {
        wireguard_.receive_handshake(datagram, from, now, under_load);
    }
    drain(now);
}

void Node::receive_control(const net::TunnelKey& peer, net::ByteView payload, const net::Endpoint& from, net::Now now) {
    drain(now);  // a session that this frame confirms is told first
    if (const auto found = links_.find(peer); found != links_.end()) {
        if (auto frame = decode_frame(payload)) heard(found->second, *frame, from, payload.size(), now);
    } else if (newcomers_.contains(peer)) {
        newcomer_heard(peer, payload, now);
    }
    drain(now);
}

void Node::send_ip(net::ByteView packet, net::Now now) {
    net::Bytes storage(PacketBuffer::kHeadroomBytes + packet.size() + PacketBuffer::kTailroomBytes);
    std::copy(packet.begin(), packet.end(), storage.begin() + PacketBuffer::kHeadroomBytes);
    const auto table = wireguard_.table();
    const auto out = outbound(*table, {storage, PacketBuffer::kHeadroomBytes, packet.size()}, now.steady);
    if (out.wake) wireguard_.tick(now);
    switch (out.verdict) {
        case Outbound::Verdict::send: {
            const Datagram datagram{out.endpoint, net::copy(out.bytes)};
            const auto way = VirtualEndpoint::of(out.endpoint);
            way && way->kind == VirtualEndpoint::Kind::relay ? carry(datagram, now) : datagrams_.push_back(datagram);
            break;
        }
        case Outbound::Verdict::no_session: {
            // Only where a handshake begins: whoever is behind us may send many packets to a member that is gone.
            const auto status = out.carried() ? std::nullopt : wireguard_.status(out.peer);
            const bool begins = status && status->state != PeerStatus::State::connecting;
            const auto found = begins ? links_.find(out.peer) : links_.end();
            if (found != links_.end()) ask_for(found->second, now);
            wireguard_.send(out.peer, packet, now);
            break;
        }
        case Outbound::Verdict::device: packets_.push_back(net::copy(out.bytes)); break;
        case Outbound::Verdict::drop: break;
    }
    drain(now);
}

void Node::tick(net::Now now) {
    wireguard_.tick(now);
    drain(now);
    for (auto& [_, peer] : links_) run_peer(peer, now);
    gossip_.tick(now);
    std::erase_if(carried_, [&](const auto& one) { return one.second.until <= now.steady; });
    if (now.steady >= next_clock_look_) {
        next_clock_look_ = now.steady + kClockLookEvery;
        roster_.set_time(clock_.trusted(now, settings_.clock_synchronised));
        settle_newcomers();
    }
    if (now.steady >= next_stream_look_) look_at_streams(now);
    if (birthday_ && now.steady >= birthday_->next) run_birthday(now);
    if (now.steady >= next_socket_look_) drop_unused_sockets(now);
    if (now.steady >= bindings_deadline()) publish_bindings(now);
    if (now.steady >= next_node_record_) publish_node_record(now);
    drain(now);
}

net::Steady Node::next_deadline() const {
    auto next = std::min({wireguard_.next_deadline(), gossip_.next_deadline(), next_clock_look_, next_node_record_,
                          next_stream_look_, next_socket_look_, bindings_deadline(), birthday_ ? birthday_->next : net::kNever});
    for (const auto& [_, peer] : links_) next = std::min(next, peer.next_deadline());
    for (const auto& [_, carried] : carried_) next = std::min(next, carried.until);
    return next;
}

void Node::add_candidate(const std::optional<net::NodeKey>& member, const net::Endpoint& endpoint, Source source,
                         net::Now now) {
    if (member) {
        auto* peer = link(*member);
        if (peer == nullptr || !Paths::usable(endpoint)) return;
        if (!peer->paths.add(endpoint, source, source == Source::mdns ? Found::local : Found::unsaid, now.steady)) return;
        if (peer->state == PeerLink::State::connecting && !peer->stock) connect(*peer, now);
        if (peer->state == PeerLink::State::up && !peer->stock) peer->paths.begin_round(now.steady, true);
    } else {
        if (!Paths::usable(endpoint) || anybody_.size() >= kMaxAnybody || !anybody_.emplace(endpoint, source).second) return;
        for (auto& [_, peer] : links_)
            if (peer.state == PeerLink::State::connecting && !peer.stock) connect(peer, now);
    }
    drain(now);
}

void Node::set_bootstrap(std::span<const net::Endpoint> endpoints, net::Now now) {
    std::erase_if(anybody_, [&](const auto& one) {
        return one.second == Source::bootstrap && std::find(endpoints.begin(), endpoints.end(), one.first) == endpoints.end();
    });
    for (const auto& endpoint : endpoints) add_candidate(std::nullopt, endpoint, Source::bootstrap, now);
}

void Node::set_local_endpoints(std::vector<net::Endpoint> endpoints, net::Now now) {
    if (endpoints == settings_.local_endpoints) return;
    settings_.local_endpoints = std::move(endpoints);
    settle_routes();
    network_changed(now);
}

void Node::set_mapped(std::vector<net::Endpoint> endpoints, net::Now now) {
    if (endpoints == mapped_) return;
    mapped_ = std::move(endpoints);
    next_node_record_ = now.steady;
    drain(now);
}

void Node::set_attached(std::vector<net::Prefix> networks, net::Now now) {
    if (networks == settings_.attached) return;
    settings_.attached = std::move(networks);
    settle_routes();
    events_.push_back(RoutesChanged{});
    drain(now);
}

void Node::set_offered(std::vector<net::Prefix> subnets, net::Now now) {
    if (subnets == settings_.offered) return;
    settings_.offered = std::move(subnets);
    next_node_record_ = now.steady;
    settle_routes();  // what it no longer offers, another may
    drain(now);
}

void Node::set_trunks(std::vector<OfferedTrunk> trunks, net::Now now) {
    if (trunks == trunks_) return;
    trunks_ = std::move(trunks);
    next_node_record_ = now.steady;
}

void Node::set_phones(const PhonePorts& ports, net::Now now) {
    if (ports == phones_) return;
    phones_ = ports;
    next_node_record_ = now.steady;
}

void Node::durable(std::uint64_t id, net::Now now) {
    durable_ = std::max(durable_, id);
    while (!stamps_.empty() && stamps_.front().first <= durable_) {
        wireguard_.stamp_persisted(stamps_.front().second);
        stamps_.pop_front();
        wireguard_.tick(now);
    }
    while (!held_.empty() && held_.front().batch <= durable_) {
        wireguard_.send(held_.front().to, held_.front().frame, now);
        held_.pop_front();
    }
    while (!held_farewells_.empty() && held_farewells_.front().first <= durable_) {
        datagrams_.push_back(std::move(held_farewells_.front().second));
        held_farewells_.pop_front();
    }
    std::vector<RecordKey> pushes;
    while (!held_pushes_.empty() && held_pushes_.front().first <= durable_) {
        pushes.push_back(std::move(held_pushes_.front().second));
        held_pushes_.pop_front();
    }
    gossip_.push(pushes);
    drain(now);
}

void Node::leave(net::Now now) {
    for (const auto& [_, peer] : links_)
        if (peer.state == PeerLink::State::up && !peer.stock) send(peer, Leaving{}, now);
    drain(now);
}

// Outputs.

std::vector<Datagram> Node::take_datagrams() { return std::exchange(datagrams_, {}); }
std::vector<NodeEvent> Node::take_events() { return std::exchange(events_, {}); }
std::vector<net::Bytes> Node::take_packets() { return std::exchange(packets_, {}); }
std::shared_ptr<const ForwardingTable> Node::table() { return wireguard_.table(); }

std::optional<DurableBatch> Node::take_durable() {
    collect_changes();
    if (batch_.records.empty() && !batch_.stamp) return std::nullopt;
    batch_.id = next_batch_++;
    if (batch_.stamp) stamps_.emplace_back(batch_.id, *batch_.stamp);
    return std::exchange(batch_, {});
}

void Node::collect_changes() {
    for (const auto& key : roster_.take_changed()) {
        const auto* record = roster_.find(key);
        // What says who this node was stays on the disk as long as nothing else says who it is.
        if (record == nullptr && is_about_us(key) && view().member(key_) == nullptr) continue;
        batch_.records.push_back({net::copy(key.id().view()), record == nullptr ? net::Bytes{} : record->wire});
        if (key.type != RecordType::node && key.type != RecordType::bindings) batch_.sync = true;
    }
}

std::uint64_t Node::awaited_batch() const { return batch_.records.empty() ? next_batch_ - 1 : next_batch_; }

DeviceConfig Node::device() const {
    DeviceConfig out;
    for (const auto& address : self_.says.addresses) out.addresses.push_back(net::Prefix::host(address));
    out.routes.push_back(overlay_prefix(identity_.mesh_id));
    if (view().mesh) out.routes.push_back(view().mesh->pool);
    for (const auto& route : routes_)
        if (!attached_covers(settings_.attached, route)) out.routes.push_back(route);
    for (const auto& mapped : settings_.mapped)
        if (std::find(out.routes.begin(), out.routes.end(), mapped.as) == out.routes.end()) out.routes.push_back(mapped.as);
    return out;
}

// In between.

void Node::drain(net::Now now) {
    // A binding ends when it would have, whatever the clock says then: all are told anew by the new one.
    if (const auto step_s = clock_step_s(seen_, now); step_s != 0) {
        for (auto& [shard, users] : bindings_) {
            for (auto& [_, until] : users) until = std::max<std::int64_t>(0, until + step_s);
            shards_to_sign_.insert(shard);
        }
    }
    seen_ = now;
    for (bool quiet = false; !quiet;) {
        quiet = true;
        for (const auto& event : wireguard_.take_events()) {
            quiet = false;
            on_event(event, now);
        }
        // Before peers that a change has put out are gone: they may hear of it.
        for (const auto& output : gossip_.take_output()) {
            quiet = false;
            if (const auto found = tunnel_keys_.find(output.to); found != tunnel_keys_.end())
                wireguard_.send(found->second, output.frame, now);
        }
        if (roster_.take_view_changed()) {
            quiet = false;
            after_roster_change(now);
        }
        for (auto& datagram : wireguard_.take_datagrams()) {
            const auto way = VirtualEndpoint::of(datagram.to);
            if (way && way->kind == VirtualEndpoint::Kind::relay) {
                quiet = false;
                carry(datagram, now);
            } else {
                datagrams_.push_back(std::move(datagram));
            }
        }
    }
    collect_changes();
}

void Node::on_event(const Event& event, net::Now now) {
    std::visit(Overloaded{
                   [&](const SessionUp& up) { session_up(up, now); },
                   [&](const SessionDown& over) {
                       if (const auto found = links_.find(over.peer); found != links_.end()) {
                           found->second.session = false;
                           down(found->second, now);
                       }
                       if (const auto found = newcomers_.find(over.peer); found != newcomers_.end()) found->second = {};
                   },
                   [](const HandshakeFailed&) {},  // run_peer() goes on trying
                   [](const PeerSilent&) {},
                   [&](const Nominated& elsewhere) { nominated(elsewhere, now); },
                   [&](const EndpointMoved& moved) {
                       const auto found = links_.find(moved.peer);
                       if (found == links_.end()) return;
                       found->second.endpoint = moved.endpoint;
                       if (found->second.session) found->second.paths.use(moved.endpoint);
                       find_mtu(found->second, now);
                       watch_trains(found->second, now);
                   },
                   [&](const StampToPersist& stamp) {
                       batch_.stamp = stamp.stamp;
                       batch_.sync = true;
                   },
               },
               event);
}

void Node::after_roster_change(net::Now now) {
    settle_standing();
    settle_peers(now);
    settle_newcomers();
    settle_routes();
    const auto* record = roster_.find({RecordType::node, as_subject(key_.view()), key_});
    if (record == nullptr || decode(record->key, record->body()) != std::optional<Body>(own_info()))
        next_node_record_ = std::min(next_node_record_, now.steady + std::chrono::seconds(record == nullptr ? 0 : 1));
    events_.push_back(RosterChanged{});
}

bool Node::is_about_us(const RecordKey& key) const {
    return key.type == RecordType::member && key.subject == net::as_text(key_.view());
}

void Node::settle_standing() {
    const auto* self = view().member(key_);
    if (self != nullptr) self_ = *self;
    const bool revoked = view().is_revoked(key_.view()) || view().is_revoked(tunnel_key_.view());
    const auto standing = revoked ? Standing::revoked : self != nullptr ? Standing::member : Standing::unvouched;
    if (standing == std::exchange(standing_, standing)) return;
    // What it had said before fell with its membership.
    if (standing == Standing::member)
        for (const auto& [shard, _] : bindings_) shards_to_sign_.insert(shard);
    events_.push_back(StandingChanged{standing});
}

/// What came by gossip. A record of our own that is not what we would sign now (from before a crash) is signed anew.
void Node::learnt(const std::vector<Added>& added, net::Now now) {
    bool bindings = false;
    for (const auto& one : added) {
        if (one.refused && *one.refused != Refusal::superseded) events_.push_back(Refused{*one.refused, one.key});
        if (!one.changed) continue;
        bindings |= one.key.type == RecordType::bindings || one.key.type == RecordType::node;
        if (one.key.signer != key_) continue;
        if (one.key.type == RecordType::node) next_node_record_ = now.steady;
        if (one.key.type == RecordType::bindings) shards_to_sign_.insert(static_cast<std::uint8_t>(one.key.subject.back()));
    }
    if (bindings) events_.push_back(BindingsChanged{});
}

void Node::send(const PeerLink& peer, const Frame& frame, net::Now now, std::optional<net::Endpoint> to) {
    wireguard_.send(peer.tunnel_key, encode(frame), now, to);
}

void Node::send_durably(const net::TunnelKey& to, net::Bytes frame, net::Now now) {
    collect_changes();
    if (awaited_batch() <= durable_) return wireguard_.send(to, frame, now);
    held_.push_back({awaited_batch(), to, std::move(frame)});
}

PeerLink* Node::link(const net::NodeKey& key) {
    const auto found = tunnel_keys_.find(key);
    return found == tunnel_keys_.end() ? nullptr : &links_.at(found->second);
}
const PeerLink* Node::link(const net::NodeKey& key) const {
    const auto found = tunnel_keys_.find(key);
    return found == tunnel_keys_.end() ? nullptr : &links_.at(found->second);
}

// What is known.

const KnownMember& Node::self() const { return self_; }
std::string Node::name_of(const net::NodeKey& key) const {
    if (key == identity_.mesh_id) return "the root of the mesh";
    if (const auto* member = view().member(key)) return member->says.name;
    const auto gone = view().gone.find(key);
    if (gone != view().gone.end()) return gone->second.name;
    return "a node with the key " + net::to_base64(key.view()).substr(0, 8) + "...";
}

bool Node::is_admin() const { return standing_ == Standing::member && (identity_.root_secret || view().admins.contains(key_)); }
std::string Node::mesh_name() const { return view().mesh ? view().mesh->name : identity_.mesh_name; }
DiscoveryKey Node::discovery_key() const {
    DiscoveryKey out;
    if (view().mesh) std::memcpy(out.data(), view().mesh->discovery_key.data(), out.size());
    return out;
}

bool Node::is_up(const net::NodeKey& key) const {
    const auto* peer = link(key);
    return peer != nullptr && peer->state == PeerLink::State::up;
}

std::vector<net::NodeKey> Node::nodes_for(std::string_view aor, net::Wall now) const {
    return roster_.nodes_for(
        aor, [&](const net::NodeKey& node) { return node == key_ ? now : clock_.clock_of(node, {seen_.steady, now}); });
}

std::optional<net::NodeKey> Node::relay_at(const net::Endpoint& endpoint) const {
    const auto is = VirtualEndpoint::of(endpoint);
    if (!is || is->kind != VirtualEndpoint::Kind::relay) return std::nullopt;
    const auto* const relay = const_cast<Node*>(this)->link_number(is->relay);
    return relay == nullptr ? std::nullopt : std::optional(relay->key);
}

std::vector<PeerReport> Node::peers(net::Now now) const {
    std::vector<PeerReport> out;
    for (const auto& [key, member] : view().members) {
        const auto* peer = link(key);
        if (peer == nullptr) continue;
        PeerReport report;
        report.key = key;
        report.tunnel_key = member.says.tunnel_key;
        report.name = member.says.name;
        report.addresses = member.says.addresses;
        report.subnets = member.says.subnets;
        report.roles = member.says.roles;
        report.stock = member.says.stock;
        report.rtt = peer->rtt;
        report.mtu_bytes = wireguard_.path_mtu(peer->tunnel_key);
        if (const auto* path = peer->paths.find(peer->endpoint)) {
            report.via = path->source;
            if (peer->session) report.rank = path->rank();
        }
        switch (peer->state) {
            case PeerLink::State::idle: report.state = PeerState::idle; break;
            case PeerLink::State::connecting: report.state = PeerState::connecting; break;
            case PeerLink::State::up: report.state = PeerState::session; break;
        }
        if (const auto status = wireguard_.status(peer->tunnel_key)) {
            if (const auto at = udp_endpoint(status->endpoint); !at.is_none()) report.endpoint = at;
            report.relay = relay_at(status->endpoint);
            report.stream = stream_at(status->endpoint);
            if (status->last_handshake)
                report.last_handshake = std::chrono::duration_cast<std::chrono::seconds>(now.steady - *status->last_handshake);
            report.aes = status->aes;
            report.rx_bytes = status->rx_bytes;
            report.tx_bytes = status->tx_bytes;
        }
        if (!report.via && report.endpoint && anybody_.contains(*report.endpoint)) report.via = anybody_.at(*report.endpoint);
        out.push_back(std::move(report));
    }
    return out;
}

}  // namespace mesh
