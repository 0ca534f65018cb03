// How a node fares whose own membership no longer counts.
#include <algorithm>

#include "mesh_in_memory.hpp"

using namespace mesh;
using namespace mesh::testing;

namespace {

/// Trento made the mesh and has made munich an admin; while trento is away munich lets the laptop in; trento, which has
/// not heard of the laptop, revokes munich. So nobody signs anew what stood for the laptop.
struct Orphaned : Network {
    Machine &trento, &munich, &london, &laptop;
    explicit Orphaned(std::uint64_t seed)
        : Network(seed),
          trento(create("trento")),
          munich(invite_and_join(trento, "munich", admin())),
          london(invite_and_join(trento, "london")),
          laptop(invite_behind_its_back()) {
        cut_ = false;
        REQUIRE(run_until([&] { return laptop.node->standing() != Standing::member; }, 60s));
        run(10s);
    }
    static InviteRequest admin() {
        InviteRequest request;
        request.admin = true;
        return request;
    }
    /// What trento would sign to let the laptop in again, as if it had known it.
    Record signed_again() const {
        const auto& identity = *trento.identity;
        return sign_record(identity.mesh_id, *identity.root_secret, RecordType::member,
                           as_subject(laptop.node->key().view()), 7, encode(Body(laptop.node->self().says)));
    }
    bool laptop_is_back() {
        return laptop.node->standing() == Standing::member && all_up({"trento", "london", "laptop"});
    }

private:
    Machine& invite_behind_its_back() {
        REQUIRE(run_until([&] { return all_up({"trento", "munich", "london"}); }, 10s));
        cut_ = true;
        passes = [this](const Machine& a, const Machine& b) { return !cut_ || (a.name != "trento" && b.name != "trento"); };
        auto& out = invite_and_join(munich, "laptop");
        REQUIRE(run_until([&] { return all_up({"munich", "london", "laptop"}); }, 10s));
        REQUIRE(trento.node->revoke("munich", now()));
        drain(trento);
        return out;
    }
    bool cut_ = false;
};

}  // namespace

TEST_CASE("a running node whose admin is revoked without signing anew knows that it is out, and why") {
    Orphaned offices(200);
    auto& node = *offices.laptop.node;
    CHECK(node.standing() == Standing::unvouched);
    CHECK(node.self().says.name == "laptop");
    CHECK(node.name_of(node.self().signer) == "munich");
    CHECK(offices.london.node->view().by_name("laptop") == nullptr);
    CHECK_FALSE(node.is_up(offices.london.node->key()));
    CHECK_FALSE(node.is_admin());
    CHECK(offices.laptop.count<StandingChanged>() == 1);
    CHECK(node.device().routes.size() == 2);  // the mesh's own addresses alone
}

TEST_CASE("a node whose own record no longer counts starts, says why, and admits nobody's packets") {
    Orphaned offices(201);
    offices.crash(offices.laptop);
    offices.laptop.events.clear();
    offices.start(offices.laptop);
    auto& node = *offices.laptop.node;
    CHECK(node.standing() == Standing::unvouched);
    CHECK(node.self().says.name == "laptop");
    CHECK(node.self().says.addresses.size() == 2);
    CHECK(node.name_of(node.self().signer) == "munich");
    CHECK(offices.laptop.count<StandingChanged>() == 1);
    CHECK(offices.laptop.count<Refused>() == 0);
    // Somebody who has not heard yet sends it packets: they are not for a node that is no member.
    offices.run(30s);
    CHECK_FALSE(node.is_up(offices.london.node->key()));
    const auto table = node.table();
    CHECK(std::all_of(table->peers.begin(), table->peers.end(), [](const auto& peer) { return !peer || !peer->carries_ip; }));
}

TEST_CASE("a node whose record is signed again goes on without a restart, and after one") {
    Orphaned offices(202);
    const auto restarted = GENERATE(false, true);
    if (restarted) {
        offices.crash(offices.laptop);
        offices.start(offices.laptop);
    }
    offices.crash(offices.trento);
    offices.store(offices.trento, {offices.signed_again().wire});
    offices.start(offices.trento);
    CHECK(offices.run_until([&] { return offices.laptop_is_back(); }, 60s));
    CHECK(offices.run_until([&] { return offices.same_view({"trento", "london", "laptop"}); }, 30s));
    CHECK(offices.london.node->view().by_name("laptop")->node);  // what it says of itself counts again
    // What did not count any more goes from the disk, and nothing is wrong with what stays.
    offices.crash(offices.laptop);
    offices.start(offices.laptop);
    offices.crash(offices.laptop);
    offices.laptop.events.clear();
    offices.start(offices.laptop);
    CHECK(offices.laptop.node->standing() == Standing::member);
    CHECK(offices.laptop.node->self().signer == offices.trento.identity->mesh_id);
    const auto stored = offices.laptop.stored();
    const auto about_it = std::count_if(stored.begin(), stored.end(), [&](const net::Bytes& wire) {
        const auto record = std::get<Record>(open_record(offices.laptop.identity->mesh_id, wire));
        return record.key.type == RecordType::member &&
               record.key.subject == as_subject(offices.laptop.node->key().view());
    });
    CHECK(about_it == 1);
}

TEST_CASE("a revoked node starts, and knows its name and that it is out") {
    Orphaned offices(203);
    REQUIRE(offices.trento.node->revoke("london", offices.now()));
    REQUIRE(offices.run_until([&] { return offices.london.node->standing() == Standing::revoked; }, 5s));
    offices.crash(offices.london);
    offices.start(offices.london);
    CHECK(offices.london.node->standing() == Standing::revoked);
    CHECK(offices.london.node->self().says.name == "london");
    CHECK(offices.trento.node->name_of(offices.london.node->key()) == "london");
    CHECK(offices.london.count<StandingChanged>() == 2);
}

TEST_CASE("a peer that goes down is named, also when it has been put out") {
    Orphaned offices(204);
    REQUIRE(offices.trento.node->revoke("london", offices.now()));
    offices.drain(offices.trento);
    const auto& events = offices.trento.events;
    CHECK(std::any_of(events.begin(), events.end(), [](const NodeEvent& event) {
        const auto* down = std::get_if<PeerDown>(&event);
        return down != nullptr && down->name == "london";
    }));
}
