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

TEST_CASE("nodes that are fast at AES send each other data of type 5, and type 4 to the others") {
    Network network(3);
    auto& trento = network.create("trento");
    network.crash(trento);
    trento.settings.aes = true;
    network.start(trento);
    network.add("munich").settings.aes = true;
    const auto& munich = network.invite_and_join(trento, "munich");
    const auto& london = network.invite_and_join(trento, "london");
    CHECK(network.run_until([&] { return network.all_up({"trento", "munich", "london"}); }, 5s));
    const auto sends_aes = [](const Machine& from, const Machine& to) {
        for (const auto& peer : from.node->wireguard().table()->peers) {
            if (peer && peer->key == public_key(to.identity->tunnel_secret)) return peer->session && peer->session->sends_aes();
        }
        return false;
    };
    CHECK(sends_aes(trento, munich));
    CHECK(sends_aes(munich, trento));
    CHECK_FALSE(sends_aes(trento, london));
    CHECK_FALSE(sends_aes(london, trento));
}
