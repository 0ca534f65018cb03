#include <catch2/catch.hpp>

#include "voice/enum.hpp"
#include "voice/number.hpp"
#include "zone.hpp"

using namespace voice;

namespace {

const std::string kNumber = "+442079460148";
const std::string kDomain = "8.4.1.0.6.4.9.7.0.2.4.4.e164.arpa";

Naptr sip(std::uint16_t order, std::uint16_t preference, const std::string& uri) {
    return {order, preference, "u", "E2U+sip", "!^.*$!" + uri + "!", ""};
}

EnumResult look_up(Zone& zone, const std::vector<std::string>& suffixes = {"e164.arpa"}) {
    return zone.run([&](DnsFacts& facts) { return look_up_number(kNumber, suffixes, facts); });
}

std::string uris(const EnumResult& result) {
    std::string out;
    for (const auto& uri : result.uris) out += (out.empty() ? "" : " ") + uri.text();
    return out;
}

/// "usable: sip:a@b" or "skipped: why", of each record.
std::vector<std::string> verdicts(const EnumResult& result) {
    std::vector<std::string> out;
    for (const auto& record : result.records) {
        out.push_back(std::string(name_of(record.verdict)) + ": " + (record.why.empty() ? record.uri : record.why));
    }
    return out;
}

}  // namespace

TEST_CASE("a number's domain is its digits, backwards") {
    CHECK(enum_domain(kNumber, "e164.arpa") == kDomain);
    CHECK(enum_domain("+46", "nrenum.net") == "6.4.nrenum.net");
}

TEST_CASE("numbers are read with their separators, and refused with a reason") {
    CHECK(parse_e164("+44-207-9460-148") == kNumber);
    CHECK(parse_e164("+44 (207) 9460.148") == kNumber);
    CHECK(parse_e164("+123456789012345").has_value());
    for (const auto* bad : {"", "+", "442079460148", "+1", "+0441", "+44x20", "++44", "+1234567890123456", "sip:a@b", "+44\n20"}) {
        INFO(bad);
        REQUIRE_FALSE(parse_e164(bad));
        CHECK(parse_e164(bad).error().message.size() > 10);
    }
}

TEST_CASE("the services field is read in its ways") {
    using Services = std::vector<std::string>;
    CHECK(enum_services("E2U+sip") == Services{"sip"});
    CHECK(enum_services("e2u+SIP") == Services{"sip"});
    CHECK(enum_services("sip+E2U") == Services{"sip"});
    CHECK(enum_services("E2U+voice:tel+sms:tel") == Services{"voice:tel", "sms:tel"});
    CHECK(enum_services("E2U+web:http+sip") == Services{"web:http", "sip"});
    for (const auto* none : {"", "E2U", "sip", "E2U+", "E2U++sip", "E2U+sip+", "SIP+D2U", "E2U+s p", "E2U+a::b", "E2U+:a", "+E2U",
                             "E2U+abcdefghijklmnopqrstuvwxyzabcdefg"}) {
        INFO(none);
        CHECK_FALSE(enum_services(none));
    }
}

TEST_CASE("records count by order, then by preference, then as they came") {
    Zone zone;
    zone.naptr(kDomain, sip(20, 1, "sip:late@example.com"));
    zone.naptr(kDomain, sip(10, 30, "sip:third@example.com"));
    zone.naptr(kDomain, sip(10, 20, "sip:first@example.com"));
    zone.naptr(kDomain, sip(10, 20, "sip:second@example.com"));
    const auto result = look_up(zone);
    CHECK(uris(result) == "sip:first@example.com sip:second@example.com sip:third@example.com");
    REQUIRE(result.records.size() == 4);
    CHECK(result.records[3].verdict == EnumVerdict::outranked);
    CHECK(result.skipped == 0);
}

TEST_CASE("a higher order counts where the lower has nothing for us") {
    Zone zone;
    zone.naptr(kDomain, {10, 1, "u", "E2U+email:mailto", "!^.*$!mailto:info@example.com!", ""});
    zone.naptr(kDomain, sip(20, 1, "sip:a@example.com"));
    CHECK(verdicts(look_up(zone)) == std::vector<std::string>{"shown: no SIP", "usable: sip:a@example.com"});
}

TEST_CASE("other services are shown with their URIs") {
    Zone zone;
    zone.naptr(kDomain, {10, 1, "u", "E2U+email:mailto", "!^.*$!mailto:info@example.com!", ""});
    zone.naptr(kDomain, {10, 2, "u", "E2U+pstn:tel", "!^(.*)$!tel:\\1!", ""});
    zone.naptr(kDomain, {10, 3, "u", "E2U+h323", "!^.*$!h323:gk@example.com!", ""});
    zone.naptr(kDomain, {10, 4, "u", "E2U+web:http", "!^.*$!http://example.com/!", ""});
    const auto result = look_up(zone);
    REQUIRE(result.records.size() == 4);
    CHECK(result.records[0].uri == "mailto:info@example.com");
    CHECK(result.records[1].uri == "tel:+442079460148");
    CHECK(result.records[2].uri == "h323:gk@example.com");
    CHECK(result.records[3].uri == "http://example.com/");
    CHECK(result.uris.empty());
}

TEST_CASE("a malformed record is skipped, counted, and the next one used") {
    Zone zone;
    const std::vector<Naptr> bad = {
        {10, 1, "u", "E2U+sip", "!^.*$!sip:a@b", ""},             // no last delimiter
        {10, 2, "u", "E2U+sip", "", ""},                          // no expression
        {10, 3, "u", "E2U+sip", "!^.*$!no uri!", ""},
        {10, 4, "u", "E2U+sip", "!^.*$!mailto:a@example.com!", ""},  // not what the service says
        {10, 5, "u", "E2U", "!^.*$!sip:a@example.com!", ""},
        {10, 6, "x", "E2U+sip", "!^.*$!sip:a@example.com!", ""},
        {10, 7, "u", "E2U+sip", "!^.*$!sip:a@example.com!", "example.com"},
        {10, 8, "u", "E2U+sip", "!^\\+49!sip:a@example.com!", ""},
        {10, 9, "u", "E2U+sip", "!^.*$!sip:a@example.com\r\nX: y!", ""},
        {10, 10, "", "E2U+sip", "!^.*$!sip:a@example.com!", ""},
        {10, 11, "", "", "", ""},
        {10, 12, "u", "E2U+sip", "!^((((.*)*)*)*)*x$!sip:a@example.com!", ""},
    };
    for (const auto& record : bad) zone.naptr(kDomain, record);
    zone.naptr(kDomain, sip(10, 99, "sip:good@example.com"));
    const auto result = look_up(zone);
    CHECK(uris(result) == "sip:good@example.com");
    CHECK(result.skipped == bad.size());
    for (std::size_t i = 0; i < bad.size(); ++i) {
        INFO(i);
        CHECK(result.records[i].verdict == EnumVerdict::skipped);
        CHECK_FALSE(result.records[i].why.empty());
    }
}

TEST_CASE("a record that is not terminal is replaced by those of its name") {
    Zone zone;
    zone.naptr(kDomain, sip(10, 3, "sip:after@example.com"));
    zone.naptr(kDomain, {10, 2, "", "", "", "next.example.com"});
    zone.naptr(kDomain, sip(10, 1, "sip:before@example.com"));
    zone.naptr("next.example.com", sip(90, 1, "sip:there@example.com"));
    CHECK(uris(look_up(zone)) == "sip:before@example.com sip:there@example.com sip:after@example.com");
}

TEST_CASE("chains are bounded and loops end") {
    Zone zone;
    zone.naptr(kDomain, {10, 1, "", "", "", "a.example.com"});
    zone.naptr(kDomain, sip(20, 1, "sip:after@example.com"));
    SECTION("a loop") {
        zone.naptr("a.example.com", {10, 1, "", "", "", kDomain});
        const auto result = look_up(zone);
        CHECK(uris(result) == "sip:after@example.com");
        CHECK(result.skipped == 1);
        CHECK(zone.asked.size() == 2);
    }
    SECTION("an endless chain") {
        for (char c = 'a'; c < 'z'; ++c) {
            zone.naptr(std::string(1, c) + ".example.com",
                       {10, 1, "", "", "", std::string(1, static_cast<char>(c + 1)) + ".example.com"});
        }
        const auto result = look_up(zone);
        CHECK(uris(result) == "sip:after@example.com");
        CHECK(zone.asked.size() == 1 + kMaxEnumChain);
    }
    SECTION("a tree that fans out at every name") {
        for (unsigned i = 0; i < 60; ++i) {
            zone.naptr("a.example.com", {10, 1, "", "", "", "b" + std::to_string(i) + ".example.com"});
            for (unsigned k = 0; k < 60; ++k) {
                zone.naptr("b" + std::to_string(i) + ".example.com", {10, 1, "", "", "", "c" + std::to_string(k) + ".example.com"});
            }
        }
        const auto result = look_up(zone);
        CHECK(zone.asked.size() <= DnsFacts::kMax);
        CHECK(result.records.size() <= kMaxEnumRecords);
    }
}

TEST_CASE("suffixes are tried in turn, until one has a usable record") {
    Zone zone;
    zone.naptr(enum_domain(kNumber, "one.example"), {10, 1, "u", "E2U+email:mailto", "!^.*$!mailto:a@example.com!", ""});
    zone.naptr(enum_domain(kNumber, "two.example"), sip(10, 1, "sip:two@example.com"));
    zone.naptr(enum_domain(kNumber, "three.example"), sip(10, 1, "sip:three@example.com"));
    const auto result = look_up(zone, {"none.example", "one.example", "two.example", "three.example"});
    CHECK(uris(result) == "sip:two@example.com");
    CHECK(result.domains.size() == 3);
    CHECK(zone.asked.size() == 3);
    CHECK(result.domains[0].kind == DnsAnswer::Kind::nothing);
}

// The number that RFC 6116 speaks of, and records of the kinds that it shows.
TEST_CASE("the example of RFC 6116 gives what it says") {
    Zone zone;
    zone.naptr(kDomain, {100, 50, "u", "E2U+sip", "!^(\\+442079460148)$!sip:\\1@example.com!", ""});
    zone.naptr(kDomain, {100, 51, "u", "E2U+h323", "!^\\+442079460148$!h323:operator@example.com!", ""});
    zone.naptr(kDomain, {100, 52, "u", "E2U+email:mailto", "!^.*$!mailto:info@example.com!", ""});
    const auto result = look_up(zone);
    CHECK(uris(result) == "sip:+442079460148@example.com");
    CHECK(result.records[1].uri == "h323:operator@example.com");
    CHECK(result.records[2].uri == "mailto:info@example.com");
}
