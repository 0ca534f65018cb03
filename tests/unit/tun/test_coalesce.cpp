#include "bursts.hpp"

using test::after;
using test::Burst;
using test::joins;
using test::Packet;
using test::tcp;
using test::udp;
using tun::Offload;

TEST_CASE("packets that follow each other become one superpacket") {
    for (const bool v6 : {false, true}) {
        for (auto first : {tcp(1000), udp(1000)}) {
            first.v6 = v6;
            const auto second = after(first, 1000), third = after(second, 10);
            Burst burst;
            burst.add(first.bytes());
            burst.add(second.bytes());
            CHECK(burst.sink.written.empty());
            burst.add(third.bytes());
            CHECK(burst.sink.written.size() == 1);  // a shorter one is the last
            auto whole = first;
            for (const auto& part : {second, third}) {
                whole.payload.insert(whole.payload.end(), part.payload.begin(), part.payload.end());
            }
            const auto written = burst.end();
            REQUIRE(written.size() == 1);
            CHECK(written[0].offload == whole.offload(1000));
            CHECK(written[0].bytes == whole.bytes(Packet::Checksum::pseudo_header));
            CHECK(written[0].pieces == 3);
            CHECK(test::split(written[0].offload, written[0].bytes) ==
                  test::Packets{first.bytes(), second.bytes(), third.bytes()});
        }
    }
}

TEST_CASE("what GRO does not join is not joined") {
    const auto first = tcp(1000);
    auto next = after(first, 1000);
    const auto good = next;
    REQUIRE(joins(first, next));
    SECTION("a gap in the sequence") {
        next.sequence += 1;
    }
    SECTION("a repeated sequence") {
        next.sequence = first.sequence;
    }
    SECTION("another acknowledgement") {
        next.acknowledgement = 1;
    }
    SECTION("another window") {
        next.window ^= 1;
    }
    SECTION("an urgent pointer") {
        next.urgent = 1;
    }
    SECTION("a flag more") {
        next.flags |= test::kEce;
    }
    SECTION("CWR, which begins a superpacket") {
        next.flags |= test::kCwr;
    }
    SECTION("SYN") {
        next.flags |= test::kSyn;
    }
    SECTION("RST") {
        next.flags |= test::kRst;
    }
    SECTION("URG") {
        next.flags |= test::kUrg;
    }
    SECTION("no ACK") {
        next.flags = 0;
    }
    SECTION("other options of TCP") {
        next.tcp_options[3] = std::byte{0};
    }
    SECTION("fewer options of TCP") {
        next.tcp_options.resize(8);
    }
    SECTION("another traffic class") {
        next.traffic_class = 0x20;
    }
    SECTION("a congestion mark") {
        next.traffic_class = 3;
    }
    SECTION("another TTL") {
        next.hops = 63;
    }
    SECTION("another source") {
        next.source ^= 1;
    }
    SECTION("another destination") {
        next.destination ^= 1;
    }
    SECTION("another source port") {
        next.source_port ^= 1;
    }
    SECTION("another destination port") {
        next.destination_port ^= 1;
    }
    SECTION("may be fragmented") {
        next.fragment = 0;
    }
    SECTION("the reserved bit") {
        next.fragment = 0xc000;
    }
    SECTION("a fragment") {
        next.fragment = 0x2000;
    }
    SECTION("an identification that jumps") {
        next.id += 1;
    }
    SECTION("options of IPv4") {
        next.ip_options = net::Bytes(4, std::byte{1});
    }
    SECTION("no payload") {
        next.payload.clear();
    }
    SECTION("more payload") {
        next.payload.resize(1001);
    }
    CHECK_FALSE(joins(first, next));
    CHECK(joins(first, good));
}

TEST_CASE("what GRO does not join of IPv6 is not joined") {
    auto first = tcp(1000);
    first.v6 = true;
    first.flow_label = 0x12345;
    auto next = after(first, 1000);
    next.id = 0;
    REQUIRE(joins(first, next));
    SECTION("another flow label") {
        next.flow_label ^= 1;
    }
    SECTION("another traffic class") {
        next.traffic_class = 0x10;
    }
    SECTION("another hop limit") {
        next.hops = 63;
    }
    SECTION("another source") {
        next.source ^= 1;
    }
    SECTION("an extension header") {
        next.ip_options = net::Bytes(7);
    }
    SECTION("the other family") {
        next.v6 = false;
    }
    CHECK_FALSE(joins(first, next));
}

TEST_CASE("packets that could be in a superpacket but not begin one go alone") {
    auto first = tcp(1000);
    const auto next = after(first, 1000);
    SECTION("SYN") {
        first.flags |= test::kSyn;
    }
    SECTION("URG") {
        first.flags |= test::kUrg;
    }
    SECTION("PSH, which ends one") {
        first.flags |= test::kPsh;
    }
    SECTION("FIN, which ends one") {
        first.flags |= test::kFin;
    }
    SECTION("no payload") {
        first.payload.clear();
    }
    SECTION("less payload") {
        first.payload.resize(999);
    }
    auto second = next;
    second.flags = first.flags;
    second.fragment = first.fragment;
    CHECK_FALSE(joins(first, second));
}

TEST_CASE("PSH and FIN end a superpacket and stay in its last segment") {
    for (const std::uint8_t flag : {test::kPsh, test::kFin}) {
        const auto first = tcp(500);
        auto second = after(first, 500), third = after(second, 500);
        second.flags |= flag;
        Burst burst;
        burst.add(first.bytes());
        burst.add(second.bytes());
        burst.add(third.bytes());
        const auto written = burst.end();
        REQUIRE(written.size() == 2);
        CHECK(test::split(written[0].offload, written[0].bytes) == test::Packets{first.bytes(), second.bytes()});
        CHECK(written[1].bytes == third.bytes());
    }
}

TEST_CASE("CWR begins a superpacket, and stays in its first segment") {
    auto first = tcp(500);
    auto second = after(first, 500);
    first.flags |= test::kCwr;
    REQUIRE(joins(first, second));
    Burst burst;
    burst.add(first.bytes());
    burst.add(second.bytes());
    const auto written = burst.end();
    CHECK(written[0].offload.ecn);
    CHECK(test::split(written[0].offload, written[0].bytes) == test::Packets{first.bytes(), second.bytes()});
}

TEST_CASE("packets that must not be fragmented may all have the same identification") {
    auto first = tcp(500);
    auto second = after(first, 500), third = after(second, 500);
    second.id = third.id = first.id;
    CHECK(joins(first, second));
    Burst burst;
    burst.add(first.bytes());
    burst.add(second.bytes());
    third.id = static_cast<std::uint16_t>(first.id + 2);  // neither way throughout
    burst.add(third.bytes());
    CHECK(burst.end().size() == 2);
    first.fragment = second.fragment = 0;
    CHECK_FALSE(joins(first, second));
}

TEST_CASE("padding behind a packet is cut off") {
    const auto first = tcp(500), second = after(first, 500);
    Burst burst;
    for (const auto& packet : {first, second}) {
        auto bytes = packet.bytes();
        bytes.resize(bytes.size() + 12);
        burst.add(bytes);
    }
    const auto written = burst.end();
    REQUIRE(written.size() == 1);
    CHECK(test::split(written[0].offload, written[0].bytes) == test::Packets{first.bytes(), second.bytes()});
}

TEST_CASE("each kind is joined only if it is wanted") {
    for (const auto& first : {tcp(500), udp(500)}) {
        const bool is_udp = first.protocol == test::kUdp;
        Burst burst({.tcp = is_udp, .udp = !is_udp});
        burst.add(first.bytes());
        burst.add(after(first, 500).bytes());
        CHECK(burst.end().size() == 2);
        burst.coalescer.set(true, true);
        burst.add(first.bytes());
        burst.add(after(first, 500).bytes());
        CHECK(burst.end().size() == 1);
    }
}
