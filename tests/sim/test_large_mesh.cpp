#include <catch2/catch.hpp>

#include "tests/sim/world.hpp"

using namespace std::chrono_literals;
using sim::Host;
using sim::World;

namespace {

#ifdef __OPTIMIZE__
constexpr int kOffices = 50;
#else
constexpr int kOffices = 12;  // what is built without optimisation, for the sanitizers, takes thirty times as long
#endif
constexpr int kUsersOfEach = 5;

/// Offices in one mesh, all tunnels up, each with its users' phones bound there. They come to the same roster apart from
/// each other first: what it costs to grow a mesh one by one is not what is looked at here.
struct LargeMesh {
    explicit LargeMesh(std::uint64_t seed) : world(seed) {
        for (int i = 0; i < kOffices; ++i) {
            const auto name = "office" + std::to_string(i), address = "192.0.2." + std::to_string(i + 1);
            offices.push_back(i == 0 ? &world.found(name, address) : &world.join(name, address, *offices[0]));
            if (i > 0) offices[static_cast<std::size_t>(i)]->crash();
        }
        for (int i = 0; i < kOffices * kUsersOfEach; ++i) {
            mesh::UserRequest user;
            user.aor = aor(i);
            user.nodes = {office_of(i).name};
            if (const auto put = offices[0]->node().put_user(user, world.now()); !put) throw std::runtime_error(put.error().message);
        }
        world.run_for(2s);  // until it has turned and its disk has them
        offices[0]->crash();
        share_records();
        world.partition({{}});
        run_all();
        world.run_for(500ms);
        for (auto* office : offices) office->crash();
        share_records();
        for (auto* office : offices) {
            office->disk.endpoints.clear();
            for (auto* other : offices)
                if (other != office) office->disk.endpoints.emplace_back(keys.at(other), net::Endpoint{other->address, 51820});
        }
        world.heal();
        run_all();
    }

    static std::string aor(int user) { return "user" + std::to_string(user) + "@acme.example"; }
    Host& office_of(int user) { return *offices[static_cast<std::size_t>(user / kUsersOfEach)]; }
    bool finds_everybody(const Host& host, const mesh::Node& node) {
        for (int i = 0; i < kOffices * kUsersOfEach; ++i)
            if (node.nodes_for(aor(i), world.now().wall) != std::vector{keys.at(&office_of(i))}) return false;
        return host.running();
    }

    World world;
    std::vector<Host*> offices;
    std::map<const Host*, net::NodeKey> keys;

private:
    /// What anybody has on his disk, everybody has.
    void share_records() {
        std::map<net::Bytes, net::Bytes> all = offices[0]->disk.records;
        for (const auto* office : offices)
            if (office != offices[0]) all.insert(office->disk.records.begin(), office->disk.records.end());
        for (auto* office : offices) office->disk.records = all;
    }
    void run_all() {
        if (!phones_until) phones_until = net::unix_seconds(world.now().wall) + 600;
        for (auto* office : offices) {
            office->start();
            keys[office] = office->node().key();
        }
        for (int i = 0; i < kOffices * kUsersOfEach; ++i) office_of(i).node().set_binding(aor(i), phones_until, world.now());
    }
    std::optional<std::int64_t> phones_until;
};

}  // namespace

TEST_CASE("a fresh node with one bootstrap address finds every user of fifty offices within five seconds") {
    LargeMesh mesh(3);
    auto& world = mesh.world;
    REQUIRE(world.run_until([&] { return world.full_mesh(); }, 10s));
    world.run_for(2s);
    REQUIRE(world.same_rosters());
    REQUIRE(mesh.finds_everybody(*mesh.offices[0], mesh.offices[0]->node()));

    world.weather = {20ms, 10ms, 0.01};
    mesh::InviteRequest request;
    request.name = "laptop";
    auto token = mesh.offices[0]->node().invite(request, world.now());
    REQUIRE(token);
    world.run_for(1s);
    auto& bootstrap = *mesh.offices[kOffices / 2];  // no admin
    token->contacts = {{bootstrap.node().self().says.tunnel_key, {bootstrap.address, 51820}}};
    auto& laptop = world.add_host("laptop", "192.0.2.200");
    REQUIRE(world.join_with(laptop, token->text()) == std::nullopt);

    std::size_t received = 0;  // by it, on the wire
    world.tap = [&](const auto&, const net::Endpoint& to, net::ByteView bytes) {
        if (to.address == laptop.address) received += bytes.size();
    };
    const auto joined = world.now().steady;
    while (!mesh.finds_everybody(laptop, laptop.node()) && world.now().steady < joined + 30s) world.run_for(10ms);
    const auto took_ms = std::chrono::duration_cast<std::chrono::milliseconds>(world.now().steady - joined).count();
    WARN("all users of " << kOffices << " offices found " << took_ms << " ms after joining, " << received / 1000 << " kB received");
    CHECK(took_ms <= 5000);
}
