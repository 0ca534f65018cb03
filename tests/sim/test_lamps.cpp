/// Lamps that watch people of other offices, for hours: through loss, deaths and returns of the centre, crashes of nodes
/// and partitions of the mesh.
#include <catch2/catch.hpp>

#include "tests/sim/face.hpp"
#include "tests/unit/voice/scripted_centre.hpp"
#include "tests/unit/voice/scripted_lamp.hpp"
#include "tests/unit/voice/scripted_phone.hpp"

using namespace std::chrono_literals;

namespace {

constexpr unsigned kOffices = 3;
constexpr unsigned kLampsEach = 2;
constexpr auto kSlice = 250ms;  ///< in which what goes over the mesh waits; all else is as quick as it is

/// An office each in `kOffices` places, with a phone and lamps for the people of the two others.
struct Lamps {
    Lamps(std::uint64_t seed, std::uint32_t expires_s) : mesh(seed), line(seed) {
        centre.lamp = [this](const std::string& user) { return busy(user) ? "<state>confirmed</state>" : "idle"; };
        auto& first = mesh.found("node0", "192.0.2.1");
        for (unsigned i = 1; i < kOffices; ++i) mesh.join("node" + std::to_string(i), "192.0.2." + std::to_string(i + 1), first);
        for (auto* node : mesh.hosts()) {
            voice::ProxySettings settings;
            settings.domain = "acme.example";
            settings.phones = {*net::Prefix::parse("10.0.0.0/8")};
            settings.centre = voice::Centre{voice::Transport::udp, centre.at};
            node->voice = settings;
            node->crash();
            node->start();
            faces.push_back(std::make_unique<sim::Face>(line, *node));
        }
        for (unsigned i = 0; i < kOffices; ++i) {
            add_user(first, "user" + std::to_string(i), i);
            for (unsigned k = 0; k < kLampsEach; ++k) add_user(first, lamp_name(i, k), i);
        }
        line.now = mesh.now();
        REQUIRE(until([&] { return mesh.full_mesh() && mesh.same_rosters(); }, 10s));
        for (unsigned i = 0; i < kOffices; ++i) {
            const auto proxy = net::Endpoint{net::IpAddress::v4(192, 0, 2, static_cast<std::uint8_t>(i + 1)), 5060, 0};
            const auto at = [&](unsigned n) { return net::Endpoint{net::IpAddress::v4(10, static_cast<std::uint8_t>(i + 1), 0, static_cast<std::uint8_t>(n)), 5060, 0}; };
            phones.push_back(std::make_unique<test::Phone>(line, "user" + std::to_string(i), at(10), proxy));
            phones.back()->register_now();
            for (unsigned k = 0; k < kLampsEach; ++k) {
                lamps.push_back(std::make_unique<test::Lamp>(line, lamp_name(i, k), at(40 + k), proxy));
                watched.push_back((i + 1 + k) % kOffices);
                lamps.back()->keep_on("sip:user" + std::to_string(watched.back()) + "@acme.example", expires_s);
            }
        }
    }
    static std::string lamp_name(unsigned office, unsigned k) { return "lamp" + std::to_string(office) + std::to_string(k); }
    void add_user(sim::Host& admin, const std::string& name, unsigned office) {
        mesh::UserRequest user;
        user.aor = name + "@acme.example";
        user.nodes = {"node" + std::to_string(office)};
        REQUIRE(admin.node().put_user(user, mesh.now()));
        centre.passwords[name] = "secret";
    }
    sim::Host& node(unsigned i) { return mesh.host("node" + std::to_string(i)); }
    bool busy(const std::string& user) const { return phones.at(static_cast<std::size_t>(user.back() - '0'))->in_call(); }

    bool until(const std::function<bool()>& holds, net::Duration limit) {
        return sim::run_until(mesh, line, kSlice, limit, [&] {
            centre.tell_lamps();
            line.log.clear();
            return holds();
        });
    }
    void run(net::Duration time) {
        until([] { return false; }, time);
    }
    bool true_now() const {
        for (std::size_t i = 0; i < lamps.size(); ++i) {
            if (lamps[i]->lit() != phones[watched[i]]->in_call()) return false;
        }
        return true;
    }
    /// Somebody calls somebody, or everybody hangs up.
    void live() {
        const auto who = mesh.random().below(2 * kOffices);
        if (who >= kOffices) return hang_up();
        const auto whom = (who + 1 + mesh.random().below(kOffices - 1)) % kOffices;
        if (!phones[who]->in_call() && !phones[whom]->in_call()) phones[who]->call("sip:user" + std::to_string(whom) + "@acme.example");
    }
    void hang_up() {
        for (auto& phone : phones) {
            if (phone->in_call()) phone->hang_up();
        }
        line.flush();
    }
    void fault(bool crashes) {
        switch (mesh.random().below(crashes ? 6 : 5)) {
            case 0:
                centre.alive = false;
                centre.forget();
                break;
            case 1:
                centre.alive = false;
                break;
            case 2:
                centre.alive = true;
                break;
            case 3: {
                const auto alone = static_cast<unsigned>(mesh.random().below(kOffices));
                mesh.partition({{node(alone).address}, {node((alone + 1) % kOffices).address, node((alone + 2) % kOffices).address}});
                break;
            }
            case 4:
                mesh.heal();
                line.lost_percent = static_cast<unsigned>(mesh.random().below(10));
                mesh.weather.loss = 0.05;
                break;
            case 5: {
                auto& victim = node(static_cast<unsigned>(mesh.random().below(kOffices)));
                victim.crash();
                victim.start();
                break;
            }
        }
    }

    sim::World mesh;
    test::World line;
    test::ScriptedCentre centre{line, *net::Endpoint::parse("198.51.100.1:5060")};
    std::vector<std::unique_ptr<sim::Face>> faces;
    std::vector<std::unique_ptr<test::Phone>> phones;
    std::vector<std::unique_ptr<test::Lamp>> lamps;
    std::vector<unsigned> watched;  ///< by each lamp: whose
};

#ifdef __OPTIMIZE__
constexpr unsigned kTurns = 4;
#else
constexpr unsigned kTurns = 1;  // what is built without optimisation, for the sanitizers, takes twenty times as long
#endif

}  // namespace

TEST_CASE("after the last fault every lamp tells the truth in time, and none is left in the dark") {
    struct Case {
        std::uint64_t seed;
        bool crashes;
        std::uint32_t expires_s;
        net::Duration in_time;
    };
    // Of those that it serves itself a node knows nothing after a crash: their lamps' own refresh mends that, within minutes.
    for (const auto& [seed, crashes, expires_s, in_time] :
         {Case{1, false, 3600, 2min}, {2, false, 3600, 2min}, {3, true, 3600, 7min}, {4, true, 3600, 7min}}) {
        CAPTURE(seed);
        Lamps scene(seed, expires_s);
        scene.run(5s);
        for (unsigned turn = 0; turn < kTurns; ++turn) {
            CAPTURE(turn);
            for (int faults = 0; faults < 4; ++faults) {
                scene.fault(crashes);
                for (int calls = 0; calls < 2; ++calls) {
                    scene.live();
                    scene.run(std::chrono::seconds(20 + scene.mesh.random().below(80)));
                }
            }
            // The last fault mends all but the centre, which may stay away.
            scene.mesh.heal();
            scene.mesh.weather.loss = 0;
            scene.line.lost_percent = 0;
            scene.centre.alive = turn % 2 == 0;
            scene.hang_up();
            scene.run(in_time);
            CHECK(scene.true_now());
            scene.phones[turn % kOffices]->call("sip:user" + std::to_string((turn + 1) % kOffices) + "@acme.example");
            scene.run(3s);
            CHECK(scene.phones[turn % kOffices]->in_call());
            CHECK(scene.true_now());
            scene.hang_up();
            scene.run(3s);
            CHECK(scene.true_now());
        }
        scene.run(1min);
        for (const auto& lamp : scene.lamps) {
            CHECK(lamp->longest_silence == 0s);
            CHECK(lamp->subscriptions < 40);
        }
        for (unsigned i = 0; i < kOffices; ++i) {
            CHECK(scene.node(i).core().proxy()->subscriptions() <= kLampsEach);
            CHECK(scene.node(i).core().proxy()->transactions() < 30);
        }
        CHECK(scene.centre.watchers() < 40);
    }
}

TEST_CASE("a centre that restarts in three seconds and knows no lamp any more leaves none in the dark, and one that was only cut off moves none") {
    bool unnoticed = false;  // by the one who judges whether the centre is lost
    for (const bool forgets : {true, false}) {
        for (const std::uint64_t seed : {5, 6}) {
            CAPTURE(forgets, seed);
            Lamps scene(seed, 3600);
            scene.run(10s + std::chrono::milliseconds(scene.mesh.random().below(2000)));
            REQUIRE(scene.centre.watchers() == kOffices * kLampsEach);
            const auto begun = [&] {
                unsigned out = 0;
                for (const auto& lamp : scene.lamps) out += lamp->subscriptions;
                return out;
            };
            const auto before = begun();
            scene.centre.alive = false;
            if (forgets) scene.centre.forget();
            scene.run(forgets ? 3500ms : 3s);
            scene.centre.alive = true;
            scene.run(1s);
            for (unsigned i = 0; i < kOffices; ++i) unnoticed |= forgets && scene.node(i).core().proxy()->voice().mode == "central";
            scene.run(2min);
            CHECK(scene.centre.watchers() == kOffices * kLampsEach);
            scene.phones[0]->call("sip:user1@acme.example");
            scene.run(5s);
            CHECK(scene.phones[0]->in_call());
            CHECK(scene.true_now());
            scene.hang_up();
            scene.run(5s);
            CHECK(scene.true_now());
            if (!forgets) CHECK(begun() == before);
            if (forgets) CHECK(begun() <= before + 2 * kOffices * kLampsEach);
            for (const auto& lamp : scene.lamps) CHECK(lamp->longest_silence == 0s);
        }
    }
    CHECK(unnoticed);
}

TEST_CASE("a node that crashed, and finds the centre dead when it is back, moves the lamps that the centre had served all the same") {
    Lamps scene(7, 3600);
    scene.run(10s);
    REQUIRE(scene.centre.watchers() == kOffices * kLampsEach);
    scene.node(0).crash();
    scene.centre.alive = false;
    scene.run(2s);
    scene.node(0).start();
    scene.run(40s);
    CHECK(scene.node(0).core().proxy()->subscriptions() == kLampsEach);
    scene.phones[1]->call("sip:user2@acme.example");  // both of whom the lamps there watch
    scene.run(5s);
    CHECK(scene.phones[1]->in_call());
    CHECK(scene.true_now());
    scene.hang_up();
    scene.run(5s);
    CHECK(scene.true_now());
    CHECK(scene.node(0).disk.lamps.empty());
}
