#include "tests/sim/world.hpp"

#include <algorithm>
#include <stdexcept>

namespace sim {

namespace {

Place on_internet(std::string_view address) { return {Network::kInternet, {net::IpAddress::parse(address).value()}}; }

}  // namespace

World::World(std::uint64_t seed)
    : seed_(seed),
      random_(seed),
      now_{net::Steady(std::chrono::hours(1)), net::from_unix_seconds(1'800'000'000)},
      network_(seed ^ 0x6e6174) {}

World::~World() = default;

Host& World::host(const std::string& name) { return *hosts_.at(name); }

std::vector<Host*> World::hosts() {
    std::vector<Host*> out;
    for (auto& [name, host] : hosts_) out.push_back(host.get());
    return out;
}

Host& World::add_host(const std::string& name, std::string_view address) { return add_host(name, on_internet(address)); }

Host& World::add_host(const std::string& name, const Place& place) {
    auto& host = hosts_[name];
    const auto station = host ? host->station : static_cast<StationId>(stations_.size());
    network_.put(station, place);
    host = std::make_unique<Host>(*this, name, station, place);
    stations_.resize(std::max<std::size_t>(stations_.size(), station + 1));
    stations_[station] = host.get();
    return *host;
}

Host& World::found(const std::string& name, std::string_view address, std::vector<net::Prefix> subnets) {
    return found(name, on_internet(address), std::move(subnets));
}

Host& World::found(const std::string& name, const Place& place, std::vector<net::Prefix> subnets) {
    auto& host = add_host(name, place);
    auto made = mesh::Node::create_mesh({"acme", name, *net::Prefix::parse("10.99.0.0/16"), std::move(subnets)}, random_,
                                        host.now());
    if (!made) throw std::runtime_error(made.error().message);
    host.disk.records = meshd::keyed_records(made->identity.mesh_id, made->records);
    host.disk.identity = std::move(made->identity);
    host.start();
    return host;
}

Host& World::join(const std::string& name, std::string_view address, Host& admin, std::vector<net::Prefix> subnets) {
    return join(name, on_internet(address), admin, std::move(subnets));
}

Host& World::join(const std::string& name, const Place& place, Host& admin, std::vector<net::Prefix> subnets) {
    mesh::InviteRequest request;
    request.name = name;
    request.subnets = std::move(subnets);
    auto token = admin.node().invite(request, admin.now());
    if (!token) throw std::runtime_error(token.error().message);
    admin.drain();
    auto& host = add_host(name, place);
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

// The network.

void World::move(Host& host, const Place& place) {
    note(host.name + " moves to " + network_.name(place.lan));
    network_.put(host.station, place);
    host.moved(place);
}

const Host* World::at_address(const net::IpAddress& address) const {
    const auto found = std::find_if(stations_.begin(), stations_.end(), [&](const auto* one) { return one->address == address; });
    return found == stations_.end() ? nullptr : *found;
}

void World::partition(const std::vector<std::set<net::IpAddress>>& sets) {
    sets_.clear();
    for (const auto& set : sets) {
        auto& hosts = sets_.emplace_back();
        for (const auto& address : set) hosts.insert(at_address(address));
    }
}

bool World::connected(const Host& a, const Host& b) const {
    if (unplugged_.contains(&a) || unplugged_.contains(&b)) return false;
    if (sets_.empty()) return true;
    return std::any_of(sets_.begin(), sets_.end(), [&](const auto& set) { return set.contains(&a) && set.contains(&b); });
}

/// Whether the line of one of the two ends takes it. If not, the sender is told, unless that line is silent.
bool World::fits(Host& sender, const Host& end, const net::Endpoint& to, std::size_t packet_bytes) {
    const auto line = lines.find(end.address);
    if (line == lines.end() || packet_bytes <= line->second.mtu_bytes) return true;
    if (!line->second.silent) {
        at(now_.steady + weather.delay, [&sender, to, mtu_bytes = line->second.mtu_bytes] { sender.told_too_big(to, mtu_bytes); });
    }
    return false;
}

bool World::is_lost() { return static_cast<double>(random_.below(1'000'000)) / 1e6 < weather.loss; }

net::Duration World::travel_time(const Network::Transit& transit) {
    if (!transit.crosses_internet) return kLanDelay;
    if (weather.jitter.count() == 0) return weather.delay;
    return weather.delay + net::Duration(random_.below(static_cast<std::uint64_t>(weather.jitter.count())));
}

void World::send(Host& from, std::uint16_t from_port, const net::Endpoint& to, net::Bytes bytes, bool never_fragment) {
    auto transit = network_.send(Transport::udp, from.station, from_port, to, now_.steady);
    if (tap) tap({transit.inside, from_port}, to, bytes);
    const auto number = trace_.sent(now_.steady, from.name, to, bytes, Transport::udp);
    const auto lost = [&](Network::Fate fate) {
        transit.fate = fate;
        trace_.ended(number, now_.steady, transit, &from.name);
    };
    const auto packet_bytes = bytes.size() + 8 + (to.address.is_v4() ? 20 : 40);
    if (transit.fate != Network::Fate::under_way) return trace_.ended(number, now_.steady, transit, nullptr);
    if (never_fragment && !fits(from, from, to, packet_bytes)) return lost(Network::Fate::too_big);
    if (transit.crosses_internet && is_lost()) return lost(Network::Fate::lost);
    const auto delay = travel_time(transit);
    auto leaves = now_.steady;
    if (const auto line = lines.find(from.address); line != lines.end() && line->second.rate_bytes_per_s != 0) {
        const auto time_of = [rate = line->second.rate_bytes_per_s](std::size_t size) {
            return net::Duration(std::chrono::nanoseconds(size * 1'000'000'000 / rate));
        };
        auto& busy_until = busy_until_.try_emplace(&from, now_.steady).first->second;
        leaves = std::max(busy_until, now_.steady);
        if (leaves - now_.steady > time_of(line->second.buffer_bytes)) return lost(Network::Fate::lost);
        busy_until = leaves += time_of(packet_bytes);
    }
    at(leaves + delay, [this, &from, to, transit, number, never_fragment, bytes = std::move(bytes)]() mutable {
        network_.arrive(transit, now_.steady);
        Host* receiver = nullptr;
        if (transit.fate == Network::Fate::arrived) {
            receiver = stations_[transit.station];
            transit.fate = fate_at(from, *receiver);
        }
        if (transit.fate == Network::Fate::arrived && never_fragment &&
            !fits(from, *receiver, to, bytes.size() + 8 + (to.address.is_v4() ? 20 : 40))) {
            transit.fate = Network::Fate::too_big;
        }
        trace_.ended(number, now_.steady, transit, receiver == nullptr ? nullptr : &receiver->name);
        if (transit.fate == Network::Fate::arrived) receiver->receive(transit.from, transit.to, bytes);
    });
}

Network::Fate World::fate_at(const Host& sender, const Host& receiver) const {
    if (!connected(sender, receiver)) return Network::Fate::cut;
    if (receiver.asleep_since_) return Network::Fate::asleep;
    return receiver.core_ || receiver.joiner_ ? Network::Fate::arrived : Network::Fate::gone;
}

// Time.

void World::at(net::Steady when, std::function<void()> what) { events_.push({when, order_++, std::move(what)}); }

bool World::step(net::Steady limit) {
    auto next = events_.empty() ? net::kNever : events_.top().when;
    Host* due_host = nullptr;
    for (auto& [name, host] : hosts_) {
        if (const auto deadline = host->next_deadline(); deadline < next) {
            next = deadline;
            due_host = host.get();
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
        steps_ = 0;
    } else if (++steps_ == kMaxStepsAtOnce) {
        throw std::runtime_error(report((due_host == nullptr ? std::string("it") : due_host->name) + " never comes to rest"));
    }
    if (due_host != nullptr) {
        due_host->tick();
    } else {
        const auto what = std::move(const_cast<Event&>(events_.top()).what);
        events_.pop();
        what();
    }
    return true;
}

void World::forget_deadlines() {
    for (auto& [name, host] : hosts_) host->deadline_.reset();
}

void World::run_for(net::Duration time) {
    const auto limit = now_.steady + time;
    forget_deadlines();
    while (step(limit)) {
    }
}

bool World::run_until(const std::function<bool()>& holds, net::Duration limit) {
    const auto end = now_.steady + limit;
    forget_deadlines();
    while (!holds()) {
        if (!step(end)) return holds();
    }
    return true;
}

bool World::full_mesh() {
    std::size_t running = 0;
    for (const auto& [name, host] : hosts_) running += host->awake() ? 1 : 0;
    return std::all_of(hosts_.begin(), hosts_.end(), [&](const auto& entry) {
        return !entry.second->awake() || entry.second->peers_up() == running - 1;
    });
}

bool World::same_rosters() {
    const mesh::View* first = nullptr;
    for (const auto& [name, host] : hosts_) {
        if (!host->running()) continue;
        const auto& view = host->core_->node().view();
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

std::string World::report(std::string_view violated) const {
    return "seed " + std::to_string(seed_) + ": " + std::string(violated) + "\n" + trace_.text(network_, began_);
}

}  // namespace sim
