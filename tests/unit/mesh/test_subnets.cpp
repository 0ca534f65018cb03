// Two offices that both are 192.168.1.0/24, each known to the mesh under another name.
#include <algorithm>

#include "mesh_in_memory.hpp"
#include "net/packet.hpp"

using namespace mesh;
using namespace mesh::testing;

namespace {

net::Prefix prefix(const char* text) { return *net::Prefix::parse(text); }

net::Bytes packet(const char* from, const char* to) {
    net::Writer out;
    out.u8(0x45).u8(0).u16be(28).u32be(0).u8(64).u8(17).u16be(0).bytes(address(from).bytes()).bytes(address(to).bytes()).u32be(1).u32be(0x00080000);
    return out.take();
}

struct TwinOffices : Network {
    Machine &trento, &munich;
    explicit TwinOffices(std::uint64_t seed) : Network(seed), trento(create("trento", {prefix("10.201.1.0/24")})), munich(joined()) {
        for (auto* machine : {&trento, &munich}) {
            crash(*machine);
            machine->settings.mapped = {{prefix("192.168.1.0/24"), prefix(machine == &trento ? "10.201.1.0/24" : "10.202.1.0/24")}};
            machine->settings.attached = {prefix("192.168.1.0/24")};
            start(*machine);
        }
        REQUIRE(run_until([&] { return all_up({"trento", "munich"}); }, 10s));
        run(10s);
    }
    Machine& joined() {
        InviteRequest request;
        request.subnets = {prefix("10.202.1.0/24")};
        return invite_and_join(trento, "munich", request);
    }
    /// The ends of what arrives at `to`; "nothing" if nothing does.
    std::string send(Machine& from, Machine& to, const net::Bytes& bytes) {
        to.packets.clear();
        from.node->send_ip(bytes, now());
        drain(from);
        run(200ms);
        if (to.packets.empty()) return "nothing";
        const auto header = net::parse_ip(to.packets.front());
        return header->source.text() + " to " + header->destination.text();
    }
};

}  // namespace

TEST_CASE("two offices with one and the same LAN talk to each other, each by the other's name") {
    TwinOffices offices(400);
    CHECK(offices.send(offices.trento, offices.munich, packet("192.168.1.5", "10.202.1.7")) == "10.201.1.5 to 192.168.1.7");
    CHECK(offices.send(offices.munich, offices.trento, packet("192.168.1.7", "10.201.1.5")) == "10.202.1.7 to 192.168.1.5");
    // Their machines reach the offices by the overlay, too.
    CHECK(offices.send(offices.trento, offices.munich,
                       packet(offices.trento.node->self().says.addresses[1].text().c_str(), "10.202.1.1"))
              .ends_with(" to 192.168.1.1"));
}

TEST_CASE("the LAN itself, and its own name in the mesh, are not routed to another member") {
    TwinOffices offices(401);
    const auto table = offices.trento.node->table();
    CHECK(table->route(address("192.168.1.7")) == nullptr);
    CHECK(table->route(address("10.201.1.7")) == nullptr);
    CHECK(table->in_overlay(address("10.201.1.7")));
    CHECK(table->route(address("10.202.1.7")) != nullptr);
    const auto routes = offices.trento.node->device().routes;
    CHECK(std::count(routes.begin(), routes.end(), prefix("192.168.1.0/24")) == 0);
    CHECK(std::count(routes.begin(), routes.end(), prefix("10.202.1.0/24")) == 1);
    // It comes back to the LAN under the LAN's own addresses: one name leads to a machine from everywhere.
    CHECK(offices.send(offices.trento, offices.trento, packet("192.168.1.5", "10.201.1.7")) == "10.201.1.5 to 192.168.1.7");
}

TEST_CASE("a member that goes past the map reaches the LAN by its name in the mesh alone") {
    TwinOffices offices(403);
    const auto forced = [&](const char* to) {
        auto &from = offices.trento, &at = offices.munich;
        at.packets.clear();
        from.node->wireguard().send(at.node->self().says.tunnel_key, packet("10.201.1.5", to), offices.now());
        from.node->tick(offices.now());
        offices.drain(from);
        offices.run(200ms);
        return !at.packets.empty();
    };
    CHECK(forced("10.202.1.7"));
    for (const auto* to : {"192.168.1.7", "10.201.1.7", "10.203.1.7"}) CHECK_FALSE(forced(to));
}

TEST_CASE("a source that is not allowed once it is mapped is dropped") {
    TwinOffices offices(402);
    CHECK(offices.send(offices.trento, offices.munich, packet("192.168.2.5", "10.202.1.7")) == "nothing");
    CHECK(offices.send(offices.trento, offices.munich, packet("10.202.1.5", "10.202.1.7")) == "nothing");
}
