#include <map>

#include "bursts.hpp"
#include "net/packet.hpp"

using test::after;
using test::Burst;
using test::Packet;
using test::tcp;
using test::udp;
using tun::Coalescer;
using tun::Offload;

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
