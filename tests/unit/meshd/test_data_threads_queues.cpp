#include <map>
#include <set>

#include "two_nodes.hpp"

using test::ip_packet;
using test::Node;
using test::Two;
using namespace std::chrono_literals;

namespace {

meshd::DataThreads::Settings with_queues(std::size_t queues) {
    meshd::DataThreads::Settings settings;
    settings.queues = queues;
    return settings;
}

/// A flow's number and the place in it stand where ports would.
net::Bytes packet_of(std::uint8_t flow, std::uint16_t number) {
    auto packet = ip_packet("10.0.0.1", "10.0.0.2", 200);
    packet[20] = std::byte{flow};
    packet[22] = static_cast<std::byte>(number >> 8);
    packet[23] = static_cast<std::byte>(number & 0xff);
    return packet;
}

/// Sends from each of alice's queues; where the packets of each came into bob's device, which they do in order.
std::vector<std::set<std::size_t>> carry(Two& two, std::size_t flows, std::uint16_t packets) {
    std::vector<std::set<std::size_t>> into(flows);
    std::vector<std::uint16_t> next(flows), sent(flows);
    REQUIRE(two.work_until([&] {
        for (std::uint8_t flow = 0; flow < flows; ++flow) {
            two.alice.writes_to = flow;
            // No more in flight than any buffer holds.
            while (sent[flow] < packets && sent[flow] - next[flow] < 100 && two.alice.try_write(packet_of(flow, sent[flow]))) ++sent[flow];
        }
        while (const auto packet = two.bob.read()) {
            const auto flow = std::to_integer<std::size_t>((*packet)[20]);
            CHECK(net::Reader(net::ByteView(*packet).subspan(22)).u16be() == next[flow]++);
            into[flow].insert(two.bob.read_from);
        }
        return std::all_of(next.begin(), next.end(), [&](auto count) { return count == packets; });
    }));
    return into;
}

void connect(Two& two) {
    two.alice.write(ip_packet("10.0.0.1", "10.0.0.2", 100));
    REQUIRE(two.work_until([&] { return two.bob.read().has_value(); }));
}

}  // namespace

TEST_CASE("flows of different queues come in by different queues, each in order, where the peers agree on it") {
    mesh::start_crypto();
    const std::size_t queues = GENERATE(2U, 3U, 4U);
    const bool v6 = GENERATE(false, true);
    Two two(v6, with_queues(queues));
    if (!two.bob.threads->steers_voice() || (v6 && !two.bob.threads->has_ipv6())) return;
    CHECK(two.bob.threads->queues_in() == queues);
    CHECK(two.alice.threads->queues_out() == queues);
    connect(two);
    two.alice.wireguard.allow_aes(two.bob.wireguard.own_key(), true);
    std::set<std::size_t> all;
    for (const auto& into : carry(two, queues, 300)) {
        REQUIRE(into.size() == 1);
        CHECK(*into.begin() < queues);
        all.insert(*into.begin());
    }
    CHECK(all.size() == queues);
    CHECK(two.bob.wireguard.drops().get(mesh::Drop::replayed) == 0);
}

TEST_CASE("without that agreement a session comes in by one queue, in order") {
    mesh::start_crypto();
    Two two(false, with_queues(2));
    connect(two);
    if (GENERATE(false, true)) two.alice.wireguard.allow_aes(two.bob.wireguard.own_key());
    std::set<std::size_t> all;
    for (const auto& into : carry(two, 2, 300)) all.insert(into.begin(), into.end());
    CHECK(all.size() == 1);
}

TEST_CASE("a node of one queue and one of four carry each other's packets") {
    mesh::start_crypto();
    Node one(1, with_queues(1)), four(2, with_queues(4));
    one.meet(four, "10.0.0.2/32", false);
    four.meet(one, "10.0.0.1/32", false);
    for (auto* const node : {&one, &four}) node->turn();
    std::size_t there = 0, back = 0;
    const auto end = std::chrono::steady_clock::now() + test::kPatience;
    while (there < 500 || back < 500) {
        REQUIRE(std::chrono::steady_clock::now() < end);
        (void)one.try_write(ip_packet("10.0.0.1", "10.0.0.2", 100));
        four.writes_to = back % 4;
        (void)four.try_write(ip_packet("10.0.0.2", "10.0.0.1", 100));
        for (auto* const node : {&one, &four}) node->turn();
        one.wireguard.allow_aes(four.wireguard.own_key(), true);
        four.wireguard.allow_aes(one.wireguard.own_key(), true);
        while (four.read()) ++there;
        while (one.read()) ++back;
    }
}

TEST_CASE("one thread has one queue, and so has what is kept to a rate") {
    auto settings = with_queues(3);
    CHECK(meshd::DataThreads(settings).device_queues() == 4);
    settings.uplink_bytes_per_s = 1'000'000;
    const meshd::DataThreads shaped(settings);
    CHECK(shaped.device_queues() == 2);
    CHECK(shaped.queues_in() == (shaped.steers_voice() ? 3 : 1));
    settings.single = true;
    CHECK(meshd::DataThreads(settings).queues_in() == 1);
}
