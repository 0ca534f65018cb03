#include "meshd/credentials.hpp"
#include "meshd/mesh_directory.hpp"
#include "tests/unit/mesh/mesh_in_memory.hpp"

using namespace mesh;
using namespace mesh::testing;

namespace {

UserRequest bob(const std::string& password) {
    UserRequest out;
    out.aor = "bob@acme.internal";
    out.credentials = meshd::make_credentials(out.aor, "acme.internal", password);
    return out;
}

}  // namespace

TEST_CASE("a user's password is that of the roster now, however often it was asked for before") {
    Network network(1);
    auto& trento = network.create("trento");
    const auto now = network.now();
    meshd::MeshDirectory directory(*trento.node, now);
    const auto expected = [](const std::string& password) {
        return meshd::read_credentials("bob@acme.internal", bob(password).credentials)->ha1_md5;
    };
    CHECK_FALSE(directory.user("bob@acme.internal"));
    for (const std::string password : {"one", "two", "one"}) {
        REQUIRE(trento.node->put_user(bob(password), network.now()));
        for (int i = 0; i < 3; ++i) {
            const auto user = directory.user("bob@acme.internal");
            REQUIRE(user);
            CHECK(user->realm == "acme.internal");
            CHECK(user->ha1_md5 == expected(password));
        }
        directory.roster_changed();
        CHECK(directory.user("bob@acme.internal")->ha1_md5 == expected(password));
    }
    auto without = bob("one");
    without.credentials.clear();
    REQUIRE(trento.node->put_user(without, network.now()));
    CHECK(directory.user("bob@acme.internal")->ha1_md5.empty());
    REQUIRE(trento.node->remove_user("bob@acme.internal", network.now()));
    CHECK_FALSE(directory.user("bob@acme.internal"));
}
