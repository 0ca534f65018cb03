#include "mesh/virtual_endpoint.hpp"
#include "meshd/path_report.hpp"
#include "meshd/warnings.hpp"
#include "tests/unit/mesh/mesh_in_memory.hpp"

using namespace mesh;
using namespace mesh::testing;

namespace {

bool says(const std::string& text, std::initializer_list<const char*> parts) {
    for (const auto* part : parts)
        if (text.find(part) == std::string::npos) return false;
    return true;
}

}  // namespace

TEST_CASE("a member that is well has nothing to warn of") {
    Network network(1);
    auto& trento = network.create("trento");
    CHECK(meshd::warnings_of(*trento.node, {}).empty());
    CHECK(meshd::standing_in_words(*trento.node).empty());
}

TEST_CASE("a node that has been revoked is told so by its name, with what to do") {
    Network network(2);
    auto& trento = network.create("trento");
    auto& munich = network.invite_and_join(trento, "munich");
    REQUIRE(network.run_until([&] { return network.all_up({"trento", "munich"}); }, 10s));
    REQUIRE(trento.node->revoke("munich", network.now()));
    REQUIRE(network.run_until([&] { return munich.node->standing() == Standing::revoked; }, 5s));
    const auto warnings = meshd::warnings_of(*munich.node, {});
    REQUIRE(warnings.size() == 1);
    CHECK(says(warnings[0], {"munich", "revoked", "new invitation", "meshctl join"}));
}

TEST_CASE("a node whose admin has been revoked is told who that was, and what to do") {
    Network network(3);
    auto& trento = network.create("trento");
    InviteRequest admin;
    admin.admin = true;
    auto& munich = network.invite_and_join(trento, "munich", admin);
    auto& laptop = network.invite_and_join(munich, "laptop");
    const auto& root = *trento.identity;
    const auto out = sign_record(root.mesh_id, *root.root_secret, RecordType::revocation,
                                 as_subject(munich.node->key().view()), 1, encode(Body(Revocation{})));
    network.crash(laptop);
    network.store(laptop, {out.wire});
    network.start(laptop);
    const auto warnings = meshd::warnings_of(*laptop.node, {"the disk is full"});
    REQUIRE(warnings.size() == 2);
    CHECK(says(warnings[0], {"laptop", "no longer counts", "munich", "revoked", "new invitation", "by itself"}));
    CHECK(warnings[1] == "the disk is full");
}

TEST_CASE("a node that routes subnets is told how to make the kernel forward packets, for each IP version") {
    Network network(4);
    auto& trento = network.create("trento", {*net::Prefix::parse("192.168.1.0/24"), *net::Prefix::parse("2001:db8:1::/48")});
    CHECK(meshd::warnings_of(*trento.node, {{}, {true, true}}).empty());
    const auto warnings = meshd::warnings_of(*trento.node, {{}, {false, false}});
    REQUIRE(warnings.size() == 2);
    CHECK(says(warnings[0], {"192.168.1.0/24", "sysctl -w net.ipv4.ip_forward=1"}));
    CHECK(says(warnings[1], {"2001:db8:1::/48", "sysctl -w net.ipv6.conf.all.forwarding=1"}));
    CHECK(meshd::warnings_of(*trento.node, {{}, {true, false}}).size() == 1);

    Network other(5);
    CHECK(meshd::warnings_of(*other.create("laptop").node, {{}, {false, false}}).empty());
}

TEST_CASE("a node whose disk has been full for long warns of what a restart may bring") {
    Network network(6);
    auto& trento = network.create("trento");
    auto& munich = network.invite_and_join(trento, "munich");
    REQUIRE(network.run_until([&] { return network.all_up({"trento", "munich"}); }, 10s));
    trento.disk_works = munich.disk_works = false;
    network.run(75min);
    const auto& late = trento.node->stamps_are_unstored() ? trento : munich;
    REQUIRE(late.node->stamps_are_unstored());
    const auto warnings = meshd::warnings_of(*late.node, {});
    REQUIRE(warnings.size() == 1);
    CHECK(says(warnings[0], {"clock", "disk"}));
}

TEST_CASE("an exit that is none, and a kernel that would drop what it sends, are told with what to do") {
    Network network(9);
    auto& trento = network.create("trento");
    CHECK(meshd::warnings_of(*trento.node, {{}, {}, {"eth0"}}).empty());
    trento.node->set_exit("munich", network.now());
    const auto warnings = meshd::warnings_of(*trento.node, {{}, {}, {"eth0"}, {*net::Prefix::parse("10.201.1.0/24")}});
    REQUIRE(warnings.size() == 3);
    CHECK(says(warnings[0], {"munich", "meshctl exit off"}));
    CHECK(says(warnings[1], {"net.ipv4.conf.eth0.rp_filter=2"}));
    CHECK(says(warnings[2], {"10.201.1.0/24", "--subnet"}));
}

TEST_CASE("what is wrong with an exit's rules is told with the rest") {
    Network network(10);
    const auto warnings = meshd::warnings_of(*network.create("trento").node, {{}, {}, {}, {}, {"no rules", "no routes"}});
    CHECK(warnings == std::vector<std::string>{"no rules", "no routes"});
}

TEST_CASE("the way to a member is told in words, not by an address that is none") {
    Network network(11);
    auto& trento = network.create("trento");
    auto& munich = network.invite_and_join(trento, "munich");
    network.invite_and_join(trento, "london");
    REQUIRE(network.run_until([&] { return network.all_up({"trento", "munich", "london"}); }, 30s));
    const auto key = munich.node->key();
    const auto words = [&](const net::Endpoint& to) { return meshd::way_in_words(*trento.node, {key, to}, network.now()); };
    CHECK(words(munich.endpoint) == "at " + munich.endpoint.text());
    CHECK(words(socket_endpoint(2, munich.endpoint)) == "at " + munich.endpoint.text());
    CHECK(words(stream_endpoint(7)) == "by TLS");
    network.passes = [](const Machine& from, const Machine& to) { return from.name == "london" || to.name == "london"; };
    std::optional<net::Endpoint> relayed;
    REQUIRE(network.run_until([&] {
        const auto report = trento.node->why(key, network.now());
        for (const auto& way : report->ways)
            if (way.relay && way.used) relayed = way.path.to;
        return relayed.has_value();
    }, 120s));
    CHECK(words(*relayed) == "through london");
}
