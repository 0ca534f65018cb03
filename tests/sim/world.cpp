#include "tests/sim/world.hpp"

#include <algorithm>
#include <stdexcept>

#include "meshd/config.hpp"
#include "net/packet.hpp"

namespace sim {
namespace {

constexpr std::uint16_t kUnderlayPort = 51820;
constexpr std::uint16_t kSipPort = 5060;
constexpr auto kDiskWrite = std::chrono::milliseconds(3);

/// An IP and UDP header around a payload (RFC 791, RFC 8200, RFC 768; checksum zero: nothing here looks at it).
net::Bytes udp_packet(const net::IpAddress& from, const net::IpAddress& to, std::uint16_t from_port,
                      std::uint16_t to_port, net::ByteView payload) {
    const auto udp_bytes = static_cast<std::uint16_t>(8 + payload.size());
    net::Writer out;
    if (to.is_v4()) {
        out.u8(0x45).u8(0).u16be(static_cast<std::uint16_t>(20 + udp_bytes)).u32be(0).u8(64).u8(17).u16be(0);
    } else {
        out.u32be(0x60000000).u16be(udp_bytes).u8(17).u8(64);
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

Host::Host(World& world, std::string host_name, net::IpAddress host_address)
    : name(std::move(host_name)), address(host_address), settings(world.defaults), world_(world) {
    settings.listen_port = kUnderlayPort;
    settings.local_endpoints = {{address, kUnderlayPort}};
}

net::Now Host::now() const {
    auto now = world_.now();
    now.wall += clock_offset;
    return now;
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
    }
    for (const auto& [key, endpoint] : disk.endpoints) node().add_candidate(key, endpoint, mesh::Source::cache, now());
    drain();
}

void Host::crash() {
    ++life_;
    core_.reset();
    joiner_.reset();
}

void Host::stop() {
    node().leave(now());
    drain();
    crash();
}

std::size_t Host::peers_up() const {
    std::size_t up = 0;
    for (const auto& peer : core_->node().peers(now())) up += peer.state == mesh::PeerState::session ? 1 : 0;
    return up;
}

void Host::send_overlay(const net::IpAddress& to, std::uint16_t from_port, std::uint16_t to_port, net::ByteView payload) {
    for (const auto& own : node().self().says.addresses) {
        if (own.bits() != to.bits()) continue;
        node().send_ip(udp_packet(own, to, from_port, to_port, payload), now());
        drain();
        return;
    }
}

void Host::receive(const net::Endpoint& from, const net::Endpoint& to, net::MutableBytes bytes) {
    if (joiner_) {
        joiner_->receive(bytes, from, now());
    } else if (core_ && to.port == kUnderlayPort) {
        node().receive(bytes, from, now());
    } else if (core_ && core_->proxy() != nullptr && to.port == kSipPort) {
        core_->proxy()->receive({voice::Transport::udp, to, from, 0, voice::Side::phone}, bytes, now());
    }
    drain();
}

void Host::told_too_big(const net::Endpoint& to, std::size_t mtu_bytes) {
    if (core_) node().told_too_big(to, mtu_bytes, now());
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
}

net::Steady Host::next_deadline() const {
    if (joiner_) return joiner_->next_deadline();
    return core_ ? core_->next_deadline() : net::kNever;
}

void Host::drain() {
    if (joiner_) {
        for (auto& out : joiner_->take_datagrams()) world_.send({address, kUnderlayPort}, out.to, std::move(out.bytes));
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
            world_.send({address, kUnderlayPort}, out.to, std::move(out.bytes), out.never_fragment);
        }
        for (auto& event : core_->take_node_events()) {
            if (const auto* good = std::get_if<mesh::EndpointGood>(&event)) disk.endpoints.emplace_back(good->key, good->endpoint);
            events.push_back(std::move(event));
        }
        for (auto& event : core_->take_voice_events()) {
            if (const auto* binding = std::get_if<voice::BindingChanged>(&event)) {
                disk.phones[binding->aor] = core_->proxy()->saved(binding->aor, now());
            }
            voice_events.push_back(std::move(event));
        }
        for (const auto& packet : node().take_packets()) {
            deliver(packet);
            more = true;
        }
        if (core_->proxy() == nullptr) continue;
        for (auto& out : core_->proxy()->take_outgoing()) {
            more = true;
            const auto& flow = out.flow;
            if (flow.side == voice::Side::mesh) {
                send_overlay(flow.remote.address, meshd::kOverlaySipPort, flow.remote.port, out.bytes);
            } else if (sip_out) {
                sip_out(std::move(out));
            } else {
                world_.send({address, kSipPort}, flow.remote, std::move(out.bytes));
            }
        }
    }
}

void Host::written(const mesh::DurableBatch& batch, std::uint64_t life) {
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
        inner.push_back({header->source, to_port, net::copy(udp.rest())});
    }
}

World::World(std::uint64_t seed)
    : seed_(seed),
      random_(seed),
      now_{net::Steady(std::chrono::hours(1)), net::from_unix_seconds(1'800'000'000)} {}

World::~World() = default;

Host& World::host(const std::string& name) { return *hosts_.at(name); }

std::vector<Host*> World::hosts() {
    std::vector<Host*> out;
    for (auto& [name, host] : hosts_) out.push_back(host.get());
    return out;
}

Host& World::add_host(const std::string& name, std::string_view address) {
    auto& host = hosts_[name];
    host = std::make_unique<Host>(*this, name, net::IpAddress::parse(address).value());
    by_address_[host->address] = host.get();
    return *host;
}

Host& World::found(const std::string& name, std::string_view address, std::vector<net::Prefix> subnets) {
    auto& host = add_host(name, address);
    auto made = mesh::Node::create_mesh({"acme", name, *net::Prefix::parse("10.99.0.0/16"), std::move(subnets)}, random_,
                                        host.now());
    if (!made) throw std::runtime_error(made.error().message);
    host.disk.records = meshd::keyed_records(made->identity.mesh_id, made->records);
    host.disk.identity = std::move(made->identity);
    host.start();
    return host;
}

Host& World::join(const std::string& name, std::string_view address, Host& admin, std::vector<net::Prefix> subnets) {
    mesh::InviteRequest request;
    request.name = name;
    request.subnets = std::move(subnets);
    auto token = admin.node().invite(request, admin.now());
    if (!token) throw std::runtime_error(token.error().message);
    admin.drain();
    auto& host = add_host(name, address);
    if (const auto why = join_with(host, token->text())) throw std::runtime_error(*why);
    return host;
}

std::optional<std::string> World::join_with(Host& host, const std::string& text) {
    const auto token = mesh::Token::parse(text);
    if (!token) return token.error().message;
    host.joiner_ = std::make_unique<mesh::Joiner>(*token, random_, host.now());
    auto& joiner = *host.joiner_;
    using State = mesh::Joiner::State;
    host.tick();
    run_until([&] { return joiner.state() == State::joined || joiner.state() == State::failed; }, std::chrono::minutes(2));
    if (joiner.state() != State::joined) {
        const auto why = joiner.status();
        host.joiner_.reset();
        return why;
    }
    auto joined = joiner.take_joined();
    host.joiner_.reset();
    host.disk = {};
    host.disk.records = meshd::keyed_records(joined.identity.mesh_id, joined.records);
    host.disk.identity = std::move(joined.identity);
    host.start();
    for (const auto& [key, endpoint] : joined.contacts) {
        const auto* member = host.node().view().by_tunnel_key(key);
        host.node().add_candidate(member == nullptr ? std::nullopt : std::optional(member->key), endpoint,
                                  mesh::Source::join, host.now());
    }
    host.drain();
    return std::nullopt;
}

bool World::connected(const net::IpAddress& a, const net::IpAddress& b) const {
    if (unplugged_.contains(a) || unplugged_.contains(b)) return false;
    if (sets_.empty()) return true;
    return std::any_of(sets_.begin(), sets_.end(), [&](const auto& set) { return set.contains(a) && set.contains(b); });
}

void World::send(const net::Endpoint& from, const net::Endpoint& to, net::Bytes bytes, bool never_fragment) {
    if (tap) tap(from, to, bytes);
    const auto packet_bytes = bytes.size() + 8 + (to.address.is_v4() ? 20 : 40);
    for (const auto& end : {from.address, to.address}) {
        const auto line = lines.find(end);
        if (!never_fragment || line == lines.end() || packet_bytes <= line->second.mtu_bytes) continue;
        if (line->second.silent) return;
        at(now_.steady + weather.delay, [this, from, to, mtu_bytes = line->second.mtu_bytes] {
            if (const auto host = by_address_.find(from.address); host != by_address_.end()) {
                host->second->told_too_big(to, mtu_bytes);
            }
        });
        return;
    }
    const auto unit = [this] { return static_cast<double>(random_.below(1'000'000)) / 1e6; };
    if (unit() < weather.loss) return;
    const auto jitter = weather.jitter.count() == 0
                            ? net::Duration::zero()
                            : net::Duration(random_.below(static_cast<std::uint64_t>(weather.jitter.count())));
    at(now_.steady + weather.delay + jitter, [this, from, to, bytes = std::move(bytes)]() mutable {
        if (!connected(from.address, to.address)) return;
        if (const auto host = by_address_.find(to.address); host != by_address_.end()) {
            host->second->receive(from, to, bytes);
        } else if (const auto actor = actors_.find(to.address); actor != actors_.end()) {
            actor->second->receive(from, to, bytes, now_);
        }
    });
}

void World::at(net::Steady when, std::function<void()> what) { events_.push({when, order_++, std::move(what)}); }

bool World::step(net::Steady limit) {
    auto next = events_.empty() ? net::kNever : events_.top().when;
    Host* due_host = nullptr;
    Actor* due_actor = nullptr;
    for (auto& [name, host] : hosts_) {
        if (const auto deadline = host->next_deadline(); deadline < next) {
            next = deadline;
            due_host = host.get();
        }
    }
    for (auto& [address, actor] : actors_) {
        if (const auto deadline = actor->next_deadline(); deadline < next) {
            next = deadline;
            due_actor = actor;
            due_host = nullptr;
        }
    }
    if (next > limit) {
        now_.wall += limit - now_.steady;
        now_.steady = limit;
        return false;
    }
    if (next > now_.steady) {
        now_.wall += next - now_.steady;
        now_.steady = next;
    }
    if (due_actor != nullptr) {
        due_actor->tick(now_);
    } else if (due_host != nullptr) {
        due_host->tick();
    } else {
        const auto what = std::move(const_cast<Event&>(events_.top()).what);
        events_.pop();
        what();
    }
    return true;
}

void World::run_for(net::Duration time) {
    const auto limit = now_.steady + time;
    while (step(limit)) {
    }
}

bool World::run_until(const std::function<bool()>& holds, net::Duration limit) {
    const auto end = now_.steady + limit;
    while (!holds()) {
        if (!step(end)) return holds();
    }
    return true;
}

bool World::full_mesh() {
    std::size_t running = 0;
    for (const auto& [name, host] : hosts_) running += host->running() ? 1 : 0;
    return std::all_of(hosts_.begin(), hosts_.end(), [&](const auto& entry) {
        return !entry.second->running() || entry.second->peers_up() == running - 1;
    });
}

bool World::same_rosters() {
    const mesh::View* first = nullptr;
    for (const auto& [name, host] : hosts_) {
        if (!host->running()) continue;
        const auto& view = host->node().view();
        if (first == nullptr) first = &view;
        if (view.users != first->users || view.revoked != first->revoked || view.admins != first->admins) return false;
        if (view.members.size() != first->members.size()) return false;
        for (const auto& [key, member] : view.members) {
            const auto* other = first->member(key);
            if (other == nullptr || !(other->says == member.says)) return false;
        }
    }
    return true;
}

}  // namespace sim
