#include "mesh_in_memory.hpp"

using namespace mesh;
using namespace mesh::testing;

TEST_CASE("a newcomer with a token joins and both see each other") {
    Network network(1);
    auto& trento = network.create("trento");
    auto& munich = network.invite_and_join(trento, "munich");
    CHECK(network.run_until([&] { return network.all_up({"trento", "munich"}); }, 5s));
    CHECK(munich.node->self().says.name == "munich");
    CHECK(munich.node->mesh_name() == "acme");
    CHECK(network.run_until([&] { return network.same_view({"trento", "munich"}); }, 5s));
}

TEST_CASE("three offices joined one after the other are a full mesh within five seconds of the last join") {
    Network network(2);
    auto& trento = network.create("trento");
    network.invite_and_join(trento, "munich");
    network.invite_and_join(trento, "london");
    network.invite_and_join(trento, "laptop");
    CHECK(network.run_until([&] { return network.all_up({"trento", "munich", "london", "laptop"}); }, 5s));
    CHECK(network.run_until([&] { return network.same_view({"trento", "munich", "london", "laptop"}); }, 5s));
}
