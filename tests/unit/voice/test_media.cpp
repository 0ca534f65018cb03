#include <catch2/catch.hpp>
#include <map>

#include "voice/media.hpp"

using namespace std::chrono_literals;
using namespace voice;

namespace {

const net::Steady kStart(1000s);
net::Endpoint at(std::string_view text) {
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
    auto rtcp_at = at(where);
    ++rtcp_at.port;
    return {at(where), rtcp_at, std::move(also), exact};
}

struct Bench {
    Relay relay;
    net::Steady now = kStart;
    std::uint16_t sequence = 0;
    /// Where a packet from there goes to; "" if nowhere.
    std::string from(std::string_view source, Leg leg = Leg::near, Channel channel = Channel::rtp) {
        ++sequence;
        const auto packet = channel == Channel::rtp ? rtp(sequence, sequence * 160U) : rtcp();
        const auto forward = relay.receive(leg, channel, at(source), packet, now);
        if (!forward) return "";
        CHECK(forward->leg == other(leg));
        return forward->to.text();
    }
};

}  // namespace

TEST_CASE("packets go across, RTP to RTP and RTCP to RTCP") {
    Bench bench;
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
    Bench bench;
    bench.relay.set_remote(Leg::near, remote("192.168.1.20:4000", {net::IpAddress::v4(198, 51, 100, 1)}));
    bench.relay.set_remote(Leg::far, remote("203.0.113.9:6000"));
    CHECK(bench.from("203.0.113.9:6000", Leg::far) == "192.168.1.20:4000");
    CHECK(bench.from("198.51.100.1:1025").empty());
    CHECK(bench.from("198.51.100.1:1025").empty());
    CHECK(bench.from("198.51.100.1:1025") == "203.0.113.9:6000");
    CHECK(bench.from("203.0.113.9:6000", Leg::far) == "198.51.100.1:1025");
    CHECK(bench.relay.stats().near.source == at("198.51.100.1:1025"));
}

TEST_CASE("a stranger who sprays the ports gets nothing and steals nothing") {
    Bench bench;
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
    const auto near_one = at("10.0.0.1:20000"), far_one = at("10.0.0.1:20002");
    const auto near_two = at("10.0.0.1:20004"), far_two = at("10.0.0.1:20006");
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
    Bench bench;
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
    Bench bench;
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
    Bench bench;
    bench.relay.set_remote(Leg::near, remote("192.168.1.20:4000"));
    bench.relay.set_remote(Leg::far, remote("10.9.0.2:20000", {}, true));
    for (int i = 0; i < 5; ++i) CHECK(bench.from("10.9.0.2:20002", Leg::far).empty());
    CHECK(bench.from("10.9.0.2:20000", Leg::far) == "192.168.1.20:4000");
}

TEST_CASE("a leg moves when signalling moves it, and the same signalling again changes nothing") {
    Bench bench;
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
    Bench bench;
    bench.relay.set_remote(Leg::near, remote("192.168.1.20:4000"));
    bench.relay.set_remote(Leg::far, remote("203.0.113.9:6000"));
    const auto passes = [&](std::uint8_t first) {
        net::Writer out;
        out.u8(first).zeros(30);
        return bench.relay.receive(Leg::near, Channel::rtp, at("192.168.1.20:4000"), out.view(), bench.now).has_value();
    };
    CHECK(passes(0x80));
    CHECK(passes(22));
    CHECK_FALSE(passes(0));
    CHECK_FALSE(passes(64));
    CHECK_FALSE(passes(255));
    CHECK_FALSE(bench.relay.receive(Leg::near, Channel::rtp, at("192.168.1.20:4000"), {}, bench.now));
}

TEST_CASE("loss, jitter and the longest gap are measured") {
    Relay relay;
    relay.set_remote(Leg::near, remote("192.168.1.20:4000"));
    auto now = kStart;
    const auto packet = [&](std::uint16_t sequence, std::uint32_t timestamp, std::uint32_t ssrc = 7) {
        relay.receive(Leg::near, Channel::rtp, at("192.168.1.20:4000"), rtp(sequence, timestamp, ssrc), now);
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

namespace {

class FakePorts final : public MediaPorts {
public:
    std::optional<RelayPorts> open(net::Now) override {
        if (left_ == 0) return std::nullopt;
        --left_;
        const auto id = ++last_;
        const auto port = static_cast<std::uint16_t>(20000 + id * 4);
        relays[id] = {};
        return RelayPorts{id, port, static_cast<std::uint16_t>(port + 2)};
    }
    void set_remote(RelayId id, Leg leg, const LegRemote& where, net::Now) override {
        relays.at(id)[static_cast<std::size_t>(leg)] = where;
    }
    void close(RelayId id) override { CHECK(relays.erase(id) == 1); }
    std::optional<RelayStats> stats(RelayId) const override { return RelayStats{}; }

    std::map<RelayId, std::array<LegRemote, 2>> relays;
    std::size_t left_ = 10;
    RelayId last_ = 0;
};

std::string sdp(std::string_view address, int audio, int video = -1, std::string_view more = "") {
    auto text = "v=0\r\no=- 1 1 IN IP4 " + std::string(address) + "\r\ns=-\r\nc=IN IP4 " + std::string(address) +
                "\r\nt=0 0\r\nm=audio " + std::to_string(audio) + " RTP/AVP 0\r\n" + std::string(more);
    if (video >= 0) text += "m=video " + std::to_string(video) + " RTP/AVP 31\r\n";
    return text;
}

const net::Now kNow{kStart, {}};
const auto kWan = net::IpAddress::v4(203, 0, 113, 7);
const auto kLan = net::IpAddress::v4(192, 168, 1, 1);
const auto kOverlay = net::IpAddress::v4(10, 9, 0, 1);

}  // namespace

TEST_CASE("a call's media: the offer opens relays, the answer sets the other side, and the end closes all") {
    FakePorts ports;
    {
        CallMedia media(ports);
        const auto offer = media.pass(sdp("192.168.1.20", 4000, 4002), {Leg::near, net::IpAddress::v4(192, 168, 1, 20), {}, false},
                                      {kWan, "NODE", kOverlay}, kNow);
        REQUIRE(offer);
        CHECK(ports.relays.size() == 2);
        CHECK(media.streams() == 2);
        const auto offered = SessionDescription::parse(*offer);
        REQUIRE(offered);
        CHECK(offered->media[0].rtp == net::Endpoint{kWan, 20006});
        CHECK(offered->media[0].mesh == std::vector{MeshMedia{"NODE", {kOverlay, 20006}}});
        CHECK(ports.relays[1][0].rtp == at("192.168.1.20:4000"));

        // The answer refuses the video.
        const auto answer = media.pass(sdp("198.51.100.9", 6000, 0), {Leg::far, {}, {}, false}, {kLan, {}, {}}, kNow);
        REQUIRE(answer);
        CHECK(SessionDescription::parse(*answer)->media[0].rtp == net::Endpoint{kLan, 20004});
        CHECK(answer->find("meshd") == std::string::npos);
        CHECK(ports.relays.size() == 1);
        CHECK(ports.relays[1][1].rtp == at("198.51.100.9:6000"));
        CHECK(ports.relays[1][1].rtcp == at("198.51.100.9:6001"));
        CHECK_FALSE(media.through_mesh());
        CallMedia moved = std::move(media);
        CHECK(moved.active());
        CHECK(ports.relays.size() == 1);
    }
    CHECK(ports.relays.empty());
}

TEST_CASE("an attribute that is believed moves the media into the mesh, and one that is not is ignored") {
    FakePorts ports;
    CallMedia media(ports);
    CallMedia::From far{Leg::far, {}, [](std::string_view node, const net::IpAddress& address) {
                            return node == "MUNICH" && address == net::IpAddress::v4(10, 9, 0, 2);
                        }, false};
    const auto body = [](std::string_view node) {
        return sdp("198.51.100.9", 6000, -1, "a=meshd:" + std::string(node) + " 10.9.0.2 24000\r\n");
    };
    REQUIRE(media.pass(body("EVIL"), far, {kLan, {}, {}}, kNow));
    CHECK(ports.relays[1][1].rtp == at("198.51.100.9:6000"));
    CHECK_FALSE(media.through_mesh());
    REQUIRE(media.pass(body("MUNICH"), far, {kLan, {}, {}}, kNow));
    CHECK(ports.relays[1][1].rtp == at("10.9.0.2:24000"));
    CHECK(ports.relays[1][1].rtcp == at("10.9.0.2:24001"));
    CHECK(ports.relays[1][1].exact);
    CHECK(media.through_mesh());
    CHECK(ports.relays.size() == 1);
}

TEST_CASE("without ports, or without SDP, a body is not passed") {
    FakePorts ports;
    ports.left_ = 1;
    CallMedia media(ports);
    CHECK_FALSE(media.pass("hello", {Leg::near, {}, {}, false}, {kWan, {}, {}}, kNow));
    CHECK_FALSE(media.pass(sdp("192.168.1.20", 4000, 4002), {Leg::near, {}, {}, false}, {kWan, {}, {}}, kNow));
    media.close();
    CHECK(ports.relays.empty());
}
