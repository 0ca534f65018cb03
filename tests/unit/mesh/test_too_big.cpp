#include <catch2/catch.hpp>

#include "mesh/too_big.hpp"
#include "net/checksum.hpp"

namespace {

constexpr net::Steady kNow{std::chrono::hours(1)};

net::Bytes packet(std::string_view from, std::string_view to, std::size_t total_bytes, bool dont_fragment = true,
                  std::uint8_t protocol = 17, std::uint8_t first_byte = 8) {
    const auto source = *net::IpAddress::parse(from), destination = *net::IpAddress::parse(to);
    net::Writer out;
    if (source.is_v6()) {
        out.u32be(0x60000000).u16be(static_cast<std::uint16_t>(total_bytes - 40)).u8(protocol).u8(64);
    } else {
        out.u8(0x45).u8(0).u16be(static_cast<std::uint16_t>(total_bytes)).u16be(7).u16be(dont_fragment ? 0x4000 : 0).u8(64).u8(protocol);
        out.u16be(0);
    }
    out.bytes(source.bytes()).bytes(destination.bytes()).u8(first_byte);
    while (out.size() < total_bytes) out.u8(static_cast<std::uint8_t>(out.size() & 0xff));
    return out.take();
}

net::Bytes reply_to(const net::Bytes& about, std::size_t mtu_bytes = 1064) {
    mesh::TooBigReplies replies;
    return replies.reply(about, mtu_bytes, kNow);
}

std::uint16_t load(net::ByteView bytes, std::size_t at) { return net::Reader(bytes.subspan(at)).u16be(); }

}  // namespace

TEST_CASE("what its path does not take is too big if it must not be fragmented") {
    CHECK(mesh::is_too_big(packet("10.0.0.1", "10.0.0.2", 1065), 1065, 1064));
    CHECK_FALSE(mesh::is_too_big(packet("10.0.0.1", "10.0.0.2", 1064), 1064, 1064));
    CHECK_FALSE(mesh::is_too_big(packet("10.0.0.1", "10.0.0.2", 1400, false), 1400, 1064));
    CHECK(mesh::is_too_big(packet("fd00::1", "fd00::2", 1400), 1400, 1300));
}

TEST_CASE("IPv6 of 1280 bytes goes over any path") {
    CHECK_FALSE(mesh::is_too_big(packet("fd00::1", "fd00::2", 1280), 1280, 516));
    CHECK(mesh::is_too_big(packet("fd00::1", "fd00::2", 1281), 1281, 516));
}

TEST_CASE("a superpacket counts by its segments") {
    const auto super = packet("10.0.0.1", "10.0.0.2", 20000);
    CHECK_FALSE(mesh::is_too_big(super, 1064, 1064));
    CHECK(mesh::is_too_big(super, 1065, 1064));
}

TEST_CASE("IPv4's sender hears that fragmentation is needed, with the MTU and the beginning of its packet") {
    const auto about = packet("10.0.0.1", "10.0.0.2", 1400);
    const auto reply = reply_to(about);
    const auto header = net::parse_ip(reply);
    REQUIRE(header);
    CHECK(header->total_bytes == reply.size());
    CHECK(reply.size() == 576);
    CHECK(header->protocol == 1);
    CHECK(header->source.text() == "10.0.0.2");
    CHECK(header->destination.text() == "10.0.0.1");
    CHECK(load(reply, 20) == 0x0304);
    CHECK(load(reply, 26) == 1064);
    CHECK(net::checksum_fold(net::checksum_add(net::ByteView(reply).first(20))) == 0xffff);
    CHECK(net::checksum_fold(net::checksum_add(net::ByteView(reply).subspan(20))) == 0xffff);
    CHECK(std::equal(reply.begin() + 28, reply.end(), about.begin()));
}

TEST_CASE("IPv6's sender hears that its packet is too big, with an MTU of 1280 at least") {
    const auto about = packet("fd00::1", "fd00::2", 1400);
    for (const auto& [mtu, told] : {std::pair(1300, 1300), std::pair(516, 1280)}) {
        const auto reply = reply_to(about, static_cast<std::size_t>(mtu));
        const auto header = net::parse_ip(reply);
        REQUIRE(header);
        CHECK(header->total_bytes == reply.size());
        CHECK(reply.size() == 1280);
        CHECK(header->protocol == 58);
        CHECK(header->source.text() == "fd00::2");
        CHECK(header->destination.text() == "fd00::1");
        CHECK(load(reply, 40) == 0x0200);
        CHECK(net::Reader(net::ByteView(reply).subspan(44)).u32be() == static_cast<std::uint32_t>(told));
        const auto icmp = net::ByteView(reply).subspan(40);
        const auto pseudo = net::checksum_pseudo_header(net::ByteView(reply).subspan(8, 32), 58, icmp.size());
        CHECK(net::checksum_fold(net::checksum_add(icmp, pseudo)) == 0xffff);
        CHECK(std::equal(reply.begin() + 48, reply.end(), about.begin()));
    }
}

TEST_CASE("nothing is said about ICMP errors, but about echo requests") {
    for (const auto type : std::initializer_list<std::uint8_t>{3, 4, 5, 11, 12}) {
        CAPTURE(type);
        CHECK(reply_to(packet("10.0.0.1", "10.0.0.2", 1400, true, 1, type)).empty());
    }
    CHECK_FALSE(reply_to(packet("10.0.0.1", "10.0.0.2", 1400, true, 1, 8)).empty());
    for (const auto type : std::initializer_list<std::uint8_t>{1, 2, 3, 4, 100, 127}) {
        CAPTURE(type);
        CHECK(reply_to(packet("fd00::1", "fd00::2", 1400, true, 58, type)).empty());
    }
    CHECK_FALSE(reply_to(packet("fd00::1", "fd00::2", 1400, true, 58, 128)).empty());
}

TEST_CASE("nothing is said about multicast, broadcast, or to what is no single machine") {
    CHECK(reply_to(packet("10.0.0.1", "224.0.0.251", 1400)).empty());
    CHECK(reply_to(packet("10.0.0.1", "255.255.255.255", 1400)).empty());
    CHECK(reply_to(packet("0.0.0.0", "10.0.0.2", 1400)).empty());
    CHECK(reply_to(packet("127.0.0.1", "10.0.0.2", 1400)).empty());
    CHECK(reply_to(packet("fd00::1", "ff02::fb", 1400)).empty());
    CHECK(reply_to(packet("::", "fd00::2", 1400)).empty());
}

TEST_CASE("nothing is said about a fragment that is not the first, but about the first") {
    auto about = packet("10.0.0.1", "10.0.0.2", 1400);
    about[6] = std::byte{0x60};  // more to come
    CHECK_FALSE(reply_to(about).empty());
    about[7] = std::byte{1};
    CHECK(reply_to(about).empty());
    auto v6 = packet("fd00::1", "fd00::2", 1400, true, 44, 17);
    v6[42] = std::byte{0};
    v6[43] = std::byte{1};
    CHECK_FALSE(reply_to(v6).empty());
    v6[43] = std::byte{9};
    CHECK(reply_to(v6).empty());
}

TEST_CASE("answers come twenty at once, and then a hundred a second") {
    mesh::TooBigReplies replies;
    const auto about = packet("10.0.0.1", "10.0.0.2", 1400);
    const auto count = [&](int packets, net::Steady now) {
        int out = 0;
        for (int i = 0; i < packets; ++i) out += replies.reply(about, 1064, now).empty() ? 0 : 1;
        return out;
    };
    CHECK(count(1000, kNow) == 20);
    CHECK(count(1000, kNow + std::chrono::milliseconds(50)) == 5);
    CHECK(count(1000, kNow + std::chrono::seconds(10)) == 20);
}
