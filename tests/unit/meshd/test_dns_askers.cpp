#include "meshd/dns_askers.hpp"
#include "tests/unit/mesh/mesh_in_memory.hpp"

using namespace mesh;
using namespace mesh::testing;
using meshd::may_ask;
using meshd::may_ask_numbers;

TEST_CASE("members and their LANs may ask DNS in the overlay, and only offices who has which number") {
    Network network(1);
    auto& trento = network.create("trento");
    InviteRequest office;
    office.subnets = {*net::Prefix::parse("192.168.7.0/24")};
    network.invite_and_join(trento, "munich", office);
    InviteRequest mute;
    mute.voice = false;
    network.invite_and_join(trento, "printer", mute);
    REQUIRE(network.run_until([&] { return network.all_up({"trento", "munich", "printer"}); }, 10s));
    const auto& node = *trento.node;
    const auto at = [&](const char* name) { return node.view().by_name(name)->says.addresses.front(); };
    const auto here = at("trento"), lan = address("192.168.1.1");
    const std::vector<net::Prefix> clients{*net::Prefix::parse("192.168.1.0/24")};
    const std::vector<net::Prefix> pbx{*net::Prefix::parse("192.168.1.5")};

    for (const auto& member : {at("munich"), at("printer"), address("192.168.7.9"), here, address("127.0.0.1")}) {
        CHECK(may_ask(node, clients, member, here, true));
    }
    for (const auto& stranger : {address("192.168.1.9"), address("198.51.100.1"), address("fd00:9::1")}) {
        CHECK_FALSE(may_ask(node, clients, stranger, here, true));
    }
    CHECK(may_ask(node, clients, address("192.168.1.9"), lan, false));
    CHECK(may_ask(node, clients, address("127.0.0.1"), lan, false));
    CHECK_FALSE(may_ask(node, clients, at("munich"), lan, false));
    CHECK_FALSE(may_ask(node, clients, address("192.168.7.9"), lan, false));

    CHECK(may_ask_numbers(node, {}, at("munich"), here));
    CHECK(may_ask_numbers(node, {}, here, here));
    CHECK(may_ask_numbers(node, {}, address("::1"), address("::1")));
    CHECK(may_ask_numbers(node, pbx, address("192.168.1.5"), lan));
    for (const auto& other : {at("printer"), address("192.168.7.9"), address("192.168.1.9")}) {
        CHECK_FALSE(may_ask_numbers(node, pbx, other, here));
    }
    CHECK_FALSE(may_ask_numbers(node, {}, address("192.168.1.5"), lan));
}
