#include <catch2/catch.hpp>

#include "net/address.hpp"
#include "net/packet.hpp"

using net::Endpoint;
using net::IpAddress;
using net::Prefix;

TEST_CASE("an address keeps its text in the canonical form of RFC 5952") {
    CHECK(IpAddress::parse("192.0.2.1")->text() == "192.0.2.1");
    CHECK(IpAddress::parse("2001:DB8:0:0:0:0:0:1")->text() == "2001:db8::1");
    CHECK_FALSE(IpAddress::parse("192.0.2"));
    CHECK(IpAddress::parse("0.10.200.255")->text() == "0.10.200.255");
    for (const auto* wrong : {"192.0.2.1 ", "", ".", "1.2.3.", "1.2.3.4.", "1.2.3.4.5", "1..3.4", "01.2.3.4", "1.2.3.256", "1.2.3.-4", "1.2.3.4a"}) {
        CAPTURE(wrong);
        CHECK_FALSE(IpAddress::parse(wrong));
    }
    CHECK_FALSE(IpAddress::parse(std::string_view("1.2.3.4\0", 8)));
    CHECK_FALSE(IpAddress::parse("fe80::1%3"));
    CHECK_FALSE(IpAddress::parse(std::string_view("192.0.2.1\0x", 11)));
    CHECK(IpAddress::parse("::ffff:192.0.2.1")->unmapped() == *IpAddress::parse("192.0.2.1"));
}

TEST_CASE("a prefix contains what its leading bits say") {
    const auto prefix = *Prefix::parse("10.128.0.0/9");
    CHECK(prefix.contains(*IpAddress::parse("10.255.0.1")));
    CHECK_FALSE(prefix.contains(*IpAddress::parse("10.127.255.255")));
    CHECK_FALSE(prefix.contains(*IpAddress::parse("::1")));
    CHECK(Prefix::parse("0.0.0.0/0")->contains(prefix));
    CHECK_FALSE(prefix.contains(*Prefix::parse("0.0.0.0/0")));
    CHECK(Prefix::parse("::/0")->contains(*IpAddress::parse("2001:db8::1")));
}

TEST_CASE("a prefix with host bits set is refused") {
    CHECK_FALSE(Prefix::parse("10.1.2.3/16"));
    CHECK_FALSE(Prefix::parse("10.0.0.0/33"));
    CHECK_FALSE(Prefix::parse("10.0.0.0/"));
    CHECK(Prefix::parse("10.1.2.3")->length() == 32);
    CHECK(Prefix(*IpAddress::parse("10.1.2.3"), 16).text() == "10.1.0.0/16");
}

TEST_CASE("an endpoint needs brackets around IPv6 and a port") {
    CHECK(Endpoint::parse("192.0.2.1:51820")->text() == "192.0.2.1:51820");
    CHECK(Endpoint::parse("[2001:db8::1]:1")->text() == "[2001:db8::1]:1");
    CHECK(Endpoint::parse("[fe80::1%3]:1")->scope == 3);
    CHECK_FALSE(Endpoint::parse("2001:db8::1:1"));
    CHECK_FALSE(Endpoint::parse("192.0.2.1"));
    CHECK_FALSE(Endpoint::parse("192.0.2.1:65536"));
    CHECK_FALSE(Endpoint::parse("[192.0.2.1]:1"));
}

TEST_CASE("private addresses are those that no public route leads to") {
    for (const auto* text : {"10.1.1.1", "172.31.0.1", "192.168.9.9", "100.64.0.1", "fd00::1", "fe80::1", "127.0.0.1"}) {
        CHECK(IpAddress::parse(text)->is_private());
    }
    for (const auto* text : {"172.32.0.1", "192.0.2.1", "2001:db8::1"}) {
        CHECK_FALSE(IpAddress::parse(text)->is_private());
    }
}

TEST_CASE("an address is of a kind exactly within that kind's prefixes") {
    const auto within = [](const IpAddress& address, std::initializer_list<const char*> prefixes) {
        return std::any_of(prefixes.begin(), prefixes.end(), [&](const char* text) { return Prefix::parse(text)->contains(address); });
    };
    for (const auto* text : {"126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0", "169.253.255.255", "169.254.0.0",
                             "169.254.255.255", "169.255.0.0", "223.255.255.255", "224.0.0.0", "239.255.255.255", "240.0.0.0",
                             "9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0", "172.15.255.255", "172.16.0.0",
                             "172.31.255.255", "172.32.0.0", "192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0",
                             "100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0", "0.0.0.0", "255.255.255.255", "::",
                             "::1", "::2", "1::1", "fe7f:ffff::", "fe80::", "febf::1", "fec0::", "feff::", "ff00::", "ffff::",
                             "fbff::", "fc00::", "fdff::", "fe00::", "2001:db8::1"}) {
        CAPTURE(text);
        const auto address = IpAddress::parse(text).value();
        CHECK(address.is_loopback() == within(address, {"127.0.0.0/8", "::1/128"}));
        CHECK(address.is_link_local() == within(address, {"169.254.0.0/16", "fe80::/10"}));
        CHECK(address.is_multicast() == within(address, {"224.0.0.0/4", "ff00::/8"}));
        CHECK(address.is_private() ==
              within(address, {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "127.0.0.0/8",
                               "::1/128", "169.254.0.0/16", "fe80::/10"}));
    }
    CHECK_FALSE(IpAddress().is_private());
}

TEST_CASE("an IP header that claims more than it holds is refused") {
    net::Bytes packet(20);
    packet[0] = std::byte{0x45};
    packet[3] = std::byte{20};
    CHECK(net::parse_ip(packet));
    packet[3] = std::byte{21};
    CHECK_FALSE(net::parse_ip(packet));
    packet[3] = std::byte{19};
    CHECK_FALSE(net::parse_ip(packet));
    packet[3] = std::byte{20};
    packet[0] = std::byte{0x44};
    CHECK_FALSE(net::parse_ip(packet));
    CHECK_FALSE(net::parse_ip({}));
}
