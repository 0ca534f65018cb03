#include "mesh_in_memory.hpp"

using namespace mesh;
using namespace mesh::testing;

namespace {

Token invite(Network& network, Machine& admin, const std::string& name, InviteRequest request = {}) {
    request.name = name;
    const auto token = admin.node->invite(request, network.now());
    REQUIRE(token);
    network.drain(admin);
    const auto read = Token::parse(token->text());  // as a person carries it
    REQUIRE(read);
    return *read;
}

std::string why_not(Network& network, const std::string& name, const Token& token) {
    network.begin_join(name, token);
    auto& machine = network.machine(name);
    network.run_until([&] { return machine.node || machine.joiner->state() == Joiner::State::failed; }, 70s);
    REQUIRE(machine.joiner);
    return machine.joiner->status();
}

}  // namespace

TEST_CASE("a newcomer gets what its invitation says") {
    Network network(10);
    auto& trento = network.create("trento");
    InviteRequest request;
    request.subnets = {*net::Prefix::parse("192.168.7.0/24")};
    auto& munich = network.invite_and_join(trento, "munich", request);
    const auto& self = munich.node->self().says;
    CHECK(self.name == "munich");
    CHECK(self.subnets == request.subnets);
    CHECK(self.roles.has(Role::voice));
    CHECK_FALSE(self.roles.has(Role::admin));
    REQUIRE(self.addresses.size() == 2);
    CHECK(self.addresses[0].is_v6());
    CHECK(net::Prefix::parse("10.73.0.0/16")->contains(self.addresses[1]));
    CHECK(trento.count<Admitted>() == 1);
}

TEST_CASE("a token that another node has used is refused, and the newcomer reads why") {
    Network network(11);
    auto& trento = network.create("trento");
    const auto token = invite(network, trento, "munich");
    network.join("munich", token);
    network.run(20s);  // what it says of its own endpoints has settled
    const auto before = trento.node->roster().summary();
    CHECK(why_not(network, "thief", token) == text(Refusal::invitation_used));
    CHECK(trento.node->roster().summary() == before);
}

TEST_CASE("an expired token is refused by the newcomer, and by the issuer where the newcomer's clock is wrong") {
    Network network(12);
    auto& trento = network.create("trento");
    InviteRequest request;
    request.valid = 60s;
    auto token = invite(network, trento, "munich", request);
    network.run(61s);
    CHECK(why_not(network, "munich", token).find("expired") != std::string::npos);
    token.expires += 3600;  // what a newcomer without a clock would believe
    CHECK(why_not(network, "london", token) == text(Refusal::invitation_expired));
    CHECK(trento.node->view().members.size() == 1);
}

TEST_CASE("a revoked invitation is refused") {
    Network network(13);
    auto& trento = network.create("trento");
    const auto token = invite(network, trento, "munich");
    REQUIRE(trento.node->revoke("munich", network.now()));
    network.drain(trento);
    CHECK(why_not(network, "munich", token) == text(Refusal::invitation_revoked));
}

TEST_CASE("a token for a mesh that is not there fails with the places that were asked") {
    Network network(14);
    auto& trento = network.create("trento");
    const auto token = invite(network, trento, "munich");
    network.crash(trento);
    CHECK(why_not(network, "munich", token).find("198.51.100.1:51820") != std::string::npos);
}

TEST_CASE("a newcomer that lost the answer asks again and gets the same place") {
    Network network(15);
    auto& trento = network.create("trento");
    const auto token = invite(network, trento, "munich");
    bool deaf = true;
    network.passes = [&](const Machine& from, const Machine&) { return !(deaf && from.name == "trento" && from.node->view().members.size() > 1); };
    network.begin_join("munich", token);
    network.run(8s);
    CHECK_FALSE(network.machine("munich").node);
    CHECK(trento.count<Admitted>() == 1);
    deaf = false;
    CHECK(network.run_until([&] { return network.machine("munich").node != nullptr; }, 20s));
    CHECK(trento.count<Admitted>() == 1);
}

TEST_CASE("nobody is admitted before that is on the disk") {
    Network network(16);
    auto& trento = network.create("trento");
    const auto token = invite(network, trento, "munich");
    network.begin_join("munich", token);
    network.run_until([&] { return network.machine("munich").joiner->state() == Joiner::State::asking; }, 5s);
    trento.disk_works = false;
    network.run(10s);
    CHECK_FALSE(network.machine("munich").node);
    CHECK(network.machine("munich").joiner->state() == Joiner::State::asking);
    SECTION("once it is, the answer goes out") {
        trento.disk_works = true;
        CHECK(network.run_until([&] { return network.machine("munich").node != nullptr; }, 10s));
    }
    SECTION("after a crash in between the token is as good as new") {
        trento.disk_works = true;
        network.crash(trento);
        network.start(trento);
        CHECK_FALSE(trento.node->view().invitations.begin()->second.spent_by);
        CHECK(network.run_until([&] { return network.machine("munich").node != nullptr; }, 20s));
    }
}

TEST_CASE("a newcomer that reaches only another member is carried to the issuer") {
    Network network(17);
    auto& trento = network.create("trento");
    network.invite_and_join(trento, "munich");
    network.run(5s);
    const auto token = invite(network, trento, "laptop");
    REQUIRE(token.contacts.size() >= 2);  // munich is in it
    network.run(2s);
    network.passes = [](const Machine& a, const Machine& b) {
        return !((a.name == "trento" && b.name == "laptop") || (a.name == "laptop" && b.name == "trento"));
    };
    auto& laptop = network.join("laptop", token);
    CHECK(network.run_until([&] { return network.all_up({"munich", "laptop"}); }, 5s));
    CHECK(network.run_until([&] { return network.same_view({"trento", "munich", "laptop"}); }, 10s));
    CHECK_FALSE(laptop.node->is_up(trento.node->key()));
}

TEST_CASE("where the issuer cannot be reached the newcomer is told to wait, and gets in when it is back") {
    Network network(18);
    auto& trento = network.create("trento");
    network.invite_and_join(trento, "munich");
    network.run(5s);
    const auto token = invite(network, trento, "laptop");
    network.run(2s);
    network.crash(trento);
    network.run(15s);
    network.begin_join("laptop", token);
    network.run(5s);
    CHECK(network.machine("laptop").joiner->status().find("trento") != std::string::npos);
    network.start(trento);
    CHECK(network.run_until([&] { return network.machine("laptop").node != nullptr; }, 30s));
}

TEST_CASE("joining works with a third of all datagrams lost") {
    const auto seed = GENERATE(range<std::uint64_t>(20, 26));
    CAPTURE(seed);
    Network network(seed);
    network.loss = 0.3;
    auto& trento = network.create("trento");
    network.invite_and_join(trento, "munich");
    network.invite_and_join(trento, "london");
    CHECK(network.run_until([&] { return network.all_up({"trento", "munich", "london"}); }, 60s));
    CHECK(network.run_until([&] { return network.same_view({"trento", "munich", "london"}); }, 60s));
}

TEST_CASE("where UDP brings no answer a newcomer joins by a stream that the token names") {
    Network network(29);
    auto& trento = network.create("trento");
    const auto door = *net::Endpoint::parse("198.51.100.1:443");
    trento.node->set_stream_endpoints({door}, network.now());
    const auto token = invite(network, trento, "munich");
    REQUIRE(token.contacts.back().stream);
    CHECK(token.contacts.back().endpoint == door);

    net::SeededRandom random(9);
    Joiner joiner(token, random, network.now());
    constexpr StreamId kHere = 3, kThere = 8;  // each side's own number for the stream
    std::vector<net::Endpoint> wanted;
    const auto turn = [&] {
        network.run(20ms);
        joiner.tick(network.now());
        for (const auto& to : joiner.take_streams_wanted()) wanted.push_back(to);
        for (auto& datagram : joiner.take_datagrams()) {
            if (datagram.to == stream_endpoint(kHere)) trento.node->receive(datagram.bytes, stream_endpoint(kThere), network.now());
        }
        while (const auto batch = trento.node->take_durable()) trento.node->durable(batch->id, network.now());
        for (auto& datagram : trento.node->take_datagrams()) {
            CHECK(datagram.to == stream_endpoint(kThere));
            joiner.receive(datagram.bytes, stream_endpoint(kHere), network.now());
        }
    };
    while (wanted.empty()) turn();
    CHECK(wanted == std::vector{door});
    CHECK(joiner.state() == Joiner::State::connecting);
    joiner.stream_opened(kHere, door, network.now());
    for (int i = 0; i < 100 && joiner.state() != Joiner::State::joined; ++i) turn();
    REQUIRE(joiner.state() == Joiner::State::joined);
    CHECK(joiner.take_joined().contacts.empty());  // UDP leads nowhere, and the stream was this exchange's
    CHECK(trento.count<Admitted>() == 0);          // told, and not taken from the node yet
}
