// What a member gains that speaks the protocol and does not keep to it: nothing.
#include "mesh_in_memory.hpp"

using namespace mesh;
using namespace mesh::testing;

namespace {

/// Says something in its own session, as a changed meshd could.
void say(Network& network, Machine& from, const Machine& to, const Frame& frame, std::size_t pad_to = 0) {
    from.node->wireguard().send(public_key(to.identity->tunnel_secret), encode(frame, pad_to), network.now());
    from.node->tick(network.now());
    network.drain(from);
}

bool both_up(Network& network, const std::string& a, const std::string& b) {
    return network.run_until([&] { return network.all_up({a, b}) && network.same_view({a, b}); }, 30s);
}

}  // namespace

TEST_CASE("a member cannot carry a newcomer that holds no token, though it knows the invitation") {
    Network network(700);
    auto& trento = network.create("trento");
    auto& munich = network.invite_and_join(trento, "munich");
    InviteRequest request;
    request.name = "boss";
    request.admin = true;
    const auto token = trento.node->invite(request, network.now());
    REQUIRE(token);
    network.drain(trento);
    REQUIRE(both_up(network, "trento", "munich"));

    const auto accomplice = make_node_secret(munich.random);
    JoinRequest forged;
    forged.id = 1;
    forged.node_key = public_key(accomplice);
    forged.tunnel_key = public_key(make_tunnel_secret(munich.random));
    forged.handshake.bytes.fill(std::byte{7});
    forged.invitation = token->tunnel_key();  // every member's roster has it
    const auto ask = [&] {
        forged.signature = sign(accomplice, join_statement(munich.identity->mesh_id, forged));
        say(network, munich, trento, forged, kMaxFrameBytes);
        network.run(2s);
        CHECK(trento.node->view().member(forged.node_key) == nullptr);
        CHECK_FALSE(trento.node->view().invitations.at(token->tunnel_key()).spent_by);
    };
    SECTION("without the token's signature") { ask(); }
    SECTION("with one by a key of its own") {
        forged.token_key = forged.node_key;
        forged.token_signature = sign(accomplice, join_statement(munich.identity->mesh_id, forged));
        ask();
    }
    SECTION("and whoever does hold it is admitted, over that member too") {
        ask();
        network.passes = [](const Machine& from, const Machine& to) {
            return !(from.name == "boss" && to.name == "trento") && !(from.name == "trento" && to.name == "boss");
        };
        auto other = *token;
        other.contacts = {{public_key(munich.identity->tunnel_secret), munich.endpoint}};
        CHECK(network.join("boss", other).node->is_admin());
    }
}
