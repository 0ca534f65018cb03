// A member through which another reaches the Internet: who may speak for it, and what may not pass.
#include <algorithm>

#include "mesh/destinations.hpp"
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
    /// The same for one that goes there whatever the sender's routes and rules say.
    bool forced(Machine& from, Machine& to, const net::IpAddress& destination) {
        to.packets.clear();
        const auto ours = overlay(from, destination.is_v6());
        from.node->wireguard().send(to.node->self().says.tunnel_key, packet(ours, destination), now());
        from.node->tick(now());
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

TEST_CASE("what a member sends past its own routes arrives only where this node has or offers something") {
    WithExit mesh(505);
    auto &trento = mesh.trento, &munich = mesh.munich, &laptop = mesh.laptop;
    const auto net = [](const char* text) { return *net::Prefix::parse(text); };
    const auto dropped = [](Machine& at) { return at.node->wireguard().drops().get(Drop::bad_destination); };
    for (auto* to : {&trento, &munich, &laptop}) {
        auto& from = to == &laptop ? trento : laptop;
        for (const bool v6 : {false, true}) CHECK(mesh.forced(from, *to, mesh.overlay(*to, v6)));
    }
    // One that offers a subnet is nobody's way to anything else; one that offers none to nothing at all.
    CHECK(mesh.forced(laptop, trento, address("192.168.1.7")));
    CHECK_FALSE(mesh.forced(trento, laptop, address("192.168.1.7")));
    for (const auto& [to, from] : {std::pair(&trento, &laptop), {&laptop, &trento}}) {
        const auto before = dropped(*to);
        std::uint64_t sent = 0;
        for (const auto& destination : {kOutside, kOutside6, address("192.168.2.7"), address("10.0.0.1"), address("127.0.0.1"),
                                        address("224.0.0.251"), address("255.255.255.255"), address("::1"), address("fe80::1"),
                                        address("ff02::1"), mesh.overlay(munich), mesh.overlay(munich, true)}) {
            CAPTURE(to->name, destination.text());
            CHECK_FALSE(mesh.forced(*from, *to, destination));
            ++sent;
        }
        CHECK(dropped(*to) - before == sent);
    }
    // A subnet that it no longer offers, as its line is down: no way either.
    trento.node->set_offered({}, mesh.now());
    CHECK_FALSE(mesh.forced(laptop, trento, address("192.168.1.7")));
    // An exit leads outside, and nowhere else.
    munich.node->set_attached({net("203.0.114.0/24"), net("2001:db8:5::/64")}, mesh.now());
    CHECK(mesh.forced(laptop, munich, kOutside));
    CHECK(mesh.forced(laptop, munich, kOutside6));
    for (const auto* text : {"192.168.1.7", "192.168.9.9", "10.1.2.3", "100.64.0.1", "169.254.1.1", "127.0.0.1", "224.0.0.1",
                             "203.0.114.7", "2001:db8:5::7", "fd00::7", "fe80::7", "ff02::1", "::1", "10.73.250.250"}) {
        CAPTURE(text);
        CHECK_FALSE(mesh.forced(laptop, munich, address(text)));
    }
    CHECK_FALSE(mesh.forced(laptop, munich, mesh.overlay(trento)));
    // Its own public address, in a network that is attached to it, may be a server's for all.
    munich.node->set_local_endpoints({{address("203.0.114.2"), 51820}, {address("192.168.9.2"), 51820}}, mesh.now());
    CHECK(mesh.forced(laptop, munich, address("203.0.114.2")));
    CHECK_FALSE(mesh.forced(laptop, munich, address("203.0.114.7")));
    CHECK_FALSE(mesh.forced(laptop, munich, address("192.168.9.2")));
}

TEST_CASE("what is public is told from what is set apart") {
    for (const auto* text : {"1.1.1.1", "9.9.9.9", "11.0.0.1", "100.63.0.1", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.0.2.1",
                             "203.0.113.1", "223.255.255.255", "2001:db8::1", "2606:4700::1111", "64:ff9b::101:101"}) {
        CAPTURE(text);
        CHECK(is_public(address(text)));
    }
    for (const auto* text : {"0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.1.2.3", "169.254.169.254",
                             "172.16.0.1", "172.31.255.255", "192.168.0.1", "198.19.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1",
                             "255.255.255.255", "::", "::1", "::ffff:1.1.1.1", "fc00::1", "fd12::1", "fe80::1", "fec0::1", "ff0e::1",
                             "2002:c0a8:101::1", "2001::1", "64:ff9b::a00:1", "64:ff9b::c0a8:101", "64:ff9b::7f00:1",
                             "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1"}) {
        CAPTURE(text);
        CHECK_FALSE(is_public(address(text)));
    }
    CHECK_FALSE(is_public({}));
}

TEST_CASE("an offer counts for all that lies in it, whatever else does") {
    const auto net = [](const char* text) { return *net::Prefix::parse(text); };
    Destinations::Offer offer{.own = {net("192.168.0.0/16"), net("203.0.113.0/25"), net("fd12::1")}, .exit = true,
                              .inside = {net("192.168.3.0/24"), net("203.0.113.0/24"), net("203.0.113.0/26"), net("203.0.113.128/26")},
                              .here = {address("203.0.113.130"), address("10.0.0.1")}};
    const auto taken = [&](const char* text) { return Destinations(offer).take(address(text)); };
    for (const auto* text : {"192.168.3.1", "192.168.200.1", "203.0.113.1", "203.0.113.127", "203.0.113.130", "203.0.114.1", "fd12::1"})
        CHECK(taken(text));
    for (const auto* text : {"203.0.113.129", "203.0.113.200", "10.0.0.1", "fd12::2"}) CHECK_FALSE(taken(text));
    offer.exit = false;
    for (const auto* text : {"192.168.3.1", "203.0.113.1", "fd12::1"}) CHECK(taken(text));
    for (const auto* text : {"203.0.113.129", "203.0.113.130", "203.0.114.1", "2001:db8::1"}) CHECK_FALSE(taken(text));
    CHECK_FALSE(Destinations().take(address("192.0.2.1")));
}
