/// Whole nodes with phones behind them: what the proxy decides stands on what the roster says, over tunnels that come
/// and go, through crashes and cuts.
#include <catch2/catch.hpp>

#include "meshd/credentials.hpp"
#include "tests/sim/face.hpp"
#include "tests/unit/voice/desk_phone.hpp"
#include "tests/unit/voice/scripted_centre.hpp"
#include "tests/unit/voice/scripted_phone.hpp"

using namespace std::chrono_literals;

namespace {

constexpr auto kCallSlice = 1ms;

/// alice in trento, bob in munich, carol in london; a centre that wants passwords, unless there is none.
struct Offices {
    using Change = std::function<void(const std::string& node, voice::ProxySettings&)>;
    explicit Offices(std::uint64_t seed, bool with_centre = true, const Change& change = {}) : mesh(seed), line(seed) {
        trento = &mesh.found("trento", "192.0.2.1");
        munich = &mesh.join("munich", "192.0.2.2", *trento);
        london = &mesh.join("london", "192.0.2.3", *trento);
        for (auto* node : mesh.hosts()) {
            voice::ProxySettings settings;
            settings.domain = "acme.example";
            settings.phones = {*net::Prefix::parse("10.0.0.0/8")};
            if (with_centre) settings.centre = voice::Centre{voice::Transport::udp, centre.at};
            if (change) change(node->name, settings);
            node->voice = settings;
            node->crash();
            node->start();
            faces.push_back(std::make_unique<sim::Face>(line, *node));
        }
        for (const auto* user : {"alice", "bob", "carol"}) centre.passwords[user] = "secret";
        if (!with_centre) centre.alive = false;
        add_user("alice", "trento");
        add_user("bob", "munich");
        add_user("carol", "london");
        line.now = mesh.now();
        REQUIRE(until([&] { return mesh.full_mesh() && mesh.same_rosters(); }, 10s));
        for (auto* phone : {&alice, &bob, &carol}) phone->register_now();
        run(3s);
    }

    void add_user(const std::string& name, const std::string& node, const std::string& password = {}) {
        mesh::UserRequest user;
        user.aor = name + "@acme.example";
        user.nodes = {node};
        if (!password.empty()) user.credentials = meshd::make_credentials(user.aor, "acme.example", password);
        REQUIRE(trento->node().put_user(user, mesh.now()));
    }
    /// Both worlds on, in step.
    void run(net::Duration time) {
        until([] { return false; }, time);
    }
    bool until(const std::function<bool()>& holds, net::Duration limit) {
        return sim::run_until(mesh, line, kCallSlice, limit, holds);
    }
    std::string mode(sim::Host& node) { return node.core().proxy()->voice().mode; }
    bool all_in(const std::string& wanted) {
        return mode(*trento) == wanted && mode(*munich) == wanted && mode(*london) == wanted;
    }
    bool rings(test::Phone& phone, net::Duration limit) {
        const auto before = phone.count("INVITE", 180);
        return until([&] { return phone.count("INVITE", 180) > before; }, limit);
    }
    bool quiet() {
        for (auto* node : {trento, munich, london}) {
            if (!node->core().proxy()->calls().empty() || node->media.open_relays() != 0) return false;
        }
        return true;
    }

    sim::World mesh;
    test::World line;
    test::ScriptedCentre centre{line, *net::Endpoint::parse("198.51.100.1:5060")};
    sim::Host *trento, *munich, *london;
    std::vector<std::unique_ptr<sim::Face>> faces;
    test::Phone alice{line, "alice", *net::Endpoint::parse("10.1.0.10:5060"), *net::Endpoint::parse("192.0.2.1:5060")};
    test::Phone bob{line, "bob", *net::Endpoint::parse("10.2.0.10:5060"), *net::Endpoint::parse("192.0.2.2:5060")};
    test::Phone carol{line, "carol", *net::Endpoint::parse("10.3.0.10:5060"), *net::Endpoint::parse("192.0.2.3:5060")};
};

}  // namespace

TEST_CASE("phones register through their nodes, and calls go through the centre") {
    Offices offices(1);
    CHECK(offices.all_in("central"));
    CHECK(offices.centre.contacts("bob").size() == 1);
    CHECK(offices.trento->node().nodes_for("bob@acme.example", offices.mesh.now().wall).size() == 1);
    offices.alice.call("sip:bob@acme.example");
    REQUIRE(offices.rings(offices.alice, 1s));
    offices.run(2s);
    CHECK(offices.alice.in_call());
    CHECK(offices.trento->core().proxy()->calls().front().path == "central");
    offices.alice.hang_up();
    offices.run(40s);
    CHECK_FALSE(offices.bob.in_call());
    CHECK(offices.quiet());
}

TEST_CASE("when the centre dies it is known within six seconds, and the same numbers ring over the mesh") {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        CAPTURE(seed);
        Offices offices(seed);
        offices.centre.alive = false;
        REQUIRE(offices.until([&] { return offices.all_in("island"); }, 6100ms));
        offices.alice.call("sip:bob@acme.example");
        CHECK(offices.rings(offices.alice, 300ms));
        offices.run(2s);
        CHECK(offices.alice.in_call());
        CHECK(offices.bob.in_call());
        CHECK(offices.trento->core().proxy()->calls().front().path == "mesh");
        offices.bob.hang_up();
        offices.run(40s);
        CHECK_FALSE(offices.alice.in_call());
        CHECK(offices.quiet());
    }
}

TEST_CASE("a call placed before the outage can be known rings within a second and a half, through lossy tunnels too") {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        CAPTURE(seed);
        Offices offices(seed);
        offices.mesh.weather = {20ms, 5ms, 0.05};
        offices.centre.alive = false;
        offices.run(std::chrono::milliseconds(100 * seed));
        offices.alice.call("sip:carol@acme.example");
        CHECK(offices.rings(offices.alice, 2s));
        offices.run(3s);
        CHECK(offices.alice.in_call());
        CHECK(offices.carol.count("INVITE") == 1);
        offices.alice.hang_up();
        offices.run(40s);
        CHECK_FALSE(offices.carol.in_call());
    }
}

TEST_CASE("when the centre is back, registrations and calls go through it again, and no call was dropped") {
    Offices offices(3);
    offices.centre.alive = false;
    REQUIRE(offices.until([&] { return offices.all_in("island"); }, 7s));
    offices.alice.call("sip:bob@acme.example");
    REQUIRE(offices.rings(offices.alice, 1s));
    offices.run(90s);
    offices.centre.forget();
    offices.centre.alive = true;
    const auto back = [&] {
        return offices.all_in("central") && !offices.centre.contacts("alice").empty() &&
               !offices.centre.contacts("bob").empty() && !offices.centre.contacts("carol").empty();
    };
    CHECK(offices.until(back, 90s));
    CHECK(offices.alice.in_call());
    CHECK(offices.bob.in_call());
    offices.alice.hang_up();
    offices.run(1s);
    CHECK_FALSE(offices.bob.in_call());
    offices.carol.call("sip:alice@acme.example");
    CHECK(offices.rings(offices.carol, 1s));
    offices.run(1s);
    CHECK(offices.london->core().proxy()->calls().front().path == "central");
}

TEST_CASE("a node that crashed in an outage knows its phones when it is up again") {
    Offices offices(4);
    offices.centre.alive = false;
    REQUIRE(offices.until([&] { return offices.all_in("island"); }, 7s));
    offices.run(30s);
    offices.munich->crash();
    offices.run(2s);
    offices.munich->start();
    const auto reachable = [&] {
        return !offices.trento->node().nodes_for("bob@acme.example", offices.mesh.now().wall).empty() &&
               offices.trento->peers_up() == 2;
    };
    REQUIRE(offices.until(reachable, 5s));
    offices.alice.call("sip:bob@acme.example");
    CHECK(offices.rings(offices.alice, 8s));
}

TEST_CASE("a binding does not count at a node where the user may not register") {
    Offices offices(5);
    offices.add_user("carol", "trento");  // no longer london's
    offices.run(2s);
    CHECK(offices.trento->node().nodes_for("carol@acme.example", offices.mesh.now().wall).empty());
    offices.centre.alive = false;
    REQUIRE(offices.until([&] { return offices.all_in("island"); }, 7s));
    offices.alice.call("sip:carol@acme.example");
    offices.run(10s);
    CHECK(offices.carol.count("INVITE") == 0);
    CHECK_FALSE(offices.alice.in_call());
}

TEST_CASE("where DNS has died with the centre the first caller of a number, too, reaches another office's trunk at once") {
    const auto at = *net::Endpoint::parse("198.51.100.7:5060");
    // Nobody here answers what a proxy wants to know of DNS.
    Offices offices(1, true, [&](const std::string& node, voice::ProxySettings& settings) {
        if (node != "trento") return;
        voice::TrunkSettings trunk;
        trunk.name = "line";
        trunk.server = *voice::Uri::parse("sip:" + at.text());
        settings.trunks = {trunk};
    });
    test::Phone gateway(offices.line, "gateway", at, *net::Endpoint::parse("192.0.2.1:5060"));
    gateway.domain = at.address.text();
    offices.centre.alive = false;
    REQUIRE(offices.until([&] { return offices.all_in("island"); }, 6100ms));
    REQUIRE(offices.until([&] { return offices.london->core().other_trunks().size() == 1; }, 60s));
    offices.run(voice::Names::kPatience);
    offices.carol.call("sip:+442079460148@acme.example");
    CHECK(offices.rings(offices.carol, 300ms));
    offices.run(2s);
    offices.carol.hang_up();
    offices.run(30s);
    offices.carol.call("sip:+442079460149@acme.example");
    CHECK(offices.rings(offices.carol, 300ms));
    offices.run(2s);
    CHECK(gateway.in_call());
    offices.carol.hang_up();
    offices.run(40s);
    CHECK(offices.quiet());
}

TEST_CASE("phones of a revoked office can neither call nor be called over the mesh") {
    Offices offices(6);
    offices.centre.alive = false;
    REQUIRE(offices.until([&] { return offices.all_in("island"); }, 7s));
    REQUIRE(offices.trento->node().revoke("london", offices.mesh.now()));
    offices.run(2s);
    offices.alice.call("sip:carol@acme.example");
    offices.carol.call("sip:bob@acme.example");
    offices.run(10s);
    CHECK(offices.carol.count("INVITE") == 0);
    CHECK(offices.bob.count("INVITE") == 0);
}

TEST_CASE("two nodes that each think that the other has a user's phone end a call to him in one 482") {
    Offices offices(8);
    offices.add_user("erin", "any");
    offices.centre.alive = false;
    REQUIRE(offices.until([&] { return offices.all_in("island"); }, 7s));
    // Both say so of themselves, and neither has it.
    const auto until = net::unix_seconds(offices.mesh.now().wall) + 3600;
    for (auto* node : {offices.trento, offices.munich}) {
        node->node().set_binding("erin@acme.example", until, offices.mesh.now());
    }
    offices.run(500ms);
    offices.line.log.clear();
    offices.alice.call("sip:erin@acme.example");
    offices.run(3s);
    CHECK(offices.alice.last("INVITE") == 482);
    CHECK(offices.line.seen("SIP/2.0 482") == 1);
    CHECK(offices.quiet());
}

TEST_CASE("an office that is cut off from all others still connects its own phones") {
    Offices offices(7);
    offices.add_user("dave", "london");
    test::Phone dave{offices.line, "dave", *net::Endpoint::parse("10.3.0.11:5060"), *net::Endpoint::parse("192.0.2.3:5060")};
    offices.centre.passwords["dave"] = "secret";
    offices.run(1s);
    dave.register_now();
    offices.run(1s);
    offices.mesh.unplug(offices.london->address);
    offices.centre.alive = false;
    REQUIRE(offices.until([&] { return offices.mode(*offices.london) == "island"; }, 7s));
    offices.run(30s);
    offices.carol.call("sip:dave@acme.example");
    CHECK(offices.rings(offices.carol, 300ms));
    offices.run(2s);
    CHECK(offices.carol.in_call());
    CHECK(dave.in_call());
}

TEST_CASE("in an outage a phone that is not registered calls by the password in its user's sealed record") {
    Offices offices(9);
    offices.add_user("alice", "trento", "secret");
    offices.run(2s);
    offices.centre.alive = false;
    REQUIRE(offices.until([&] { return offices.all_in("island"); }, 7s));
    const auto node = *net::Endpoint::parse("192.0.2.1:5060");
    test::Phone wrong{offices.line, "alice", *net::Endpoint::parse("10.1.0.21:5060"), node, "guess"};
    wrong.call("sip:bob@acme.example");
    offices.run(1s);
    CHECK(wrong.count("INVITE", 407) == 2);
    CHECK(offices.bob.count("INVITE") == 0);
    test::Phone second{offices.line, "alice", *net::Endpoint::parse("10.1.0.20:5060"), node};
    second.call("sip:bob@acme.example");
    CHECK(offices.rings(second, 1s));
    offices.run(2s);
    CHECK(second.in_call());
    second.hang_up();
    offices.run(40s);
    CHECK(offices.quiet());
}

TEST_CASE("through lossy tunnels a call is held, handed over and ended past a dead centre, be it a proxy or a B2BUA") {
    for (const bool back_to_back : {false, true}) {
        CAPTURE(back_to_back);
        Offices offices(9);
        offices.centre.back_to_back = back_to_back;
        const auto at = [](const char* text) { return *net::Endpoint::parse(text); };
        test::DeskPhone fay{offices.line, "fay", at("10.1.0.30:5060"), at("192.0.2.1:5060")};
        test::DeskPhone gus{offices.line, "gus", at("10.2.0.30:5060"), at("192.0.2.2:5060")};
        test::DeskPhone hal{offices.line, "hal", at("10.3.0.30:5060"), at("192.0.2.3:5060")};
        for (const auto& [user, node] : {std::pair("fay", "trento"), {"gus", "munich"}, {"hal", "london"}}) {
            offices.centre.passwords[user] = "secret";
            offices.add_user(user, node);
        }
        offices.run(2s);
        for (auto* phone : {&fay, &gus, &hal}) phone->register_now();
        offices.run(3s);
        const auto line = fay.call("sip:gus@acme.example");
        offices.run(3s);
        REQUIRE(fay.up(line));
        offices.centre.alive = false;
        offices.line.lost_percent = 5;
        gus.hold(0);
        offices.run(8s);
        CHECK(gus.last("INVITE") == 200);
        CHECK(fay.heard_sdp.find("a=sendonly") != std::string::npos);
        REQUIRE(offices.until([&] { return offices.all_in("island"); }, 8s));
        gus.transfer(0, "sip:hal@acme.example");
        offices.run(6s);
        CHECK(gus.last("REFER") == 202);
        CHECK(hal.lines_up() == 1);
        CHECK(std::find(gus.progress.begin(), gus.progress.end(), "SIP/2.0 200 OK") != gus.progress.end());
        gus.hang_up(0);
        hal.hang_up(0);
        offices.run(5s);
        CHECK(fay.lines_up() == 0);
        offices.line.lost_percent = 0;
        offices.run(40s);
        CHECK(offices.quiet());
    }
}

TEST_CASE("a call whose media has died on both sides is ended on both sides") {
    Offices offices(8);
    offices.alice.call("sip:bob@acme.example");
    REQUIRE(offices.rings(offices.alice, 1s));
    offices.run(30s);
    REQUIRE(offices.bob.in_call());
    offices.trento->media.carries = offices.munich->media.carries = false;
    offices.run(3min);
    CHECK_FALSE(offices.alice.in_call());
    CHECK_FALSE(offices.bob.in_call());
    CHECK(offices.quiet());
}

namespace {

#ifdef __OPTIMIZE__
constexpr unsigned kPhones = 500;
#else
constexpr unsigned kPhones = 100;  // what is built without optimisation, for the sanitizers, takes twenty times as long
#endif

/// kPhones in trento, registered.
struct Storm : Offices {
    explicit Storm(std::uint64_t seed) : Offices(seed) {
        for (unsigned i = 0; i < kPhones; ++i) {
            const auto user = "u" + std::to_string(i);
            centre.passwords[user] = "secret";
            const net::Endpoint at{net::IpAddress::v4(10, 1, static_cast<std::uint8_t>(1 + i / 250),
                                                      static_cast<std::uint8_t>(1 + i % 250)), 5060, 0};
            phones.push_back(std::make_unique<test::Phone>(line, user, at, *net::Endpoint::parse("192.0.2.1:5060")));
        }
        all_register();
        REQUIRE(until([&] { return registered() == kPhones; }, 20s));
    }
    void all_register() {
        for (const auto& phone : phones) {
            phone->history.clear();
            phone->register_now();
        }
    }
    std::size_t registered() const {
        return static_cast<std::size_t>(
            std::count_if(phones.begin(), phones.end(), [](const auto& phone) { return phone->last("REGISTER") == 200; }));
    }
    /// Answers to a REGISTER since all began to, other than 200 and the challenge.
    std::size_t failures() const {
        std::size_t count = 0;
        for (const auto& phone : phones) {
            for (const auto& told : phone->history) {
                count += told.method == "REGISTER" && told.status != 200 && told.status != 401 ? 1 : 0;
            }
        }
        return count;
    }
    std::size_t known_to_the_centre() const {
        return static_cast<std::size_t>(std::count_if(phones.begin(), phones.end(), [&](const auto& phone) {
            return centre.contacts(phone->contact_user).size() == 1;
        }));
    }

    std::vector<std::unique_ptr<test::Phone>> phones;
};

}  // namespace

TEST_CASE("500 phones that register at once after a restart of meshd are all registered, and none is refused") {
    Storm storm(11);
    storm.run(2 * voice::Location::kTellEvery);  // what was learnt is written
    storm.trento->crash();
    storm.run(2s);
    storm.trento->start();
    storm.all_register();
    CHECK(storm.until([&] { return storm.registered() == kPhones; }, 10s));
    CHECK(storm.failures() == 0);
    CHECK(storm.known_to_the_centre() == kPhones);
}

TEST_CASE("500 phones that register at once while the centre restarts are all registered, and it learns them anew") {
    Storm storm(12);
    const auto away = GENERATE(3500ms, 10000ms);
    CAPTURE(away.count());
    storm.centre.alive = false;
    storm.centre.forget();
    storm.run(1s);
    storm.all_register();
    storm.run(away - 1000ms);
    storm.centre.alive = true;
    CHECK(storm.until([&] { return storm.registered() == kPhones; }, 10s));
    // Their own refreshes bring them back, 100 a second, once the centre is believed again.
    CHECK(storm.until([&] { return storm.known_to_the_centre() == kPhones && storm.registered() == kPhones; }, 300s));
    CHECK(storm.failures() == 0);
}

TEST_CASE("500 phones that register at once after a restart of meshd and the centre are all registered") {
    Storm storm(13);
    storm.run(2 * voice::Location::kTellEvery);
    storm.centre.alive = false;
    storm.centre.forget();
    storm.trento->crash();
    storm.run(2s);
    storm.trento->start();
    storm.all_register();
    storm.run(2s);
    storm.centre.alive = true;
    CHECK(storm.until([&] { return storm.registered() == kPhones && storm.known_to_the_centre() == kPhones; }, 30s));
    CHECK(storm.failures() == 0);
}

namespace {

std::size_t waiting(sim::Host& node) {
    std::size_t out = 0;
    for (const auto& one : node.core().proxy()->mail()) out += one.count;
    return out;
}

}  // namespace

TEST_CASE("a stored message outlives crashes of its node, and comes once its recipient is there") {
    for (std::uint64_t seed = 20; seed < 25; ++seed) {
        CAPTURE(seed);
        Offices offices(seed);
        offices.bob.unregister();
        offices.bob.keeps_registered = false;
        offices.run(2s);
        offices.centre.alive = false;
        REQUIRE(offices.until([&] { return offices.all_in("island"); }, 7s));
        for (const auto* body : {"one", "two", "three"}) {
            const auto before = offices.alice.count("MESSAGE", 202);
            offices.alice.send("MESSAGE", "sip:bob@acme.example", body);
            REQUIRE(offices.until([&] { return offices.alice.count("MESSAGE", 202) > before; }, 2s));
        }
        offices.trento->crash();  // at the very moment of the last 202
        offices.run(2s);
        offices.trento->start();
        CHECK(waiting(*offices.trento) == 3);
        offices.centre.alive = true;
        offices.run(75s);
        offices.bob.register_now();
        REQUIRE(offices.until([&] { return offices.bob.count("MESSAGE") == 3; }, 10s));
        std::vector<std::string> bodies;
        for (const auto& told : offices.bob.history) {
            if (told.method == "MESSAGE" && told.status == 0) bodies.emplace_back(told.message.body());
        }
        CHECK(bodies == std::vector<std::string>{"one", "two", "three"});
        offices.run(1s);
        CHECK(waiting(*offices.trento) == 0);
        CHECK(offices.trento->disk.mail.empty());
    }
}

TEST_CASE("a message that was delivered, as its node crashed before it knew, is not delivered again") {
    for (const auto crashes_after : {0ms, 12ms, 25ms}) {
        CAPTURE(crashes_after.count());
        Offices offices(26);
        offices.bob.unregister();
        offices.run(2s);
        offices.centre.alive = false;
        REQUIRE(offices.until([&] { return offices.all_in("island"); }, 7s));
        offices.alice.send("MESSAGE", "sip:bob@acme.example", "hello");
        REQUIRE(offices.until([&] { return offices.alice.count("MESSAGE", 202) == 1; }, 2s));
        offices.centre.alive = true;
        offices.run(75s);
        offices.bob.register_now();
        REQUIRE(offices.until([&] { return offices.bob.count("MESSAGE") == 1; }, 5s));
        offices.run(crashes_after);
        offices.trento->crash();
        offices.run(1s);
        // Munich's memory of it is on its disk.
        offices.munich->crash();
        offices.run(1s);
        offices.munich->start();
        offices.trento->start();
        offices.run(2min);
        CHECK(offices.bob.count("MESSAGE") == 1);
        CHECK(waiting(*offices.trento) == 0);
    }
}

TEST_CASE("a crash in mid-call loses no record, and both gateways' accounts are of one call") {
    Offices offices(10);
    offices.alice.call("sip:bob@acme.example");
    REQUIRE(offices.rings(offices.alice, 1s));
    offices.run(70s);
    REQUIRE(offices.bob.in_call());
    offices.munich->crash();
    offices.run(1s);
    offices.munich->start();
    offices.run(5s);
    offices.alice.hang_up();
    offices.run(40s);
    REQUIRE(offices.trento->disk.calls.size() == 1);
    REQUIRE(offices.munich->disk.calls.size() == 1);
    const auto here = offices.trento->disk.calls.begin()->second, there = offices.munich->disk.calls.begin()->second;
    CHECK(here.why == "hung up by alice@acme.example");
    CHECK(there.why == "meshd stopped");
    CHECK(*there.ended - *there.answered > 55s);
    const auto calls = voice::whole_calls({there, here});
    REQUIRE(calls.size() == 1);
    CHECK(calls[0].sides.size() == 2);
    CHECK(calls[0].whole.why == here.why);
    CHECK(calls[0].whole.ended == here.ended);
    offices.munich->crash();
    offices.munich->start();
    CHECK(offices.munich->core().proxy()->call_history().records().begin()->second == there);
}
