#include <catch2/catch.hpp>
#include <deque>

#include "mesh/gossip.hpp"

using namespace mesh;
using namespace std::chrono_literals;

namespace {

/// Rosters of several members that gossip over a lossy wire, in rounds of 50 ms.
struct Circle {
    struct One {
        Roster roster;
        Gossip gossip;
        One(const net::NodeKey& mesh_id, net::Random& random) : roster(mesh_id), gossip(roster, random) {}
    };
    net::SeededRandom random;
    net::NodeSecret root;
    net::NodeKey mesh_id;
    std::map<net::NodeKey, std::unique_ptr<One>> all;
    net::Now now{net::Steady(1h), net::Wall(1h)};
    double loss = 0;
    std::size_t worst_answer = 0;  ///< in percent of the question
    std::uint64_t bytes = 0;

    Circle(std::uint64_t seed, int size) : random(seed) {
        start_crypto();
        root = make_node_secret(random);
        mesh_id = public_key(root);
        for (int i = 0; i < size; ++i) {
            net::NodeKey key;
            random.fill(key.bytes);
            all[key] = std::make_unique<One>(mesh_id, random);
        }
        for (auto& [key, one] : all)
            for (auto& [other, _] : all)
                if (other != key) one->gossip.peer_up(other, now);
    }
    One& at(std::size_t index) { return *std::next(all.begin(), static_cast<std::ptrdiff_t>(index))->second; }
    Record user(int number, std::uint64_t sequence = 1, std::size_t padding = 0) {
        User says;
        says.credentials = net::Bytes(padding);
        return sign_record(mesh_id, root, RecordType::user, "u" + std::to_string(number) + "@acme.example", sequence, encode(says));
    }
    /// Carries every frame, and every answer to it, at once.
    void deliver() {
        std::deque<std::pair<net::NodeKey, Gossip::Output>> wire;
        const auto collect = [&](const net::NodeKey& from, const net::NodeKey& asked_by) {
            std::size_t back = 0;
            for (auto& output : all.at(from)->gossip.take_output()) {
                bytes += output.frame.size();
                back += output.to == asked_by ? output.frame.size() : 0;
                wire.emplace_back(from, std::move(output));
            }
            return back;
        };
        for (const auto& [key, _] : all) collect(key, {});
        while (!wire.empty()) {
            const auto [from, output] = std::move(wire.front());
            wire.pop_front();
            if (static_cast<double>(random.below(1000)) < loss * 1000) continue;
            const auto frame = *decode_frame(output.frame);
            auto& to = all.at(output.to)->gossip;
            if (const auto* ping = std::get_if<Ping>(&frame)) {
                to.heard_summary(from, ping->summary, now);
                continue;
            }
            to.receive(from, frame, output.frame.size(), now);
            worst_answer = std::max(worst_answer, collect(output.to, from) * 100 / output.frame.size());
        }
    }

    /// Seconds until all rosters are equal; summaries are told every 4 s, as pings do.
    double seconds_to_converge(net::Duration at_most) {
        const auto begin = now.steady;
        for (int round = 0; now.steady - begin < at_most; ++round) {
            if (round % 80 == 0)
                for (auto& [a, one] : all)
                    for (auto& [b, other] : all)
                        if (a != b) other->gossip.heard_summary(a, one->roster.summary(), now);
            for (auto& [_, one] : all) one->gossip.tick(now);
            deliver();
            bool equal = true;
            for (auto& [_, one] : all) equal &= one->roster.summary() == at(0).roster.summary();
            if (equal) return std::chrono::duration<double>(now.steady - begin).count();
            now.steady += 50ms;
        }
        return -1;
    }
};

}  // namespace

TEST_CASE("a change reaches every peer at once") {
    Circle circle(1, 8);
    const auto record = circle.user(1);
    circle.at(3).roster.add(record.wire);
    circle.at(3).gossip.push(std::span(&record.key, 1));
    circle.deliver();
    for (auto& [_, one] : circle.all) CHECK(one->roster.find(record.key) != nullptr);
}

TEST_CASE("a member that was away catches up with a thousand records within seconds") {
    Circle circle(2, 3);
    for (int i = 0; i < 1000; ++i) {
        const auto wire = circle.user(i).wire;
        circle.at(0).roster.add(wire);
        circle.at(1).roster.add(wire);
    }
    const auto seconds = circle.seconds_to_converge(60s);
    CHECK(seconds >= 0);
    CHECK(seconds < 10);
    CHECK(circle.worst_answer <= 100 * kReplyFactor);
}

TEST_CASE("who knows nobody yet learns of members first, so that what they say counts") {
    const auto seed = GENERATE(range<std::uint64_t>(1, 11));
    CAPTURE(seed);
    Circle circle(seed, 2);
    auto& knows = circle.at(0).roster;
    for (int i = 0; i < 30; ++i) {
        const auto secret = make_node_secret(circle.random);
        const auto key = public_key(secret);
        Member says;
        says.name = "office" + std::to_string(i);
        circle.random.fill(says.tunnel_key.bytes);
        knows.add(sign_record(circle.mesh_id, circle.root, RecordType::member, as_subject(key.view()), 1, encode(says)).wire);
        for (char shard = 0; shard < 8; ++shard) {
            const auto subject = as_subject(key.view()) + shard;
            knows.add(sign_record(circle.mesh_id, secret, RecordType::bindings, subject, 1, encode(Bindings{})).wire);
        }
    }
    REQUIRE(knows.entries().size() == 30 * 9);
    const auto seconds = circle.seconds_to_converge(60s);
    CHECK(seconds >= 0);
    CHECK(seconds < 5);
    CHECK(circle.worst_answer <= 100 * kReplyFactor);
}

TEST_CASE("two halves that changed apart become one, with a third of all frames lost") {
    const auto seed = GENERATE(range<std::uint64_t>(1, 6));
    CAPTURE(seed);
    Circle circle(seed, 6);
    circle.loss = 0.3;
    for (int i = 0; i < 60; ++i) {
        circle.at(static_cast<std::size_t>(i % 3)).roster.add(circle.user(i).wire);
        circle.at(static_cast<std::size_t>(3 + i % 3)).roster.add(circle.user(i % 40, 2, static_cast<std::size_t>(i * 15)).wire);
    }
    const auto seconds = circle.seconds_to_converge(120s);
    CHECK(seconds >= 0);
    CHECK(circle.worst_answer <= 100 * kReplyFactor);
}

TEST_CASE("peers that are even exchange next to nothing") {
    Circle circle(3, 4);
    for (auto& [_, one] : circle.all)
        for (int i = 0; i < 50; ++i) one->roster.add(circle.user(i).wire);
    CHECK(circle.seconds_to_converge(1s) == 0);
    const auto before = circle.bytes;
    for (int i = 0; i < 400; ++i) {
        circle.now.steady += 50ms;
        circle.seconds_to_converge(1ms);
    }
    CHECK(circle.bytes - before < 1000);
}

TEST_CASE("a difference that cannot be settled is asked about ever more rarely") {
    Circle circle(4, 2);
    auto& stubborn = circle.at(0);
    stubborn.roster.add(circle.user(1).wire);
    std::uint64_t exchanges = 0;
    const auto peer = std::next(circle.all.begin())->first;
    for (int i = 0; i < 20 * 120; ++i) {  // two minutes of a peer that says it differs and never answers
        circle.now.steady += 50ms;
        stubborn.gossip.heard_summary(peer, 12345, circle.now);
        stubborn.gossip.tick(circle.now);
        exchanges = stubborn.gossip.counters().exchanges;
        stubborn.gossip.take_output();
    }
    CHECK(exchanges < 15);
}
