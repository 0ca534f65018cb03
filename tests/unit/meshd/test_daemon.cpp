// The daemon on real ground, as far as that needs no privilege: it is in no mesh yet.
#include "meshd/daemon.hpp"

#include <catch2/catch.hpp>

#include "loop/system_random.hpp"
#include "scratch.hpp"

using namespace std::chrono_literals;

TEST_CASE("to join on a port that another program has is refused at once, with the port and what to change") {
    const auto* const any = GENERATE("0.0.0.0", "::");
    auto other = loop::Datagram::open({*net::IpAddress::parse(any), 0});
    REQUIRE(other);
    Scratch scratch;
    loop::SystemRandom random;
    meshd::Config config;
    config.listen_port = other->local().port;
    meshd::Daemon daemon(config, {scratch.path("state"), scratch.path("control.sock")}, random);

    mesh::Token token;
    random.fill(token.secret.fill());
    token.mesh_id = mesh::public_key(mesh::make_node_secret(random));
    token.expires = net::unix_seconds(daemon.loop().now().wall) + 3600;
    token.contacts.push_back({mesh::public_key(mesh::make_tunnel_secret(random)), {net::IpAddress::v4(192, 0, 2, 1), 51820}});
    std::string why;
    const auto began = daemon.loop().now().steady;
    daemon.join(
        token, [](const std::string&) {},
        [&](const net::Result<void>& done) {
            why = done ? "it was admitted" : done.error().message;
            daemon.loop().stop();
        });
    loop::Timer give_up(daemon.loop(), [&] { daemon.loop().stop(); });
    give_up.after(20s);
    daemon.run();
    CHECK(why.find("UDP port " + std::to_string(config.listen_port)) != std::string::npos);
    CHECK(why.find("listen_port") != std::string::npos);
    CHECK_FALSE(daemon.is_joining());
    CHECK(daemon.loop().now().steady - began < mesh::Joiner::kGiveUpAfter);
}
