#include <unistd.h>
#include <catch2/catch.hpp>
#include <cstdio>
#include <fstream>

#include "meshd/config.hpp"
#include "meshd/config_value.hpp"
#include "meshd/media_thread.hpp"

using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
using meshd::parse_config;

namespace {

std::string config_refusal(std::string_view text) {
    try {
        parse_config(text, "meshd.json");
    } catch (const meshd::ConfigError& error) {
        return error.what();
    }
    return "accepted";
}

}  // namespace

TEST_CASE("an empty object is the default configuration") {
    const auto config = parse_config("{}", "x");
    CHECK(config.listen_port == 51820);
    CHECK(config.bootstrap.empty());
    CHECK(config.mdns.enabled);
    CHECK(config.device == "mesh0");
    CHECK(config.mtu_bytes == 1420);
    CHECK(config.port_mapping);
    CHECK(config.log == meshd::LogLevel::info);
    CHECK_FALSE(config.data.single_thread);
    CHECK_FALSE(config.data.queues);
    CHECK(config.data.tun_offloads);
    CHECK(config.data.udp_offloads);
    CHECK(config.data.aes);
    CHECK(config.voice.enabled);
    CHECK(config.voice.port == 5060);
    CHECK_FALSE(config.voice.centre);
    CHECK_FALSE(config.voice.domain);
    CHECK(config.voice.hold_down == std::chrono::seconds(60));
    CHECK(config.voice.digests == std::vector<std::size_t>{0});
    const auto is_phone = [&](const char* text) {
        const auto address = *net::IpAddress::parse(text);
        return std::any_of(config.voice.phones.begin(), config.voice.phones.end(),
                           [&](const net::Prefix& p) { return p.contains(address); });
    };
    CHECK(is_phone("192.168.7.9"));
    CHECK(is_phone("fe80::1"));
    CHECK_FALSE(is_phone("198.51.100.1"));
}

TEST_CASE("every setting is read, with comments between") {
    const auto config = parse_config(R"(// of the office in Trento
{
  "listen_port": 51821, /* not the
                           default */
  "bootstrap": ["HQ.example:51820", "192.0.2.1:1", "[2001:db8::1]:51820", "Acme.Example", "192.0.2.2", "2001:db8::2"],
  "mdns": {"interfaces": ["eth0", "br-lan.1"]},
  "device": "acme", "mtu": 1400,
  "advertise": ["198.51.100.7:51820", "[2001:db8::7]:51820"],
  "port_mapping": false,
  "log": "debug",
  "data": {"threads": "one", "tun_offloads": false, "udp_offloads": false, "aes": false, "dscp": "copy",
           "uplink_rate": "9500kbit", "relay_rate": "2mbit"},
  "voice": {
    "enabled": true, "port": 5062,
    "phones": ["192.168.1.0/24", "fd00:1::/64"],
    "domain": "Acme.Example",
    "centre": "sip:203.0.113.5:5070;transport=tcp",
    "hold_down_s": 5, "expires_s": 100, "outage_expires_s": 10,
    "digests": ["SHA-256", "MD5"],
    "media_ports": [30000, 30999], "media": ["192.168.0.0/16", "fd00::/16"],
    "tls": {"listen": 5071, "certificate": "/etc/meshd/sip.crt", "key": "/etc/meshd/sip.key",
            "authorities": "/etc/meshd/ca.crt", "verify_centre": false}
  }
}
// the end)",
                                     "x");
    CHECK(config.listen_port == 51821);
    REQUIRE(config.bootstrap.size() == 6);
    CHECK(config.bootstrap[0] == meshd::HostPort{"hq.example", 51820});
    CHECK(config.bootstrap[1] == meshd::HostPort{"192.0.2.1", 1});
    CHECK(config.bootstrap[2] == meshd::HostPort{"2001:db8::1", 51820});
    CHECK(config.bootstrap[3] == meshd::HostPort{"acme.example", 0});
    CHECK(config.bootstrap[4] == meshd::HostPort{"192.0.2.2", 51820});
    CHECK(config.bootstrap[5] == meshd::HostPort{"2001:db8::2", 51820});
    CHECK(config.mdns.interfaces == std::vector<std::string>{"eth0", "br-lan.1"});
    CHECK(config.device == "acme");
    CHECK(config.mtu_bytes == 1400);
    REQUIRE(config.advertise.size() == 2);
    CHECK(config.advertise[1].text() == "[2001:db8::7]:51820");
    CHECK(config.log == meshd::LogLevel::debug);
    CHECK_FALSE(config.port_mapping);
    CHECK(config.data.single_thread);
    CHECK_FALSE(config.data.tun_offloads);
    CHECK_FALSE(config.data.udp_offloads);
    CHECK_FALSE(config.data.aes);
    CHECK(config.data.dscp == net::OuterDscp::copy);
    CHECK(config.data.uplink_bit_per_s == 9'500'000);
    CHECK(config.data.relay_total_bit_per_s() == 2'000'000);
    CHECK(config.voice.port == 5062);
    REQUIRE(config.voice.phones.size() == 2);
    CHECK(config.voice.phones[0].text() == "192.168.1.0/24");
    CHECK(config.voice.domain == "acme.example");
    REQUIRE(config.voice.centre);
    CHECK(config.voice.centre->host == "203.0.113.5");
    CHECK(config.voice.centre->port == 5070);
    CHECK(config.voice.centre->tcp == true);
    CHECK(config.voice.expires == std::chrono::seconds(100));
    CHECK(config.voice.outage_expires == std::chrono::seconds(10));
    CHECK(config.voice.hold_down == std::chrono::seconds(5));
    CHECK(config.voice.digests == std::vector<std::size_t>{1, 0});
    REQUIRE(config.voice.direct_media.size() == 2);
    CHECK(config.voice.direct_media[1].text() == "fd00::/16");
    CHECK(config.voice.tls.listens);
    CHECK(config.voice.tls.port == 5071);
    CHECK(config.voice.tls.certificate == "/etc/meshd/sip.crt");
    CHECK(config.voice.tls.key == "/etc/meshd/sip.key");
    CHECK(config.voice.tls.authorities == "/etc/meshd/ca.crt");
    CHECK_FALSE(config.voice.tls.verify_centre);
    CHECK(config.voice.first_media_port == 30000);
    CHECK(config.voice.last_media_port == 30999);
    CHECK_FALSE(parse_config(R"({"mdns": false})", "x").mdns.enabled);
}

TEST_CASE("an unknown key is refused with its line and the key that was meant") {
    CHECK(config_refusal("{\n  \"listen_prot\": 1\n}") ==
          "meshd.json:2: \"listen_prot\" is no setting; did you mean \"listen_port\"?");
    CHECK(config_refusal("{\"voice\": {\n\n \"center\": \"sip:a\"}}") ==
          "meshd.json:3: \"voice.center\" is no setting; did you mean \"voice.centre\"?");
    CHECK(config_refusal("{\"voice\": {\"hold_down\": 3}}") ==
          "meshd.json:1: \"voice.hold_down\" is no setting; did you mean \"voice.hold_down_s\"?");
    CHECK_THAT(config_refusal(R"({"voice": {"digests": ["SHA1"]}})"), Contains("SHA-512-256"));
    CHECK_THAT(config_refusal(R"({"voice": {"digests": ["MD5", "MD5"]}})"), Contains("twice"));
    CHECK_THAT(config_refusal("{\"colour\": 3}"), Contains("the ones there are here: listen_port, bootstrap, mdns"));
    CHECK_THAT(config_refusal("{\"MTU\": 1300}"), Contains("did you mean \"mtu\"?"));
}

TEST_CASE("TLS for phones is off unless it stands there, has a port of its own, and a key where it has a certificate") {
    CHECK_FALSE(parse_config("{}", "x").voice.tls.listens);
    const auto config = parse_config(R"({"voice": {"tls": {}}})", "x");
    CHECK(config.voice.tls.listens);
    CHECK(config.voice.tls.port == 5061);
    CHECK(config.voice.tls.verify_centre);
    CHECK_THAT(config_refusal(R"({"voice": {"tls": {"listen": 5060}}})"), Contains("carries SIP without TLS"));
    CHECK_THAT(config_refusal(R"({"voice": {"tls": {"key": "/k"}}})"), Contains("must name both"));
}

TEST_CASE("a key that stands twice is refused and both places are named") {
    CHECK(config_refusal("{\n\"mtu\": 1400,\n\n\"mtu\": 1300}") ==
          "meshd.json:4: \"mtu\" stands here a second time; the first is on line 2");
    CHECK_THAT(config_refusal("{\"voice\":{\"port\":1,\"port\":2}}"), Contains("\"port\" stands here a second time"));
}

TEST_CASE("what is not JSON is refused where it stops being JSON") {
    CHECK_THAT(config_refusal("{\n  \"mtu\": 1400\n  \"log\": \"info\"\n}"), StartsWith("meshd.json:3: this is not JSON: "));
    CHECK_THAT(config_refusal("{\n  \"mtu\": 1400,\n}"), StartsWith("meshd.json:3: this is not JSON: "));
    CHECK_THAT(config_refusal("{\n\"mtu\": 1400\n"), StartsWith("meshd.json:2: this is not JSON: "));
    CHECK_THAT(config_refusal("{}\n\n{}"), StartsWith("meshd.json:3: this is not JSON: "));
    CHECK_THAT(config_refusal("{\n/* no end"), StartsWith("meshd.json:2: this is not JSON: "));
    CHECK_THAT(config_refusal(""), StartsWith("meshd.json:1: this is not JSON: "));
    CHECK_THAT(config_refusal("{\"mtu\": 1e999}"), Contains("meshd.json:1: "));
    CHECK_THAT(config_refusal("{\"mtu\": 18446744073709551615}"), Contains("too large"));
    CHECK_THAT(config_refusal("[1420]"), Contains("must be an object, in braces, not a list"));
}

TEST_CASE("nesting and size are bounded") {
    CHECK_THAT(config_refusal("{\"bootstrap\": " + std::string(100000, '[')), Contains("nested too deeply"));
    CHECK_THAT(config_refusal(std::string(meshd::kMaxJsonTreeBytes + 1, ' ')), Contains("no configuration needs more"));
}

TEST_CASE("a value of the wrong kind or range is refused with what it must be and what it is") {
    CHECK(config_refusal("{\"listen_port\":\n\n 99999\n}") ==
          "meshd.json:3: \"listen_port\" must be a port, from 1 to 65535, not 99999");
    CHECK_THAT(config_refusal("{\"listen_port\": 0}"), Contains("not 0"));
    CHECK_THAT(config_refusal("{\"listen_port\": -1}"), Contains("not -1"));
    CHECK_THAT(config_refusal("{\"listen_port\": \"51820\"}"), Contains("not \"51820\""));
    CHECK_THAT(config_refusal("{\"listen_port\": 51820.5}"), Contains("not a number with a fraction"));
    CHECK_THAT(config_refusal("{\"listen_port\": null}"), Contains("not null"));
    CHECK_THAT(config_refusal("{\"mtu\": 1279}"), Contains("\"mtu\" must be a number from 1280 to 9000, not 1279"));
    CHECK_THAT(config_refusal("{\"mdns\": \"yes\"}"), Contains("\"mdns\" must be an object, in braces, not \"yes\""));
    CHECK_THAT(config_refusal("{\"mdns\": {\"interfaces\": [\"eth 0\"]}}"),
               Contains("\"mdns.interfaces[0]\" must be a network interface's name"));
    CHECK_THAT(config_refusal("{\"mdns\": {\"interfaces\": []}}"), Contains("must have 1 to 64 entries, not 0"));
    CHECK_THAT(config_refusal("{\"device\": \"a-name-far-too-long\"}"), Contains("1 to 15 letters"));
    CHECK_THAT(config_refusal("{\"device\": \"../x\"}"), Contains("must be a network interface's name"));
    CHECK_THAT(config_refusal("{\"log\": \"loud\"}"),
               Contains("must be one of trace, debug, info, warn, error, not \"loud\""));
    CHECK_THAT(config_refusal("{\"voice\": true}"), Contains("\"voice\" must be an object, in braces, not true"));
    CHECK_THAT(config_refusal("{\n\"port_mapping\": \"no\"}"), Contains("meshd.json:2") && Contains("\"port_mapping\" must be true or false"));
    CHECK_THAT(config_refusal("{\"voice\": {\"enabled\": 1}}"), Contains("must be true or false, not 1"));
    CHECK_THAT(config_refusal("{\"voice\": {\"domain\": \"acme example\"}}"), Contains("must be a domain name"));
    CHECK_THAT(config_refusal("{\"voice\": {\"expires_s\": 1}}"), Contains("a whole number of seconds from 5 to 86400"));
    CHECK_THAT(config_refusal("{\"bootstrap\": \"hq.example:1\"}"), Contains("\"bootstrap\" must be a list"));
}

TEST_CASE("an entry of a list is refused on its own line") {
    CHECK_THAT(config_refusal("{\"bootstrap\": [\n\"a.example:1\",\n\"b.example:0\"]}"),
               StartsWith("meshd.json:3: \"bootstrap[1]\" must be HOST:PORT, an address or a domain"));
    for (const auto* bad : {"", "192.0.2.300", "a..example", "-.example:1", "10.1", "hq.example:", "sip:hq.example:1"}) {
        CHECK_THAT(config_refusal("{\"bootstrap\": [\"" + std::string(bad) + "\"]}"), Contains("must be HOST:PORT"));
    }
    CHECK_THAT(config_refusal("{\"advertise\": [\"0.0.0.0:51820\"]}"), Contains("that others can send to"));
    CHECK_THAT(config_refusal("{\"advertise\": [\"hq.example:51820\"]}"), Contains("ADDRESS:PORT"));
    CHECK_THAT(config_refusal("{\"voice\": {\"phones\": [\"192.168.1.7/24\"]}}"),
               Contains("a network without host bits, such as \"192.168.1.0/24\", not \"192.168.1.7/24\""));
    CHECK_THAT(config_refusal("{\"voice\": {\"phones\": [\"office\"]}}"), Contains("must be a network"));
    CHECK_THAT(config_refusal("{\"voice\": {\"phones\": []}}"), Contains("must have 1 to 256 entries"));
}

TEST_CASE("a range of media ports must be one, and big enough") {
    for (const auto* bad : {"[]", "[20000]", "[29999, 20000]", "[20000, 20001]", "[100, 2000]", "[1, 2, 3]", "20000"}) {
        INFO(bad);
        CHECK_THAT(config_refusal("{\"voice\": {\"media_ports\": " + std::string(bad) + "}}"), Contains("voice.media_ports"));
    }
}

TEST_CASE("as many calls are let in as have ports for their sound, and no configuration may ask for more") {
    const auto calls = [](const std::string& voice) { return parse_config("{\"voice\": {" + voice + "}}", "x").voice.most_calls(); };
    const meshd::VoiceConfig usual;
    CHECK(usual.most_calls() == voice::kUsualMaxCalls);
    CHECK(usual.most_streams() == 2500);
    CHECK(usual.most_streams() == meshd::MediaThread::Settings().max_relays);
    CHECK(usual.most_calls() == voice::ProxySettings().max_calls);
    CHECK(calls(R"("media_ports": [30000, 30999])") == 250);
    CHECK(calls(R"("media_ports": [30001, 30999])") == 249);  // the first pair begins at 30002
    CHECK(calls(R"("media_ports": [30000, 30999], "max_calls": 250)") == 250);
    CHECK(calls(R"("media_ports": [30000, 30999], "media": "direct")") == voice::kUsualMaxCalls);
    CHECK(calls(R"("media": "direct", "max_calls": 9000)") == 9000);
    CHECK(calls(R"("media_ports": [10000, 50000], "max_calls": 9000)") == 9000);
    CHECK(config_refusal("{\"voice\": {\n\"max_calls\": 3000}}") ==
          "meshd.json:1: \"voice.max_calls\" is 3000, but \"voice.media_ports\" has room for the sound of 2500 calls, four ports each; "
          "widen the range or allow fewer");
    CHECK_THAT(config_refusal(R"({"voice": {"max_calls": 0}})"), Contains("voice.max_calls"));
    CHECK_THAT(config_refusal(R"({"voice": {"max_calls": "many"}})"), Contains("voice.max_calls"));
}

TEST_CASE("media is anchored, direct, or direct between networks") {
    CHECK(parse_config(R"({"voice": {"media": "anchor"}})", "x").voice.direct_media.empty());
    CHECK(parse_config("{}", "x").voice.direct_media.empty());
    const auto all = parse_config(R"({"voice": {"media": "direct"}})", "x").voice.direct_media;
    const auto has = [&](const char* text) {
        return std::any_of(all.begin(), all.end(), [&](const auto& prefix) { return prefix.contains(*net::IpAddress::parse(text)); });
    };
    CHECK(has("192.168.1.1"));
    CHECK(has("2001:db8::1"));
    for (const auto* bad : {"\"somewhere\"", "true", "[]", "[\"192.168.1.7/24\"]", "{}", "7"}) {
        INFO(bad);
        CHECK_THAT(config_refusal("{\"voice\": {\"media\": " + std::string(bad) + "}}"), Contains("voice.media"));
    }
}

TEST_CASE("settings that do not go together are refused") {
    CHECK_THAT(config_refusal(R"({"listen_port": 5060})"), Contains("both 5060"));
    CHECK(config_refusal(R"({"listen_port": 5060, "voice": {"enabled": false}})") == "accepted");
    CHECK_THAT(config_refusal(R"({"voice": {"port": 5080}})"), Contains("5080 carries SIP between nodes"));
    CHECK_THAT(config_refusal(R"({"voice": {"media_ports": [5000, 6000]}})"), Contains("holds port 5060"));
    CHECK_THAT(config_refusal(R"({"voice": {"expires_s": 10}})"), Contains("longer than \"voice.expires_s\""));
}

TEST_CASE("a central server is a SIP URI with a host, and at most a port and a transport") {
    const auto centre = [](const char* text) { return meshd::parse_centre(text); };
    REQUIRE(centre("sip:sip.acme.example"));
    CHECK_FALSE(centre("sip:sip.acme.example")->port);
    CHECK_FALSE(centre("sip:sip.acme.example")->tcp);
    CHECK(centre("sip:203.0.113.5")->port == 5060);
    CHECK(centre("sip:203.0.113.5")->tcp == false);
    CHECK(centre("SIP:[2001:db8::5];transport=TCP")->host == "2001:db8::5");
    CHECK(centre("sip:[2001:db8::5]:5070")->port == 5070);
    CHECK_FALSE(centre("sip:sip.acme.example")->tls);
    for (const auto* tls : {"sips:203.0.113.5", "sip:203.0.113.5;transport=tls", "sips:203.0.113.5;transport=tcp"}) {
        INFO(tls);
        CHECK(centre(tls)->tls);
        CHECK(centre(tls)->tcp == false);
        CHECK(centre(tls)->port == 5061);
    }
    for (const auto* bad :
         {"203.0.113.5", "sips:", "sips:a.example;transport=udp", "sip:", "sip:alice@a.example", "sip:a.example:0", "sip:a b",
          "sip:a.example;transport=sctp", "sip:a.example;lr", "sip:300.1.1.1", "sip:2001:db8::5"}) {
        INFO(bad);
        CHECK_FALSE(centre(bad));
    }
}

TEST_CASE("a mistyped address is no host name") {
    CHECK_FALSE(meshd::parse_host_port("192.168.1.300:51820"));
    CHECK_FALSE(meshd::parse_host_port("2001:db8::1:51820"));
    CHECK_FALSE(meshd::parse_host_port("[::1]"));
    CHECK_FALSE(meshd::parse_host_port("a..b:1"));
    CHECK_FALSE(meshd::parse_host_port("-a.example:1"));
    CHECK(meshd::parse_host_port("4.example:1"));
}

TEST_CASE("a configuration that is missing is the default only where it may be missing") {
    CHECK(meshd::load_config("/nonexistent/meshd.json", true).listen_port == 51820);
    CHECK_THROWS_WITH(meshd::load_config("/nonexistent/meshd.json", false),
                      Contains("/nonexistent/meshd.json: No such file") && Contains("--config"));
    CHECK_THROWS_WITH(meshd::load_config("/", true), Contains("cannot read the configuration /"));
}

TEST_CASE("a configuration is read from its file, and its errors name it") {
    char path[] = "/tmp/meshd-config-XXXXXX";
    close(mkstemp(path));
    std::ofstream(path) << "{\n\"mtu\": 1300}";
    CHECK(meshd::load_config(path, false).mtu_bytes == 1300);
    std::ofstream(path) << "{\n\"mtu\": 0}";
    CHECK_THROWS_WITH(meshd::load_config(path, false), StartsWith(std::string(path) + ":2: "));
    std::remove(path);
}

TEST_CASE("the configuration that is installed as an example is a good one") {
    CHECK(meshd::load_config(MESHD_SOURCE_ROOT "/packaging/etc/meshd.json", false).voice.port == 5060);
}

TEST_CASE("whose DSCP is shown outside is voice's, unless all are to be copied") {
    CHECK(parse_config("{}", "x").data.dscp == net::OuterDscp::voice);
    CHECK(parse_config(R"({"data": {"dscp": "voice"}})", "x").data.dscp == net::OuterDscp::voice);
    for (const auto* const bad : {"\"uniform\"", "\"\"", "true", "46"}) {
        CHECK_THAT(config_refusal(std::string("{\n\"data\": {\"dscp\": ") + bad + "}}"),
                   Contains("meshd.json:2: \"data.dscp\" must be") && Contains("voice") && Contains("copy"));
    }
}

TEST_CASE("the number of queues is chosen by the machine, or one to four") {
    CHECK_FALSE(parse_config(R"({"data": {"queues": "auto"}})", "x").data.queues);
    CHECK(parse_config(R"({"data": {"queues": 1}})", "x").data.queues == 1);
    CHECK(parse_config(R"({"data": {"queues": 4}})", "x").data.queues == 4);
    for (const auto* const bad : {"0", "5", "-1", "\"two\"", "\"2\"", "2.5", "true", "null"}) {
        CHECK_THAT(config_refusal(std::string("{\n\"data\": {\"queues\": ") + bad + "}}"),
                   Contains("meshd.json:2: \"data.queues\" must be \"auto\" or a number from 1 to 4"));
    }
}

TEST_CASE("a rate needs its unit, and one that carries no call is refused") {
    CHECK(parse_config(R"({"data": {"uplink_rate": "1Gbit"}})", "x").data.uplink_bit_per_s == 1'000'000'000);
    for (const auto* const bad : {"10", "\"10\"", "\"10 mbit\"", "\"mbit\"", "\"-1mbit\"", "\"63kbit\"", "\"0mbit\"",
                                  "\"99999999999999999999mbit\"", "\"10mbyte\""}) {
        CHECK_THAT(config_refusal(std::string("{\"data\": {\"uplink_rate\": ") + bad + "}}"),
                   Contains("\"data.uplink_rate\" must be a rate of at least 64kbit"));
        CHECK_THAT(config_refusal(std::string("{\n\"data\": {\"relay_rate\": ") + bad + "}}"),
                   Contains("meshd.json:2: \"data.relay_rate\" must be a rate of at least 64kbit"));
    }
}

TEST_CASE("what is passed on for others has half of the uplink, if nothing else is said") {
    CHECK(parse_config("{}", "x").data.relay_total_bit_per_s() == 0);
    CHECK(parse_config(R"({"data": {"uplink_rate": "10mbit"}})", "x").data.relay_total_bit_per_s() == 5'000'000);
    CHECK(parse_config(R"({"data": {"relay_rate": "3mbit"}})", "x").data.relay_total_bit_per_s() == 3'000'000);
}

TEST_CASE("the dial plan and what is asked of DNS are read, and refused with a reason") {
    const auto config = parse_config(R"({"voice": {
      "dial_plan": {"country": "44", "area": "207", "national_prefix": "0", "site": "442079460", "extension_digits": [3, 4]},
      "enum": {"use": "always", "suffixes": ["e164.arpa", "Nrenum.NET"], "servers": ["192.0.2.53:53"]}}})", "x");
    CHECK(config.voice.dial_plan.country == "44");
    CHECK(config.voice.dial_plan.max_extension_digits == 4);
    CHECK(config.voice.enum_lookup.use == voice::OutsideUse::always);
    CHECK(config.voice.enum_lookup.suffixes == std::vector<std::string>{"e164.arpa", "nrenum.net"});
    CHECK(config.voice.enum_lookup.servers.at(0).text() == "192.0.2.53:53");
    const auto usual = parse_config("{}", "x");
    CHECK(usual.voice.enum_lookup.use == voice::OutsideUse::without_centre);
    CHECK(usual.voice.enum_lookup.suffixes == std::vector<std::string>{"e164.arpa"});
    CHECK_THAT(config_refusal(R"({"voice": {"dial_plan": {"country": "+44"}}})"), Contains("must be digits"));
    CHECK_THAT(config_refusal(R"({"voice": {"dial_plan": {"country": 44}}})"), Contains("must be a text"));
    CHECK_THAT(config_refusal(R"({"voice": {"enum": {"use": "sometimes"}}})"), Contains("without-centre"));
    CHECK_THAT(config_refusal(R"({"voice": {"enum": {"suffixes": ["e164 arpa"]}}})"), Contains("domain name"));
}

TEST_CASE("DNS is served on the overlay only, unless more is said") {
    const auto usual = parse_config("{}", "x").dns;
    CHECK(usual.enabled);
    CHECK(usual.listen.empty());
    CHECK(usual.port == 53);
    CHECK(usual.suffixes.empty());
    CHECK(usual.resolved);
    CHECK(usual.clients == meshd::VoiceConfig().phones);
    CHECK(usual.numbers.empty());
    CHECK(usual.phones_reach.empty());
    CHECK_FALSE(parse_config(R"({"dns": false})", "x").dns.enabled);
    const auto dns = parse_config(R"({"dns": {"enabled": true, "listen": ["192.168.1.1", "fd00:7::1"], "port": 5353,
        "suffixes": ["E164.Acme.Example"], "clients": ["192.168.1.0/24"], "numbers": ["192.168.1.5"], "phones_reach": ["192.168.1.1"], "resolved": false}})", "x").dns;
    REQUIRE(dns.listen.size() == 2);
    CHECK(dns.listen[1].text() == "fd00:7::1");
    CHECK(dns.port == 5353);
    CHECK(dns.suffixes == std::vector<std::string>{"e164.acme.example"});
    REQUIRE(dns.clients.size() == 1);
    CHECK(dns.numbers == std::vector{*net::Prefix::parse("192.168.1.5/32")});
    CHECK(dns.phones_reach == std::vector{*net::IpAddress::parse("192.168.1.1")});
    CHECK_FALSE(dns.resolved);
    for (const auto* address : {"0.0.0.0", "::", "224.0.0.251", "fe80::1", "lan", "192.168.1.1:53"}) {
        CHECK_THAT(config_refusal("{\"dns\": {\n\"listen\": [\"" + std::string(address) + "\"]}}"),
                   StartsWith("meshd.json:2: \"dns.listen[0]\" must be one address of this machine, such as \"192.168.1.1\", not"));
    }
    CHECK_THAT(config_refusal(R"({"dns": {"numbers": ["pbx"]}})"), Contains("\"dns.numbers[0]\" must be a network"));
    CHECK_THAT(config_refusal(R"({"dns": {"phones_reach": ["::"]}})"), Contains("\"dns.phones_reach[0]\" must be one address"));
    CHECK_THAT(config_refusal(R"({"dns": {"port": 0}})"), Contains("\"dns.port\""));
    CHECK_THAT(config_refusal(R"({"dns": {"listens": []}})"), Contains("did you mean \"dns.listen\"?"));
    CHECK_THAT(config_refusal(R"({"dns": {"suffixes": ["a b"]}})"), Contains("\"dns.suffixes[0]\""));
}

TEST_CASE("trunks and emergency numbers are read") {
    const auto voice = parse_config(R"({"voice": {"emergency": ["112", "999"], "trunks": [
      {"name": "carrier", "server": "sip:sip.carrier.example;transport=tls", "register": true, "user": "4711",
       "password_file": "/etc/meshd/carrier.password", "realm": "carrier", "from": "sip:4711@carrier.example",
       "caller_id": "+44 207 9460100", "prefixes": ["+44", "118"], "cost": 3, "form": "national", "strip": 1, "add": "9",
       "inbound_from": ["192.0.2.0/28"], "emergency": false},
      {"name": "line", "server": "sip:192.0.2.10:5080"}]}})",
                                    "x")
                           .voice;
    CHECK(voice.emergency == std::vector<std::string>{"112", "999"});
    REQUIRE(voice.trunks.size() == 2);
    const auto& carrier = voice.trunks[0].settings;
    CHECK(voice.trunks[0].password_file == "/etc/meshd/carrier.password");
    CHECK(carrier.server.text() == "sip:sip.carrier.example;transport=tls");
    CHECK(carrier.registers);
    CHECK(carrier.caller_id == "+442079460100");
    CHECK(carrier.prefixes == std::vector<std::string>{"+44", "118"});
    CHECK(carrier.form == voice::NumberForm::national);
    CHECK(carrier.inbound_from.size() == 1);
    CHECK_FALSE(carrier.emergency);
    const auto& line = voice.trunks[1].settings;
    CHECK(line.prefixes == std::vector<std::string>{"+"});
    CHECK(line.emergency);
    CHECK(line.cost == 10);
}

TEST_CASE("a trunk that could not work is refused with its line and what to do") {
    const auto trunk = [](const std::string& inside) { return config_refusal("{\"voice\": {\"trunks\": [\n{" + inside + "}]}}"); };
    const std::string good = R"("name": "a", "server": "sip:192.0.2.1")";
    CHECK(trunk(good) == "accepted");
    CHECK_THAT(trunk(R"("server": "sip:192.0.2.1")"), StartsWith("meshd.json:2") && Contains("needs a \"name\""));
    CHECK_THAT(trunk(R"("name": "a")"), Contains("needs a \"server\""));
    CHECK_THAT(trunk(R"("name": "a b", "server": "sip:192.0.2.1")"), Contains("must be letters"));
    CHECK_THAT(trunk(R"("name": "a", "server": "sip:x@192.0.2.1")"), Contains("must be a SIP server"));
    CHECK_THAT(trunk(R"("name": "a", "server": "sip:192.0.2.1;transport=sctp")"), Contains("must be a SIP server"));
    CHECK_THAT(trunk(good + R"(, "register": true)"), Contains("needs \"user\" and \"password_file\""));
    CHECK_THAT(trunk(good + R"(, "user": "x")"), Contains("both \"user\" and \"password_file\""));
    CHECK_THAT(trunk(good + R"(, "password": "x")"), Contains("password"));
    CHECK_THAT(trunk(good + R"(, "prefixes": ["44x"])"), Contains("must be"));
    CHECK_THAT(trunk(good + R"(, "caller_id": "100")"), Contains("E.164"));
    CHECK_THAT(trunk(good + R"(}, {"name": "a", "server": "sip:192.0.2.2")"), Contains("two trunks are named"));
    CHECK_THAT(config_refusal(R"({"voice": {"emergency": ["1 1 2"]}})"), Contains("calls for help"));
}

TEST_CASE("streams are configured by where they listen, what others are told, and the proxy to go through") {
    const auto none = parse_config("{}", "x").streams;
    CHECK(none.listen.empty());
    CHECK(none.dial);
    CHECK(none.proxy_of_environment);
    const auto streams = parse_config(R"({"streams": {"listen": ["0.0.0.0:443", "[::]:443"], "advertise": ["198.51.100.7:443"],
        "dial": false, "proxy": "http://user@proxy.example:3128", "proxy_password_file": "/etc/meshd/proxy",
        "server_name": "WWW.example"}})", "x").streams;
    REQUIRE(streams.listen.size() == 2);
    CHECK(streams.listen[1].text() == "[::]:443");
    REQUIRE(streams.advertise.size() == 1);
    CHECK_FALSE(streams.dial);
    CHECK(streams.proxy == "http://user@proxy.example:3128");
    CHECK_FALSE(streams.proxy_of_environment);
    CHECK(streams.server_name == "www.example");
    CHECK_FALSE(parse_config(R"({"streams": {"proxy": "none"}})", "x").streams.proxy_of_environment);
    CHECK_THAT(config_refusal("{\"streams\": {\n\"listen\": [\"443\"]}}"),
               StartsWith("meshd.json:2: \"streams.listen[0]\" must be an ADDRESS:PORT of this machine"));
    CHECK_THAT(config_refusal("{\"streams\": {\n\"proxy\": \"https://proxy.example:443\"}}"),
               StartsWith("meshd.json:2: \"streams.proxy\" must be \"auto\", \"none\" or an HTTP proxy"));
    CHECK_THAT(config_refusal(R"({"streams": {"proxy": "http://user:secret@proxy.example:3128"}})"),
               Contains("put it into a file") && !Contains("secret@"));
    CHECK_THAT(config_refusal(R"({"streams": {"proxy": "http://user@proxy.example:3128"}})"), Contains("go together"));
    CHECK_THAT(config_refusal(R"({"streams": {"proxy_password_file": "/x"}})"), Contains("go together"));
    CHECK_THAT(config_refusal(R"({"streams": {"advertise": ["0.0.0.0:443"]}})"), Contains("that others can send to"));
    CHECK_THAT(config_refusal(R"({"streams": {"listen": ["0.0.0.0:5060"]}})"), Contains("which carries SIP"));
    CHECK_THAT(config_refusal(R"({"streams": {"listens": []}})"), Contains("did you mean \"streams.listen\"?"));
}
