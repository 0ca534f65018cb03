#include <algorithm>

#include "meshd/config.hpp"
#include "net/packet.hpp"
#include "net/traffic_class.hpp"
#include "tests/sim/world.hpp"

namespace sim {
namespace {

constexpr std::uint16_t kSipPort = 5060;
constexpr auto kDiskWrite = std::chrono::milliseconds(3);

/// An IP and UDP header around a payload (RFC 791, RFC 8200, RFC 768; checksum zero: nothing here looks at it).
net::Bytes udp_packet(const net::IpAddress& from, const net::IpAddress& to, std::uint16_t from_port,
                      std::uint16_t to_port, net::ByteView payload, std::uint8_t traffic_class) {
    const auto udp_bytes = static_cast<std::uint16_t>(8 + payload.size());
    net::Writer out;
    if (to.is_v4()) {
        out.u8(0x45).u8(traffic_class).u16be(static_cast<std::uint16_t>(20 + udp_bytes)).u32be(0).u8(64).u8(17).u16be(0);
    } else {
        out.u32be(0x60000000 | std::uint32_t{traffic_class} << 20).u16be(udp_bytes).u8(17).u8(64);
    }
    out.bytes(from.bytes()).bytes(to.bytes());
    out.u16be(from_port).u16be(to_port).u16be(udp_bytes).u16be(0).bytes(payload);
    return out.take();
}

}  // namespace

std::optional<voice::RelayPorts> MemoryMediaPorts::open(net::Now) {
    const auto id = next_++;
    open_[id];
    const auto port = static_cast<std::uint16_t>(20000 + id * 4 % 10000);
    return voice::RelayPorts{id, port, static_cast<std::uint16_t>(port + 2)};
}

void MemoryMediaPorts::set_remote(voice::RelayId id, voice::Leg leg, const voice::LegRemote& remote, net::Now) {
    if (const auto found = open_.find(id); found != open_.end()) found->second[leg] = remote;
}

std::optional<voice::RelayStats> MemoryMediaPorts::stats(voice::RelayId) const {
    if (carries) ++packets_;
    voice::RelayStats out;
    out.near.packets = out.far.packets = packets_;
    return out;
}

Host::Host(World& world, std::string host_name, StationId host_station, const Place& place)
    : name(std::move(host_name)), station(host_station), settings(world.defaults), world_(world) {
    settings.listen_port = kPort;
    moved(place);
}

void Host::moved(const Place& place) {
    address = place.addresses.empty() ? net::IpAddress() : place.addresses.front();
    settings.local_endpoints.clear();
    stream_endpoints_.clear();
    for (const auto& one : place.addresses) {
        settings.local_endpoints.push_back({one, kPort});
        stream_endpoints_.push_back({one, Streams::kPort});
    }
    if (!core_ || asleep_since_) return;
    node().set_local_endpoints(settings.local_endpoints, now());
    tell_streams();
    drain();
}

void Host::tell_streams() {
    if (listens) node().set_stream_endpoints(stream_endpoints_, now());
}

void Host::stream_opened(mesh::StreamId id, const net::Endpoint& remote) {
    node().stream_opened(id, remote, now());
    drain();
}

void Host::stream_closed(mesh::StreamId id) {
    if (asleep_since_) return after_wake_.push_back([this, id] { stream_closed(id); });
    if (!core_) return;
    node().stream_closed(id, now());
    drain();
}

void Host::stream_failed(const net::Endpoint& to) {
    node().stream_failed(to, now());
    drain();
}

void Host::stream_brings(mesh::StreamId id, net::MutableBytes bytes) {
    node().receive(bytes, mesh::stream_endpoint(id), now());
    drain();
}

net::Now Host::now() const {
    auto now = world_.now();
    now.steady = asleep_since_.value_or(now.steady) - slept_;
    now.wall += clock_offset;
    return now;
}

void Host::sleep() {
    if (!asleep_since_) asleep_since_ = world_.now().steady;
}

void Host::wake() {
    if (!asleep_since_) return;
    slept_ += world_.now().steady - *asleep_since_;
    asleep_since_.reset();
    deadline_.reset();
    for (auto& what : std::exchange(after_wake_, {})) what();
    if (!core_) return;
    node().set_local_endpoints(settings.local_endpoints, now());
    tell_streams();
    drain();
}

void Host::start() {
    ++life_;
    events.clear();
    voice_events.clear();
    std::vector<net::Bytes> records;
    for (const auto& [key, wire] : disk.records) records.push_back(wire);
    std::optional<meshd::CoreVoice> core_voice;
    if (voice) {
        core_voice.emplace();
        core_voice->settings = *voice;
        core_voice->port = kSipPort;
        core_voice->media = &media;
        core_voice->local_toward = [this](const net::IpAddress&) { return address; };
    }
    core_ = std::make_unique<meshd::Core>(*disk.identity, records, disk.stamp, world_.random(), settings,
                                          std::move(core_voice), now());
    if (core_->proxy() != nullptr) {
        std::vector<voice::SavedBinding> saved;
        for (const auto& [aor, phones] : disk.phones) saved.insert(saved.end(), phones.begin(), phones.end());
        core_->proxy()->restore(saved, now());
        core_->proxy()->restore_mail(disk.mail, now());
        core_->proxy()->restore_lamps(disk.lamps, now());
        std::vector<voice::CallRecord> calls;
        for (const auto& [number, record] : disk.calls) calls.push_back(record);
        core_->proxy()->restore_calls(std::move(calls), now());
    }
    tell_streams();
    for (const auto& [key, endpoint] : disk.endpoints) node().add_candidate(key, endpoint, mesh::Source::cache, now());
    drain();
}

void Host::crash() {
    ++life_;
    sockets_.clear();
    world_.streams_.forget(*this);
    asleep_since_.reset();
    after_wake_.clear();
    deadline_.reset();
    core_.reset();
    joiner_.reset();
}

void Host::stop() {
    node().leave(now());
    drain();
    crash();
}

std::size_t Host::peers_up() const {
    const auto& node = core_->node();
    const auto& members = node.view().members;
    return static_cast<std::size_t>(std::count_if(members.begin(), members.end(), [&](const auto& one) { return node.is_up(one.first); }));
}

net::IpAddress Host::overlay(bool v6) const {
    for (const auto& one : core_->node().self().says.addresses)
        if (one.is_v6() == v6) return one;
    return {};
}

void Host::shape(std::uint64_t rate_bytes_per_s) {
    uplink_.emplace(rate_bytes_per_s);
    shaper_.emplace(rate_bytes_per_s);
}

void Host::run_shaper() {
    if (!shaper_ || !core_) return;
    std::uint64_t dropped = 0;
    while (!shaper_->empty() && uplink_->open_at(now().steady) <= now().steady) {
        const auto packet = shaper_->pop(now().steady, dropped);
        if (!packet) break;
        node().send_ip(packet->bytes, now());
        drain();
    }
    if (dropped != 0) node().wireguard().shared_drops()->add(mesh::Drop::uplink_full, dropped);
}

void Host::send_overlay(const net::IpAddress& to, std::uint16_t from_port, std::uint16_t to_port, net::ByteView payload,
                        std::uint8_t traffic_class) {
    for (const auto& own : node().self().says.addresses) {
        if (own.bits() != to.bits()) continue;
        auto packet = udp_packet(own, to, from_port, to_port, payload, traffic_class);
        if (!shaper_ || (net::is_voice(traffic_class) && uplink_->admits_voice(packet.size(), now().steady))) {
            node().send_ip(packet, now());
            return drain();
        }
        if (!shaper_->push({std::move(packet), now().steady})) {
            node().wireguard().shared_drops()->add(mesh::Drop::uplink_full);
        }
        return run_shaper();
    }
}

void Host::receive(const net::Endpoint& from, const net::Endpoint& to, net::MutableBytes bytes) {
    if (joiner_) {
        joiner_->receive(bytes, from, now());
    } else if (core_ && to.port == kPort) {
        node().receive(bytes, from, now());
    } else if (const auto socket = socket_at(to.port); core_ && socket) {
        node().receive(bytes, mesh::socket_endpoint(*socket, from), now());
    } else if (core_ && core_->proxy() != nullptr && to.port == kSipPort) {
        core_->proxy()->receive({voice::Transport::udp, to, from, 0, voice::Side::phone}, bytes, now());
    }
    drain();
}

std::optional<std::uint32_t> Host::socket_at(std::uint16_t port) const {
    const auto found = std::find_if(sockets_.begin(), sockets_.end(), [&](auto socket) { return port_of(socket) == port; });
    return found == sockets_.end() ? std::nullopt : std::optional(*found);
}

void Host::told_too_big(const net::Endpoint& to, std::size_t mtu_bytes) {
    if (!core_ || asleep_since_) return;
    node().told_too_big(to, mtu_bytes, now());
    drain();
}

void Host::receive_sip(const voice::Flow& flow, net::ByteView bytes) {
    if (!core_ || core_->proxy() == nullptr) return;
    core_->proxy()->receive(flow, bytes, now());
    drain();
}

void Host::tick() {
    if (joiner_) joiner_->tick(now());
    if (core_) core_->tick(now());
    drain();
    run_shaper();
}

net::Steady Host::next_deadline() const {
    if (!deadline_) deadline_ = work_out_deadline();
    return *deadline_;
}

net::Steady Host::work_out_deadline() const {
    if (asleep_since_) return net::kNever;
    if (joiner_) return of_world(joiner_->next_deadline());
    if (!core_) return net::kNever;
    const bool waits = shaper_ && !shaper_->empty();
    return of_world(std::min(core_->next_deadline(), waits ? uplink_->open_at(now().steady) : net::kNever));
}

void Host::drain() {
    deadline_.reset();
    if (joiner_) {
        for (auto& out : joiner_->take_datagrams()) world_.send(*this, kPort, out.to, std::move(out.bytes));
        return;
    }
    // Each round's output may be the next round's input: SIP over the mesh to ourselves, a reply to what was delivered.
    for (bool more = core_ != nullptr; more;) {
        more = false;
        core_->settle(now());
        if (auto batch = node().take_durable()) {
            const auto delay = batch->sync ? net::Duration(kDiskWrite) : net::Duration::zero();
            world_.at(world_.now().steady + delay, [this, life = life_, batch = std::move(*batch)] { written(batch, life); });
        }
        for (auto& out : node().take_datagrams()) {
            if (const auto way = mesh::VirtualEndpoint::of(out.to)) {
                if (way->kind == mesh::VirtualEndpoint::Kind::stream) {
                    world_.streams_.send(*this, way->id, std::move(out.bytes));
                } else if (sockets_.contains(way->relay)) {
                    world_.send(*this, port_of(way->relay), way->remote(), std::move(out.bytes));
                }
                continue;
            }
            if (uplink_) uplink_->spend(out.bytes.size() + 20 + 8, now().steady);
            world_.send(*this, kPort, out.to, std::move(out.bytes), out.never_fragment);
        }
        for (auto& event : core_->take_node_events()) {
            if (const auto* good = std::get_if<mesh::EndpointGood>(&event)) {
                std::erase_if(disk.endpoints, [&](const auto& one) { return one.first == good->key; });
                disk.endpoints.emplace_back(good->key, good->endpoint);
            }
            if (const auto* wanted = std::get_if<mesh::StreamWanted>(&event)) world_.streams_.dial(*this, wanted->to);
            if (const auto* sockets = std::get_if<mesh::SocketsWanted>(&event)) {
                const auto first = next_socket_;
                for (std::size_t i = 0; i < sockets->count; ++i) sockets_.insert(next_socket_++);
                node().sockets_opened(first, sockets->count, now());
                more = true;
            }
            if (const auto* sockets = std::get_if<mesh::SocketsUnwanted>(&event))
                for (const auto socket : sockets->sockets) sockets_.erase(socket);
            if (const auto* unwanted = std::get_if<mesh::StreamUnwanted>(&event)) {
                world_.at(world_.now().steady, [this, life = life_, id = unwanted->stream] {
                    if (life == life_) world_.streams_.close(*this, id);
                });
            }
            events.push_back(std::move(event));
        }
        for (auto& event : core_->take_voice_events()) {
            if (const auto* binding = std::get_if<voice::BindingChanged>(&event)) {
                disk.phones[binding->aor] = core_->proxy()->saved(binding->aor, now());
            }
            if (const auto* call = std::get_if<voice::CallRecorded>(&event)) {
                disk.calls.erase(call->number);
                if (call->record) disk.calls.emplace(call->number, *call->record);
            }
            voice_events.push_back(std::move(event));
        }
        for (const auto& packet : node().take_packets()) {
            deliver(packet);
            more = true;
        }
        if (core_->proxy() == nullptr) continue;
        if (auto mail = core_->proxy()->take_mail()) {
            world_.at(world_.now().steady + kDiskWrite, [this, life = life_, mail = std::move(*mail)] { written(mail, life); });
        }
        for (auto& [key, value] : core_->proxy()->take_lamps()) {
            if (value.empty()) {
                disk.lamps.erase(key);
            } else {
                disk.lamps[key] = std::move(value);
            }
        }
        for (auto& out : core_->proxy()->take_outgoing()) {
            more = true;
            const auto& flow = out.flow;
            if (flow.side == voice::Side::mesh) {
                send_overlay(flow.remote.address, meshd::kOverlaySipPort, flow.remote.port, out.bytes);
            } else if (sip_out) {
                sip_out(std::move(out));
            } else {
                world_.send(*this, kSipPort, flow.remote, std::move(out.bytes));
            }
        }
    }
}

void Host::written(const mesh::DurableBatch& batch, std::uint64_t life) {
    if (asleep_since_) return after_wake_.push_back([=, this] { written(batch, life); });
    if (life != life_) return;  // it crashed before the disk had it
    for (const auto& record : batch.records) {
        if (record.wire.empty()) {
            disk.records.erase(record.key);
        } else {
            disk.records[record.key] = record.wire;
        }
    }
    if (batch.stamp) disk.stamp = batch.stamp;
    node().durable(batch.id, now());
    drain();
}

void Host::written(const voice::MailBatch& batch, std::uint64_t life) {
    if (asleep_since_) return after_wake_.push_back([=, this] { written(batch, life); });
    if (life != life_) return;
    for (const auto& [key, value] : batch.values) {
        disk.mail[key] = value;
        if (value.empty()) disk.mail.erase(key);
    }
    core_->proxy()->mail_stored(batch.id, now());
    drain();
}

void Host::deliver(net::ByteView packet) {
    const auto header = net::parse_ip(packet);
    if (!header || header->protocol != 17) return;
    const std::size_t ip_bytes = header->source.is_v4() ? 20 : 40;
    net::Reader udp(packet.subspan(ip_bytes, header->total_bytes - ip_bytes));
    const auto from_port = udp.u16be(), to_port = udp.u16be();
    udp.bytes(4);
    if (!udp.ok()) return;
    if (to_port == meshd::kOverlaySipPort && core_->proxy() != nullptr) {
        core_->proxy()->receive({voice::Transport::udp,
                                 {header->destination, to_port},
                                 {header->source, from_port},
                                 0,
                                 voice::Side::mesh},
                                udp.rest(), now());
    } else {
        inner.push_back({header->source, to_port, net::copy(udp.rest()), now().steady});
    }
}

}  // namespace sim
