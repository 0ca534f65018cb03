#include "bursts.hpp"

using test::after;
using test::Burst;
using test::Packet;
using test::tcp;
using test::udp;
using tun::Gso;
using tun::Offload;

TEST_CASE("a packet with a wrong checksum is passed on as it is, alone") {
    const auto first = tcp(500), second = after(first, 500), third = after(second, 500);
    for (const std::size_t wrong : {0U, 1U, 2U}) {
        for (const std::size_t at : {10U, 36U, 300U}) {  // IPv4's, TCP's, the payload
            std::vector packets{first.bytes(), second.bytes(), third.bytes()};
            packets[wrong][at] ^= std::byte{1};
            Burst burst;
            for (const auto& packet : packets) burst.add(packet);
            std::vector<net::Bytes> got;
            for (const auto& written : burst.end()) {
                const auto parts = test::split(written.offload, written.bytes);
                got.insert(got.end(), parts.begin(), parts.end());
            }
            CHECK(got == packets);
        }
    }
}

TEST_CASE("a checksum of zero that is written as all ones stays so") {
    auto first = tcp(500);
    const auto next = after(first, 500);
    test::put16(first.payload, 0, 0);
    const auto transport = first.transport();
    test::put16(first.payload, 0, test::slow_checksum(transport, first.pseudo_header(transport.size())));
    auto bytes = first.bytes();
    REQUIRE(net::Reader(net::ByteView(bytes).subspan(36)).u16be() == 0);
    CHECK(joins(first, next));
    test::put16(bytes, 36, 0xffff);
    Burst burst;
    burst.add(bytes);
    burst.add(next.bytes());
    auto written = burst.end();
    REQUIRE(written.size() == 2);
    CHECK(written[0].bytes == bytes);

    // The same of IPv4's.
    first = tcp(500);
    first.id = 0;
    first.id = net::Reader(net::ByteView(first.bytes()).subspan(10)).u16be();
    bytes = first.bytes();
    REQUIRE(net::Reader(net::ByteView(bytes).subspan(10)).u16be() == 0);
    CHECK(joins(first, after(first, 500)));
    test::put16(bytes, 10, 0xffff);
    burst.add(bytes);
    burst.add(after(first, 500).bytes());
    written = burst.end();
    REQUIRE(written.size() == 2);
    CHECK(written[0].bytes == bytes);
}

TEST_CASE("UDP without a checksum stays without one") {
    auto first = udp(500);
    auto second = after(first, 500);
    const bool adds_up = GENERATE(false, true);
    for (auto* const packet : {&first, &second}) {
        if (!adds_up) break;
        test::put16(packet->payload, 0, 0);  // then the field would be all ones, and zero adds up too
        const auto transport = packet->transport();
        test::put16(packet->payload, 0, test::slow_checksum(transport, packet->pseudo_header(transport.size())));
        REQUIRE(net::Reader(net::ByteView(packet->bytes()).subspan(26)).u16be() == 0xffff);
    }
    auto one = first.bytes(), other = second.bytes();
    test::put16(one, 26, 0);
    test::put16(other, 26, 0);
    Burst burst;
    burst.add(one);
    burst.add(other);
    const auto written = burst.end();
    REQUIRE(written.size() == 2);
    CHECK(written[0].bytes == one);
    CHECK(written[0].offload == Offload{});
    CHECK(written[1].bytes == other);
}

TEST_CASE("a checksum that was left out is left to the kernel, whatever the field held") {
    for (const bool v6 : {false, true}) {
        for (auto packet : {tcp(700), udp(700)}) {
            packet.v6 = v6;
            auto bytes = packet.bytes();
            test::put16(bytes, packet.ip_bytes() + packet.offload(1).checksum_offset, 0xbad);
            Burst burst;
            burst.add(bytes, true);
            auto written = burst.end();
            REQUIRE(written.size() == 1);
            auto wanted = packet.offload(0);
            wanted.gso = Gso::none;
            wanted.header_bytes = 0;
            CHECK(written[0].offload == wanted);
            CHECK(written[0].bytes == packet.bytes(Packet::Checksum::pseudo_header));
            CHECK(test::split(written[0].offload, written[0].bytes) == test::Packets{packet.bytes()});

            // It joins with one that has its checksum.
            const auto next = after(packet, 700);
            burst.add(bytes, true);
            burst.add(next.bytes());
            written = burst.end();
            REQUIRE(written.size() == 1);
            CHECK(test::split(written[0].offload, written[0].bytes) == test::Packets{packet.bytes(), next.bytes()});
        }
    }
    // No payload, so it never joins: the checksum is made nevertheless.
    const auto pure = tcp(0);
    Burst burst;
    burst.add(pure.bytes(), true);
    const auto written = burst.end();
    REQUIRE(written.size() == 1);
    CHECK(written[0].offload.needs_checksum);
}

TEST_CASE("a peer that leaves out a checksum where none can be found does no harm") {
    auto fragment = tcp(100);
    fragment.fragment = 0x2000;
    auto options = tcp(100);
    options.ip_options = net::Bytes(4, std::byte{1});
    auto short_header = tcp(100).bytes();
    short_header[32] = std::byte{0x10};
    for (const auto& bytes : {fragment.bytes(), options.bytes(), short_header, net::Bytes(3)}) {
        Burst burst;
        burst.add(bytes, true);
        const auto written = burst.end();
        REQUIRE(written.size() == 1);
        CHECK(written[0].offload == Offload{});
        CHECK(written[0].bytes == bytes);
    }
}
