#include <catch2/catch.hpp>

#include "mesh/mss.hpp"
#include "net/checksum.hpp"

namespace {

constexpr std::uint8_t kSyn = 0x02, kAck = 0x10;

net::Bytes bytes_of(std::initializer_list<int> values) {
    net::Bytes out;
    for (const int value : values) out.push_back(static_cast<std::byte>(value));
    return out;
}

/// `extension`: IPv6 extension headers, or IPv4 options, in front of TCP; `next`: the first of them.
net::Bytes segment(bool v6, std::uint8_t flags, const net::Bytes& options, const net::Bytes& extension = {}, std::uint8_t next = 6) {
    net::Writer tcp;
    tcp.u16be(40000).u16be(80).u32be(12345).u32be(0).u8(static_cast<std::uint8_t>((20 + options.size()) / 4 << 4)).u8(flags);
    tcp.u16be(64240).u16be(0).u16be(0).bytes(options).bytes(net::as_bytes("odd"));
    auto body = tcp.take();
    net::Writer out;
    const auto length = body.size() + extension.size();
    if (v6) {
        out.u32be(0x60000000).u16be(static_cast<std::uint16_t>(length)).u8(next).u8(64);
    } else {
        out.u8(static_cast<std::uint8_t>(0x45 + extension.size() / 4)).u8(0).u16be(static_cast<std::uint16_t>(20 + length));
        out.u32be(0x4000).u8(64).u8(6).u16be(0);
    }
    const auto from = *net::IpAddress::parse(v6 ? "fd00::1" : "10.0.0.1"), to = *net::IpAddress::parse(v6 ? "fd00::2" : "10.0.0.2");
    out.bytes(from.bytes()).bytes(to.bytes());
    net::Bytes addresses = net::copy(from.bytes());
    addresses.insert(addresses.end(), to.bytes().begin(), to.bytes().end());
    const auto sum = net::checksum_finish(net::checksum_add(body, net::checksum_pseudo_header(addresses, 6, body.size())));
    body[16] = static_cast<std::byte>(sum >> 8);
    body[17] = static_cast<std::byte>(sum & 0xff);
    return out.bytes(extension).bytes(body).take();
}

bool checksum_right(net::ByteView packet) {
    const auto header = *net::parse_ip(packet);
    const auto tcp = packet.subspan(net::find_transport(packet)->at);
    const bool v6 = header.source.is_v6();
    const auto addresses = packet.subspan(v6 ? 8 : 12, v6 ? 32 : 8);
    return net::checksum_fold(net::checksum_add(tcp, net::checksum_pseudo_header(addresses, 6, tcp.size()))) == 0xffff;
}

/// The MSS of the first option that is one, from the front of the options.
std::uint16_t mss_of(net::ByteView packet, std::size_t at) {
    return net::Reader(packet.subspan(net::find_transport(packet)->at + 20 + at)).u16be();
}

const net::Bytes kUsual = bytes_of({2, 4, 0x05, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7});

}  // namespace

TEST_CASE("the MSS of a SYN and of a SYN-ACK is lowered to what the path takes, its checksum with it") {
    for (const bool v6 : {false, true}) {
        for (const auto flags : std::initializer_list<std::uint8_t>{kSyn, kSyn | kAck}) {
            CAPTURE(v6, flags);
            auto packet = segment(v6, flags, kUsual);
            REQUIRE(checksum_right(packet));
            CHECK(mesh::clamp_mss(packet, 1064, false));
            CHECK(mss_of(packet, 2) == (v6 ? 1004 : 1024));
            CHECK(checksum_right(packet));
        }
    }
}

TEST_CASE("an MSS is never raised, and one that fits is left alone") {
    auto packet = segment(false, kSyn, kUsual);
    const auto before = packet;
    CHECK_FALSE(mesh::clamp_mss(packet, 1500, false));
    CHECK_FALSE(mesh::clamp_mss(packet, 65535, false));
    CHECK(packet == before);
}

TEST_CASE("an MSS at an odd place keeps its checksum right") {
    for (int mtu = 200; mtu < 1500; mtu += 7) {
        auto packet = segment(true, kSyn, bytes_of({1, 2, 4, 0x05, 0xb4, 1, 1, 0}));
        mesh::clamp_mss(packet, static_cast<std::size_t>(mtu), false);
        CHECK(mss_of(packet, 3) == std::min(mtu - 60, 1460));
        CHECK(checksum_right(packet));
    }
}

TEST_CASE("a checksum that is still to be completed is not touched") {
    auto packet = segment(false, kSyn, kUsual);
    packet[36] = std::byte{0xab};
    packet[37] = std::byte{0xcd};
    CHECK(mesh::clamp_mss(packet, 1064, true));
    CHECK(mss_of(packet, 2) == 1024);
    CHECK(packet[36] == std::byte{0xab});
    CHECK(packet[37] == std::byte{0xcd});
}

TEST_CASE("TCP behind IPv4 options and IPv6 extension headers is found") {
    auto v4 = segment(false, kSyn, kUsual, bytes_of({1, 1, 1, 0}));
    CHECK(mesh::clamp_mss(v4, 1064, false));
    CHECK(mss_of(v4, 2) == 1024);
    auto v6 = segment(true, kSyn, kUsual, bytes_of({60, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4, 0, 0, 0, 0}), 0);
    CHECK(mesh::clamp_mss(v6, 1064, false));
    CHECK(mss_of(v6, 2) == 1004);
    CHECK(checksum_right(v6));
}

TEST_CASE("what is no SYN, no TCP, a fragment, or has no MSS is left as it is") {
    const auto unchanged = [](net::Bytes packet) {
        const auto before = packet;
        return !mesh::clamp_mss(packet, 300, false) && packet == before;
    };
    CHECK(unchanged(segment(false, kAck, kUsual)));
    CHECK(unchanged(segment(true, kAck, kUsual)));
    CHECK(unchanged(segment(false, kSyn, bytes_of({1, 1, 4, 2}))));
    CHECK(unchanged(segment(false, kSyn, {})));
    auto udp = segment(false, kSyn, kUsual);
    udp[9] = std::byte{17};
    CHECK(unchanged(udp));
    auto later_fragment = segment(false, kSyn, kUsual);
    later_fragment[7] = std::byte{1};
    CHECK(unchanged(later_fragment));
    CHECK(unchanged(segment(true, kSyn, kUsual, bytes_of({6, 0, 0, 8, 0, 0, 0, 1}), 44)));
}

TEST_CASE("options that are none are not read beyond their end") {
    const auto unchanged = [](const net::Bytes& options) {
        auto packet = segment(false, kSyn, options);
        const auto before = packet;
        return !mesh::clamp_mss(packet, 300, false) && packet == before;
    };
    CHECK(unchanged(bytes_of({0, 2, 4, 5})));            // behind the end of options
    CHECK(unchanged(bytes_of({2, 3, 5, 1})));            // no MSS is three bytes long
    CHECK(unchanged(bytes_of({1, 1, 2, 4})));            // cut short by the header's end
    CHECK(unchanged(bytes_of({8, 0, 2, 4, 5, 180, 0, 0})));  // a length of zero
    CHECK(unchanged(bytes_of({1, 1, 1, 8})));
    CHECK(unchanged(bytes_of({8, 40, 2, 4, 5, 180, 0, 0})));
    auto packet = segment(false, kSyn, kUsual);
    packet[32] = std::byte{0xf0};  // a header longer than the packet
    auto before = packet;
    CHECK_FALSE(mesh::clamp_mss(packet, 300, false));
    CHECK(packet == before);
    for (std::size_t size = 0; size < before.size(); ++size) {
        net::Bytes cut(before.begin(), before.begin() + static_cast<std::ptrdiff_t>(size));
        CHECK_FALSE(mesh::clamp_mss(cut, 300, false));
    }
}
