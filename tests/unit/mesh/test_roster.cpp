#include <algorithm>
#include <catch2/catch.hpp>

#include "mesh/roster.hpp"

using namespace mesh;

namespace {

/// A cast of signers, and records by them.
struct Cast {
    net::SeededRandom random;
    net::NodeSecret root;
    net::NodeKey mesh_id;
    std::map<std::string, net::NodeSecret> secrets;
    std::map<std::string, net::TunnelKey> tunnel_keys;

    explicit Cast(std::uint64_t seed = 1) : random(seed) {
        start_crypto();
        root = make_node_secret(random);
        mesh_id = public_key(root);
    }
    const net::NodeSecret& secret(const std::string& who) {
        if (who == "root") return root;
        if (!secrets.contains(who)) {
            secrets[who] = make_node_secret(random);
            tunnel_keys[who] = public_key(make_tunnel_secret(random));
        }
        return secrets.at(who);
    }
    net::NodeKey key(const std::string& who) { return public_key(secret(who)); }
    std::string subject(const std::string& who) { return as_subject(key(who).view()); }

    Record sign(const std::string& by, RecordType type, const std::string& about, std::uint64_t sequence, const Body& body) {
        return sign_record(mesh_id, secret(by), type, about, sequence, encode(body));
    }
    Member body(const std::string& who, bool admin = false) {
        secret(who);
        Member out;
        out.name = who;
        out.tunnel_key = tunnel_keys.at(who);
        out.roles = Roles{}.with(Role::voice);
        if (admin) out.roles = out.roles.with(Role::admin);
        out.valid_from = 100;
        return out;
    }
    Record member(const std::string& by, const std::string& who, bool admin = false, std::uint64_t sequence = 1) {
        return sign(by, RecordType::member, subject(who), sequence, body(who, admin));
    }
    Record revocation(const std::string& by, const std::string& who) {
        return sign(by, RecordType::revocation, subject(who), 1, Revocation{200, ""});
    }
    Record user(const std::string& by, const std::string& aor, const User& says, std::uint64_t sequence = 1) {
        return sign(by, RecordType::user, aor, sequence, says);
    }
    Record binding(const std::string& by, const std::string& aor, std::int64_t until, std::uint64_t sequence = 1) {
        return sign(by, RecordType::bindings, subject(by) + static_cast<char>(shard_of(aor)), sequence, Bindings{{{user_id(aor), until}}});
    }
};

Roster of(Cast& cast, const std::vector<Record>& records) {
    Roster roster(cast.mesh_id);
    for (const auto& record : records) roster.add(record.wire);
    return roster;
}

net::Wall at(std::int64_t seconds) { return net::from_unix_seconds(seconds); }

std::vector<net::NodeKey> nodes_for(const Roster& roster, std::string_view aor, std::int64_t now) {
    return roster.nodes_for(aor, [&](const net::NodeKey&) { return at(now); });
}

}  // namespace

TEST_CASE("the root's and an admin's members count, a stranger's do not") {
    Cast cast;
    Roster roster(cast.mesh_id);
    CHECK(roster.add(cast.member("root", "anna", true).wire).changed);
    CHECK(roster.add(cast.member("anna", "bert").wire).changed);
    const auto forged = roster.add(cast.member("mallory", "eve").wire);
    CHECK_FALSE(forged.changed);
    CHECK(forged.refused == Refusal::not_admin);
    CHECK(text(*forged.refused).starts_with("signed by no admin of this mesh"));
    const auto by_member = roster.add(cast.member("bert", "eve").wire);
    CHECK(by_member.refused == Refusal::not_admin);
    CHECK(roster.view().by_name("bert") != nullptr);
    CHECK(roster.view().by_name("eve") == nullptr);
    CHECK(roster.entries().size() == 2);
}

TEST_CASE("only the root makes admins") {
    Cast cast;
    auto roster = of(cast, {cast.member("root", "anna", true)});
    CHECK(roster.add(cast.member("anna", "bert", true).wire).refused == Refusal::only_root);
    CHECK_FALSE(roster.view().admins.contains(cast.key("bert")));
}

TEST_CASE("an admin cannot take another admin's place or role") {
    Cast cast;
    auto roster = of(cast, {cast.member("root", "anna", true), cast.member("root", "bert", true)});
    roster.add(cast.member("bert", "anna", false, 99).wire);
    roster.add(cast.revocation("bert", "anna").wire);
    CHECK(roster.view().admins.contains(cast.key("anna")));
    CHECK(roster.view().by_name("anna")->says.roles.has(Role::admin));
    // Not by way of its tunnel key either.
    const auto tunnel = cast.sign("bert", RecordType::revocation, as_subject(cast.tunnel_keys.at("anna").view()), 1, Revocation{});
    roster.add(tunnel.wire);
    CHECK(roster.view().by_name("anna") != nullptr);
}

TEST_CASE("the highest sequence counts, an older record is refused, the same one again is nothing") {
    Cast cast;
    Roster roster(cast.mesh_id);
    auto renamed = cast.body("anna");
    renamed.name = "anna-2";
    const auto second = cast.sign("root", RecordType::member, cast.subject("anna"), 2, renamed);
    CHECK(roster.add(second.wire).changed);
    CHECK(roster.add(cast.member("root", "anna").wire).refused == Refusal::superseded);
    const auto again = roster.add(second.wire);
    CHECK_FALSE(again.changed);
    CHECK_FALSE(again.refused);
    CHECK(roster.view().by_name("anna-2") != nullptr);
}

TEST_CASE("a revoked member is out, and what it says afterwards is refused") {
    Cast cast;
    auto roster = of(cast, {cast.member("root", "anna", true), cast.member("anna", "bert")});
    CHECK(roster.add(cast.sign("bert", RecordType::node, cast.subject("bert"), 1, NodeInfo{}).wire).changed);
    CHECK(roster.add(cast.revocation("anna", "bert").wire).changed);
    CHECK(roster.view().by_name("bert") == nullptr);
    CHECK(roster.view().gone.contains(cast.key("bert")));
    CHECK(roster.add(cast.sign("bert", RecordType::node, cast.subject("bert"), 2, NodeInfo{}).wire).refused == Refusal::revoked);
    // For good: no later record brings the key back.
    roster.add(cast.member("root", "bert", false, 50).wire);
    CHECK(roster.view().by_name("bert") == nullptr);
}

TEST_CASE("what a revoked admin signed falls, but for what the root has signed anew") {
    Cast cast;
    auto roster = of(cast, {cast.member("root", "anna", true), cast.member("anna", "bert"), cast.member("anna", "carl"),
                            cast.user("anna", "bob@acme.example", User{})});
    roster.add(cast.member("root", "bert", false, 2).wire);
    roster.add(cast.revocation("root", "anna").wire);
    CHECK(roster.view().by_name("anna") == nullptr);
    CHECK(roster.view().by_name("bert") != nullptr);
    CHECK(roster.view().by_name("carl") == nullptr);
    CHECK(roster.view().users.empty());
    CHECK(roster.add(cast.member("anna", "dora").wire).refused == Refusal::revoked);
}

TEST_CASE("of two claims to one name or address the earlier wins, the other node keeps its place") {
    Cast cast;
    auto first = cast.body("anna"), second = cast.body("bert");
    first.name = second.name = "trento";
    first.addresses = second.addresses = {net::IpAddress::v4(10, 73, 0, 1)};
    second.valid_from = first.valid_from + 1;
    auto roster = of(cast, {cast.sign("root", RecordType::member, cast.subject("bert"), 9, second),
                            cast.sign("root", RecordType::member, cast.subject("anna"), 1, first)});
    CHECK(roster.view().by_name("trento")->key == cast.key("anna"));
    CHECK(roster.view().by_address(net::IpAddress::v4(10, 73, 0, 1))->key == cast.key("anna"));
    const auto* loser = roster.view().member(cast.key("bert"));
    REQUIRE(loser != nullptr);
    CHECK(loser->says.addresses.empty());
    CHECK(loser->says.name.starts_with("trento-"));
}

TEST_CASE("a second node under a tunnel key that is taken is none") {
    Cast cast;
    auto thief = cast.body("bert");
    thief.tunnel_key = cast.body("anna").tunnel_key;
    thief.valid_from = 101;
    auto roster = of(cast, {cast.sign("root", RecordType::member, cast.subject("bert"), 1, thief), cast.member("root", "anna")});
    CHECK(roster.view().members.size() == 1);
    CHECK(roster.view().by_tunnel_key(thief.tunnel_key)->key == cast.key("anna"));
}

TEST_CASE("a binding counts only from a voice node that the user's record allows") {
    Cast cast;
    User bob;
    bob.nodes = {cast.key("munich")};
    auto roster = of(cast, {cast.member("root", "munich"), cast.member("root", "trento"), cast.user("root", "bob@acme.example", bob)});
    roster.add(cast.binding("munich", "bob@acme.example", 1000).wire);
    roster.add(cast.binding("trento", "bob@acme.example", 1000).wire);
    roster.add(cast.binding("munich", "nobody@acme.example", 1000).wire);
    CHECK(nodes_for(roster, "bob@acme.example", 500) == std::vector{cast.key("munich")});
    CHECK(nodes_for(roster, "bob@acme.example", 1000).empty());
    CHECK(nodes_for(roster, "nobody@acme.example", 500).empty());
    CHECK_FALSE(roster.may_bind(cast.key("trento"), "bob@acme.example"));
    auto deaf = cast.body("munich");
    deaf.roles = {};
    roster.add(cast.sign("root", RecordType::member, cast.subject("munich"), 2, deaf).wire);
    CHECK(nodes_for(roster, "bob@acme.example", 500).empty());
}

TEST_CASE("a node speaks only for itself") {
    Cast cast;
    auto roster = of(cast, {cast.member("root", "munich"), cast.member("root", "trento")});
    CHECK(roster.add(cast.sign("munich", RecordType::node, cast.subject("trento"), 9, NodeInfo{}).wire).refused == Refusal::not_its_own);
    const auto shard = cast.subject("trento") + '\x01';
    CHECK(roster.add(cast.sign("munich", RecordType::bindings, shard, 9, Bindings{}).wire).refused == Refusal::not_its_own);
    CHECK(roster.add(cast.user("munich", "boss@acme.example", User{}).wire).refused == Refusal::not_admin);
    CHECK(roster.entries().size() == 2);
}

TEST_CASE("a record that was signed here is merged as any other, and its signature is not looked at again") {
    Cast cast;
    auto roster = of(cast, {cast.member("root", "munich")});
    auto record = cast.sign("munich", RecordType::node, cast.subject("munich"), 2, NodeInfo{});
    record.wire.back() ^= std::byte{1};
    CHECK(roster.add(record.wire).refused == Refusal::bad_signature);
    const auto added = roster.add_own(record);
    CHECK(added.changed);
    CHECK(added.key == record.key);
    CHECK(roster.find(record.key)->wire == record.wire);
    CHECK_FALSE(roster.add_own(record).changed);
    CHECK(roster.add_own(cast.sign("munich", RecordType::node, cast.subject("munich"), 1, NodeInfo{})).refused == Refusal::superseded);
    CHECK(roster.add_own(cast.sign("munich", RecordType::node, cast.subject("trento"), 9, NodeInfo{})).refused == Refusal::not_its_own);
    CHECK(roster.add_own(cast.sign("trento", RecordType::node, cast.subject("trento"), 9, NodeInfo{})).refused == Refusal::not_member);
}

TEST_CASE("of two users with one number the first has it") {
    Cast cast;
    User bob, eve;
    bob.numbers = eve.numbers = {"201"};
    bob.since = 5;
    eve.since = 6;
    auto roster = of(cast, {cast.user("root", "eve@acme.example", eve), cast.user("root", "bob@acme.example", bob)});
    CHECK(roster.view().numbers.at("201") == "bob@acme.example");
    CHECK(roster.view().users.at("eve@acme.example").says.numbers.empty());
}

TEST_CASE("an invitation is spent by the member record that names it, and stays spent when that member is out") {
    Cast cast;
    const auto token = public_key(make_tunnel_secret(cast.random));
    Invitation says{"munich", {}, {}, 1000, cast.mesh_id};
    auto roster = of(cast, {cast.sign("root", RecordType::invitation, as_subject(token.view()), 1, says)});
    CHECK_FALSE(roster.view().invitations.at(token).spent_by);
    auto munich = cast.body("munich");
    munich.invitation = token;
    roster.add(cast.sign("root", RecordType::member, cast.subject("munich"), 1, munich).wire);
    CHECK(roster.view().invitations.at(token).spent_by == cast.key("munich"));
    roster.add(cast.revocation("root", "munich").wire);
    CHECK(roster.view().invitations.at(token).spent_by == cast.key("munich"));
}

TEST_CASE("a member expires only under a clock that is trusted, and is never too early") {
    Cast cast;
    auto body = cast.body("anna");
    body.valid_from = 5000;
    body.valid_until = 6000;
    auto roster = of(cast, {cast.sign("root", RecordType::member, cast.subject("anna"), 1, body)});
    CHECK_FALSE(roster.view().by_name("anna")->expired);
    roster.set_time(at(10));
    CHECK_FALSE(roster.view().by_name("anna")->expired);
    roster.set_time(at(6001));
    CHECK(roster.view().by_name("anna")->expired);
    roster.set_time(std::nullopt);
    CHECK_FALSE(roster.view().by_name("anna")->expired);
}

TEST_CASE("a signer's records are bounded, and which are kept does not depend on who came first") {
    Cast cast;
    std::vector<Record> all;
    for (int i = 0; i < 12; ++i) all.push_back(cast.user("root", "u" + std::to_string(i) + "@acme.example", User{}));
    Roster::Bounds bounds;
    bounds.users = 5;
    Roster forward(cast.mesh_id, bounds), backward(cast.mesh_id, bounds);
    std::size_t refused = 0;
    for (const auto& record : all) refused += forward.add(record.wire).refused == Refusal::too_many ? 1 : 0;
    for (auto record = all.rbegin(); record != all.rend(); ++record) backward.add(record->wire);
    CHECK(forward.entries().size() == 5);
    CHECK(refused > 0);
    CHECK(forward.summary() == backward.summary());
    CHECK(forward.view() == backward.view());
}

TEST_CASE("records of strangers wait in bounded space and change nothing") {
    Cast cast;
    Roster::Bounds bounds;
    bounds.waiting = 8;
    bounds.waiting_of_one = 4;
    Roster roster(cast.mesh_id, bounds);
    for (int i = 0; i < 20; ++i) roster.add(cast.user("anna", "u" + std::to_string(i) + "@acme.example", User{}).wire);
    CHECK(roster.entries().empty());
    CHECK_FALSE(roster.take_view_changed());
    roster.add(cast.member("root", "anna", true).wire);
    CHECK(roster.view().users.size() == 4);
}

TEST_CASE("what changed is told once, for the store") {
    Cast cast;
    Roster roster(cast.mesh_id);
    roster.add(cast.member("root", "anna", true).wire);
    roster.add(cast.member("anna", "bert").wire);
    CHECK(roster.take_changed().size() == 2);
    CHECK(roster.take_changed().empty());
    roster.add(cast.revocation("root", "anna").wire);
    const auto changed = roster.take_changed();
    CHECK(changed.size() == 2);  // the revocation, and bert's record, which is dropped
    CHECK(std::count_if(changed.begin(), changed.end(), [&](const auto& key) { return roster.find(key) == nullptr; }) == 1);
}

// The model: what ARCHITECTURE says, in the plainest way, over all records at once.
namespace {

std::set<std::string> model_members(Cast& cast, const std::vector<Record>& all) {
    const auto signed_by = [&](const std::string& who) { return cast.key(who); };
    const auto highest = [&](RecordType type, const std::string& subject, const net::NodeKey& signer) -> const Record* {
        const Record* best = nullptr;
        for (const auto& record : all)
            if (record.key == RecordKey{type, subject, signer} && (best == nullptr || record.newer_than(*best))) best = &record;
        return best;
    };
    const auto root = signed_by("root");
    const auto root_revokes = [&](const std::string& subject) { return highest(RecordType::revocation, subject, root) != nullptr; };
    const auto is_admin = [&](const net::NodeKey& who) {
        const auto* record = highest(RecordType::member, as_subject(who.view()), root);
        return record != nullptr && std::get<Member>(*decode(record->key, record->body())).roles.has(Role::admin) &&
               !root_revokes(as_subject(who.view()));
    };
    const auto counts = [&](const net::NodeKey& signer) { return signer == root || is_admin(signer); };
    std::set<std::string> out;
    for (const auto& record : all) {
        if (record.key.type != RecordType::member) continue;
        const auto subject = *node_key(record.key.subject);
        bool revoked = root_revokes(record.key.subject);
        for (const auto& other : all)
            if (other.key.type == RecordType::revocation && other.key.subject == record.key.subject && is_admin(other.key.signer) &&
                !is_admin(subject))
                revoked = true;
        const Record* best = nullptr;
        for (const auto& other : all) {
            if (other.key.type != RecordType::member || other.key.subject != record.key.subject || !counts(other.key.signer)) continue;
            if (is_admin(subject) && other.key.signer != root) continue;
            const auto* top = highest(RecordType::member, other.key.subject, other.key.signer);
            if (best == nullptr || top->newer_than(*best)) best = top;
        }
        if (best == nullptr || revoked) continue;
        out.insert(std::get<Member>(*decode(best->key, best->body())).name + "/" + std::to_string(best->sequence));
    }
    return out;
}

}  // namespace

TEST_CASE("any order and any grouping of arrival gives one roster and one view, that of the model") {
    const auto seed = GENERATE(range<std::uint64_t>(1, 41));
    CAPTURE(seed);
    Cast cast(seed);
    const std::vector<std::string> people{"anna", "bert", "carl", "dora", "emil"};
    std::vector<Record> all;
    for (int i = 0; i < 30; ++i) {
        const auto pick = [&](std::uint64_t bound) { return cast.random.below(bound); };
        const auto& who = people[pick(people.size())];
        const auto by = pick(2) == 0 ? std::string("root") : people[pick(people.size())];
        const auto sequence = 1 + pick(3);
        switch (pick(8)) {
            case 0:
            case 1:
            case 2: all.push_back(cast.member(by, who, by == "root" && pick(2) == 0, sequence)); break;
            case 3: all.push_back(cast.member("root", who, true, sequence)); break;
            case 4: all.push_back(cast.revocation(by, who)); break;
            case 5: {
                User user;
                user.since = static_cast<std::int64_t>(pick(4));
                user.numbers = {std::to_string(200 + pick(3))};
                user.any_node = true;
                all.push_back(cast.user(by, who + "@acme.example", user, sequence));
                break;
            }
            case 6: all.push_back(cast.sign(who, RecordType::node, cast.subject(who), sequence, NodeInfo{{}, 1, {}})); break;
            default: all.push_back(cast.binding(who, who + "@acme.example", 1000, sequence)); break;
        }
    }
    std::optional<Roster> reference;
    for (int round = 0; round < 6; ++round) {
        auto shuffled = all;
        for (std::size_t i = shuffled.size(); i > 1; --i) std::swap(shuffled[i - 1], shuffled[cast.random.below(i)]);
        for (std::size_t i = 0; i < 5; ++i) shuffled.push_back(shuffled[cast.random.below(shuffled.size())]);  // and some twice
        Roster roster(cast.mesh_id);
        for (std::size_t begin = 0; begin < shuffled.size();) {
            const std::size_t size = std::min<std::size_t>(round == 0 ? 1 : 1 + cast.random.below(6), shuffled.size() - begin);
            std::vector<net::Bytes> group;
            for (std::size_t i = 0; i < size; ++i) group.push_back(shuffled[begin + i].wire);
            roster.add_all(group);
            begin += size;
        }
        if (!reference) {
            reference.emplace(std::move(roster));
            std::set<std::string> members;
            for (const auto& [key, member] : reference->view().members)
                members.insert(member.says.name + "/" + std::to_string(reference->counting(RecordType::member, as_subject(key.view()))->sequence));
            CHECK(members == model_members(cast, all));
            continue;
        }
        std::vector<Hash> mine, theirs;
        for (const auto& [_, entry] : roster.entries()) mine.push_back(entry.record.id);
        for (const auto& [_, entry] : reference->entries()) theirs.push_back(entry.record.id);
        CHECK(mine == theirs);
        CHECK(roster.view() == reference->view());
        CHECK(roster.summary() == reference->summary());
    }
}
