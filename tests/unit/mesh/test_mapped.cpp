// What a gateway maps for us, in the node record.
#include "mesh_in_memory.hpp"

using namespace mesh;
using namespace mesh::testing;

TEST_CASE("a mapped endpoint is told to the others before local ones and after what a person said, and taken back") {
    Network network(310);
    auto& trento = network.create("trento");
    trento.settings.advertise = {{net::IpAddress::v4(192, 0, 2, 1), 7, 0}};
    network.crash(trento);
    network.start(trento);
    auto& munich = network.invite_and_join(trento, "munich");
    const auto told = [&] {
        const auto& members = munich.node->view().members;
        const auto found = members.find(trento.node->key());
        return found == members.end() || !found->second.node ? std::vector<net::Endpoint>() : found->second.node->endpoints;
    };
    const net::Endpoint mapped{net::IpAddress::v4(5, 6, 7, 8), 40000, 0};
    REQUIRE(network.run_until([&] { return told().size() == 2; }, 20s));

    trento.node->set_mapped({mapped}, network.now());
    REQUIRE(network.run_until([&] { return told().size() == 3; }, 10s));
    CHECK(told() == std::vector{trento.settings.advertise[0], mapped, trento.endpoint});

    trento.node->set_mapped({}, network.now());
    CHECK(network.run_until([&] { return told().size() == 2; }, 10s));
}
