#include <catch2/catch.hpp>

#include "voice/locate.hpp"
#include "zone.hpp"

using namespace voice;

namespace {

struct LocateBench : Zone {
    LocateSettings settings{{Transport::udp, Transport::tcp, Transport::tls}, true, true};
    net::SeededRandom random{1};

    /// "UDP 192.0.2.1:5060" of each hop; why, if there is none.
    std::vector<std::string> locate(const std::string& uri) {
        return text(run([&](DnsFacts& facts) { return voice::locate(*Uri::parse(uri), settings, facts, random); }));
    }
    std::vector<std::string> respond(const std::string& via) {
        return text(run([&](DnsFacts& facts) { return locate_response(*Via::parse(via), settings, facts, random); }));
    }

private:
    static std::vector<std::string> text(const Located& located) {
        std::vector<std::string> out;
        for (const auto& hop : located.hops) out.push_back(std::string(via_name(hop.transport)) + " " + hop.endpoint.text());
        if (out.empty()) out.push_back(located.why);
        return out;
    }
};

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("a numeric host is used as it is") {
    LocateBench bench;
    CHECK(bench.locate("sip:a@192.0.2.1") == Texts{"UDP 192.0.2.1:5060"});
    CHECK(bench.locate("sip:a@192.0.2.1:5070") == Texts{"UDP 192.0.2.1:5070"});
    CHECK(bench.locate("sip:a@[2001:db8::1]") == Texts{"UDP [2001:db8::1]:5060"});
    CHECK(bench.locate("sips:a@192.0.2.1") == Texts{"TLS 192.0.2.1:5061"});
    CHECK(bench.locate("sip:a@192.0.2.1;transport=tcp") == Texts{"TCP 192.0.2.1:5060"});
    CHECK(bench.locate("sip:a@192.0.2.1;transport=tls") == Texts{"TLS 192.0.2.1:5061"});
    CHECK(bench.locate("sips:a@192.0.2.1;transport=tcp") == Texts{"TLS 192.0.2.1:5061"});
    CHECK(bench.locate("sip:a@example.com;maddr=192.0.2.7") == Texts{"UDP 192.0.2.7:5060"});
    CHECK(bench.asked.empty());
}

TEST_CASE("a name with a port has its addresses looked up and nothing else") {
    LocateBench bench;
    bench.host("example.com", "192.0.2.1");
    bench.host("example.com", "2001:db8::1");
    bench.srv("_sip._udp.example.com", {0, 0, 5060, "other.example.com"});
    CHECK(bench.locate("sip:a@example.com:5070") == Texts{"UDP [2001:db8::1]:5070", "UDP 192.0.2.1:5070"});
    CHECK(bench.locate("sips:a@example.com:5070") == Texts{"TLS [2001:db8::1]:5070", "TLS 192.0.2.1:5070"});
    for (const auto& question : bench.asked) CHECK((question.type == DnsType::a || question.type == DnsType::aaaa));
}

// RFC 3263 section 4.1: "example.com" offers TLS, TCP and UDP, in that order; the client does not speak TLS.
TEST_CASE("the example of RFC 3263 section 4 leads to its servers") {
    LocateBench bench;
    bench.naptr("example.com", {50, 50, "s", "SIPS+D2T", "", "_sips._tcp.example.com"});
    bench.naptr("example.com", {90, 50, "s", "SIP+D2T", "", "_sip._tcp.example.com"});
    bench.naptr("example.com", {100, 50, "s", "SIP+D2U", "", "_sip._udp.example.com"});
    bench.srv("_sip._tcp.example.com", {0, 1, 5060, "server1.example.com"});
    bench.srv("_sip._tcp.example.com", {0, 2, 5060, "server2.example.com"});
    bench.srv("_sips._tcp.example.com", {0, 0, 5061, "secure.example.com"});
    bench.srv("_sip._udp.example.com", {0, 0, 5060, "last.example.com"});
    bench.host("server1.example.com", "192.0.2.1");
    bench.host("server2.example.com", "192.0.2.2");
    bench.host("secure.example.com", "192.0.2.3");
    bench.host("last.example.com", "192.0.2.4");

    SECTION("without TLS: TCP, then UDP") {
        bench.settings.transports = {Transport::tcp, Transport::udp};
        auto hops = bench.locate("sip:user@example.com");
        REQUIRE(hops.size() == 3);
        std::sort(hops.begin(), hops.begin() + 2);
        CHECK(hops == Texts{"TCP 192.0.2.1:5060", "TCP 192.0.2.2:5060", "UDP 192.0.2.4:5060"});
    }
    SECTION("with TLS that comes first") { CHECK(bench.locate("sip:user@example.com").front() == "TLS 192.0.2.3:5061"); }
    SECTION("a SIPS URI goes by TLS only") {
        CHECK(bench.locate("sips:user@example.com") == Texts{"TLS 192.0.2.3:5061"});
        bench.settings.transports = {Transport::udp, Transport::tcp};
        CHECK(bench.locate("sips:user@example.com") == Texts{"it offers none of the transports that there are here"});
    }
    SECTION("with a transport given, its SRV is asked for at once") {
        auto hops = bench.locate("sip:user@example.com;transport=tcp");
        std::sort(hops.begin(), hops.end());
        CHECK(hops == Texts{"TCP 192.0.2.1:5060", "TCP 192.0.2.2:5060"});
        CHECK(bench.asked.front() == DnsQuestion{"_sip._tcp.example.com", DnsType::srv});
    }
}

TEST_CASE("without NAPTR each transport's SRV is asked for, without SRV the addresses") {
    LocateBench bench;
    bench.host("example.com", "192.0.2.9");
    CHECK(bench.locate("sip:a@Example.COM") == Texts{"UDP 192.0.2.9:5060"});
    CHECK(bench.locate("sips:a@example.com") == Texts{"TLS 192.0.2.9:5061"});
    bench.srv("_sip._tcp.example.com", {0, 0, 5070, "example.com"});
    CHECK(bench.locate("sip:a@example.com") == Texts{"TCP 192.0.2.9:5070"});
    CHECK(bench.locate("sip:a@example.com;transport=udp") == Texts{"UDP 192.0.2.9:5060"});
}

TEST_CASE("an SRV record with a dot says no") {
    LocateBench bench;
    bench.host("example.com", "192.0.2.9");
    bench.srv("_sip._udp.example.com", {0, 0, 0, ""});
    CHECK(bench.locate("sip:a@example.com") == Texts{"its SRV record says that it does not offer SIP"});
    bench.srv("_sip._tcp.example.com", {0, 0, 5060, "example.com"});
    CHECK(bench.locate("sip:a@example.com") == Texts{"TCP 192.0.2.9:5060"});
}

TEST_CASE("an SRV record whose target is an address leads there") {
    LocateBench bench;
    bench.srv("_sip._udp.example.com", {0, 0, 5070, "192.0.2.8"});
    CHECK(bench.locate("sip:a@example.com") == Texts{"UDP 192.0.2.8:5070"});
}

TEST_CASE("SRV records stand by priority, and by chance in proportion to their weights") {
    net::SeededRandom random(42);
    std::map<std::string, unsigned> first;
    constexpr unsigned kRounds = 20000;
    for (unsigned i = 0; i < kRounds; ++i) {
        const auto order = in_order({{1, 0, 5060, "spare"}, {0, 10, 5060, "a"}, {0, 30, 5060, "b"}, {0, 60, 5060, "c"}}, random);
        REQUIRE(order.size() == 4);
        REQUIRE(order[3].target == "spare");
        ++first[order[0].target];
    }
    // Each draw is from 0 to 100: a has 11 of 101, and three standard deviations are 1.3 in a hundred at most.
    CHECK(std::abs(first["a"] / double(kRounds) - 11.0 / 101) < 0.011);
    CHECK(std::abs(first["b"] / double(kRounds) - 30.0 / 101) < 0.011);
    CHECK(std::abs(first["c"] / double(kRounds) - 60.0 / 101) < 0.011);
}

TEST_CASE("a record of weight nought has a small chance among others, and all of it alone") {
    net::SeededRandom random(3);
    unsigned first = 0;
    for (unsigned i = 0; i < 10000; ++i) first += in_order({{0, 99, 1, "heavy"}, {0, 0, 1, "light"}}, random)[0].target == "light";
    CHECK(first > 40);
    CHECK(first < 180);
    CHECK(in_order({{0, 0, 1, "x"}, {0, 0, 1, "y"}}, random).size() == 2);
    CHECK(in_order({}, random).empty());
}

TEST_CASE("what cannot be spoken or found is said") {
    LocateBench bench;
    CHECK(bench.locate("sip:a@example.com;transport=sctp") == Texts{"there is no way to speak transport=sctp"});
    CHECK(bench.locate("sips:a@example.com;transport=udp") == Texts{"there is no way to speak transport=udp"});
    CHECK(bench.locate("sip:a@example.com") == Texts{"no address is known for example.com"});
    CHECK(bench.locate("tel:+1555") == Texts{"'tel:' is no SIP URI"});
    bench.settings.transports = {Transport::udp};
    CHECK(bench.locate("sip:a@192.0.2.1;transport=tcp") == Texts{"there is no way to speak TCP"});
}

TEST_CASE("hostile amounts of records stay bounded") {
    LocateBench bench;
    for (unsigned n = 0; n < 20; ++n) {
        const auto service = "_sip._udp.s" + std::to_string(n) + ".example.com";
        bench.naptr("example.com", {1, 1, "s", "SIP+D2U", "", service});
        for (unsigned i = 0; i < 60; ++i) {
            const auto host = "h" + std::to_string(n * 100 + i) + ".example.com";
            bench.srv(service, {0, 1, 5060, host});
            bench.host(host, "192.0.2." + std::to_string(i + 1));
        }
    }
    CHECK(bench.locate("sip:a@example.com").size() <= kMaxHops);
    CHECK(bench.asked.size() <= DnsFacts::kMax);
}

// RFC 3263 section 5.
TEST_CASE("a response goes by the sent-by of its Via") {
    LocateBench bench;
    bench.host("pc.example.com", "192.0.2.5");
    CHECK(bench.respond("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1") == Texts{"UDP 192.0.2.1:5060"});
    CHECK(bench.respond("SIP/2.0/TCP pc.example.com:5070;branch=z9hG4bK1") == Texts{"TCP 192.0.2.5:5070"});
    CHECK(bench.respond("SIP/2.0/UDP pc.example.com;branch=z9hG4bK1") == Texts{"UDP 192.0.2.5:5060"});
    bench.srv("_sips._tcp.example.com", {0, 0, 5099, "pc.example.com"});
    CHECK(bench.respond("SIP/2.0/TLS example.com;branch=z9hG4bK1") == Texts{"TLS 192.0.2.5:5099"});
}
