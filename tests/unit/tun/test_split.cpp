#include <catch2/catch.hpp>

#include "packets.hpp"

using test::Packet;
using tun::Gso;
using tun::Offload;
using tun::Splitter;
using Checksums = tun::Splitter::Checksums;

namespace {

Packet numbered_tcp(std::size_t payload_bytes) {
    net::SeededRandom random(1);
    Packet out;
    out.id = 0xfffe;
    out.sequence = 0xfffffff0;
    out.payload = test::random_bytes(random, payload_bytes);
    return out;
}

bool refused(const Offload& offload, net::ByteView packet) {
    return !Splitter::open(offload, packet, Checksums::complete) && !Splitter::open(offload, packet, Checksums::left);
}

}  // namespace

TEST_CASE("an offload header is read as it was written") {
    Offload offload;
    offload.gso = Gso::tcp6;
    offload.ecn = true;
    offload.needs_checksum = true;
    offload.segment_bytes = 1400;
    offload.header_bytes = 60;
    offload.checksum_start = 40;
    offload.checksum_offset = 16;
    net::Bytes bytes(Offload::kBytes);
    offload.write(bytes);
    CHECK(bytes[0] == std::byte{1});
    CHECK(bytes[1] == std::byte{0x84});
    CHECK(Offload::read(bytes) == offload);
    CHECK_FALSE(Offload::read(net::ByteView(bytes).first(9)));
    bytes[1] = std::byte{3};  // VIRTIO_NET_HDR_GSO_UDP: fragmentation, not segmentation
    CHECK_FALSE(Offload::read(bytes));
    offload = {};
    offload.checksum_valid = true;
    offload.gso = Gso::udp;
    offload.write(bytes);
    CHECK(Offload::read(bytes) == offload);
}

TEST_CASE("a superpacket is cut into the packets that the link takes") {
    auto packet = numbered_tcp(2500);
    packet.flags = test::kAck | test::kPsh | test::kFin | test::kCwr;
    const auto bytes = packet.bytes(Packet::Checksum::pseudo_header);
    auto splitter = Splitter::open(packet.offload(1000), bytes, Checksums::complete);
    REQUIRE(splitter);
    CHECK(splitter->segments() == 3);
    CHECK(splitter->largest_bytes() == 1040);
    CHECK_FALSE(splitter->checksums_left());
    const auto cut = test::split(packet.offload(1000), bytes);
    REQUIRE(cut.size() == 3);
    CHECK(cut[0].size() == 1040);
    CHECK(cut[2].size() == 540);
    CHECK(cut[0][13 + 20] == std::byte(test::kAck | test::kCwr));
    CHECK(cut[1][13 + 20] == std::byte(test::kAck));
    CHECK(cut[2][13 + 20] == std::byte(test::kAck | test::kPsh | test::kFin));
    CHECK(net::Reader(net::ByteView(cut[2]).subspan(4)).u16be() == 0);             // 0xfffe + 2
    CHECK(net::Reader(net::ByteView(cut[1]).subspan(24)).u32be() == 1000 - 0x10);  // the sequence wraps
}

TEST_CASE("segments are those of the slow way, whatever the superpacket") {
    net::SeededRandom random(2);
    for (int i = 0; i < 1500; ++i) {
        auto packet = test::random_header(random);
        if (random.below(4) == 0) {
            packet.ip_options =
                packet.v6 ? net::Bytes(7 + 8 * random.below(4)) : net::Bytes(4 * random.below(11), std::byte{1});
            if (packet.v6) packet.ip_options[0] = static_cast<std::byte>(packet.ip_options.size() / 8);
        }
        packet.flags = static_cast<std::uint8_t>(random.u64());
        const std::size_t segment_bytes = 1 + random.below(random.below(2) == 0 ? 3000 : 40);
        packet.payload = test::random_bytes(random, random.below(segment_bytes * 20));
        auto bytes = packet.bytes(Packet::Checksum::pseudo_header);
        const auto end = bytes.size();
        if (random.below(4) == 0) bytes.resize(end + random.below(20));  // no part of the packet
        auto offload = packet.offload(segment_bytes);
        offload.header_bytes = static_cast<std::uint16_t>(random.u64());  // never trusted

        std::vector<net::Bytes> wanted;
        for (const auto& segment : test::segments_of(packet, segment_bytes)) wanted.push_back(segment.bytes());
        REQUIRE(test::split(offload, bytes) == wanted);

        auto left = Splitter::open(offload, bytes, Checksums::left);
        REQUIRE(left);
        CHECK(left->segments() == wanted.size());
        CHECK(left->checksums_left() == packet.ip_options.empty());
        std::size_t largest = 0;
        const auto field = packet.ip_bytes() + offload.checksum_offset;
        for (auto segment : wanted) {
            const auto got = left->next();
            REQUIRE(got);
            auto whole = net::Writer().bytes(got->header).bytes(got->payload).take();
            largest = std::max(largest, whole.size());
            if (left->checksums_left()) {
                test::put16(whole, field, 0);
                test::put16(segment, field, 0);
            }
            REQUIRE(whole == segment);
        }
        CHECK_FALSE(left->next());
        CHECK(left->largest_bytes() == largest);
    }
}

TEST_CASE("a superpacket without a partial checksum gets whole ones too") {
    auto packet = numbered_tcp(2500);
    packet.v6 = true;
    auto offload = packet.offload(999);
    offload.needs_checksum = false;
    auto bytes = packet.bytes();
    test::put16(bytes, 56, 0x1234);
    std::vector<net::Bytes> wanted;
    for (const auto& segment : test::segments_of(packet, 999)) wanted.push_back(segment.bytes());
    CHECK(test::split(offload, bytes) == wanted);
}

TEST_CASE("a packet without offloads is passed on untouched, whatever it is") {
    const auto bytes = net::copy(net::as_bytes("no IP packet"));
    auto splitter = Splitter::open({}, bytes, Checksums::left);
    REQUIRE(splitter);
    CHECK_FALSE(splitter->checksums_left());
    CHECK(splitter->segments() == 1);
    CHECK(splitter->largest_bytes() == bytes.size());
    const auto segment = splitter->next();
    REQUIRE(segment);
    CHECK(segment->header.data() == bytes.data());
    CHECK(segment->bytes() == bytes.size());
    CHECK_FALSE(splitter->next());
}

TEST_CASE("the checksum of a single packet is completed where the kernel says") {
    for (const bool v6 : {false, true}) {
        for (const auto protocol : {test::kTcp, test::kUdp}) {
            auto packet = numbered_tcp(777);
            packet.v6 = v6;
            packet.protocol = protocol;
            auto offload = packet.offload(0);
            offload.gso = Gso::none;
            const auto bytes = packet.bytes(Packet::Checksum::pseudo_header);
            CHECK(test::split(offload, bytes) == test::Packets{packet.bytes()});
            const auto left = Splitter::open(offload, bytes, Checksums::left);
            REQUIRE(left);
            CHECK(left->checksums_left());
            CHECK(test::split(offload, bytes, Checksums::left) == test::Packets{bytes});
        }
    }
    // A protocol of which nothing is known: the sum of the rest, at an offset of its own.
    auto packet = numbered_tcp(0).bytes();
    packet[9] = std::byte{200};
    test::put16(packet, 30, 0x1234);
    Offload offload;
    offload.needs_checksum = true;
    offload.checksum_start = 24;
    offload.checksum_offset = 6;
    auto wanted = packet;
    test::put16(wanted, 30, test::slow_checksum(net::ByteView(packet).subspan(24)));
    CHECK(test::split(offload, packet, Checksums::left) == test::Packets{wanted});
    CHECK_FALSE(Splitter::open(offload, packet, Checksums::left)->checksums_left());
}

TEST_CASE("a checksum is never left out where the other end could not find it") {
    auto packet = numbered_tcp(100);
    const auto left = [](const Packet& of, bool gso) {
        auto offload = of.offload(50);
        if (!gso) offload.gso = Gso::none;
        const auto bytes = of.bytes(Packet::Checksum::pseudo_header);
        const auto splitter = Splitter::open(offload, bytes, Checksums::left);
        return splitter && splitter->checksums_left();
    };
    CHECK(left(packet, false));
    CHECK(left(packet, true));
    packet.ip_options = net::Bytes(4, std::byte{1});
    CHECK_FALSE(left(packet, false));
    CHECK_FALSE(left(packet, true));
    packet.ip_options.clear();
    packet.fragment = 0x2000;
    CHECK_FALSE(left(packet, false));
    packet = numbered_tcp(100);
    packet.v6 = true;
    CHECK(left(packet, true));
    packet.ip_options = net::Bytes(7);
    CHECK_FALSE(left(packet, false));
    CHECK_FALSE(left(packet, true));
}

TEST_CASE("a computed UDP checksum of zero is sent as all ones") {
    Packet packet;
    packet.protocol = test::kUdp;
    packet.payload = net::Bytes(4);
    const auto sum = test::slow_checksum(packet.transport(), packet.pseudo_header(12));
    test::put16(packet.payload, 0, sum);  // makes all the rest add up to all ones
    const auto cut = test::split(packet.offload(4), packet.bytes(Packet::Checksum::pseudo_header));
    REQUIRE(cut.size() == 1);
    CHECK(net::Reader(net::ByteView(cut[0]).subspan(26)).u16be() == 0xffff);
}

TEST_CASE("a packet that disagrees with its offload is refused") {
    const auto packet = numbered_tcp(2000);
    const auto bytes = packet.bytes(Packet::Checksum::pseudo_header);
    const auto good = packet.offload(1000);
    REQUIRE_FALSE(refused(good, bytes));
    auto bad = good;
    bad.segment_bytes = 0;
    CHECK(refused(bad, bytes));
    bad = good;
    bad.gso = Gso::tcp6;
    CHECK(refused(bad, bytes));
    bad.gso = Gso::udp;
    CHECK(refused(bad, bytes));
    bad = good;
    bad.checksum_start = 24;
    CHECK(refused(bad, bytes));
    bad = good;
    bad.checksum_offset = 6;
    CHECK(refused(bad, bytes));
    CHECK(refused(good, net::ByteView(bytes).first(bytes.size() - 1)));
    CHECK(refused(good, net::ByteView(bytes).first(30)));
    CHECK(refused(good, {}));
    auto changed = bytes;
    changed[32] = std::byte{0x40};  // TCP's data offset: 16 bytes
    CHECK(refused(good, changed));
    changed[32] = std::byte{0xf0};
    CHECK_FALSE(refused(good, changed));
    auto extended = packet;
    extended.v6 = true;
    extended.ip_options = net::Bytes(7);
    changed = extended.bytes(Packet::Checksum::pseudo_header);
    CHECK_FALSE(refused(extended.offload(1000), changed));
    for (const std::size_t size : {40U, 41U, 47U, 48U, 67U}) {  // cut short, in the headers' words too
        auto cut = net::copy(net::ByteView(changed).first(size));
        test::put16(cut, 4, size - 40);
        CHECK(refused(extended.offload(1000), cut));
    }
    changed[41] = std::byte{0xff};  // the extension header's length: beyond the packet
    CHECK(refused(extended.offload(1000), changed));
    auto fragment = packet;
    fragment.fragment = 0x2000;
    CHECK(refused(good, fragment.bytes(Packet::Checksum::pseudo_header)));
    auto udp = packet;
    udp.protocol = test::kUdp;
    changed = udp.bytes(Packet::Checksum::pseudo_header);
    CHECK_FALSE(refused(udp.offload(1000), changed));
    test::put16(changed, 24, 100);  // its own length
    CHECK(refused(udp.offload(1000), changed));
    Offload single = good;
    single.gso = Gso::none;
    single.checksum_start = 65535;
    single.checksum_offset = 65535;
    CHECK_FALSE(Splitter::open(single, bytes, Checksums::complete));
    single.checksum_start = static_cast<std::uint16_t>(bytes.size() - 1);
    single.checksum_offset = 0;
    CHECK_FALSE(Splitter::open(single, bytes, Checksums::complete));
}
