// A member through which another reaches the Internet: who may speak for it, and what may not pass.
#include <algorithm>

#include "mesh_in_memory.hpp"

using namespace mesh;
using namespace mesh::testing;

namespace {

net::Bytes packet(const net::IpAddress& from, const net::IpAddress& to, std::uint16_t from_port = 1000, std::uint16_t to_port = 53) {
    net::Writer out;
    if (to.is_v4()) {
        out.u8(0x45).u8(0).u16be(28).u32be(0).u8(64).u8(17).u16be(0);
    } else {
        out.u32be(0x60000000).u16be(8).u8(17).u8(64);
    }
    return out.bytes(from.bytes()).bytes(to.bytes()).u16be(from_port).u16be(to_port).u32be(0x00080000).take();
}

struct WithExit : Network {
    Machine &trento, &munich, &laptop;
    explicit WithExit(std::uint64_t seed)
        : Network(seed), trento(create("trento", {*net::Prefix::parse("192.168.1.0/24")})),
          munich(invite_and_join(trento, "munich", exit_request())), laptop(invite_and_join(trento, "laptop")) {
        REQUIRE(run_until([&] { return all_up({"trento", "munich", "laptop"}); }, 10s));
        run(10s);
    }
    static InviteRequest exit_request() {
        InviteRequest request;
        request.exit = true;
        return request;
    }
    /// Whether a packet that `from` sends arrives at `to`.
    bool arrives(Machine& from, Machine& to, const net::Bytes& bytes) {
        to.packets.clear();
        from.node->send_ip(bytes, now());
        drain(from);
        run(300ms);
        return !to.packets.empty();
    }
    net::IpAddress overlay(Machine& machine, bool v6 = false) { return machine.node->self().says.addresses[v6 ? 0 : 1]; }
};

const auto kOutside = address("203.0.113.9"), kOutside6 = address("2001:db8:9::9");

}  // namespace

TEST_CASE("what is nobody's goes to the exit that was chosen, and its answers come from anywhere outside") {
    WithExit mesh(500);
    auto &munich = mesh.munich, &laptop = mesh.laptop;
    CHECK_FALSE(mesh.arrives(laptop, munich, packet(mesh.overlay(laptop), kOutside)));
    CHECK_FALSE(mesh.arrives(munich, laptop, packet(kOutside, mesh.overlay(laptop))));
    laptop.node->set_exit("munich", mesh.now());
    CHECK(mesh.arrives(laptop, munich, packet(mesh.overlay(laptop), kOutside)));
    CHECK(mesh.arrives(laptop, munich, packet(mesh.overlay(laptop, true), kOutside6)));
    CHECK(mesh.arrives(munich, laptop, packet(kOutside, mesh.overlay(laptop))));
    CHECK(mesh.arrives(munich, laptop, packet(kOutside6, mesh.overlay(laptop, true))));
    // All else keeps its way.
    CHECK(mesh.arrives(laptop, mesh.trento, packet(mesh.overlay(laptop), address("192.168.1.7"))));
    CHECK_FALSE(laptop.node->table()->in_overlay(kOutside));  // endpoints may lie there
    laptop.node->set_exit("", mesh.now());
    CHECK_FALSE(mesh.arrives(laptop, munich, packet(mesh.overlay(laptop), kOutside)));
    CHECK_FALSE(mesh.arrives(munich, laptop, packet(kOutside, mesh.overlay(laptop))));
}

TEST_CASE("an exit speaks for the outside alone: not for members, their subnets, this machine's networks") {
    WithExit mesh(501);
    auto &munich = mesh.munich, &laptop = mesh.laptop;
    laptop.node->set_exit("munich", mesh.now());
    laptop.node->set_attached({*net::Prefix::parse("192.168.5.0/24")}, mesh.now());
    const auto to = mesh.overlay(laptop);
    REQUIRE(mesh.arrives(munich, laptop, packet(kOutside, to)));
    for (const auto& from : {mesh.overlay(mesh.trento), to, address("10.73.250.250"), address("192.168.1.7"), address("192.168.5.7"),
                             address("127.0.0.1"), address("224.0.0.1")}) {
        CAPTURE(from.text());
        CHECK_FALSE(mesh.arrives(munich, laptop, packet(from, to)));
    }
    // Nor does any other member speak for it.
    CHECK_FALSE(mesh.arrives(mesh.trento, laptop, packet(kOutside, to)));
    // And what is the mesh's own, but no member's, does not leave it.
    CHECK_FALSE(mesh.arrives(laptop, munich, packet(to, address("10.73.250.250"))));
}

TEST_CASE("an exit takes from members what is theirs") {
    WithExit mesh(502);
    mesh.laptop.node->set_exit("munich", mesh.now());
    CHECK_FALSE(mesh.arrives(mesh.laptop, mesh.munich, packet(kOutside, address("203.0.113.10"))));
}

TEST_CASE("who is no member, is this node, or has not the role, is no exit, and then nothing passes") {
    WithExit mesh(503);
    auto& laptop = mesh.laptop;
    CHECK(laptop.node->no_exit("munich").empty());
    CHECK(laptop.node->no_exit("trento").find("--exit") != std::string::npos);
    CHECK_FALSE(laptop.node->no_exit("paris").empty());
    CHECK_FALSE(mesh.munich.node->no_exit("munich").empty());
    laptop.node->set_exit("trento", mesh.now());
    CHECK_FALSE(mesh.arrives(laptop, mesh.trento, packet(mesh.overlay(laptop), kOutside)));
    laptop.node->set_exit("munich", mesh.now());
    REQUIRE(mesh.trento.node->revoke("munich", mesh.now()));
    mesh.run(5s);
    CHECK(laptop.node->table()->route(kOutside) == nullptr);
    CHECK_FALSE(laptop.node->no_exit(laptop.node->exit()).empty());
}

TEST_CASE("a datagram to the exit's own endpoint that comes back through the device is dropped at once") {
    WithExit mesh(504);
    auto &munich = mesh.munich, &laptop = mesh.laptop;
    laptop.node->set_exit("munich", mesh.now());
    const auto& to = munich.endpoint;
    const auto loops = [&] { return laptop.node->wireguard().drops().get(Drop::underlay_loop); };
    CHECK(mesh.arrives(laptop, munich, packet(mesh.overlay(laptop), to.address, 1000, 443)));
    CHECK(loops() == 0);
    CHECK_FALSE(mesh.arrives(laptop, munich, packet(mesh.overlay(laptop), to.address, 51820, to.port)));
    CHECK(loops() == 1);
    // Also while there is no session: nothing is put aside that would be sent in itself.
    mesh.crash(munich);
    mesh.run(300s);
    laptop.node->send_ip(packet(mesh.overlay(laptop), to.address, 51820, to.port), mesh.now());
    CHECK(loops() == 2);
}
