#include <catch2/catch.hpp>
#include <map>

#include "voice/call_media.hpp"

using namespace std::chrono_literals;
using namespace voice;

namespace {

net::Endpoint at(std::string_view text) {
    const auto endpoint = net::Endpoint::parse(text);
    REQUIRE(endpoint);
    return *endpoint;
}

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

const net::Now kNow{net::Steady(1000s), {}};
const auto kWan = net::IpAddress::v4(203, 0, 113, 7);
const auto kLan = net::IpAddress::v4(192, 168, 1, 1);
const auto kOverlay = net::IpAddress::v4(10, 9, 0, 1);

/// Both sides of one call, each a phone that signalling shows at its own address.
struct Pair {
    explicit Pair(FakePorts& ports_) : ports(ports_), media(ports_) {}
    std::string near(const std::string& body, const std::string& dialog = "") {
        const auto out = media.pass(body, {Leg::near, {}, {}, false, dialog}, {kWan, {}, {}}, kNow);
        REQUIRE(out);
        return *out;
    }
    std::string far(const std::string& body, const std::string& dialog = "") {
        const auto out = media.pass(body, {Leg::far, {}, {}, false, dialog}, {kLan, {}, {}}, kNow);
        REQUIRE(out);
        return *out;
    }
    const LegRemote& remote(RelayId id, Leg leg) const { return ports.relays.at(id)[static_cast<std::size_t>(leg)]; }
    FakePorts& ports;
    CallMedia media;
};

}  // namespace

TEST_CASE("a call's media: the offer opens relays, the answer sets the other side, and the end closes all") {
    FakePorts ports;
    {
        CallMedia media(ports);
        const auto offer = media.pass(sdp("192.168.1.20", 4000, 4002), {Leg::near, net::IpAddress::v4(192, 168, 1, 20), {}, false, {}},
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
        const auto answer = media.pass(sdp("198.51.100.9", 6000, 0), {Leg::far, {}, {}, false, {}}, {kLan, {}, {}}, kNow);
        REQUIRE(answer);
        CHECK(SessionDescription::parse(*answer)->media[0].rtp == net::Endpoint{kLan, 20004});
        CHECK(answer->find("meshd") == std::string::npos);
        CHECK(ports.relays.size() == 2);  // another branch may yet take it
        media.agreed();
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
                        }, false, {}};
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
    CHECK(media.far_node() == "MUNICH");
    CHECK(ports.relays.size() == 1);
}

TEST_CASE("without ports, or without SDP, a body is not passed") {
    FakePorts ports;
    ports.left_ = 1;
    CallMedia media(ports);
    CHECK_FALSE(media.pass("hello", {Leg::near, {}, {}, false, {}}, {kWan, {}, {}}, kNow));
    CHECK_FALSE(media.pass(sdp("192.168.1.20", 4000, 4002), {Leg::near, {}, {}, false, {}}, {kWan, {}, {}}, kNow));
    media.close();
    CHECK(ports.relays.empty());
}

TEST_CASE("RTCP is on RTP's port once both sides have said so, and on its own where only one has") {
    FakePorts ports;
    Pair call(ports);
    const auto mux = sdp("192.168.1.20", 4000, -1, "a=rtcp-mux\r\na=rtcp:4100 IN IP4 192.168.1.21\r\n");
    const auto offered = call.near(mux);
    CHECK(offered.find("a=rtcp-mux\r\n") != std::string::npos);
    CHECK(offered.find("a=rtcp:") == std::string::npos);  // ours is at port + 1
    CHECK(call.remote(1, Leg::near).rtcp == at("192.168.1.21:4100"));
    call.far(sdp("198.51.100.9", 6000));
    CHECK(call.remote(1, Leg::near).rtcp == at("192.168.1.21:4100"));
    CHECK(call.remote(1, Leg::far).rtcp == at("198.51.100.9:6001"));
    call.far(sdp("198.51.100.9", 6000, -1, "a=rtcp-mux\r\n"));
    CHECK(call.remote(1, Leg::near).rtcp == at("192.168.1.20:4000"));
    CHECK(call.remote(1, Leg::far).rtcp == at("198.51.100.9:6000"));
    FakePorts others;
    Pair strict(others);
    strict.near(sdp("192.168.1.20", 4000, -1, "a=rtcp-mux-only\r\na=rtcp-mux\r\n"));
    CHECK(strict.remote(1, Leg::near).rtcp == at("192.168.1.20:4000"));
}

TEST_CASE("a stream that a re-INVITE adds or removes comes and goes, in its place") {
    FakePorts ports;
    Pair call(ports);
    call.near(sdp("192.168.1.20", 4000));
    call.far(sdp("198.51.100.9", 6000));
    call.media.agreed();
    auto body = call.far(sdp("198.51.100.9", 6000, 6002));  // the other side adds video
    CHECK(SessionDescription::parse(body)->media[1].rtp == net::Endpoint{kLan, 20008});
    call.near(sdp("192.168.1.20", 4000, 4002));
    call.media.agreed();
    CHECK(ports.relays.size() == 2);
    body = call.near(sdp("192.168.1.20", 4000, 0));
    CHECK(body.find("m=video 0 ") != std::string::npos);
    CHECK(ports.relays.size() == 2);
    call.far(sdp("198.51.100.9", 6000, 0));
    call.media.agreed();
    CHECK(ports.relays.size() == 1);
    CHECK(call.remote(1, Leg::near).rtp == at("192.168.1.20:4000"));
}

TEST_CASE("an offer that is refused leaves all media as it was") {
    FakePorts ports;
    Pair call(ports);
    call.near(sdp("192.168.1.20", 4000));
    call.far(sdp("198.51.100.9", 6000));
    call.media.refused(kNow);  // nothing has been agreed yet: nothing to go back to
    CHECK(call.remote(1, Leg::near).rtp == at("192.168.1.20:4000"));
    call.media.agreed();
    call.near(sdp("192.168.1.30", 4010, 4020, "a=sendonly\r\n"));
    CHECK(ports.relays.size() == 2);
    CHECK_FALSE(call.media.expects_audio(0, Leg::far));
    call.media.refused(kNow);
    CHECK(ports.relays.size() == 1);
    CHECK(call.remote(1, Leg::near).rtp == at("192.168.1.20:4000"));
    CHECK(call.media.expects_packets());
}

TEST_CASE("of several who answer early, the media goes to the one who takes the call, though he says no more of it") {
    FakePorts ports;
    Pair call(ports);
    call.near(sdp("192.168.1.20", 4000, 4002));
    call.far(sdp("198.51.100.9", 6000, 0), "desk");
    call.far(sdp("198.51.100.10", 7000, 7002), "mobile");
    CHECK(call.remote(1, Leg::far).rtp == at("198.51.100.10:7000"));
    CHECK(call.remote(2, Leg::far).rtp == at("198.51.100.10:7002"));  // "desk" wanting no video has not closed it
    call.media.choose(Leg::far, "desk", kNow);
    call.media.agreed();
    CHECK(call.remote(1, Leg::far).rtp == at("198.51.100.9:6000"));
    CHECK(ports.relays.size() == 1);
}

TEST_CASE("a fax is relayed too, in the place of the sound, without being taken for it") {
    FakePorts ports;
    Pair call(ports);
    call.near(sdp("192.168.1.20", 4000));
    call.far(sdp("198.51.100.9", 6000));
    call.media.agreed();
    CHECK(call.media.expects_audio(0, Leg::near));
    const auto fax = [](std::string_view address, int port) {
        return "v=0\r\no=- 1 2 IN IP4 1.1.1.1\r\ns=-\r\nc=IN IP4 " + std::string(address) + "\r\nt=0 0\r\nm=image " + std::to_string(port) +
               " udptl t38\r\na=T38FaxVersion:0\r\n";
    };
    const auto body = call.far(fax("198.51.100.9", 6004));
    CHECK(body.find("m=image 20004 udptl t38\r\nc=IN IP4 192.168.1.1\r\n") != std::string::npos);
    call.near(fax("192.168.1.20", 4006));
    call.media.agreed();
    CHECK(call.remote(1, Leg::far).content == Content::fax);
    CHECK(call.remote(1, Leg::near).rtp == at("192.168.1.20:4006"));
    CHECK_FALSE(call.media.expects_packets());
    CHECK_FALSE(call.media.expects_audio(0, Leg::near));
    CHECK(call.media.kind(0) == "image");
}

TEST_CASE("who is to be heard follows from both directions, and from hold") {
    struct Row {
        const char* near;
        const char* far;
        bool near_heard, far_heard;
    };
    for (const auto& row : {Row{"a=sendrecv\r\n", "a=sendrecv\r\n", true, true}, Row{"a=sendonly\r\n", "a=recvonly\r\n", true, false},
                            Row{"a=inactive\r\n", "a=inactive\r\n", false, false},
                            Row{"c=IN IP4 0.0.0.0\r\n", "", true, false}, Row{"a=recvonly\r\n", "a=sendrecv\r\n", false, true}}) {
        FakePorts ports;
        Pair call(ports);
        CHECK_FALSE(call.media.streams());
        call.near(sdp("192.168.1.20", 4000, -1, row.near));
        CHECK_FALSE(call.media.expects_audio(0, Leg::near));  // nobody has answered
        call.far(sdp("198.51.100.9", 6000, -1, row.far));
        INFO(row.near);
        CHECK(call.media.expects_audio(0, Leg::near) == row.near_heard);
        CHECK(call.media.expects_audio(0, Leg::far) == row.far_heard);
    }
}

TEST_CASE("keys and fingerprints pass untouched, and the relay knows that the packets are sealed") {
    for (const std::string protocol : {"RTP/SAVP", "RTP/SAVPF", "UDP/TLS/RTP/SAVPF", "RTP/AVP"}) {
        FakePorts ports;
        Pair call(ports);
        const std::string keys = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20|1:32\r\n"
                                 "a=fingerprint:sha-256 AA:BB\r\na=setup:actpass\r\na=rtcp-fb:* nack\r\n";
        const auto body = call.near("v=0\r\no=- 1 1 IN IP4 1.1.1.1\r\ns=-\r\nc=IN IP4 192.168.1.20\r\nt=0 0\r\na=fingerprint:sha-1 CC\r\nm=audio 4000 " +
                                    protocol + " 0\r\n" + keys);
        CHECK(body == "v=0\r\no=- 1 1 IN IP4 1.1.1.1\r\ns=-\r\nc=IN IP4 203.0.113.7\r\nt=0 0\r\na=fingerprint:sha-1 CC\r\nm=audio 20006 " +
                          protocol + " 0\r\nc=IN IP4 203.0.113.7\r\n" + keys);
        CHECK(call.remote(1, Leg::near).content == (protocol == "RTP/AVP" ? Content::rtp : Content::srtp));
    }
}
