#include <catch2/catch.hpp>

#include "voice/media.hpp"

using namespace std::chrono_literals;
using namespace voice;

namespace {

const net::Steady kStart(1000s);
net::Endpoint at_address(std::string_view text) {
    const auto endpoint = net::Endpoint::parse(text);
    REQUIRE(endpoint);
    return *endpoint;
}
net::Bytes rtp(std::uint16_t sequence, std::uint32_t timestamp, std::uint32_t ssrc = 7, std::uint8_t type = 0) {
    net::Writer out;
    out.u8(0x80).u8(type).u16be(sequence).u32be(timestamp).u32be(ssrc).zeros(160);
    return out.take();
}
net::Bytes rtcp() {
    net::Writer out;
    out.u8(0x80).u8(200).u16be(6).zeros(24);
    return out.take();
}
LegRemote remote(std::string_view where, std::vector<net::IpAddress> also = {}, bool exact = false) {
    auto rtcp_at = at_address(where);
    ++rtcp_at.port;
    return {at_address(where), rtcp_at, std::move(also), exact};
}

struct RelayBench {
    Relay relay;
    net::Steady now = kStart;
    std::uint16_t sequence = 0;
    /// Where a DTLS record from there goes to.
    std::string handshake(std::string_view source, Leg leg = Leg::near) {
        net::Writer out;
        out.u8(22).u16be(0xfefd).zeros(60);
        const auto forward = relay.receive(leg, Channel::rtp, at_address(source), out.view(), now);
        return forward ? forward->to.text() : "";
    }
    /// Where a packet from there goes to; "" if nowhere.
    std::string from(std::string_view source, Leg leg = Leg::near, Channel channel = Channel::rtp) {
        ++sequence;
        const auto packet = channel == Channel::rtp ? rtp(sequence, sequence * 160U) : rtcp();
        const auto forward = relay.receive(leg, channel, at_address(source), packet, now);
        if (!forward) return "";
        CHECK(forward->leg == other(leg));
        return forward->to.text();
    }
};

}  // namespace

TEST_CASE("packets go across, RTP to RTP and RTCP to RTCP") {
    RelayBench bench;
    bench.relay.set_remote(Leg::near, remote("192.168.1.20:4000"));
    CHECK(bench.from("192.168.1.20:4000").empty());  // nobody on the far side yet
    bench.relay.set_remote(Leg::far, remote("203.0.113.9:6000"));
    CHECK(bench.from("192.168.1.20:4000") == "203.0.113.9:6000");
    CHECK(bench.from("192.168.1.20:4001", Leg::near, Channel::rtcp) == "203.0.113.9:6001");
    CHECK(bench.from("203.0.113.9:6000", Leg::far) == "192.168.1.20:4000");
    CHECK(bench.relay.stats().near.packets == 2);
    CHECK(bench.relay.stats().near.rtcp_packets == 1);
    CHECK(bench.relay.stats().near.sent == 1);
    CHECK(bench.relay.stats().far.sent == 2);
}

TEST_CASE("a phone behind NAT is latched on after three packets from where its signalling came from") {
    RelayBench bench;
    bench.relay.set_remote(Leg::near, remote("192.168.1.20:4000", {net::IpAddress::v4(198, 51, 100, 1)}));
    bench.relay.set_remote(Leg::far, remote("203.0.113.9:6000"));
    CHECK(bench.from("203.0.113.9:6000", Leg::far) == "192.168.1.20:4000");
    CHECK(bench.from("198.51.100.1:1025").empty());
    CHECK(bench.from("198.51.100.1:1025").empty());
    CHECK(bench.from("198.51.100.1:1025") == "203.0.113.9:6000");
    CHECK(bench.from("203.0.113.9:6000", Leg::far) == "198.51.100.1:1025");
    CHECK(bench.relay.stats().near.source == at_address("198.51.100.1:1025"));
}

TEST_CASE("a stranger who sprays the ports gets nothing and steals nothing") {
    RelayBench bench;
    bench.relay.set_remote(Leg::near, remote("192.168.1.20:4000"));
    bench.relay.set_remote(Leg::far, remote("203.0.113.9:6000"));
    for (int i = 0; i < 10; ++i) {
        CHECK(bench.from("198.51.100.66:9999").empty());
        CHECK(bench.from("198.51.100.66:9999", Leg::far).empty());
        CHECK(bench.from("198.51.100.66:9999", Leg::near, Channel::rtcp).empty());
    }
    CHECK(bench.from("203.0.113.9:6000", Leg::far) == "192.168.1.20:4000");
    CHECK(bench.relay.stats().near.wrong_source == 20);
    CHECK(bench.relay.stats().near.not_media == 0);
    CHECK(bench.relay.stats().near.packets == 0);
}

TEST_CASE("two relays that name each other's ports do not spin") {
    const auto near_one = at_address("10.0.0.1:20000"), far_one = at_address("10.0.0.1:20002");
    const auto near_two = at_address("10.0.0.1:20004"), far_two = at_address("10.0.0.1:20006");
    Relay one, two;
    one.set_remote(Leg::near, remote(near_two.text()));
    one.set_remote(Leg::far, remote(far_two.text()));
    two.set_remote(Leg::near, remote(near_one.text()));
    two.set_remote(Leg::far, remote(far_one.text()));
    const auto packet = rtp(1, 160);
    unsigned rounds = 0;
    for (auto now = kStart; now <= kStart + 4s; now += 10us) {  // as often as the machine can; a new one for each lost
        const auto there = one.receive(Leg::near, Channel::rtp, near_two, packet, now);
        if (!there) continue;
        REQUIRE(there->to == far_two);
        if (two.receive(Leg::far, Channel::rtp, far_one, packet, now)) ++rounds;
    }
    CHECK(rounds == 4 * Relay::kPacketsPerSecond + Relay::kBurst);
    CHECK(one.stats().near.over_rate > 300000);
    CHECK(one.stats().near.packets == rounds);
    CHECK(two.stats().far.over_rate == 0);
}

TEST_CASE("no stream that phones send is too much for a leg, and strangers use up nothing of it") {
    RelayBench bench;
    bench.relay.set_remote(Leg::near, remote("192.168.1.20:4000"));
    bench.relay.set_remote(Leg::far, remote("203.0.113.9:6000"));
    for (unsigned tick = 0; tick < 4000; ++tick) {
        bench.now += 2500us;
        for (int i = 0; i < 5; ++i) CHECK(bench.from("198.51.100.66:9999").empty());
        REQUIRE_FALSE(bench.from("192.168.1.20:4000").empty());                     // Opus of 2.5 ms
        const auto pictures = tick % 400 == 0 ? 150 : 1;                            // video: a whole picture a second
        for (int i = 0; i < pictures; ++i) REQUIRE_FALSE(bench.from("203.0.113.9:6000", Leg::far).empty());
    }
    CHECK(bench.relay.stats().near.over_rate == 0);
    CHECK(bench.relay.stats().far.over_rate == 0);
}

TEST_CASE("one behind the same NAT takes over only when the phone has fallen silent") {
    RelayBench bench;
    bench.relay.set_remote(Leg::near, remote("198.51.100.1:4000"));
    bench.relay.set_remote(Leg::far, remote("203.0.113.9:6000"));
    CHECK_FALSE(bench.from("198.51.100.1:4000").empty());
    for (int i = 0; i < 10; ++i) {
        bench.now += 20ms;
        CHECK_FALSE(bench.from("198.51.100.1:4000").empty());
        CHECK(bench.from("198.51.100.1:4002").empty());
    }
    CHECK(bench.from("203.0.113.9:6000", Leg::far) == "198.51.100.1:4000");
    bench.now += 2s;
    CHECK(bench.from("198.51.100.1:4002").empty());
    CHECK(bench.from("198.51.100.1:4002").empty());
    CHECK_FALSE(bench.from("198.51.100.1:4002").empty());
    CHECK(bench.from("203.0.113.9:6000", Leg::far) == "198.51.100.1:4002");
}

TEST_CASE("a leg into the mesh takes packets from exactly the other anchor") {
    RelayBench bench;
    bench.relay.set_remote(Leg::near, remote("192.168.1.20:4000"));
    bench.relay.set_remote(Leg::far, remote("10.9.0.2:20000", {}, true));
    for (int i = 0; i < 5; ++i) CHECK(bench.from("10.9.0.2:20002", Leg::far).empty());
    CHECK(bench.from("10.9.0.2:20000", Leg::far) == "192.168.1.20:4000");
}

TEST_CASE("a leg moves when signalling moves it, and the same signalling again changes nothing") {
    RelayBench bench;
    bench.relay.set_remote(Leg::near, remote("192.168.1.20:4000"));
    bench.relay.set_remote(Leg::far, remote("203.0.113.9:6000", {net::IpAddress::v4(198, 51, 100, 1)}));
    for (int i = 0; i < 3; ++i) bench.from("198.51.100.1:7000", Leg::far);
    bench.relay.set_remote(Leg::far, remote("203.0.113.9:6000", {net::IpAddress::v4(198, 51, 100, 1)}));
    CHECK(bench.from("192.168.1.20:4000") == "198.51.100.1:7000");
    bench.relay.set_remote(Leg::far, remote("10.9.0.2:20000", {}, true));
    CHECK(bench.from("192.168.1.20:4000") == "10.9.0.2:20000");
    CHECK(bench.from("198.51.100.1:7000", Leg::far).empty());
}

TEST_CASE("only what looks like media is relayed: RTP, RTCP, DTLS, not STUN or noise") {
    RelayBench bench;
    bench.relay.set_remote(Leg::near, remote("192.168.1.20:4000"));
    bench.relay.set_remote(Leg::far, remote("203.0.113.9:6000"));
    const auto passes = [&](std::uint8_t first) {
        net::Writer out;
        out.u8(first).zeros(30);
        return bench.relay.receive(Leg::near, Channel::rtp, at_address("192.168.1.20:4000"), out.view(), bench.now).has_value();
    };
    CHECK(passes(0x80));
    CHECK(passes(22));
    CHECK_FALSE(passes(0));
    CHECK_FALSE(passes(64));
    CHECK_FALSE(passes(255));
    CHECK_FALSE(bench.relay.receive(Leg::near, Channel::rtp, at_address("192.168.1.20:4000"), {}, bench.now));
}

TEST_CASE("loss, jitter and the longest gap are measured") {
    Relay relay;
    relay.set_remote(Leg::near, remote("192.168.1.20:4000"));
    auto now = kStart;
    const auto packet = [&](std::uint16_t sequence, std::uint32_t timestamp, std::uint32_t ssrc = 7) {
        relay.receive(Leg::near, Channel::rtp, at_address("192.168.1.20:4000"), rtp(sequence, timestamp, ssrc), now);
    };
    for (unsigned i = 0; i < 100; ++i) {
        // From 65500 across the turn of the sequence numbers; two are lost, two come in the wrong order.
        const unsigned order = i == 50 ? 51 : i == 51 ? 50 : i;
        if (i != 20 && i != 36) packet(static_cast<std::uint16_t>(65500 + order), order * 160);
        now += 20ms;
    }
    auto stats = relay.stats().near;
    CHECK(stats.packets == 98);
    CHECK(stats.lost == 2);
    CHECK(stats.longest_gap == 40ms);
    CHECK(stats.jitter_ms < 5);
    now += 300ms;
    packet(static_cast<std::uint16_t>(65500 + 100), 100 * 160);
    CHECK(relay.stats().near.longest_gap == 320ms);
    CHECK(relay.stats().near.jitter_ms > 10);
    packet(1, 0, 8);  // another source after a transfer: no loss of thousands
    CHECK(relay.stats().near.lost == 2);
    CHECK(relay.stats().near.ssrc == 8);
}

TEST_CASE("RTCP on RTP's port goes across as RTCP, and is no sound") {
    RelayBench bench;
    auto both = remote("192.168.1.20:4000");
    both.rtcp = both.rtp;
    bench.relay.set_remote(Leg::near, both);
    bench.relay.set_remote(Leg::far, remote("203.0.113.9:6000"));
    const auto there = bench.relay.receive(Leg::near, Channel::rtp, at_address("192.168.1.20:4000"), rtcp(), bench.now);
    REQUIRE(there);
    CHECK(there->to == at_address("203.0.113.9:6000"));
    CHECK(bench.from("203.0.113.9:6001", Leg::far, Channel::rtcp) == "192.168.1.20:4000");
    CHECK(bench.relay.stats().near.rtcp_packets == 1);
    CHECK(bench.relay.stats().near.packets == 0);
}

TEST_CASE("a new place for RTCP leaves RTP latched where it is") {
    RelayBench bench;
    const std::vector<net::IpAddress> nat{net::IpAddress::v4(198, 51, 100, 1)};
    bench.relay.set_remote(Leg::near, remote("192.168.1.20:4000", nat));
    bench.relay.set_remote(Leg::far, remote("203.0.113.9:6000"));
    for (int i = 0; i < 3; ++i) bench.from("198.51.100.1:1025");
    auto both = remote("192.168.1.20:4000", nat);
    both.rtcp = both.rtp;
    bench.relay.set_remote(Leg::near, both);
    CHECK(bench.from("203.0.113.9:6000", Leg::far) == "198.51.100.1:1025");
}

TEST_CASE("a DTLS handshake from behind NAT goes through both ways before anything has latched, and diverts no sound") {
    RelayBench bench;
    bench.relay.set_remote(Leg::near, remote("192.168.1.20:4000", {net::IpAddress::v4(198, 51, 100, 1)}));
    bench.relay.set_remote(Leg::far, remote("203.0.113.9:6000"));
    CHECK(bench.handshake("198.51.100.66:1025").empty());  // a stranger's
    CHECK(bench.handshake("198.51.100.1:1025") == "203.0.113.9:6000");
    CHECK(bench.handshake("203.0.113.9:6000", Leg::far) == "198.51.100.1:1025");
    CHECK(bench.from("203.0.113.9:6000", Leg::far) == "192.168.1.20:4000");
    CHECK(bench.handshake("198.51.100.1:1025") == "203.0.113.9:6000");
    CHECK_FALSE(bench.from("198.51.100.1:1025").empty());  // the third in a row
    CHECK(bench.from("203.0.113.9:6000", Leg::far) == "198.51.100.1:1025");
}

TEST_CASE("a fax's packets go across whatever they begin with, and are not taken for RTP") {
    RelayBench bench;
    auto fax = remote("192.168.1.20:4000");
    fax.content = Content::fax;
    bench.relay.set_remote(Leg::near, fax);
    bench.relay.set_remote(Leg::far, remote("203.0.113.9:6000"));
    for (const unsigned first : {0U, 1U, 0x80U, 0xffU}) {
        net::Writer out;
        out.u8(static_cast<std::uint8_t>(first)).u8(200).zeros(3);
        CHECK(bench.relay.receive(Leg::near, Channel::rtp, at_address("192.168.1.20:4000"), out.view(), bench.now));
        CHECK_FALSE(bench.relay.receive(Leg::near, Channel::rtp, at_address("198.51.100.66:4000"), out.view(), bench.now));
    }
    CHECK(bench.relay.stats().near.packets == 4);
    CHECK(bench.relay.stats().near.lost == 0);
    CHECK(bench.relay.stats().near.rtcp_packets == 0);
}

TEST_CASE("comfort noise is told from speech, and pauses in speech from losses") {
    Relay relay;
    relay.set_remote(Leg::near, remote("192.168.1.20:4000"));
    auto secure = remote("203.0.113.9:6000");
    secure.content = Content::srtp;
    relay.set_remote(Leg::far, secure);
    auto now = kStart;
    const auto packet = [&](Leg leg, std::uint8_t type, std::size_t payload_bytes, std::uint16_t sequence, std::uint32_t timestamp) {
        net::Writer out;
        out.u8(0x90).u8(type).u16be(sequence).u32be(timestamp).u32be(7).u16be(0xbede).u16be(1).zeros(4 + payload_bytes);
        relay.receive(leg, Channel::rtp, at_address(leg == Leg::near ? "192.168.1.20:4000" : "203.0.113.9:6000"), out.view(), now);
        return (leg == Leg::near ? relay.stats().near : relay.stats().far).comfort_noise;
    };
    CHECK_FALSE(packet(Leg::near, 0, 160, 1, 0));
    CHECK(packet(Leg::near, 13, 11, 2, 160));         // CN
    CHECK_FALSE(packet(Leg::near, 18, 20, 3, 320));   // G.729
    CHECK(packet(Leg::near, 18, 2, 4, 480));          // its silence descriptor
    CHECK(packet(Leg::far, 111, 2 + 10, 1, 0));       // Opus's, with SRTP's tag
    CHECK_FALSE(packet(Leg::far, 18, 20 + 10, 2, 160));
    CHECK(relay.stats().near.resumed == 0);
    now += 3s;
    CHECK_FALSE(packet(Leg::near, 0x80, 160, 5, 480 + 24000));
    CHECK(relay.stats().near.resumed == 1);
    now += 3s;
    packet(Leg::near, 0x80, 160, 155, 480 + 48000);   // what was sent meanwhile was lost
    CHECK(relay.stats().near.resumed == 1);
}
