// 1:1 mapping of subnets, against packets built anew with the other addresses.
#include "mesh/subnet_map.hpp"

#include <catch2/catch.hpp>

#include "net/checksum.hpp"
#include "net/packet.hpp"
#include "net/random.hpp"

using mesh::SubnetMap;
using Checksum = SubnetMap::Checksum;

namespace {

net::Prefix prefix(const char* text) { return *net::Prefix::parse(text); }
net::IpAddress address(const char* text) { return *net::IpAddress::parse(text); }

const SubnetMap kMap({{prefix("192.168.1.0/24"), prefix("10.201.1.0/24")},
                      {prefix("172.16.0.0/12"), prefix("11.16.0.0/12")},
                      {prefix("10.9.8.64/27"), prefix("203.0.113.160/27")},
                      {prefix("fd01:2:3::/48"), prefix("2001:db8:7::/48")},
                      {prefix("fd05::10/126"), prefix("2001:db8::fffc/126")}});

void put16(net::Bytes& bytes, std::size_t at, std::uint16_t value) {
    bytes[at] = static_cast<std::byte>(value >> 8);
    bytes[at + 1] = static_cast<std::byte>(value & 0xff);
}

/// What a packet is made of but for its addresses. Building one computes every checksum from all the bytes.
struct Wish {
    std::uint8_t protocol = 17;
    net::Bytes transport;            ///< with its checksum zero
    std::size_t checksum_at = 0;     ///< in there; 0: none
    bool pseudo = true;              ///< the sum covers the addresses
    bool no_checksum = false;        ///< UDP without one
    bool partial = false;
    unsigned offset = 0;             ///< of the fragment, in 8 bytes
    bool more = false;               ///< fragments follow: the checksum is over `whole_transport`
    net::Bytes rest;                 ///< of the transport, in later fragments
    net::Bytes options;              ///< IPv4 options, or IPv6 extension headers whose first is `first_extension`
    std::uint8_t first_extension = 60;
};

net::Bytes build(const Wish& wish, const net::IpAddress& from, const net::IpAddress& to) {
    auto transport = wish.transport;
    if (wish.checksum_at != 0 && !wish.no_checksum && wish.offset == 0) {
        auto whole = transport;
        whole.insert(whole.end(), wish.rest.begin(), wish.rest.end());
        net::Bytes both = net::copy(from.bytes());
        both.insert(both.end(), to.bytes().begin(), to.bytes().end());
        const auto pseudo = wish.pseudo ? net::checksum_pseudo_header(both, wish.protocol, whole.size()) : 0;
        auto sum = net::checksum_finish(net::checksum_add(whole, pseudo));
        if (wish.protocol == 17 && sum == 0) sum = 0xffff;
        put16(transport, wish.checksum_at, wish.partial ? net::checksum_fold(pseudo) : sum);
    }
    net::Writer out;
    if (from.is_v4()) {
        const auto header_bytes = 20 + wish.options.size();
        const auto flags = static_cast<std::uint16_t>((wish.more ? 0x2000U : 0U) | wish.offset);
        out.u8(static_cast<std::uint8_t>(0x40 | header_bytes / 4)).u8(0).u16be(static_cast<std::uint16_t>(header_bytes + transport.size()));
        out.u16be(0x1234).u16be(flags).u8(61).u8(wish.protocol).u16be(0).bytes(from.bytes()).bytes(to.bytes()).bytes(wish.options);
        auto header = out.take();
        put16(header, 10, net::checksum_finish(net::checksum_add(header)));
        header.insert(header.end(), transport.begin(), transport.end());
        return header;
    }
    const bool fragment = wish.offset != 0 || wish.more;
    const auto after = fragment ? std::uint8_t{44} : wish.protocol;
    out.u32be(0x60000000).u16be(static_cast<std::uint16_t>(wish.options.size() + (fragment ? 8 : 0) + transport.size()));
    out.u8(wish.options.empty() ? after : wish.first_extension).u8(61).bytes(from.bytes()).bytes(to.bytes());
    auto options = wish.options;
    if (!options.empty()) options[0] = std::byte{after};
    out.bytes(options);
    if (fragment) out.u8(wish.protocol).u8(0).u16be(static_cast<std::uint16_t>(wish.offset << 3 | (wish.more ? 1U : 0U))).u32be(7);
    return out.bytes(transport).take();
}

net::Bytes some(net::SeededRandom& random, std::size_t size) {
    net::Bytes out(size);
    random.fill(out);
    if (random.below(4) == 0) std::fill(out.begin(), out.end(), std::byte{0});
    return out;
}

Wish udp(net::SeededRandom& random) {
    Wish wish;
    wish.transport = some(random, 8 + random.below(40));
    put16(wish.transport, 4, static_cast<std::uint16_t>(wish.transport.size()));
    put16(wish.transport, 6, 0);
    wish.checksum_at = 6;
    wish.no_checksum = random.below(4) == 0;
    return wish;
}

Wish tcp(net::SeededRandom& random) {
    Wish wish;
    wish.protocol = 6;
    wish.transport = some(random, 20 + random.below(40));
    put16(wish.transport, 16, 0);
    wish.checksum_at = 16;
    return wish;
}

Wish echo(net::SeededRandom& random, bool v6) {
    Wish wish;
    wish.protocol = v6 ? 58 : 1;
    wish.pseudo = v6;
    wish.transport = some(random, 8 + random.below(40));
    wish.transport[0] = std::byte{v6 ? std::uint8_t{128} : std::uint8_t{8}};
    put16(wish.transport, 2, 0);
    wish.checksum_at = 2;
    return wish;
}

Wish any(net::SeededRandom& random, bool v6) {
    auto wish = random.below(3) == 0 ? udp(random) : random.below(2) == 0 ? tcp(random) : echo(random, v6);
    if (random.below(4) == 0) {
        wish.options = some(random, v6 ? 16 : 8);
        if (v6) wish.options[1] = std::byte{1};
        if (!v6) wish.options[0] = std::byte{7}, wish.options[1] = std::byte{8};  // record route
    }
    if (random.below(4) == 0) {
        wish.more = true;
        wish.rest = some(random, 16 + random.below(20));
    }
    if (random.below(8) == 0) wish.offset = 1 + static_cast<unsigned>(random.below(100));
    return wish;
}

struct Ends {
    net::IpAddress lan, as, other;
};

Ends ends(net::SeededRandom& random) {
    static const std::vector<std::array<const char*, 3>> all{
        {"192.168.1.0", "10.201.1.0", "10.202.1.9"},       {"192.168.1.255", "10.201.1.255", "10.77.0.9"},
        {"172.31.255.255", "11.31.255.255", "10.77.0.9"},  {"172.16.0.1", "11.16.0.1", "8.8.8.8"},
        {"10.9.8.94", "203.0.113.190", "10.77.0.9"},       {"fd01:2:3:4::5", "2001:db8:7:4::5", "fd12::9"},
        {"fd05::13", "2001:db8::ffff", "fd12:1:2:3:4:5:6:7"}};
    const auto& one = all[random.below(all.size())];
    return {address(one[0]), address(one[1]), address(one[2])};
}

/// An ICMP error that quotes the beginning of another packet.
Wish error_about(net::SeededRandom& random, const net::Bytes& packet, std::size_t quoted_bytes, bool v6) {
    Wish wish;
    wish.protocol = v6 ? 58 : 1;
    wish.pseudo = v6;
    wish.checksum_at = 2;
    const std::array<std::uint8_t, 4> types = v6 ? std::array<std::uint8_t, 4>{1, 2, 3, 4} : std::array<std::uint8_t, 4>{3, 5, 11, 12};
    net::Writer out;
    out.u8(types[random.below(4)]).u8(1).u16be(0).u32be(1280);
    wish.transport = out.bytes(net::ByteView(packet).first(quoted_bytes)).take();
    return wish;
}

}  // namespace

TEST_CASE("a mapped packet is what it would be had it been made with the other addresses") {
    net::SeededRandom random(1);
    for (int i = 0; i < 20000; ++i) {
        const auto end = ends(random);
        const auto wish = any(random, end.lan.is_v6());
        CAPTURE(i, end.lan.text(), wish.protocol, wish.offset, wish.more);
        auto out = build(wish, end.lan, end.other);
        REQUIRE(net::parse_ip(out));
        REQUIRE(kMap.into_mesh(out, Checksum::complete));
        REQUIRE(out == build(wish, end.as, end.other));
        auto in = build(wish, end.other, end.as);
        REQUIRE(kMap.out_of_mesh(in, Checksum::complete));
        REQUIRE(in == build(wish, end.other, end.lan));
    }
}

TEST_CASE("an ICMP error about a mapped packet quotes it as its sender knows it, however short the quotation") {
    net::SeededRandom random(2);
    for (int i = 0; i < 20000; ++i) {
        const auto end = ends(random);
        const bool v6 = end.lan.is_v6();
        const auto wish = any(random, v6);
        const auto size = build(wish, end.lan, end.other).size();
        const auto least = std::size_t{v6 ? 40U : 20U};
        const auto quoted = (least + random.below(size - least + 1)) & ~std::size_t{1};  // a checksum is there, or it is not
        CAPTURE(i, end.lan.text(), wish.protocol, quoted);
        const auto state = random.u64();  // the same draws for both
        const auto error = [&](const net::IpAddress& from, const net::IpAddress& to, const net::Bytes& about) {
            net::SeededRandom same(state);
            return build(error_about(same, about, quoted, v6), from, to);
        };
        // A router far away speaks of what left here; and our LAN, or a router behind it, of what came in.
        auto in = error(end.other, end.as, build(wish, end.as, end.other));
        REQUIRE(kMap.out_of_mesh(in, Checksum::complete));
        REQUIRE(in == error(end.other, end.lan, build(wish, end.lan, end.other)));
        for (const auto& from : {end.lan, v6 ? address("fd77::1") : address("10.77.0.1")}) {
            auto out = error(from, end.other, build(wish, end.other, end.lan));
            REQUIRE(kMap.into_mesh(out, Checksum::complete));
            REQUIRE(out == error(from == end.lan ? end.as : from, end.other, build(wish, end.other, end.as)));
        }
    }
}

TEST_CASE("a checksum that the kernel left to the device stays the sum of the pseudo-header") {
    net::SeededRandom random(3);
    for (int i = 0; i < 5000; ++i) {
        const auto end = ends(random);
        auto wish = random.below(2) == 0 ? udp(random) : tcp(random);
        wish.no_checksum = false;
        wish.partial = true;
        auto packet = build(wish, end.lan, end.other);
        REQUIRE(kMap.into_mesh(packet, Checksum::partial));
        REQUIRE(packet == build(wish, end.as, end.other));
        auto left = build(wish, end.other, end.as);
        REQUIRE(kMap.out_of_mesh(left, Checksum::left));
        const auto at = net::find_transport(left)->at;
        REQUIRE(std::equal(left.begin() + static_cast<std::ptrdiff_t>(at), left.end(),
                           build(wish, end.other, end.as).begin() + static_cast<std::ptrdiff_t>(at)));
    }
}

TEST_CASE("what is not of a mapped subnet is not touched") {
    net::SeededRandom random(4);
    for (const auto& [from, to] : {std::pair{"192.168.2.1", "10.202.1.9"}, {"10.77.0.1", "192.168.1.5"}, {"fd01:2:4::1", "fd12::1"}}) {
        for (int i = 0; i < 200; ++i) {
            const auto packet = build(any(random, address(from).is_v6()), address(from), address(to));
            auto copy = packet;
            REQUIRE(kMap.into_mesh(copy, Checksum::complete));
            REQUIRE(copy == packet);
        }
    }
}

TEST_CASE("what cannot be translated is refused: source routes, and a transport header cut in two") {
    net::SeededRandom random(5);
    auto wish = tcp(random);
    wish.options = {std::byte{131}, std::byte{7}, std::byte{4}, std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}, std::byte{0}};
    auto packet = build(wish, address("192.168.1.7"), address("10.77.0.1"));
    CHECK_FALSE(kMap.into_mesh(packet, Checksum::complete));
    wish.options.assign(8, std::byte{0});
    wish.options[3] = std::byte{1};  // one segment left
    wish.first_extension = 43;
    packet = build(wish, address("fd12::1"), address("2001:db8:7::9"));
    CHECK_FALSE(kMap.out_of_mesh(packet, Checksum::complete));
    wish = tcp(random);
    wish.transport.resize(12);
    wish.checksum_at = 0;
    wish.more = true;
    packet = build(wish, address("192.168.1.7"), address("10.77.0.1"));
    CHECK_FALSE(kMap.into_mesh(packet, Checksum::complete));
}
