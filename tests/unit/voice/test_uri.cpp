#include <catch2/catch.hpp>

#include "voice/header.hpp"

using namespace voice;

namespace {
Uri uri(std::string_view text) {
    const auto parsed = Uri::parse(text);
    INFO(text);
    REQUIRE(parsed);
    return *parsed;
}
bool same(std::string_view a, std::string_view b) {
    const bool forth = uri(a).equivalent(uri(b));
    CHECK(forth == uri(b).equivalent(uri(a)));
    return forth;
}
}  // namespace

TEST_CASE("a URI is told apart and written back as it came") {
    const auto all = uri("sips:al%69ce;x=1:secret@[2001:db8::1]:5071;transport=tcp;lr?Subject=hi&To=b");
    CHECK(all.scheme == "sips");
    CHECK(all.user == "al%69ce;x=1");
    CHECK(all.user_unescaped() == "alice;x=1");
    CHECK(all.password == "secret");
    CHECK(all.host == "2001:db8::1");
    CHECK(all.port == 5071);
    CHECK(all.loose_route());
    CHECK(all.headers == "Subject=hi&To=b");
    for (const auto* text : {"sip:bob@example.com", "sip:example.com:5060;maddr=239.255.255.1;ttl=15", "tel:+39-0461-1;ext=5",
                             "sips:al%69ce;x=1:secret@[2001:db8::1]:5071;transport=tcp;lr?Subject=hi&To=b", "urn:service:sos",
                             "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com"}) {
        CHECK(uri(text).text() == text);
    }
    CHECK(uri("sip:a@192.0.2.1").endpoint() == net::Endpoint{net::IpAddress::v4(192, 0, 2, 1), 5060});
    CHECK_FALSE(uri("sip:a@example.com").endpoint());
    CHECK(Uri::of("a b", {net::IpAddress::v4(192, 0, 2, 1), 5080}).text() == "sip:a%20b@192.0.2.1:5080");
}

TEST_CASE("what is no URI is refused") {
    for (const auto* text : {"", "sip", "sip:", "sip:@example.com", "sip:a@", "sip:a@b@c", "sip:a@exam ple.com", "sip:a@b:70000",
                             "sip:a@b:", "sip:a@[::1", "sip:a@2001:db8::1", "sip:%4@b", "sip:a@b;=x", "sip:a@b;;lr", "<sip:a@b>",
                             "sip:a@b;lr;lr", "1sip:a@b", "sip:a@[192.0.2.1]", "tel:", "sip:a\x01@b", "sip:a@b?"}) {
        INFO(text);
        CHECK_FALSE(Uri::parse(text));
    }
}

TEST_CASE("URIs are compared as RFC 3261 19.1.4 shows") {
    CHECK(same("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"));
    CHECK(same("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"));
    CHECK(same("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"));
    CHECK(same("sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
               "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com"));
    CHECK(same("sip:alice@atlanta.com?subject=project%20x&priority=urgent",
               "sip:alice@atlanta.com?priority=urgent&subject=project%20x"));
    CHECK_FALSE(same("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"));
    CHECK_FALSE(same("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"));
    CHECK_FALSE(same("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"));
    CHECK_FALSE(same("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"));
    CHECK_FALSE(same("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"));
    CHECK_FALSE(same("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"));
    CHECK_FALSE(same("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"));
    CHECK(same("sip:a@[2001:DB8::1]", "sip:a@[2001:db8:0::1]"));
}

TEST_CASE("an address of record has no port, parameter or needless escape") {
    CHECK(uri("sips:B%6Fb:pw@Example.COM:5061;transport=tcp").address_of_record() == "Bob@example.com");
    CHECK(uri("sip:a%40b@example.com").address_of_record() == "a%40b@example.com");
    CHECK(uri("sip:example.com").address_of_record() == "example.com");
    CHECK(uri("tel:+44-20.7946(0)").address_of_record() == "+442079460");
}

TEST_CASE("addresses are read with and without brackets, and written with") {
    const auto quoted = NameAddr::parse("\"Bob, \\\"B\\\" <x>\" <sip:bob@example.com;lr>;tag=1;expires=99999999999;q=0.5");
    REQUIRE(quoted);
    CHECK(quoted->display == "\"Bob, \\\"B\\\" <x>\"");
    CHECK(quoted->uri.loose_route());
    CHECK(quoted->tag() == "1");
    CHECK(quoted->expires_s() == UINT32_MAX);
    CHECK(quoted->q() == Approx(0.5));
    CHECK(quoted->text() == "\"Bob, \\\"B\\\" <x>\" <sip:bob@example.com;lr>;tag=1;expires=99999999999;q=0.5");
    const auto bare = NameAddr::parse("sip:bob@example.com;tag=1");
    REQUIRE(bare);
    CHECK(bare->tag() == "1");
    CHECK(bare->uri.params.all().empty());
    CHECK(bare->text() == "<sip:bob@example.com>;tag=1");
    CHECK(NameAddr::parse("*")->star);
    for (const auto* text : {"", "<sip:a@b", "\"open <sip:a@b>", "a, b <sip:a@b>", "J\xc3\xb6rg <sip:a@b>", "<sip:a@b> x", "sip:a@b?x=y", "<sip:a@b>;\"x\""}) {
        INFO(text);
        CHECK_FALSE(NameAddr::parse(text));
    }
    const auto list = NameAddr::parse_list("<sip:a,b@c>, \"x,y\" <sip:d@e>;p=\"1,2\" , sip:f@g");
    REQUIRE(list);
    CHECK(list->size() == 3);
}

TEST_CASE("a Via gives its parts, and its sent-by with the port it implies") {
    const auto via = Via::parse("SIP / 2.0 / tcp [2001:DB8::9:1] : 6050 ;received=[2001:db8::9:255];branch=z9hG4bKa;rport");
    REQUIRE(via);
    CHECK(via->transport == "TCP");
    CHECK(via->sent_by() == "[2001:db8::9:1]:6050");
    CHECK(via->received() == net::IpAddress::parse("2001:db8::9:255"));
    CHECK(via->wants_rport());
    CHECK(via->rport() == 0);
    CHECK(via->has_cookie());
    CHECK(Via::parse("SIP/2.0/UDP Host.Example")->sent_by() == "host.example:5060");
    CHECK(Via::parse("SIP/2.0/TLS h")->sent_by() == "h:5061");
    CHECK_FALSE(Via::parse("SIP/2.0/UDP h;branch=z9hG4bK")->has_cookie());
    for (const auto* text : {"", "SIP/2.0/UDP", "SIP/3.0/UDP h", "SIP/2.0/UDP h:0x", "SIP/2.0/UDP h;;branch=1,", "SIP/2.0/UDP [::1"}) {
        INFO(text);
        CHECK_FALSE(Via::parse(text));
    }
}
