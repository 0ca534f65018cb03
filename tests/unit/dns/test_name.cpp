#include <catch2/catch.hpp>

#include "dns/name.hpp"

using namespace dns;

namespace {
std::string reverse(const char* text) { return reverse_name(*net::IpAddress::parse(text)).text(); }
std::vector<std::string> zones(const char* text) {
    std::vector<std::string> out;
    for (const auto& zone : reverse_zones(*net::Prefix::parse(text))) out.push_back(zone.text());
    return out;
}
}  // namespace

TEST_CASE("names are read from text and the wire without their case") {
    const auto name = Name::parse("Trento.ACME.internal.");
    REQUIRE(name);
    CHECK(name->text() == "trento.acme.internal");
    const auto wire = name->wire();
    CHECK(net::as_text(wire) == std::string_view("\6trento\4acme\10internal\0", 22));
    net::Reader reader(wire);
    CHECK(Name::read(reader) == name);
    CHECK(reader.at_end());
    CHECK(Name::parse("")->is_root());
    CHECK(Name::parse("a b\x01.x")->text() == "a\\032b\\001.x");
}

TEST_CASE("what no name can be is refused") {
    for (const auto* text : {"..", "a..b", ".a", "a..", "a.b.."}) CHECK_FALSE(Name::parse(text));
    CHECK(Name::parse(std::string(63, 'a') + ".b"));
    CHECK_FALSE(Name::parse(std::string(64, 'a') + ".b"));
    std::string longest;
    for (int i = 0; i < 127; ++i) longest += i == 0 ? "a" : ".a";
    CHECK(Name::parse(longest));
    CHECK(Name::parse(longest)->wire().size() == Name::kMaxWireBytes);
    CHECK_FALSE(Name::parse(longest + ".a"));
    CHECK_FALSE(Name::parse(longest)->child("b"));
    const auto long_label = "\100" + std::string(64, 'a') + std::string(1, '\0');
    const auto pointer = "\300" + std::string(192, 'a') + std::string(1, '\0');
    for (const std::string_view wire : {std::string_view(long_label), std::string_view(pointer), std::string_view("\3ab", 3), std::string_view("\1a", 2), std::string_view("", 0),
                                        std::string_view("\300\014", 2), std::string_view("\1a\300\0", 4),
                                        std::string_view("\100a", 2)}) {
        net::Reader reader(net::as_bytes(wire));
        CHECK_FALSE(Name::read(reader));
    }
}

TEST_CASE("a name is within itself and what it is below, label by label") {
    const auto mesh = *Name::parse("acme.internal");
    CHECK(mesh.is_within(mesh));
    CHECK(Name::parse("a.acme.internal")->is_within(mesh));
    CHECK_FALSE(Name::parse("notacme.internal")->is_within(mesh));
    CHECK_FALSE(Name::parse("internal")->is_within(mesh));
    CHECK(mesh.is_within(Name()));
}

TEST_CASE("addresses have the reverse names of RFC 1035 and RFC 3596") {
    CHECK(reverse("10.0.0.52") == "52.0.0.10.in-addr.arpa");
    CHECK(reverse("4321:0:1:2:3:4:567:89ab") ==
          "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa");
}

TEST_CASE("a network's reverse zones hold its addresses and no others") {
    CHECK(zones("10.87.0.0/16") == std::vector<std::string>{"87.10.in-addr.arpa"});
    CHECK(zones("10.0.0.0/8") == std::vector<std::string>{"10.in-addr.arpa"});
    CHECK(zones("10.87.8.0/23") == std::vector<std::string>{"8.87.10.in-addr.arpa", "9.87.10.in-addr.arpa"});
    CHECK(zones("100.64.0.0/10").size() == 64);
    CHECK(zones("100.64.0.0/10").back() == "127.100.in-addr.arpa");
    CHECK(zones("10.1.1.252/31") == std::vector<std::string>{"252.1.1.10.in-addr.arpa", "253.1.1.10.in-addr.arpa"});
    CHECK(zones("fd00:1:2::/48") == std::vector<std::string>{"2.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa"});
    CHECK(zones("fc00::/7") == std::vector<std::string>{"c.f.ip6.arpa", "d.f.ip6.arpa"});
    CHECK(zones("0.0.0.0/0") == std::vector<std::string>{"in-addr.arpa"});
}
