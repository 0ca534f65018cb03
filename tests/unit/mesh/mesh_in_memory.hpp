/// Whole nodes on a network in memory, under a clock of its own, exact by seed.
#pragma once

#include <catch2/catch.hpp>
#include <functional>
#include <map>
#include <queue>

#include "mesh/node.hpp"

namespace mesh::testing {

/// The address that `text` writes, which must be one.
inline net::IpAddress address(const char* text) { return *net::IpAddress::parse(text); }

using namespace std::chrono_literals;

/// One machine: its node (or none, or a newcomer's Joiner) and its disk.
struct Machine {
    std::string name;
    net::Endpoint endpoint;
    net::SeededRandom random;
    NodeSettings settings;
    std::optional<NodeIdentity> identity;
    std::map<net::Bytes, net::Bytes> disk;
    std::optional<Tai64n> stamp;
    bool disk_works = true;
    net::Duration clock_ahead{};  ///< of everybody's, as the node reads its own
    std::unique_ptr<Node> node;
    std::unique_ptr<Joiner> joiner;
    std::vector<NodeEvent> events;
    std::vector<net::Bytes> packets;
    std::uint64_t sent_datagrams = 0, sent_bytes = 0;
    std::map<net::IpAddress, std::uint64_t> bytes_to = {};  ///< IP packets
    bool loses_trains = false;  ///< what leaves in one send with others
    bool splits_trains = false;  ///< they leave one by one, and the node is told
    std::uint64_t trains = 0;   ///< datagrams that left so
    std::size_t train_datagram_bytes = 0;  ///< of the last of them
    std::size_t line_mtu_bytes = 65535;  ///< an underlay packet that must not be fragmented is no larger, or vanishes
    std::uint64_t probes = 0;            ///< datagrams sent that must not be fragmented

    std::vector<net::Bytes> stored() const {
        std::vector<net::Bytes> out;
        for (const auto& [_, wire] : disk) out.push_back(wire);
        return out;
    }
    template <class Event>
    std::size_t count() const {
        std::size_t out = 0;
        for (const auto& event : events) out += std::holds_alternative<Event>(event) ? 1 : 0;
        return out;
    }
};

class Network {
public:
    explicit Network(std::uint64_t seed) : random_(seed), seed_(seed) {
        start_crypto();
        now_ = {net::Steady(std::chrono::hours(1)), net::from_unix_seconds(1'800'000'000)};
    }

    double loss = 0;
    net::Duration delay = 10ms;
    /// Whether a datagram between two machines passes.
    std::function<bool(const Machine&, const Machine&)> passes = [](const auto&, const auto&) { return true; };

    net::Now now() const { return now_; }
    net::Now now_of(const Machine& machine) const { return {now_.steady, now_.wall + machine.clock_ahead}; }
    Machine& machine(const std::string& name) { return *machines_.at(name); }
    Machine& add(const std::string& name) {
        const auto number = static_cast<std::uint8_t>(machines_.size() + 1);
        auto& machine = machines_[name];
        machine = std::make_unique<Machine>(Machine{.name = name,
                                                    .endpoint = {net::IpAddress::v4(198, 51, 100, number), 51820, 0},
                                                    .random = net::SeededRandom(seed_ * 1000 + number),
                                                    .settings = {},
                                                    .identity = {},
                                                    .disk = {},
                                                    .stamp = {},
                                                    .node = {},
                                                    .joiner = {},
                                                    .events = {},
                                                    .packets = {}});
        machine->settings.local_endpoints = {machine->endpoint};
        return *machine;
    }
    Machine& create(const std::string& name, std::vector<net::Prefix> subnets = {}) {
        auto& machine = add(name);
        auto made = Node::create_mesh({"acme", name, *net::Prefix::parse("10.73.0.0/16"), std::move(subnets)}, machine.random, now_);
        REQUIRE(made);
        machine.identity = made->identity;
        store(machine, made->records);
        start(machine);
        return machine;
    }
    void store(Machine& machine, const std::vector<net::Bytes>& records) {
        for (const auto& wire : records) {
            const auto opened = open_record(machine.identity->mesh_id, wire);
            machine.disk[net::copy(std::get<Record>(opened).key.id().view())] = wire;
        }
    }
    void start(Machine& machine) {
        machine.node = std::make_unique<Node>(*machine.identity, machine.stored(), machine.stamp, machine.random, machine.settings, now_of(machine));
        drain(machine);
    }
    void crash(Machine& machine) { machine.node.reset(); }
    void begin_join(const std::string& name, const Token& token) {
        auto& machine = machines_.contains(name) ? *machines_.at(name) : add(name);
        machine.joiner = std::make_unique<Joiner>(token, machine.random, now_);
        drain(machine);
    }
    /// Joins to the end; the machine's node runs then.
    Machine& join(const std::string& name, const Token& token) {
        begin_join(name, token);
        auto& joining = machine(name);
        run_until([&] { return joining.node != nullptr || !joining.joiner; }, 30s);
        INFO("seed " << seed_ << " " << (joining.joiner ? joining.joiner->status() : ""));
        REQUIRE(joining.node);
        return joining;
    }
    Machine& invite_and_join(Machine& admin, const std::string& name, InviteRequest request = {}) {
        request.name = name;
        const auto token = admin.node->invite(request, now_);
        REQUIRE(token);
        drain(admin);
        return join(name, *token);
    }
    Machine* find(const net::Endpoint& endpoint) {
        for (auto& [_, machine] : machines_)
            if (machine->endpoint == endpoint) return machine.get();
        return nullptr;
    }

    void send_raw(const net::Endpoint& from, const net::Endpoint& to, net::Bytes bytes) {
        wire_.push({now_.steady + delay, order_++, from, to, std::move(bytes)});
    }
    void run(net::Duration time) {
        run_until([] { return false; }, time);
    }
    /// True once `done`; false when the time is over.
    bool run_until(const std::function<bool()>& done, net::Duration at_most) {
        const auto end = now_.steady + at_most;
        for (auto& [_, machine] : machines_) drain(*machine);  // what the test has just called
        while (!done()) {
            auto next = end;
            if (!wire_.empty()) next = std::min(next, wire_.top().at);
            for (auto& [_, machine] : machines_) {
                if (machine->node) next = std::min(next, machine->node->next_deadline());
                if (machine->joiner) next = std::min(next, machine->joiner->next_deadline());
            }
            if (next >= end) {
                advance(end);
                return done();
            }
            advance(std::max(next, now_.steady));
            while (!wire_.empty() && wire_.top().at <= now_.steady) {
                auto datagram = wire_.top();
                wire_.pop();
                deliver(datagram.from, datagram.to, datagram.bytes);
            }
            for (auto& [_, machine] : machines_) {
                if (machine->node && machine->node->next_deadline() <= now_.steady) machine->node->tick(now_of(*machine));
                if (machine->joiner && machine->joiner->next_deadline() <= now_.steady) machine->joiner->tick(now_);
                drain(*machine);
            }
            REQUIRE(++turns_ < 3'000'000);
        }
        return true;
    }
    void drain(Machine& machine) {
        if (machine.joiner) {
            for (auto& datagram : machine.joiner->take_datagrams()) send(machine, std::move(datagram));
            if (machine.joiner->state() == Joiner::State::joined) {
                auto joined = machine.joiner->take_joined();
                machine.joiner.reset();
                machine.identity = joined.identity;
                store(machine, joined.records);
                start(machine);
                for (const auto& [key, endpoint] : joined.contacts) {
                    const auto* member = machine.node->view().by_tunnel_key(key);
                    machine.node->add_candidate(member ? std::optional(member->key) : std::nullopt, endpoint, Source::join, now_of(machine));
                }
            }
        }
        if (!machine.node) return;
        while (machine.disk_works) {
            const auto batch = machine.node->take_durable();
            if (!batch) break;
            for (const auto& row : batch->records) {
                if (row.wire.empty()) {
                    machine.disk.erase(row.key);
                } else {
                    machine.disk[row.key] = row.wire;
                }
            }
            if (batch->stamp) machine.stamp = batch->stamp;
            machine.node->durable(batch->id, now_of(machine));
        }
        for (auto& datagram : machine.node->take_datagrams()) send(machine, std::move(datagram));
        for (auto& event : machine.node->take_events()) machine.events.push_back(std::move(event));
        for (auto& packet : machine.node->take_packets()) machine.packets.push_back(std::move(packet));
    }
    bool all_up(std::vector<std::string> names) {
        for (const auto& a : names)
            for (const auto& b : names)
                if (a != b && !machine(a).node->is_up(machine(b).node->key())) return false;
        return true;
    }
    bool same_view(std::vector<std::string> names) {
        const auto& first = machine(names.front()).node->roster();
        for (const auto& name : names) {
            const auto& other = machine(name).node->roster();
            if (other.summary() != first.summary() || other.view() != first.view()) return false;
        }
        return true;
    }

private:
    struct OnTheWire {
        net::Steady at;
        std::uint64_t order;
        net::Endpoint from, to;
        net::Bytes bytes;
        bool operator<(const OnTheWire& other) const { return std::tie(at, order) > std::tie(other.at, other.order); }
    };
    void advance(net::Steady to) {
        now_.wall += to - now_.steady;
        now_.steady = to;
    }
    void send(Machine& from, Datagram datagram) {
        ++from.sent_datagrams;
        from.sent_bytes += datagram.bytes.size();
        from.bytes_to[datagram.to.address] += datagram.bytes.size() + 28;
        const auto* to = find(datagram.to);
        if (datagram.train != 0) {
            ++from.trains;
            from.train_datagram_bytes = datagram.bytes.size();
            if (from.splits_trains) from.node->not_in_one_send(datagram, now_of(from));
            if (from.loses_trains) return;
        }
        if (datagram.never_fragment) {
            ++from.probes;
            const auto packet_bytes = datagram.bytes.size() + 28;
            if (packet_bytes > from.line_mtu_bytes || (to != nullptr && packet_bytes > to->line_mtu_bytes)) return;
        }
        if (to == nullptr || !passes(from, *to) || static_cast<double>(random_.below(1000)) < loss * 1000) return;
        send_raw(from.endpoint, datagram.to, std::move(datagram.bytes));
    }
    void deliver(const net::Endpoint& from, const net::Endpoint& to, net::Bytes bytes) {
        auto* machine = find(to);
        if (machine == nullptr) return;
        if (machine->node) {
            machine->node->receive(bytes, from, now_of(*machine));
        } else if (machine->joiner) {
            machine->joiner->receive(bytes, from, now_);
        }
        drain(*machine);
    }

    net::SeededRandom random_;
    std::uint64_t seed_;
    net::Now now_;
    std::map<std::string, std::unique_ptr<Machine>> machines_;
    std::priority_queue<OnTheWire> wire_;
    std::uint64_t order_ = 0;
    std::uint64_t turns_ = 0;
};

}  // namespace mesh::testing
