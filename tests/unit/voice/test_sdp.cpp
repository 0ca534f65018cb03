#include <catch2/catch.hpp>

#include "voice/sdp.hpp"

using namespace voice;

namespace {

const std::string kOffer =
    "v=0\r\n"
    "o=alice 2890844526 2890844526 IN IP4 192.168.1.20\r\n"
    "s=-\r\n"
    "c=IN IP4 192.168.1.20\r\n"
    "t=0 0\r\n"
    "a=ice-lite\r\n"
    "m=audio 49170 RTP/AVP 0 8 97\r\n"
    "b=AS:64\r\n"
    "a=rtpmap:0 PCMU/8000\r\n"
    "a=candidate:1 1 UDP 2130706431 192.168.1.20 49170 typ host\r\n"
    "a=ice-ufrag:8hhY\r\n"
    "a=ice-pwd:asd88fgpdd777uzjYhagZg\r\n"
    "a=rtcp:53020 IN IP4 192.168.1.21\r\n"
    "a=fingerprint:sha-256 AA:BB\r\n"
    "a=sendonly\r\n"
    "m=video 51372/2 RTP/AVP 31\r\n"
    "i=second\r\n"
    "c=IN IP4 192.168.1.22/127\r\n"
    "a=rtcp-mux\r\n"
    "a=end-of-candidates\r\n"
    "m=application 9 TCP/MSRP *\r\n"
    "a=path:msrp://192.168.1.20:9/x;tcp\r\n"
    "m=audio 0 RTP/AVP 0\r\n";

const auto kAnchor = net::IpAddress::v4(203, 0, 113, 7);

SessionDescription parsed(std::string_view text) {
    const auto session = SessionDescription::parse(text);
    INFO(text);
    REQUIRE(session);
    return *session;
}

}  // namespace

TEST_CASE("every m-line's address, ports and direction are read") {
    const auto session = parsed(kOffer);
    REQUIRE(session.media.size() == 4);
    CHECK(session.origin_address == "192.168.1.20");
    CHECK(session.media[0].rtp.text() == "192.168.1.20:49170");
    CHECK(session.media[0].rtcp.text() == "192.168.1.21:53020");
    CHECK(session.media[0].direction == Direction::sendonly);
    CHECK(session.media[0].ice);
    CHECK(session.media[0].is_rtp());
    CHECK(session.media[1].rtp.text() == "192.168.1.22:51372");
    CHECK(session.media[1].rtcp_mux);
    CHECK(session.media[1].rtcp.port == session.media[1].rtp.port + 1);  // unless the other side can mux, too
    CHECK(session.media[1].direction == Direction::sendrecv);
    CHECK_FALSE(session.media[2].is_rtp());
    CHECK(session.media[3].rejected());
}

TEST_CASE("anchored lines point at the anchor, ICE is gone, and every other line stays") {
    std::vector<Anchor> anchors(4);
    anchors[0].rtp = {kAnchor, 20000};
    anchors[0].mesh = MeshMedia{"NODEKEY", {net::IpAddress::v4(10, 9, 0, 1), 20000}};
    anchors[1].rtp = {kAnchor, 20004};
    anchors[3].rtp = {kAnchor, 20008};
    const auto out = rewrite_sdp(kOffer, anchors);
    REQUIRE(out);
    CHECK(*out ==
          "v=0\r\n"
          "o=alice 2890844526 2890844526 IN IP4 192.168.1.20\r\n"
          "s=-\r\n"
          "c=IN IP4 192.168.1.20\r\n"  // the MSRP line still needs it
          "t=0 0\r\n"
          "m=audio 20000 RTP/AVP 0 8 97\r\n"
          "c=IN IP4 203.0.113.7\r\n"
          "b=AS:64\r\n"
          "a=rtpmap:0 PCMU/8000\r\n"
          "a=fingerprint:sha-256 AA:BB\r\n"
          "a=sendonly\r\n"
          "a=meshd:NODEKEY 10.9.0.1 20000\r\n"
          "m=video 20004 RTP/AVP 31\r\n"
          "i=second\r\n"
          "c=IN IP4 203.0.113.7\r\n"
          "a=rtcp-mux\r\n"
          "m=application 9 TCP/MSRP *\r\n"
          "a=path:msrp://192.168.1.20:9/x;tcp\r\n"
          "m=audio 0 RTP/AVP 0\r\n");
    // What we wrote is read as we meant it, and written again unchanged.
    const auto again = parsed(*out);
    CHECK(again.media[0].rtp == net::Endpoint{kAnchor, 20000});
    CHECK(again.media[0].rtcp == net::Endpoint{kAnchor, 20001});
    CHECK(again.media[0].mesh == std::vector{*anchors[0].mesh});
    CHECK(rewrite_sdp(*out, anchors) == out);
}

TEST_CASE("the session's address goes too when nothing uses it any more, IPv4 or IPv6") {
    const std::string offer = "v=0\no=- 1 1 IN IP4 10.0.0.1\ns=-\nc=IN IP4 10.0.0.1\nt=0 0\nm=audio 4000 RTP/AVP 0\n";
    const auto v6 = *net::IpAddress::parse("fd00::7");
    std::vector<Anchor> anchors(1);
    anchors[0].rtp = {v6, 20000};
    CHECK(rewrite_sdp(offer, anchors) ==
          "v=0\no=- 1 1 IN IP4 10.0.0.1\ns=-\nc=IN IP6 fd00::7\nt=0 0\nm=audio 20000 RTP/AVP 0\nc=IN IP6 fd00::7\n");
    anchors[0].rtcp = net::Endpoint{kAnchor, 30000};
    CHECK(rewrite_sdp(offer, anchors)->ends_with("a=rtcp:30000 IN IP4 203.0.113.7\n"));
}

TEST_CASE("a call on hold stays on hold") {
    const std::string held = "v=0\r\no=- 1 2 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\na=inactive\r\n";
    CHECK(parsed(held).media[0].held());
    CHECK(parsed(held).media[0].direction == Direction::inactive);
    std::vector<Anchor> anchors(1);
    anchors[0].rtp = {kAnchor, 20000};
    const auto out = rewrite_sdp(held, anchors);
    REQUIRE(out);
    CHECK(parsed(*out).media[0].held());
    CHECK(parsed(*out).media[0].rtp.port == 20000);
    CHECK(out->find("203.0.113.7") == std::string::npos);
    CHECK(out->find("a=inactive\r\n") != std::string::npos);
}

TEST_CASE("our attribute never reaches a phone, and a forged shape of it is not read") {
    const std::string sdp =
        "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
        "a=meshd:N 10.9.0.1 20000\r\na=meshd:N 10.9.0.1\r\na=meshd:N nowhere 1\r\na=meshd:N 10.9.0.1 65535\r\na=meshdx:1\r\n";
    CHECK(parsed(sdp).media[0].mesh.size() == 1);
    CHECK(rewrite_sdp(sdp, {})->find("a=meshd:") == std::string::npos);
    CHECK(without_mesh_media(sdp).find("a=meshd:") == std::string::npos);
    CHECK(without_mesh_media(sdp).find("a=meshdx:1\r\n") != std::string::npos);
    CHECK(without_mesh_media(kOffer) == kOffer);
}

TEST_CASE("what is no SDP is refused") {
    const std::string head = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\n";
    const std::string good = head + "c=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
    CHECK(SessionDescription::parse(good));
    CHECK(SessionDescription::parse(good + "\r\n"));
    std::string many = head + "c=IN IP4 10.0.0.1\r\nt=0 0\r\n";
    for (int i = 0; i < 33; ++i) many += "m=audio 4000 RTP/AVP 0\r\n";
    for (const auto& text : {std::string(), std::string("hello"), std::string("v=1\r\no=- 1 1 IN IP4 1.1.1.1\r\ns=-\r\n"),
                             "o=- 1 1 IN IP4 1.1.1.1\r\n" + good, head + "t=0 0\r\nm=audio 4000 RTP/AVP 0\r\n",
                             good + "m=audio x RTP/AVP 0\r\n", good + "m=audio 70000 RTP/AVP 0\r\n", good + "m=audio 4000\r\n",
                             good + "c=IN IP4 fd00::1\r\n", good + "no line\r\n", good + std::string("a=\0x\r\n", 6),
                             good + "a=rtcp:x\r\n", good + "t=0 0\r\n", good + "q=1\r\n", good + "\r\na=late\r\n", good + "a=one\ra=two\r\n", many,
                             good + "a=" + std::string(70000, 'x')}) {
        INFO(text.substr(0, 300));
        CHECK_FALSE(SessionDescription::parse(text));
        CHECK_FALSE(rewrite_sdp(text, {}));
    }
}

TEST_CASE("an address that is a name is kept where nothing is anchored, and replaced where it is") {
    const std::string sdp = "v=0\r\no=- 1 1 IN IP4 h.example\r\ns=-\r\nc=IN IP4 h.example\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
    CHECK(parsed(sdp).media[0].rtp.is_none());
    CHECK(rewrite_sdp(sdp, {}) == sdp);
    std::vector<Anchor> anchors(1);
    anchors[0].rtp = {kAnchor, 20000};
    CHECK(rewrite_sdp(sdp, anchors)->find("c=IN IP4 h.example") == std::string::npos);
}

TEST_CASE("every line of ICE goes, of the session and of its streams, and other addresses with it; what sounds alike stays") {
    const std::string sdp = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n";
    const std::string gone =
        "a=ice-lite\r\na=ice-options:trickle\r\na=ice-pacing:50\r\na=ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\na=ice2\r\n"
        "a=ice-mismatch\r\na=candidate:1 1 UDP 2130706431 192.168.1.20 49170 typ host\r\na=remote-candidates:1 192.0.2.3 45664\r\n"
        "a=end-of-candidates\r\na=x-candidate-ipv6:1 1\r\na=altc:1 IP4 10.0.0.1 4000\r\na=group:BUNDLE a v\r\na=bundle-only\r\n";
    const std::string stays =
        "a=group:LS a v\r\na=mid:a\r\na=rtcp-fb:* nack pli\r\na=candidates:none\r\na=setup:active\r\na=fingerprint:sha-256 AA\r\na=rtcp-mux\r\n";
    std::vector<Anchor> anchors(2);
    anchors[0].rtp = {kAnchor, 20000};
    const auto out = rewrite_sdp(sdp + gone + stays + "m=audio 4000 RTP/SAVPF 0\r\n" + gone + stays + "m=video 0 RTP/SAVPF 31\r\n" + gone, anchors);
    REQUIRE(out);
    CHECK(*out == "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 203.0.113.7\r\nt=0 0\r\n" + stays +
                      "m=audio 20000 RTP/SAVPF 0\r\nc=IN IP4 203.0.113.7\r\n" + stays + "m=video 0 RTP/SAVPF 31\r\n");
}

TEST_CASE("streams of both families in one description are each pointed at their anchor") {
    const std::string sdp =
        "v=0\r\no=- 1 1 IN IP6 fd00::1\r\ns=-\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\nc=IN IP6 fd00::20\r\na=rtcp:4001 IN IP6 fd00::21\r\n"
        "m=video 4002 RTP/AVP 31\r\nc=IN IP4 10.0.0.20\r\na=rtcp:4010\r\nm=audio 4004 RTP/AVP 0\r\nc=IN IP6 ::\r\n";
    const auto session = parsed(sdp);
    CHECK(session.media[0].rtp.text() == "[fd00::20]:4000");
    CHECK(session.media[0].rtcp.text() == "[fd00::21]:4001");
    CHECK(session.media[1].rtcp.text() == "10.0.0.20:4010");
    CHECK(session.media[2].held());
    std::vector<Anchor> anchors(3);
    for (std::size_t i = 0; i < 3; ++i) anchors[i].rtp = {*net::IpAddress::parse("fd00::7"), static_cast<std::uint16_t>(20000 + 4 * i)};
    CHECK(rewrite_sdp(sdp, anchors) ==
          "v=0\r\no=- 1 1 IN IP6 fd00::1\r\ns=-\r\nt=0 0\r\nm=audio 20000 RTP/AVP 0\r\nc=IN IP6 fd00::7\r\n"
          "m=video 20004 RTP/AVP 31\r\nc=IN IP6 fd00::7\r\nm=audio 20008 RTP/AVP 0\r\nc=IN IP6 ::\r\n");
}
