#include "tests/sim/streams.hpp"

#include "tests/sim/world.hpp"

namespace sim {

void Streams::dial(Host& from, const net::Endpoint& to) {
    world_.at(world_.now().steady, [this, &from, to, life = from.life_] {
        if (from.life_ == life && from.awake()) begin(from, to);
    });
}

void Streams::begin(Host& from, const net::Endpoint& to) {
    for (const auto& [key, end] : ends_) {
        if (key.first == &from && end->dialled && !end->noticing && end->remote == to) return from.stream_opened(end->id, to);
    }
    auto& until = under_way_[{&from, to}];
    if (world_.now().steady < until) return;
    until = world_.now().steady + kDialTime;
    world_.note(from.name + " dials " + to.text());
    const auto port = next_port_;
    next_port_ = next_port_ == 60000 ? std::uint16_t{40000} : static_cast<std::uint16_t>(next_port_ + 1);
    auto transit = world_.network().send(Transport::tcp, from.station, port, to, world_.now().steady);
    const auto give_up = [this, &from, to, life = from.life_](net::Duration after) {
        world_.at(world_.now().steady + after, [this, &from, to, life] {
            under_way_.erase({&from, to});
            if (from.life_ == life && from.awake()) from.stream_failed(to);
        });
    };
    if (transit.fate != Network::Fate::under_way) return give_up(kDialTime);
    world_.at(world_.now().steady + world_.travel_time(transit), [this, &from, port, to, transit, give_up, life = from.life_]() mutable {
        if (from.life_ != life) return;
        world_.network().arrive(transit, world_.now().steady);
        if (transit.fate != Network::Fate::arrived) return give_up(kDialTime);
        const auto& server = *world_.stations_[transit.station];
        if (world_.fate_at(from, server) != Network::Fate::arrived) return give_up(kDialTime);
        if (!server.listens || transit.to.port != kPort) return give_up(world_.travel_time(transit));  // refused
        accept(from, port, to, transit);
    });
}

/// The client's first packet has arrived; what is left are one and a half round trips.
void Streams::accept(Host& client, std::uint16_t port, const net::Endpoint& to, const Network::Transit& transit) {
    auto& server = *world_.stations_[transit.station];
    const auto one_way = world_.travel_time(transit);
    world_.at(world_.now().steady + 3 * one_way, [this, &client, &server, port, to, transit, life = client.life_, its_life = server.life_] {
        under_way_.erase({&client, to});
        if (client.life_ != life || server.life_ != its_life || !client.awake() || !server.awake()) return;
        auto back = world_.network().send(Transport::tcp, server.station, kPort, transit.from, world_.now().steady);
        if (back.fate == Network::Fate::under_way) world_.network().arrive(back, world_.now().steady);
        if (back.fate != Network::Fate::arrived || back.station != client.station || !world_.connected(client, server)) {
            return client.stream_failed(to);
        }
        const auto near = open(client, port, transit.inside, to), far = open(server, kPort, transit.to.address, transit.from);
        near->other = far;
        far->other = near;
        near->dialled = true;
        const auto id = near->id;
        world_.note(client.name + " has a stream to " + server.name);
        server.stream_opened(far->id, far->remote);
        if (ends_.contains({&client, id})) client.stream_opened(id, to);
    });
}

std::shared_ptr<Streams::End> Streams::open(Host& host, std::uint16_t port, const net::IpAddress& address, const net::Endpoint& remote) {
    auto out = std::make_shared<End>();
    out->host = &host;
    out->id = next_++;
    out->port = port;
    out->address = address;
    out->remote = remote;
    ends_[{&host, out->id}] = out;
    return out;
}

void Streams::send(Host& from, mesh::StreamId id, net::Bytes bytes) {
    const auto found = ends_.find({&from, id});
    if (found == ends_.end()) return;
    const auto end = found->second;
    auto transit = world_.network().send(Transport::tcp, from.station, end->port, end->remote, world_.now().steady);
    const auto number = world_.trace_.sent(world_.now().steady, from.name, end->remote, bytes, Transport::tcp);
    if (transit.fate != Network::Fate::under_way || transit.inside != end->address) {
        world_.trace_.ended(number, world_.now().steady, transit, nullptr);
        return broken(end);
    }
    auto delay = world_.travel_time(transit);
    while (transit.crosses_internet && world_.is_lost()) delay += std::chrono::milliseconds(200) + 2 * world_.weather.delay;
    end->clear = std::max(end->clear, world_.now().steady + delay);
    world_.at(end->clear, [this, end, transit, number, bytes = std::move(bytes)]() mutable {
        world_.network().arrive(transit, world_.now().steady);
        const auto other = end->other.lock();
        if (transit.fate == Network::Fate::arrived && (!other || transit.station != other->host->station || transit.to.address != other->address)) {
            transit.fate = Network::Fate::gone;
        }
        if (transit.fate == Network::Fate::arrived) transit.fate = world_.fate_at(*end->host, *other->host);
        world_.trace_.ended(number, world_.now().steady, transit, other ? &other->host->name : nullptr);
        if (transit.fate != Network::Fate::arrived || end->noticing) return broken(end);
        other->host->stream_brings(other->id, bytes);
    });
}

void Streams::close(Host& from, mesh::StreamId id) {
    const auto found = ends_.find({&from, id});
    if (found == ends_.end()) return;
    const auto other = found->second->other.lock();
    end({&from, id});
    if (other) broken(other);
}

void Streams::broken(const std::shared_ptr<End>& one) {
    if (one->noticing) return;
    one->noticing = true;
    world_.at(world_.now().steady + kNoticesAfter, [this, key = Key{one->host, one->id}] { end(key); });
}

void Streams::end(const Key& key) {
    const auto found = ends_.find(key);
    if (found == ends_.end()) return;
    const auto one = found->second;
    ends_.erase(found);
    world_.note(one->host->name + "'s stream to " + one->remote.text() + " is closed");
    if (const auto other = one->other.lock()) broken(other);
    one->host->stream_closed(one->id);
}

void Streams::forget(const Host& host) {
    std::erase_if(ends_, [&](const auto& one) { return one.first.first == &host; });
    std::erase_if(under_way_, [&](const auto& one) { return one.first.first == &host; });
}

}  // namespace sim
