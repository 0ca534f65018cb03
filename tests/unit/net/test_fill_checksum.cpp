#include <catch2/catch.hpp>

#include "net/checksum.hpp"
#include "net/fill_checksum.hpp"
#include "net/packet.hpp"

namespace {

/// Of IPv4 or IPv6, its payload counted up; the transport's checksum holds anything.
net::Bytes packet(bool v6, std::uint8_t protocol, std::size_t payload_bytes) {
    const auto size = static_cast<std::uint16_t>(payload_bytes);
    net::Writer out;
    if (v6) {
        out.u32be(0x60000000).u16be(size).u8(protocol).u8(64);
        out.bytes(net::IpAddress::parse("fd00::1")->bytes()).bytes(net::IpAddress::parse("fd00::2")->bytes());
    } else {
        out.u8(0x45).u8(0).u16be(static_cast<std::uint16_t>(size + 20)).u32be(0).u8(64).u8(protocol).u16be(0);
        out.bytes(net::IpAddress::parse("10.0.0.1")->bytes()).bytes(net::IpAddress::parse("10.0.0.2")->bytes());
    }
    while (payload_bytes-- > 0) out.u8(static_cast<std::uint8_t>(out.size() * 7));
    return out.take();
}

/// What a receiver sums up: 0xffff if the checksum is right.
std::uint16_t sum_of(net::ByteView packet, bool v6, std::uint8_t protocol) {
    const auto segment = packet.subspan(v6 ? 40 : 20);
    const auto addresses = v6 ? packet.subspan(8, 32) : packet.subspan(12, 8);
    return net::checksum_fold(net::checksum_add(segment, net::checksum_pseudo_header(addresses, protocol, segment.size())));
}

}  // namespace

TEST_CASE("the checksum of TCP and UDP is filled in, over IPv4 and IPv6, at every length") {
    const bool v6 = GENERATE(false, true);
    const std::uint8_t protocol = GENERATE(std::uint8_t{6}, std::uint8_t{17});
    for (std::size_t size = protocol == 6 ? 20 : 8; size < 300; ++size) {
        auto bytes = packet(v6, protocol, size);
        REQUIRE(sum_of(bytes, v6, protocol) != 0xffff);
        REQUIRE(net::fill_checksum(bytes));
        REQUIRE(sum_of(bytes, v6, protocol) == 0xffff);
    }
}

TEST_CASE("a UDP checksum that comes out as zero is written as ones") {
    auto bytes = packet(false, 17, 10);
    REQUIRE(net::fill_checksum(bytes));
    // What is missing to zero is put into the payload.
    const auto sum = net::Reader(net::ByteView(bytes).subspan(26)).u16be();
    const auto last = net::Reader(net::ByteView(bytes).subspan(28)).u16be();
    const auto wanted = net::checksum_fold(std::uint64_t{last} + sum);
    bytes[28] = static_cast<std::byte>(wanted >> 8);
    bytes[29] = static_cast<std::byte>(wanted & 0xff);
    REQUIRE(net::fill_checksum(bytes));
    CHECK(bytes[26] == std::byte{0xff});
    CHECK(bytes[27] == std::byte{0xff});
}

TEST_CASE("fragments, other protocols and what is cut short are left as they are") {
    auto fragment = packet(false, 17, 40);
    fragment[6] = std::byte{0x20};  // more follow
    for (auto bytes : {fragment, packet(false, 1, 40), packet(true, 58, 40), packet(false, 6, 19), packet(true, 17, 7)}) {
        const auto before = bytes;
        CHECK_FALSE(net::fill_checksum(bytes));
        CHECK(bytes == before);
    }
}
