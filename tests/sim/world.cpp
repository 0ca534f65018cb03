#include "tests/sim/world.hpp"

#include <algorithm>
#include <stdexcept>

namespace sim {

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
    auto leaves = now_.steady;
    if (const auto line = lines.find(from.address); line != lines.end() && line->second.rate_bytes_per_s != 0) {
        const auto time_of = [rate = line->second.rate_bytes_per_s](std::size_t size) {
            return net::Duration(std::chrono::nanoseconds(size * 1'000'000'000 / rate));
        };
        auto& busy_until = busy_until_.try_emplace(from.address, now_.steady).first->second;
        leaves = std::max(busy_until, now_.steady);
        if (leaves - now_.steady > time_of(line->second.buffer_bytes)) return;
        busy_until = leaves += time_of(packet_bytes);
    }
    at(leaves + weather.delay + jitter, [this, from, to, bytes = std::move(bytes)]() mutable {
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
    for (const auto& [name, host] : hosts_) running += host->running() ? 1 : 0;
    return std::all_of(hosts_.begin(), hosts_.end(), [&](const auto& entry) {
        return !entry.second->running() || entry.second->peers_up() == running - 1;
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

}  // namespace sim
