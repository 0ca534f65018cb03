#include "world.hpp"

#include <algorithm>

namespace test {

void World::flush() {
    for (const auto& [at, host] : hosts_) {
        for (auto& out : host->take_outgoing()) {
            if (out.flow.reliable()) {
                by_tcp.push_back(std::move(out));
                continue;
            }
            if (cut.contains(out.flow.local.address) || cut.contains(out.flow.remote.address)) continue;
            if (random.below(100) < lost_percent) continue;
            flights_.push({now.steady + delay, ++order_, out.flow.local, out.flow.remote, std::move(out.bytes)});
        }
    }
}

void World::step(net::Steady to) {
    now.wall += to - now.steady;
    now.steady = to;
    while (!flights_.empty() && flights_.top().at <= now.steady) {
        const auto flight = flights_.top();
        flights_.pop();
        const auto host = hosts_.find(flight.to);
        if (host == hosts_.end() || cut.contains(flight.from.address) || cut.contains(flight.to.address)) continue;
        log.emplace_back(now.steady, std::string(net::as_text(flight.bytes)));
        const auto side = flight.to.port == 5080 ? voice::Side::mesh : voice::Side::phone;
        host->second->receive({voice::Transport::udp, flight.to, flight.from, 0, side}, flight.bytes, now);
    }
    for (const auto& [at, host] : hosts_) {
        if (host->next_deadline() <= now.steady) host->tick(now);
    }
    flush();
}

bool World::run_until(const std::function<bool()>& done, net::Duration limit) {
    const auto end = now.steady + limit;
    flush();
    while (!done()) {
        auto next = flights_.empty() ? net::kNever : flights_.top().at;
        for (const auto& [at, host] : hosts_) next = std::min(next, host->next_deadline());
        if (next > end) {
            now.wall += end - now.steady;
            now.steady = end;
            return false;
        }
        step(std::max(next, now.steady));
    }
    return true;
}

void World::run(net::Duration duration) {
    run_until([] { return false; }, duration);
}

std::size_t World::seen(std::string_view start) const {
    return static_cast<std::size_t>(
        std::count_if(log.begin(), log.end(), [&](const auto& m) { return m.second.starts_with(start); }));
}

}  // namespace test
