#include <algorithm>

#include "mesh_in_memory.hpp"

using namespace mesh;
using namespace mesh::testing;

namespace {

struct Pair : Network {
    Machine &trento, &munich;
    explicit Pair(std::uint64_t seed) : Network(seed), trento(create("trento")), munich(invite_and_join(trento, "munich")) {}
    bool up() {
        return run_until([&] { return all_up({"trento", "munich"}); }, 10s);
    }
    std::size_t mtu(Machine& from) { return from.node->peers(now()).at(0).mtu_bytes; }
    /// A packet that its sender's node encrypts; the sizes of the datagrams that left.
    std::vector<std::size_t> datagrams_of(Machine& from, Machine& to, std::size_t total_bytes) {
        net::Writer out;
        out.u8(0x45).u8(0).u16be(static_cast<std::uint16_t>(total_bytes)).u32be(0).u8(64).u8(17).u16be(0);
        out.bytes(from.node->self().says.addresses[1].bytes()).bytes(to.node->self().says.addresses[1].bytes());
        out.zeros(total_bytes - out.size());
        from.node->send_ip(out.view(), now());
        std::vector<std::size_t> sizes;
        for (const auto& datagram : from.node->take_datagrams()) sizes.push_back(datagram.bytes.size());
        return sizes;
    }
};

}  // namespace

TEST_CASE("members find the largest packet that the path between them takes") {
    Pair pair(70);
    pair.munich.line_mtu_bytes = 1124;
    REQUIRE(pair.up());
    CHECK(pair.mtu(pair.trento) == 1420);
    pair.run(10s);
    CHECK(pair.mtu(pair.trento) == 1064);
    CHECK(pair.mtu(pair.munich) == 1064);
    const auto table = pair.trento.node->table();
    CHECK(table->route(pair.munich.node->self().says.addresses[1])->mtu_bytes == 1064);
}

TEST_CASE("what was found counts as proven until somebody says otherwise, and again once it has been looked at") {
    Pair pair(76);
    const auto proven = [&] {
        const auto* const peer = pair.trento.node->table()->route(pair.munich.node->self().says.addresses[1]);
        return peer != nullptr && peer->mtu_proven;
    };
    REQUIRE(pair.up());
    CHECK(pair.run_until(proven, 10s));
    pair.trento.node->told_too_big(pair.munich.endpoint, 1280, pair.now());
    CHECK_FALSE(proven());
    CHECK(pair.run_until(proven, 10s));
    CHECK(pair.mtu(pair.trento) == 1420);
}

TEST_CASE("on a path without limits one probe is enough, and no more follow while nothing is sent") {
    Pair pair(71);
    REQUIRE(pair.up());
    pair.run(1s);
    CHECK(pair.mtu(pair.trento) == 1420);
    CHECK(pair.trento.probes == 1);
    CHECK(pair.munich.probes == 1);
    pair.run(1min);  // what joining took may look like traffic once
    const auto before = pair.trento.probes + pair.munich.probes;
    CHECK(before <= 4);
    pair.run(1h);
    CHECK(pair.trento.probes + pair.munich.probes == before);
}

TEST_CASE("padding does not make a packet larger than the path takes") {
    Pair pair(72);
    pair.munich.line_mtu_bytes = 1500 - 28 - 32 - 400;
    REQUIRE(pair.up());
    pair.run(10s);
    const auto mtu = pair.mtu(pair.trento);
    REQUIRE(mtu % 16 != 0);
    CHECK(pair.datagrams_of(pair.trento, pair.munich, mtu) == std::vector<std::size_t>{mtu + 32});
    CHECK(pair.datagrams_of(pair.trento, pair.munich, 100) == std::vector<std::size_t>{112 + 32});
}

TEST_CASE("a member that has moved is probed again where it is now") {
    Pair pair(73);
    pair.munich.line_mtu_bytes = 1124;
    REQUIRE(pair.up());
    pair.run(10s);
    REQUIRE(pair.mtu(pair.trento) == 1064);
    pair.munich.endpoint = {net::IpAddress::v4(203, 0, 113, 9), 51820, 0};
    pair.munich.line_mtu_bytes = 1500;
    pair.munich.node->set_local_endpoints({pair.munich.endpoint}, pair.now());
    CHECK(pair.run_until([&] { return pair.mtu(pair.trento) == 1420; }, 10s));
}

TEST_CASE("a probe that the machine itself refuses to send is too large at once") {
    Pair pair(74);
    pair.trento.line_mtu_bytes = 400;  // still searching when up
    REQUIRE(pair.up());
    pair.trento.node->refused({pair.munich.endpoint, net::Bytes(1300 + kMinDataBytes), false}, pair.now());
    CHECK(pair.mtu(pair.trento) == 1420);
    pair.trento.node->refused({pair.munich.endpoint, net::Bytes(1300 + kMinDataBytes), true}, pair.now());
    CHECK(pair.mtu(pair.trento) == 1299);
    pair.run(10s);
    CHECK(pair.mtu(pair.trento) == 340);
}

TEST_CASE("a probe is answered in few bytes, and larger than any other control frame") {
    Pair pair(75);
    REQUIRE(pair.up());
    auto frame = encode(MtuProbe{5, 1420, false});
    const auto frame_bytes = frame.size();
    frame.resize(1420);
    CHECK(probe_in(frame).size() == frame_bytes);
    const auto probe = decode_frame(frame);
    REQUIRE(probe);
    CHECK(std::get<MtuProbe>(*probe).token == 5);
    CHECK(std::get<MtuProbe>(*probe).bytes == 1420);
    auto other = encode(Ping{1, 2, false});
    other.resize(1420);
    CHECK(probe_in(other).empty());
    for (std::size_t cut = 0; cut < frame_bytes; ++cut) CHECK(probe_in(net::MutableBytes(frame).first(cut)).empty());
}
