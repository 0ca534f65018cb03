#include "two_nodes.hpp"

using test::ip_packet;
using test::Node;
using test::Two;
using namespace std::chrono_literals;

TEST_CASE("voice does not wait for the uplink behind bulk, where it comes out of the same queue too") {
    mesh::start_crypto();
    auto settings = test::each_number_of_queues();
    settings.single = GENERATE(false, true);
    settings.uplink_bytes_per_s = 1000;  // a packet of bulk takes longer than any pause of this test
    Two two(false, settings);
    two.alice.write(ip_packet("10.0.0.1", "10.0.0.2", 100));
    REQUIRE(two.work_until([&] { return two.bob.read().has_value(); }));
    auto voice = ip_packet("10.0.0.1", "10.0.0.2", 200);
    voice[1] = std::byte{46 << 2};
    for (int i = 0; i < 12; ++i) two.alice.write(ip_packet("10.0.0.1", "10.0.0.2", 1400));
    two.alice.write(voice);
    int before = 0;
    REQUIRE(two.work_until([&] {
        while (const auto packet = two.bob.read()) {
            if (*packet == voice) return true;
            ++before;
        }
        return false;
    }));
    CHECK(before < 8);
    REQUIRE(two.work_until([&] { return two.bob.read().has_value(); }));  // bulk goes on
}

TEST_CASE("what is passed on for others is bulk's to pay for on a shaped uplink, and not voice's") {
    mesh::start_crypto();
    auto settings = test::each_number_of_queues();
    settings.uplink_bytes_per_s = 1000;
    Two two(false, settings);
    two.alice.write(ip_packet("10.0.0.1", "10.0.0.2", 100));
    REQUIRE(two.work_until([&] { return two.bob.read().has_value(); }));
    auto voice = ip_packet("10.0.0.1", "10.0.0.2", 200);
    voice[1] = std::byte{46 << 2};
    two.alice.threads->spend(100'000);
    two.alice.write(ip_packet("10.0.0.1", "10.0.0.2", 300));  // there would be credit for it
    two.alice.write(voice);
    std::optional<net::Bytes> first;
    REQUIRE(two.work_until([&] { return (first = two.bob.read()).has_value(); }));
    CHECK(*first == voice);
}

TEST_CASE("the DSCP of voice is shown outside, that of the rest only where all are, the mark of congestion always") {
    mesh::start_crypto();
    auto settings = test::each_number_of_queues();
    settings.dscp = GENERATE(net::OuterDscp::voice, net::OuterDscp::copy);
    Two two(false, settings);
    two.alice.write(ip_packet("10.0.0.1", "10.0.0.2", 100));
    REQUIRE(two.work_until([&] { return two.bob.read().has_value(); }));
    auto watcher = loop::Datagram::open(*net::Endpoint::parse("127.0.0.1:0"));
    REQUIRE(watcher);
    two.alice.wireguard.set_endpoint(two.bob.wireguard.own_key(), watcher->local());
    two.alice.turn();
    loop::ReceiveBurst burst;
    const auto shown = [&](std::uint8_t traffic_class) {
        auto packet = ip_packet("10.0.0.1", "10.0.0.2", 100);
        packet[1] = std::byte{traffic_class};
        two.alice.write(packet);
        std::optional<int> seen;
        REQUIRE(two.work_until([&] {
            for (const auto& item : burst.receive(*watcher)) seen = item.traffic_class;
            return seen.has_value();
        }));
        return *seen;
    };
    constexpr std::uint8_t kVoice = 46 << 2 | 2, kBulk = 10 << 2 | 1;
    CHECK(shown(kVoice) == kVoice);
    CHECK(shown(kBulk) == (settings.dscp == net::OuterDscp::copy ? kBulk : 1));
}

namespace {

/// A router on the way from one node to the other, which marks what it passes on as congested.
class Marking {
public:
    Marking(Node& from, const net::Endpoint& to, const net::TunnelKey& peer)
        : socket_(*loop::Datagram::open(*net::Endpoint::parse("127.0.0.1:0"))), to_(to) {
        from.wireguard.set_endpoint(peer, socket_.local());
        from.turn();
    }
    std::size_t pass_on() {
        std::size_t passed = 0;
        for (const auto& item : incoming_.receive(socket_)) {
            CHECK(net::ecn_of(item.traffic_class) != net::Ecn::ce);
            std::copy(item.bytes.begin(), item.bytes.end(), outgoing_.room(item.bytes.size()).begin());
            outgoing_.add(to_, static_cast<std::uint8_t>(net::Ecn::ce), item.bytes.size(), {.alone = true});
            ++passed;
        }
        REQUIRE(outgoing_.send(&socket_, nullptr, 1s) == 0);
        return passed;
    }

private:
    loop::Datagram socket_;
    net::Endpoint to_;
    loop::ReceiveBurst incoming_;
    loop::SendBurst outgoing_;
};

}  // namespace

TEST_CASE("a mark of congestion on the way reaches the packet inside, or drops one whose sender knows no marks") {
    mesh::start_crypto();
    Two two(false);
    auto packet = ip_packet("10.0.0.1", "10.0.0.2", 100);
    two.alice.write(packet);
    REQUIRE(two.work_until([&] { return two.bob.read().has_value(); }));
    Marking way(two.alice, two.bob.endpoint(false), two.bob.wireguard.own_key());
    const auto congested = [&] { return two.bob.wireguard.drops().get(mesh::Drop::congested); };

    net::set_ecn(packet, net::Ecn::ect0);
    two.alice.write(packet);
    std::optional<net::Bytes> arrived;
    REQUIRE(two.work_until([&] {
        way.pass_on();
        return (arrived = two.bob.read()).has_value();
    }));
    CHECK(net::ecn_of(net::traffic_class_of(*arrived)) == net::Ecn::ce);
    net::set_ecn(packet, net::Ecn::ce);
    CHECK(*arrived == packet);  // its checksum, too
    CHECK(congested() == 0);

    net::set_ecn(packet, net::Ecn::not_ect);
    two.alice.write(packet);
    REQUIRE(two.work_until([&] {
        way.pass_on();
        return congested() > 0;
    }));
    CHECK(congested() == 1);
    CHECK_FALSE(two.bob.read());
}
