#include <catch2/catch.hpp>

#include "net/packet.hpp"
#include "net/text.hpp"

using net::Ecn;

// RFC 6040 figure 4: rows inner Not-ECT, ECT(0), ECT(1), CE; columns outer Not-ECT, ECT(0), ECT(1), CE.
TEST_CASE("ECN comes out of a tunnel as RFC 6040 says") {
    constexpr std::optional<Ecn> kDrop;
    constexpr Ecn kOrder[] = {Ecn::not_ect, Ecn::ect0, Ecn::ect1, Ecn::ce};
    const std::optional<Ecn> expected[4][4] = {
        {Ecn::not_ect, Ecn::not_ect, Ecn::not_ect, kDrop},
        {Ecn::ect0, Ecn::ect0, Ecn::ect1, Ecn::ce},
        {Ecn::ect1, Ecn::ect1, Ecn::ect1, Ecn::ce},
        {Ecn::ce, Ecn::ce, Ecn::ce, Ecn::ce},
    };
    for (int inner = 0; inner < 4; ++inner) {
        for (int outer = 0; outer < 4; ++outer) {
            CAPTURE(inner, outer);
            CHECK(net::inner_ecn(kOrder[inner], kOrder[outer]) == expected[inner][outer]);
        }
    }
}

TEST_CASE("outside a tunnel a packet shows its ECN, and its DSCP if it is voice or all are to be shown") {
    using net::OuterDscp;
    for (const auto shown : {OuterDscp::voice, OuterDscp::copy}) {
        CHECK(net::outer_traffic_class(0xb8, shown) == 0xb8);
        CHECK(net::outer_traffic_class(0xba, shown) == 0xba);
        CHECK(net::outer_traffic_class(24 << 2, shown) == 24 << 2);
    }
    CHECK(net::outer_traffic_class(10 << 2 | 1, OuterDscp::voice) == 1);
    CHECK(net::outer_traffic_class(48 << 2, OuterDscp::voice) == 0);
    CHECK(net::outer_traffic_class(10 << 2 | 1, OuterDscp::copy) == (10 << 2 | 1));
    CHECK(net::outer_traffic_class(48 << 2, OuterDscp::copy) == 48 << 2);
}

TEST_CASE("setting ECN keeps an IPv4 header's checksum right, and touches nothing else") {
    // RFC 1624's point is that the sum stays right: counted here over the whole header.
    net::Bytes v4 = *net::from_hex("45b8003c1c46400040060000ac100a63ac100a0c");
    const auto sum_of = [&] {
        std::uint32_t sum = 0;
        for (std::size_t i = 0; i < 20; i += 2) sum += net::Reader(net::ByteView(v4).subspan(i)).u16be();
        while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
        return sum;
    };
    const auto checksum = ~sum_of() & 0xffff;
    v4[10] = static_cast<std::byte>(checksum >> 8);
    v4[11] = static_cast<std::byte>(checksum & 0xff);
    for (const auto ecn : {Ecn::ce, Ecn::ect0, Ecn::not_ect, Ecn::ect1}) {
        net::set_ecn(v4, ecn);
        CHECK(sum_of() == 0xffff);
        CHECK(net::traffic_class_of(v4) == (0xb8 | static_cast<unsigned>(ecn)));
    }
    net::Bytes v6(40, std::byte{0xff});
    v6[0] = std::byte{0x6b};
    v6[1] = std::byte{0x8f};
    net::set_ecn(v6, Ecn::ce);
    CHECK(net::traffic_class_of(v6) == 0xbb);
    CHECK(v6[0] == std::byte{0x6b});
    CHECK(v6[1] == std::byte{0xbf});
}

TEST_CASE("a packet is marked as having met congestion only if its sender knows marks") {
    net::Bytes v4 = *net::from_hex("4500003c1c46400040060000ac100a63ac100a0c"), v6(40);
    v6[0] = std::byte{0x60};
    for (auto* const packet : {&v4, &v6}) {
        const auto before = *packet;
        CHECK_FALSE(net::mark_congested(*packet));
        CHECK(*packet == before);
        for (const auto ecn : {Ecn::ect0, Ecn::ect1, Ecn::ce}) {
            net::set_ecn(*packet, ecn);
            CHECK(net::mark_congested(*packet));
            CHECK(net::ecn_of(net::traffic_class_of(*packet)) == Ecn::ce);
        }
    }
}
