#include <catch2/catch.hpp>

#include "dns_message.hpp"
#include "net/random.hpp"

using namespace voice;
using namespace std::chrono_literals;

namespace {
const Naptr kNaptr{10, 20, "u", "E2U+sip", "!^.*$!sip:a@example.com!", ""};
const Srv kSrv{1, 2, 5060, "server.example.com"};
}  // namespace

TEST_CASE("records are read from a message, with the least of their TTLs") {
    const DnsQuestion naptr{"8.4.e164.arpa", DnsType::naptr};
    auto answer = parse_dns_answer(naptr, DnsMessage(naptr).naptr(naptr.name, 300, kNaptr).naptr("8.4.E164.ARPA", 200, kNaptr).bytes());
    REQUIRE(answer);
    CHECK(answer->kind == DnsAnswer::Kind::found);
    CHECK(answer->naptrs == std::vector{kNaptr, kNaptr});
    CHECK(answer->ttl == 200s);

    const DnsQuestion srv{"_sip._udp.example.com", DnsType::srv};
    answer = parse_dns_answer(srv, DnsMessage(srv).srv(srv.name, 60, kSrv).srv(srv.name, 60, {0, 0, 0, ""}).bytes());
    REQUIRE(answer);
    CHECK(answer->srvs == std::vector{kSrv, Srv{0, 0, 0, ""}});

    const DnsQuestion host{"example.com", DnsType::aaaa};
    const auto address = *net::IpAddress::parse("2001:db8::1");
    answer = parse_dns_answer(host, DnsMessage(host).host("example.com", 60, address).bytes());
    REQUIRE(answer);
    CHECK(answer->addresses == std::vector{address});
}

TEST_CASE("aliases are followed within the message, and only so far") {
    const DnsQuestion question{"a.example", DnsType::a};
    const auto address = net::IpAddress::v4(192, 0, 2, 1);
    auto answer = parse_dns_answer(question, DnsMessage(question).alias("a.example", 5, "b.example").host("b.example", 60, address).bytes());
    REQUIRE(answer);
    CHECK(answer->addresses == std::vector{address});
    CHECK(answer->ttl == 5s);
    answer = parse_dns_answer(question, DnsMessage(question).alias("a.example", 5, "b.example").alias("b.example", 5, "a.example").bytes());
    REQUIRE(answer);
    CHECK(answer->kind == DnsAnswer::Kind::nothing);
}

TEST_CASE("records of another name are not believed") {
    const DnsQuestion question{"a.example", DnsType::a};
    const auto answer = parse_dns_answer(
        question, DnsMessage(question).host("b.example", 60, net::IpAddress::v4(192, 0, 2, 1)).bytes());
    REQUIRE(answer);
    CHECK(answer->kind == DnsAnswer::Kind::nothing);
}

TEST_CASE("that there is nothing holds for as long as the zone says") {
    const DnsQuestion question{"a.example", DnsType::naptr};
    auto answer = parse_dns_answer(question, DnsMessage(question, 3).soa("example", 900, 120).bytes());
    REQUIRE(answer);
    CHECK(answer->kind == DnsAnswer::Kind::nothing);
    CHECK(answer->ttl == 120s);
    answer = parse_dns_answer(question, DnsMessage(question).soa("example", 60, 120).bytes());
    REQUIRE(answer);
    CHECK(answer->ttl == 60s);
}

TEST_CASE("what is no answer is none") {
    const DnsQuestion question{"a.example", DnsType::naptr};
    CHECK_FALSE(parse_dns_answer(question, {}));
    CHECK_FALSE(parse_dns_answer(question, DnsMessage(question, 2).bytes()));                    // SERVFAIL
    CHECK_FALSE(parse_dns_answer(question, DnsMessage(question, 5).bytes()));                    // REFUSED
    CHECK_FALSE(parse_dns_answer({"b.example", DnsType::naptr}, DnsMessage(question).bytes()));
    CHECK_FALSE(parse_dns_answer({"a.example", DnsType::srv}, DnsMessage(question).bytes()));
    auto whole = DnsMessage(question).naptr("a.example", 60, kNaptr).bytes();
    for (std::size_t size = 0; size < whole.size(); ++size) {
        CHECK_FALSE(parse_dns_answer(question, net::ByteView(whole).first(size)));
    }
    whole[2] &= std::byte{0x7f};  // a query
    CHECK_FALSE(parse_dns_answer(question, whole));
}

TEST_CASE("an address that is nobody's and records beyond the bound are skipped") {
    const DnsQuestion question{"a.example", DnsType::a};
    DnsMessage message(question);
    message.host("a.example", 60, net::IpAddress::v4(0)).host("a.example", 60, net::IpAddress::v4(224, 0, 0, 1));
    for (unsigned i = 1; i <= 100; ++i) message.host("a.example", 60, net::IpAddress::v4(192, 0, 2, static_cast<std::uint8_t>(i)));
    const auto answer = parse_dns_answer(question, message.bytes());
    REQUIRE(answer);
    CHECK(answer->addresses.size() == kMaxDnsRecords);
    CHECK(answer->skipped == 102 - kMaxDnsRecords);
}

TEST_CASE("messages that were tampered with are read without harm") {
    const DnsQuestion question{"a.example", DnsType::naptr};
    const auto whole = DnsMessage(question).alias("a.example", 5, "b.example").naptr("b.example", 60, kNaptr).bytes();
    net::SeededRandom random(5);
    for (unsigned round = 0; round < 20000; ++round) {
        auto bytes = whole;
        for (auto left = 1 + random.below(4); left > 0; --left) bytes[random.below(bytes.size())] = static_cast<std::byte>(random.below(256));
        const auto answer = parse_dns_answer(question, bytes);
        if (answer) REQUIRE(answer->naptrs.size() <= 1);
    }
}

TEST_CASE("names are put into one form") {
    CHECK(dns_name("Example.COM.") == "example.com");
    CHECK(dns_name("_sip._udp.example.com") == "_sip._udp.example.com");
    for (const auto* bad : {"", ".", "a..b", ".a", "a b", "a/b"}) CHECK_FALSE(dns_name(bad));
    CHECK_FALSE(dns_name(std::string(64, 'a') + ".example"));
}
