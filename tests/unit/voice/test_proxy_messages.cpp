/// MESSAGE for somebody who is not there.
#include <catch2/catch.hpp>

#include "offices.hpp"

using namespace test;
using namespace std::chrono_literals;

namespace {

constexpr const char* kBob = "sip:bob@acme.example";

/// All but bob are registered; the centre is dead, and known to be.
struct Outage : Scene {
    explicit Outage(bool with_centre = true, const std::function<void(voice::ProxySettings&)>& change = {}, std::uint64_t seed = 1)
        : Scene(seed, with_centre, change) {
        for (auto* phone : {&alice, &carol, &dave}) phone->register_now();
        world.run(2s);
        centre.alive = false;
        world.run(10s);
    }
    std::vector<std::string> bodies(const Phone& phone) const {
        std::vector<std::string> out;
        for (const auto& told : phone.history) {
            if (told.method == "MESSAGE" && told.status == 0) out.push_back(std::string(told.message.body()));
        }
        return out;
    }
    std::size_t waiting(const Office& office) const {
        std::size_t out = 0;
        for (const auto& view : office.proxy.mail()) out += view.count;
        return out;
    }
};

}  // namespace

TEST_CASE("a MESSAGE for somebody without a phone is stored, answered 202, and delivered once he registers") {
    for (const bool with_centre : {true, false}) {
        Outage scene(with_centre);
        scene.alice.send("MESSAGE", kBob, "hello");
        scene.world.run(1s);
        CHECK(scene.alice.last("MESSAGE") == 202);
        CHECK(scene.trento.mail.size() == 1);
        REQUIRE(scene.trento.proxy.mail().size() == 1);
        CHECK(scene.trento.proxy.mail().front().callee == "bob@acme.example");
        scene.bob.register_now();
        // Without a centre he is let in by password; with a dead one he has to be known: the record has a password.
        if (with_centre) {
            scene.roster.add_user("bob", "munich", "secret");
            scene.bob.register_now();
        }
        REQUIRE(scene.world.run_until([&] { return scene.bob.count("MESSAGE") == 1; }, 2s));
        const auto& got = scene.bob.history.back().message;
        CHECK(got.body() == "hello");
        CHECK(got.from().uri.address_of_record() == "alice@acme.example");
        CHECK(got.has("Date"));
        CHECK_FALSE(got.has("X-Meshd-Kept"));
        CHECK(got.content_type() == "text/plain");
        scene.world.run(60s);
        CHECK(scene.bob.count("MESSAGE") == 1);
        CHECK(scene.trento.mail.empty());
        CHECK(scene.waiting(scene.trento) == 0);
    }
}

TEST_CASE("messages come in the order in which they were sent, each once, with the line losing every tenth packet") {
    Outage scene(false);
    scene.world.lost_percent = 10;
    std::vector<std::string> sent;
    for (int i = 0; i < 10; ++i) {
        sent.push_back(std::to_string(i));
        scene.alice.send("MESSAGE", kBob, sent.back());
        REQUIRE(scene.world.run_until([&] { return scene.alice.count("MESSAGE", 202) == sent.size(); }, 30s));
    }
    scene.bob.register_now();
    scene.world.run_until([&] { return scene.bodies(scene.bob).size() == 5; });
    // One more, while five still wait.
    sent.push_back("last");
    scene.alice.send("MESSAGE", kBob, "last");
    scene.world.run(5min);
    CHECK(scene.bodies(scene.bob) == sent);
    CHECK(scene.trento.mail.empty());
}

TEST_CASE("a phone that is only believed to be there gets its message when it is there again") {
    Scene scene(1, false);
    scene.register_all();
    scene.bob.manner = Phone::Manner::is_silent;
    scene.alice.send("MESSAGE", kBob, "hello");
    scene.world.run(3s);
    CHECK(scene.alice.last("MESSAGE") == 0);
    scene.world.run(2s);
    CHECK(scene.alice.last("MESSAGE") == 202);
    scene.world.run(40s);  // what was under way has ended
    scene.bob.manner = Phone::Manner::answers;
    scene.bob.register_now();
    scene.world.run(6min);
    CHECK(scene.bob.count("MESSAGE") == 1);
    CHECK(scene.trento.mail.empty());
}

TEST_CASE("a phone that answers after its message was stored gets no second one") {
    Scene scene(1, false);
    scene.register_all();
    scene.world.delay = 2500ms;  // one way, on each of two legs
    scene.alice.send("MESSAGE", kBob, "hello");
    scene.world.run(60s);
    scene.world.delay = 10ms;
    CHECK(scene.alice.count("MESSAGE", 202) == 1);
    CHECK(scene.bob.count("MESSAGE") == 1);
    scene.bob.register_now();
    scene.world.run(10min);
    CHECK(scene.bob.count("MESSAGE") == 1);
    CHECK(scene.trento.mail.empty());
}

TEST_CASE("a phone that does not want a MESSAGE says so, and nothing is stored") {
    for (const int status : {415, 603}) {
        Scene scene(1, false);
        scene.register_all();
        scene.bob.message_status = status;
        scene.alice.send("MESSAGE", kBob, "hello");
        scene.world.run(2s);
        CHECK(scene.alice.last("MESSAGE") == status);
        CHECK(scene.trento.mail.empty());
    }
}

TEST_CASE("a stored MESSAGE that its phone does not want is not brought again") {
    Outage scene(false);
    scene.alice.send("MESSAGE", kBob, "hello");
    scene.world.run(1s);
    REQUIRE(scene.alice.last("MESSAGE") == 202);
    scene.bob.message_status = 415;
    scene.bob.register_now();
    scene.world.run(10min);
    CHECK(scene.bob.count("MESSAGE") == 1);
    CHECK(scene.trento.mail.empty());
}

TEST_CASE("a stored MESSAGE is brought again with growing pauses while its phone has no room for it") {
    Outage scene(false);
    scene.alice.send("MESSAGE", kBob, "hello");
    scene.world.run(1s);
    scene.bob.message_status = 480;
    scene.bob.keeps_registered = false;
    scene.bob.register_now();
    scene.world.run(100s);  // at 0, 5, 15, 35 and 75 s
    CHECK(scene.bob.count("MESSAGE") == 5);
    CHECK(scene.trento.mail.size() == 1);
    scene.bob.message_status = 200;
    scene.bob.keeps_registered = true;
    scene.bob.register_now();
    scene.world.run(6min);
    CHECK(scene.bob.count("MESSAGE") == 6);
    CHECK(scene.trento.mail.empty());
}

TEST_CASE("while the disk takes nothing no MESSAGE is said to be stored") {
    Outage scene(false);
    scene.trento.disk_full = true;
    scene.alice.send("MESSAGE", kBob, "hello");
    scene.world.run(9s);
    CHECK(scene.alice.last("MESSAGE") == 0);
    scene.world.run(2s);
    CHECK(scene.alice.last("MESSAGE") == 503);
    scene.bob.register_now();
    scene.world.run(10s);
    CHECK(scene.bob.count("MESSAGE") == 0);
}

TEST_CASE("the centre keeps messages itself while it is up, and fails to when it fails") {
    Scene scene;
    for (auto* phone : {&scene.alice, &scene.carol, &scene.dave}) phone->register_now();
    scene.world.run(2s);
    scene.alice.send("MESSAGE", kBob, "to the centre");
    scene.world.run(2s);
    CHECK(scene.alice.last("MESSAGE") == 404);
    CHECK(scene.trento.mail.empty());
    scene.centre.message_status = 503;
    scene.alice.send("MESSAGE", kBob, "kept");
    scene.world.run(2s);
    CHECK(scene.alice.last("MESSAGE") == 202);
    // Who is there gets it over the mesh.
    scene.alice.send("MESSAGE", "sip:carol@acme.example", "over the mesh");
    scene.world.run(2s);
    CHECK(scene.alice.last("MESSAGE") == 200);
    CHECK(scene.carol.count("MESSAGE") == 1);
    scene.centre.message_status = 0;
    scene.bob.register_now();
    scene.world.run(2s);
    CHECK(scene.bob.count("MESSAGE") == 1);
    CHECK(scene.trento.mail.empty());
}

TEST_CASE("a MESSAGE that the centre slept on reaches nobody twice") {
    Scene scene;
    scene.register_all();
    scene.centre.asleep = true;
    scene.alice.send("MESSAGE", kBob, "hello");
    scene.world.run(12s);
    CHECK(scene.bob.count("MESSAGE") == 1);
    CHECK(scene.alice.last("MESSAGE") == 200);
    scene.centre.wake();
    scene.world.run(10s);
    CHECK(scene.bob.count("MESSAGE") == 1);
}

TEST_CASE("all phones of a user get the MESSAGE that the centre sends to each") {
    Scene scene;
    scene.register_all();
    Phone second(scene.world, "bob", scene.munich.phone(20), scene.munich.lan());
    second.register_now();
    scene.world.run(2s);
    scene.alice.send("MESSAGE", kBob, "hello");
    scene.world.run(2s);
    CHECK(scene.bob.count("MESSAGE") == 1);
    CHECK(second.count("MESSAGE") == 1);
}

TEST_CASE("nobody leaves messages for strangers, nor in another's name") {
    Outage scene(false);
    scene.alice.send("MESSAGE", "sip:nobody@acme.example", "hello");
    scene.world.run(1s);
    CHECK(scene.alice.last("MESSAGE") == 404);
    scene.alice.from_user = "carol";
    scene.alice.send("MESSAGE", kBob, "hello");
    scene.world.run(1s);
    CHECK(scene.alice.last("MESSAGE") != 202);
    CHECK(scene.trento.mail.empty());
}

TEST_CASE("who has left too many messages is told so") {
    Outage scene(false, [](voice::ProxySettings& settings) { settings.mailbox.per_callee = 1; });
    scene.alice.send("MESSAGE", kBob, "one");
    scene.world.run(1s);
    scene.carol.send("MESSAGE", kBob, "kept by another office");
    scene.world.run(1s);
    CHECK(scene.carol.last("MESSAGE") == 202);
    scene.alice.send("MESSAGE", kBob, "two");
    scene.world.run(1s);
    CHECK(scene.alice.last("MESSAGE") == 480);
    CHECK(scene.alice.history.back().message.phrase() == "Too many messages wait for this user");
}

TEST_CASE("a stored MESSAGE ends when it expires") {
    Outage scene(false, [](voice::ProxySettings& settings) { settings.mailbox.keep = 60s; });
    scene.alice.send("MESSAGE", kBob, "hello");
    scene.world.run(61s);
    CHECK(scene.trento.mail.empty());
    scene.bob.register_now();
    scene.world.run(5s);
    CHECK(scene.bob.count("MESSAGE") == 0);
}
