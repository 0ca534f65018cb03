#include "offices.hpp"

namespace test {

void Roster::add_user(const std::string& user, const voice::NodeId& node, const std::string& password) {
    const auto aor = user + "@acme.example";
    auto& entry = users[aor];
    entry.record.aor = aor;
    entry.nodes.insert(node);
    if (password.empty()) return;
    entry.record.realm = "acme.example";
    entry.record.ha1_md5 = voice::digest_ha1(voice::DigestAlgorithm::md5, user, "acme.example", password);
    entry.record.ha1_sha256 = voice::digest_ha1(voice::DigestAlgorithm::sha256, user, "acme.example", password);
    entry.record.ha1_sha512_256 = voice::digest_ha1(voice::DigestAlgorithm::sha512_256, user, "acme.example", password);
}

namespace {

voice::ProxySettings settings_of(const voice::NodeId& name, std::optional<net::Endpoint> centre,
                                 const std::function<void(voice::ProxySettings&)>& change) {
    voice::ProxySettings settings;
    settings.node = name;
    settings.domain = "acme.example";
    settings.phones = {*net::Prefix::parse("10.0.0.0/8"), *net::Prefix::parse("fd00::/8")};
    if (centre) settings.centre = voice::Centre{voice::Transport::udp, *centre};
    if (change) change(settings);
    return settings;
}

}  // namespace

Office::Office(World& world, Roster& roster, voice::NodeId name, std::uint8_t n, std::optional<net::Endpoint> centre,
               const std::function<void(voice::ProxySettings&)>& change)
    : world_(world),
      roster_(roster),
      name_(std::move(name)),
      n_(n),
      proxy(settings_of(name_, centre, change), *this, world.random, world.now) {
    world.attach(lan(), *this);
    world.attach(lan6(), *this);
    world.attach(wan(), *this);
    world.attach({overlay_address(), 5080, 0}, *this);
    roster.offices[name_] = this;
}

void Office::receive(const voice::Flow& flow, net::ByteView bytes, net::Now now) {
    proxy.receive(flow, bytes, now);
}

void Office::tick(net::Now now) {
    proxy.tick(now);
}

std::vector<voice::Outgoing> Office::take_outgoing() {
    for (const auto& event : proxy.take_events()) {
        if (const auto* changed = std::get_if<voice::BindingChanged>(&event)) {
            if (changed->until)
                bound.insert(changed->aor);
            else
                bound.erase(changed->aor);
        }
        if (const auto* mode = std::get_if<voice::ModeChanged>(&event)) told.push_back("mode " + mode->mode);
        if (const auto* started = std::get_if<voice::CallStarted>(&event))
            told.push_back("call " + started->call.to + " by " + started->call.path);
        if (const auto* audio = std::get_if<voice::AudioChanged>(&event))
            told.push_back("audio " + (audio->call.audio.empty() ? "is heard" : audio->call.audio));
        if (const auto* asking = std::get_if<voice::AccountsAsked>(&event)) asked.push_back(*asking);
        if (const auto* told_us = std::get_if<voice::AccountsTold>(&event)) accounts.push_back(*told_us);
        if (const auto* record = std::get_if<voice::CallRecorded>(&event)) {
            if (record->record) {
                records[record->number] = *record->record;
            } else {
                records.erase(record->number);
            }
        }
        if (const auto* ended = std::get_if<voice::CallEnded>(&event))
            told.push_back("end " + ended->call.to + ": " + ended->why);
    }
    while (const auto batch = proxy.take_mail()) {
        if (disk_full) continue;
        for (const auto& [name, value] : batch->values) {
            mail[name] = value;
            if (value.empty()) mail.erase(name);
        }
        proxy.mail_stored(batch->id, world_.now);
    }
    return proxy.take_outgoing();
}

net::Endpoint Office::local(const net::Endpoint& remote, voice::Transport, voice::Side side) const {
    if (side == voice::Side::mesh) return {overlay_address(), 5080, 0};
    if (remote.address.is_v6()) return lan6();
    const net::Prefix lan_prefix(net::IpAddress::v4(10, n_, 0, 0), 16);
    return lan_prefix.contains(remote.address) ? lan() : wan();
}

std::vector<voice::NodeId> Office::nodes_with(const voice::Aor& aor) const {
    std::vector<voice::NodeId> out;
    for (const auto& [name, office] : roster_.offices) {
        if (name != name_ && office->bound.contains(aor) && may_bind(name, aor) && overlay_of(name))
            out.push_back(name);
    }
    return out;
}

bool Office::may_bind(const voice::NodeId& node, const voice::Aor& aor) const {
    const auto user = roster_.users.find(aor);
    return user != roster_.users.end() && (user->second.nodes.contains(node) || user->second.nodes.contains("any"));
}

std::optional<voice::UserRecord> Office::user(const voice::Aor& aor) const {
    const auto user = roster_.users.find(aor);
    return user == roster_.users.end() ? std::nullopt : std::optional(user->second.record);
}

std::optional<voice::Aor> Office::aor_of_number(std::string_view number) const {
    const auto found = roster_.numbers.find(std::string(number));
    return found == roster_.numbers.end() ? std::nullopt : std::optional(found->second);
}

std::vector<voice::NodeId> Office::voice_nodes() const {
    std::vector<voice::NodeId> out;
    for (const auto& [name, office] : roster_.offices) {
        if (name != name_ && overlay_of(name) && !roster_.voiceless.contains(name)) out.push_back(name);
    }
    return out;
}

std::vector<std::string> Office::numbers_of(const voice::Aor& aor) const {
    std::vector<std::string> out;
    for (const auto& [number, owner] : roster_.numbers) {
        if (owner == aor) out.push_back(number);
    }
    return out;
}

std::vector<voice::RemoteTrunk> Office::trunks() const {
    std::vector<voice::RemoteTrunk> out;
    for (const auto& name : voice_nodes()) {
        const auto trip = roster_.round_trips.find(name);
        for (const auto& offer : roster_.offices.at(name)->proxy.trunk_offers()) {
            out.push_back({name, offer, trip == roster_.round_trips.end() ? 20ms : trip->second});
        }
    }
    return out;
}

std::optional<voice::NodeId> Office::node_at(const net::IpAddress& overlay) const {
    for (const auto& [name, office] : roster_.offices) {
        if (office->overlay_address() == overlay) return name;
    }
    return std::nullopt;
}

std::optional<net::IpAddress> Office::overlay_of(const voice::NodeId& node) const {
    const auto office = roster_.offices.find(node);
    if (office == roster_.offices.end()) return std::nullopt;
    const auto address = office->second->overlay_address();
    if (world_.cut.contains(address) || world_.cut.contains(overlay_address())) return std::nullopt;
    return address;
}

std::optional<voice::RelayPorts> Office::open(net::Now) {
    if (relays.size() >= most_relays) return std::nullopt;
    const auto id = ++next_relay_;
    relays[id] = {};
    const auto port = static_cast<std::uint16_t>(20000 + 4 * id);
    return voice::RelayPorts{id, port, static_cast<std::uint16_t>(port + 2)};
}

void Office::set_remote(voice::RelayId id, voice::Leg leg, const voice::LegRemote& remote, net::Now) {
    relays.at(id)[static_cast<std::size_t>(leg)] = remote;
}

void Office::close(voice::RelayId id) {
    relays.erase(id);
}

std::optional<voice::RelayStats> Office::stats(voice::RelayId) const {
    auto stats = media_stats;
    stats.near.packets += media_packets;
    return stats;
}

Scene::Scene(std::uint64_t seed, bool with_centre, const std::function<void(voice::ProxySettings&)>& change)
    : world(seed),
      centre(world, centre_at),
      trento(world, roster, "trento", 1, with_centre ? std::optional(centre_at) : std::nullopt, change),
      munich(world, roster, "munich", 2, with_centre ? std::optional(centre_at) : std::nullopt, change),
      london(world, roster, "london", 3, with_centre ? std::optional(centre_at) : std::nullopt, change),
      alice(world, "alice", trento.phone(10), trento.lan()),
      bob(world, "bob", munich.phone(10), munich.lan()),
      carol(world, "carol", london.phone(10), london.lan()),
      dave(world, "dave", london.phone(11), london.lan()) {
    for (const auto& [user, node] :
         {std::pair("alice", "trento"), {"bob", "munich"}, {"carol", "london"}, {"dave", "london"}}) {
        roster.add_user(user, node, with_centre ? "" : "secret");
        centre.passwords[user] = "secret";
    }
    roster.numbers["102"] = "bob@acme.example";
}

void Scene::register_all() {
    for (auto* phone : {&alice, &bob, &carol, &dave}) phone->register_now();
    world.run(2s);
}

bool Scene::quiet() {
    for (const auto* office : {&trento, &munich, &london}) {
        if (!office->proxy.calls().empty() || !office->relays.empty()) return false;
    }
    world.run(40s);
    for (const auto* office : {&trento, &munich, &london}) {
        if (office->proxy.invite_transactions() > 0 || office->proxy.forks() > 0) return false;
    }
    return true;
}

}  // namespace test
