#include "meshd/dns_sockets.hpp"

#include <algorithm>
#include <set>
#include <stdexcept>

namespace meshd {
namespace {

// A machine takes what is for any address of its own by every device: a neighbour on the LAN might write a member's address
// as his own. So those of the overlay are asked by its device, or by this one, by which a machine asks its own addresses.
constexpr std::uint32_t kLoopback = 1;
constexpr std::size_t kQueueBytes = 64 << 10;

}  // namespace

DnsSockets::DnsSockets(loop::Loop& loop, std::uint16_t port, Events events, net::Duration idle)
    : loop_(loop),
      port_(port),
      events_(std::move(events)),
      idle_(idle),
      idle_timer_(loop, [this] { close_idle(); }),
      again_timer_(loop, [this] { try_again(); }),
      turn_timer_(loop, [this] { take_turns(); }) {}

DnsSockets::~DnsSockets() = default;

void DnsSockets::listen(const std::vector<Place>& places, std::uint32_t device) {
    device_ = device;
    const auto wanted = [&](const net::IpAddress& address) {
        return std::any_of(places.begin(), places.end(), [&](const auto& place) { return place.address == address; });
    };
    bool changed = std::erase_if(doors_, [&](const auto& door) { return !wanted(door.first); }) > 0;
    for (const auto& place : places) {
        const auto [door, is_new] = doors_.try_emplace(place.address);
        door->second.overlay = place.overlay;
        if (!is_new && door->second.trouble.empty()) continue;
        open(place.address, door->second);
        changed = true;
    }
    if (changed) events_.changed();
}

void DnsSockets::open(const net::IpAddress& address, Door& door) {
    const net::Endpoint local{address, port_, 0};
    try {
        // A map's elements stay where they are.
        auto udp = std::make_unique<loop::UdpSocket>(
            loop_, local, loop::UdpSocket::Events{[this, &door](const loop::Received& datagram) { came(datagram, door); }, {}},
            loop::UdpOptions{}, dns::kMaxQueryBytes + 1);
        loop::Stream::Limits limits;
        limits.queue_bytes = kQueueBytes;
        limits.unacknowledged_timeout = kIdle;
        const auto accept = [this, &door](std::unique_ptr<loop::Stream> stream) { accepted(std::move(stream), door.overlay); };
        std::vector<std::unique_ptr<loop::TcpListener>> tcp;
        for (const auto device : door.overlay ? std::set{device_, kLoopback} : std::set<std::uint32_t>{0}) {
            tcp.push_back(std::make_unique<loop::TcpListener>(loop_, local, accept, limits, device));
        }
        door.udp = std::move(udp);
        door.tcp = std::move(tcp);
        door.trouble.clear();
    } catch (const std::runtime_error& error) {
        door.trouble = error.what();
        again_timer_.after(kTryAgain);
    }
}

void DnsSockets::try_again() {
    bool changed = false;
    for (auto& [address, door] : doors_) {
        if (door.trouble.empty()) continue;
        const auto before = door.trouble;
        open(address, door);
        changed |= door.trouble != before;
    }
    if (changed) events_.changed();
}

void DnsSockets::came(const loop::Received& datagram, Door& door) {
    const bool beside = door.overlay && datagram.interface != device_ && datagram.interface != kLoopback;
    if (beside || !events_.welcome(datagram.from.address, datagram.to, door.overlay)) {
        ++counters_.strangers;
        return;
    }
    // What is no question gets no answer, and takes nothing from those who ask.
    if (dns::may_be_query(datagram.bytes) && !rate_.allow(datagram.from.address, loop_.now().steady)) {
        ++counters_.over_rate;
        return;
    }
    const auto response = events_.answer(datagram.bytes, datagram.from.address, datagram.to, false);
    if (!response.empty()) door.udp->send(datagram.from, response, datagram.to);
}

void DnsSockets::accepted(std::unique_ptr<loop::Stream> stream, bool overlay) {
    const auto from = stream->remote().address.unmapped(), to = stream->local().address.unmapped();
    if (!events_.welcome(from, to, overlay)) {
        ++counters_.strangers;
        return;
    }
    const auto of_one = std::count_if(connections_.begin(), connections_.end(),
                                      [&](const auto& connection) { return connection.second.from == from; });
    if (static_cast<std::size_t>(of_one) >= kMaxOfOneAddress) {
        ++counters_.connections_closed;
        return;
    }
    if (connections_.size() >= kMaxConnections) {
        close(std::min_element(connections_.begin(), connections_.end(), [](const auto& a, const auto& b) {
                  return a.second.used < b.second.used;
              })->first);
        ++counters_.connections_closed;
    }
    const auto id = next_connection_++;
    auto& connection = connections_[id];
    connection.stream = std::move(stream);
    connection.from = from;
    connection.to = to;
    connection.used = loop_.now().steady;
    if (idle_timer_.deadline() == net::kNever) idle_timer_.after(idle_);
    connection.stream->start({nullptr, [this, id](net::ByteView bytes) { received(id, bytes); },
                              [this, id](const loop::Closed&) { close(id); }, nullptr});
}

void DnsSockets::received(std::uint64_t id, net::ByteView bytes) {
    const auto found = connections_.find(id);
    if (found == connections_.end()) return;
    found->second.framer.feed(bytes);
    if (serve(found->second)) return;
    ++counters_.connections_closed;
    close(id);
}

bool DnsSockets::serve(Connection& connection) {
    const auto now = loop_.now().steady;
    while (true) {
        if (connection.waiting.empty()) {
            auto message = connection.framer.next();
            if (!message) return !connection.framer.is_broken();
            connection.waiting = std::move(*message);
            connection.used = now;
        }
        if (!rate_.allow(connection.from, now)) {
            if (turn_timer_.deadline() == net::kNever) turn_timer_.after(kTurn);
            return connection.framer.size_bytes() <= kMaxWaitingBytes;
        }
        const auto response = events_.answer(std::exchange(connection.waiting, {}), connection.from, connection.to, true);
        // Who asks and never reads, or sends what is no question, is not waited for.
        if (response.empty() || !connection.stream->write(dns::Framer::framed(response))) return false;
    }
}

void DnsSockets::take_turns() {
    for (auto i = connections_.begin(); i != connections_.end();) {
        auto& connection = i->second;
        const bool keep = connection.waiting.empty() || serve(connection);
        if (!keep) ++counters_.connections_closed;
        i = keep ? std::next(i) : connections_.erase(i);
    }
}

void DnsSockets::close(std::uint64_t id) { connections_.erase(id); }

void DnsSockets::close_idle() {
    const auto now = loop_.now().steady;
    auto next = net::kNever;
    counters_.connections_closed += std::erase_if(connections_, [&](const auto& connection) {
        const auto due = connection.second.used + idle_;
        if (due > now) next = std::min(next, due);
        return due <= now;
    });
    idle_timer_.at(next);
}

}  // namespace meshd
