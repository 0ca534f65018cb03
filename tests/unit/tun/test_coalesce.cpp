#include <catch2/catch.hpp>
#include <map>

#include "net/packet.hpp"
#include "packets.hpp"

using test::Memory;
using test::Packet;
using tun::Coalescer;
using tun::Gso;
using tun::Offload;

namespace {

/// Packets of one burst, kept as long as the coalescer borrows them.
struct Burst {
    explicit Burst(const Coalescer::Settings& settings = {}) : coalescer(settings) {}

    void add(net::Bytes bytes, bool checksum_left = false) {
        kept.push_back(std::make_unique<net::Bytes>(std::move(bytes)));
        coalescer.add(*kept.back(), checksum_left, sink);
    }
    std::vector<Memory::Written> end() {
        coalescer.flush(sink);
        kept.clear();
        return std::exchange(sink.written, {});
    }

    Coalescer coalescer;
    Memory sink;
    std::vector<std::unique_ptr<net::Bytes>> kept;
};

Packet tcp(std::size_t payload_bytes, std::uint8_t fill = 1) {
    Packet out;
    out.id = 0xffff;
    out.sequence = 0xffffff00;
    out.tcp_options = net::Bytes(12, std::byte{1});
    out.payload = net::Bytes(payload_bytes, std::byte{fill});
    return out;
}

Packet udp(std::size_t payload_bytes, std::uint8_t fill = 1) {
    auto out = tcp(payload_bytes, fill);
    out.protocol = test::kUdp;
    return out;
}

/// The packet that may follow.
Packet after(const Packet& packet, std::size_t payload_bytes) {
    auto out = packet;
    out.id = static_cast<std::uint16_t>(packet.id + 1);
    out.sequence += static_cast<std::uint32_t>(packet.payload.size());
    out.payload = net::Bytes(payload_bytes, std::byte{2});
    return out;
}

bool joins(const Packet& first, const Packet& second) {
    Burst burst;
    burst.add(first.bytes());
    burst.add(second.bytes());
    const auto written = burst.end();
    if (written.size() == 1) return true;
    // What does not join is passed on as it came, in the order in which it came.
    REQUIRE(written.size() == 2);
    CHECK(written[0].offload == Offload{});
    CHECK(written[0].bytes == first.bytes());
    CHECK(written[1].offload == Offload{});
    CHECK(written[1].bytes == second.bytes());
    return false;
}

}  // namespace

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

TEST_CASE("a superpacket stays within its bounds") {
    Burst burst({.max_bytes = 4000});
    auto packet = tcp(1000);
    for (int i = 0; i < 9; ++i, packet = after(packet, 1000)) burst.add(packet.bytes());
    const auto written = burst.end();
    CHECK(written.size() == 3);
    for (const auto& each : written) CHECK(each.bytes.size() == 3052);

    packet = udp(10);
    Burst many;
    for (std::size_t i = 0; i < Coalescer::kMaxPieces + 1; ++i, packet = after(packet, 10)) many.add(packet.bytes());
    const auto small = many.end();
    REQUIRE(small.size() == 2);
    CHECK(small[0].pieces == Coalescer::kMaxPieces);
}

TEST_CASE("more flows than groups still come out whole and in order") {
    Burst burst({.max_groups = 2});
    std::vector<Packet> flows(5, tcp(100));
    for (std::uint16_t i = 0; i < 5; ++i) flows[i].source_port = i;
    std::map<std::uint16_t, std::vector<net::Bytes>> wanted, got;
    for (int round = 0; round < 4; ++round) {
        for (auto& flow : flows) {
            wanted[flow.source_port].push_back(flow.bytes());
            burst.add(flow.bytes());
            flow = after(flow, 100);
        }
    }
    for (const auto& written : burst.end()) {
        for (const auto& part : test::split(written.offload, written.bytes)) {
            got[net::Reader(net::ByteView(part).subspan(20)).u16be()].push_back(part);
        }
    }
    CHECK(got == wanted);
}

TEST_CASE("a fragment does not overtake the group before it") {
    const auto first = udp(500), second = after(first, 500);
    auto fragment = after(second, 500);
    fragment.fragment = 0x2000;
    Burst burst;
    burst.add(first.bytes());
    burst.add(second.bytes());
    burst.add(fragment.bytes());
    burst.add(after(fragment, 500).bytes());
    const auto written = burst.end();
    REQUIRE(written.size() == 2 + 1);
    CHECK(written[0].pieces == 2);
    CHECK(written[1].bytes == fragment.bytes());
}

TEST_CASE("any superpacket that is cut and joined again is the same superpacket") {
    net::SeededRandom random(3);
    for (int i = 0; i < 1000; ++i) {
        auto packet = test::random_header(random);
        packet.flags = static_cast<std::uint8_t>(random.u64() & ~(test::kSyn | test::kRst | test::kUrg));
        const std::size_t segment_bytes = 1 + random.below(1400);
        // At least two segments, at most so many that one more would have to be in another superpacket.
        packet.payload = test::random_bytes(random, segment_bytes + 1 + random.below(segment_bytes * 40));
        const auto bytes = packet.bytes(Packet::Checksum::pseudo_header);
        const auto checksums =
            random.below(2) == 0 ? tun::Splitter::Checksums::left : tun::Splitter::Checksums::complete;
        Burst burst;
        auto splitter = tun::Splitter::open(packet.offload(segment_bytes), bytes, checksums);
        REQUIRE(splitter);
        while (const auto segment = splitter->next()) {
            burst.add(net::Writer().bytes(segment->header).bytes(segment->payload).take(), splitter->checksums_left());
        }
        const auto written = burst.end();
        REQUIRE(written.size() == 1);
        CHECK(written[0].offload == packet.offload(segment_bytes));
        REQUIRE(written[0].bytes == bytes);
    }
}

namespace {

/// A few flows between few addresses that send, mostly in order, what may join and what may not.
class Traffic {
public:
    explicit Traffic(net::Random& random) : random_(random) {
        for (int i = 0; i < 6; ++i) {
            auto flow = test::random_header(random);
            flow.source += static_cast<std::uint32_t>(random.below(2));
            flow.source_port = static_cast<std::uint16_t>(i);
            flow.payload.resize(1 + random.below(300));
            flows_.push_back(flow);
        }
    }

    struct Sent {
        net::Bytes bytes;
        bool checksum_left;
        std::size_t checksum_at;
    };
    Sent next() {
        auto& flow = flows_[random_.below(flows_.size())];
        auto packet = flow;
        random_.fill(packet.payload);
        flow.sequence += static_cast<std::uint32_t>(packet.payload.size());
        flow.id = static_cast<std::uint16_t>(flow.id + 1);
        const bool strange = random_.below(5) == 0;
        if (strange) disturb(packet);
        const bool left =
            random_.below(2) == 0 && packet.ip_options.empty() && (packet.v6 || (packet.fragment & 0xbfff) == 0);
        Sent sent{packet.bytes(), left, packet.ip_bytes() + packet.offload(1).checksum_offset};
        if (strange && random_.below(3) == 0) {
            switch (random_.below(4)) {
                case 0:
                    sent.bytes[random_.below(sent.bytes.size())] ^= std::byte{4};
                    break;
                case 1:
                    sent.bytes.resize(sent.bytes.size() + random_.below(30));
                    break;
                case 2:
                    sent.bytes.resize(random_.below(sent.bytes.size()));
                    break;
                default:
                    sent.bytes[packet.v6 ? 6 : 9] = static_cast<std::byte>(random_.below(256));
            }
            sent.checksum_left = false;
        }
        return sent;
    }

private:
    void disturb(Packet& packet) {
        switch (random_.below(12)) {
            case 0:
                packet.flags |= static_cast<std::uint8_t>(random_.u64());
                break;
            case 1:
                packet.flags |= test::kPsh;
                break;
            case 2:
                packet.flags |= test::kFin;
                break;
            case 3:
                packet.flags |= test::kCwr;
                break;
            case 4:
                packet.sequence += 1;
                break;
            case 5:
                packet.id = 7;
                break;
            case 6:
                packet.traffic_class ^= 3;
                break;
            case 7:
                packet.payload.resize(random_.below(packet.payload.size() + 1));
                break;
            case 8:
                packet.fragment = static_cast<std::uint16_t>(random_.u64());
                break;
            case 9:
                packet.ip_options = packet.v6 ? net::Bytes(7) : net::Bytes(8, std::byte{1});
                break;
            case 10:
                packet.hops ^= 1;
                break;
            default:
                packet.acknowledgement += 1;
                break;
        }
    }

    net::Random& random_;
    std::vector<Packet> flows_;
};

/// Packets by flow, in their order: as their IP headers bound them, and without the identification of those that cannot
/// be fragmented, of which it means nothing.
class Flows {
public:
    void add(net::Bytes bytes) {
        const bool v6 = !bytes.empty() && std::to_integer<unsigned>(bytes[0]) >> 4 == 6;
        if (!bound(bytes)) return flows_["no IP packet"].push_back(std::move(bytes));
        if (!v6 && bytes[6] == std::byte{0x40}) {
            test::put16(bytes, 4, 0);
            test::put16(bytes, 10, 0);
        }
        const std::size_t from = v6 ? 8 : 12, to = std::min<std::size_t>(bytes.size(), v6 ? 44 : 24);
        std::string key(net::as_text(net::ByteView(bytes).subspan(from, to - from)));
        key += static_cast<char>(bytes[v6 ? 6 : 9]);
        flows_[key].push_back(std::move(bytes));
    }
    friend bool operator==(const Flows&, const Flows&) = default;

private:
    /// Cuts off what is behind the packet; false if it is none.
    static bool bound(net::Bytes& bytes) {
        const auto header = net::parse_ip(bytes);
        if (!header) return false;
        bytes.resize(header->total_bytes);
        return true;
    }

    std::map<std::string, std::vector<net::Bytes>> flows_;
};

}  // namespace

TEST_CASE("what comes out, cut again, is what was added, in the order of each flow") {
    std::size_t added = 0, out = 0;
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        net::SeededRandom random(seed);
        Traffic traffic(random);
        Burst burst({.tcp = true, .udp = true, .max_bytes = 400 + random.below(65136), .max_groups = random.below(7)});
        for (int turn = 0; turn < 4; ++turn) {
            Flows wanted, got;
            for (auto count = random.below(80); count > 0; --count, ++added) {
                auto sent = traffic.next();
                wanted.add(sent.bytes);
                if (sent.checksum_left) random.fill(net::MutableBytes(sent.bytes).subspan(sent.checksum_at, 2));
                burst.add(std::move(sent.bytes), sent.checksum_left);
            }
            for (const auto& written : burst.end()) {
                ++out;
                const auto parts = test::split(written.offload, written.bytes);
                REQUIRE(!parts.empty());
                for (const auto& part : parts) got.add(part);
            }
            INFO("seed " << seed);
            REQUIRE((got == wanted));
        }
    }
    CHECK(out < added * 3 / 4);  // some were joined, or this shows nothing
}
