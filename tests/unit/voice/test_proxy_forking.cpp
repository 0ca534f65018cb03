#include <catch2/catch.hpp>

#include "desks.hpp"
#include "voice/forking.hpp"

using namespace test;

TEST_CASE("several phones of one user in several offices ring together, the first answer wins, the others stop") {
    Scene scene;
    scene.roster.add_user("bob", "london");
    Phone desk(scene.world, "bob", scene.munich.phone(20), scene.munich.lan());
    Phone away(scene.world, "bob", scene.london.phone(20), scene.london.lan());
    desk.register_now();
    away.register_now();
    scene.register_all();
    scene.centre.alive = false;
    scene.world.run(10s);
    scene.bob.manner = Phone::Manner::rings;
    desk.manner = Phone::Manner::rings;
    away.answer_after = 1s;
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(4s);
    CHECK(scene.alice.in_call());
    CHECK(away.in_call());
    for (auto* phone : {&scene.bob, &desk}) {
        CHECK(phone->count("INVITE") == 1);
        CHECK(phone->count("CANCEL") == 1);
        CHECK_FALSE(phone->in_call());
    }
    scene.alice.hang_up();
    scene.world.run(2s);
    CHECK(scene.quiet());
}

TEST_CASE("one phone that declines ends the call for all of them") {
    Scene scene;
    Phone desk(scene.world, "bob", scene.munich.phone(20), scene.munich.lan());
    desk.register_now();
    scene.register_all();
    scene.centre.alive = false;
    scene.world.run(10s);
    scene.bob.manner = Phone::Manner::rings;
    desk.manner = Phone::Manner::declines;
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(2s);
    CHECK(scene.alice.last("INVITE") == 603);
    CHECK(scene.bob.count("CANCEL") == 1);
    CHECK(scene.quiet());
}

TEST_CASE("two phones that answer in the same moment end as one call") {
    Scene scene;
    Phone desk(scene.world, "bob", scene.munich.phone(20), scene.munich.lan());
    desk.register_now();
    scene.register_all();
    scene.centre.alive = false;
    scene.world.run(10s);
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(4s);
    CHECK(scene.alice.in_call());
    CHECK(scene.bob.in_call() != desk.in_call());
    scene.alice.hang_up();
    scene.world.run(2s);
    CHECK(scene.quiet());
}

TEST_CASE("phones that stop ringing as another has answered are told so, and show no missed call") {
    for (const bool alive : {true, false}) {
        CAPTURE(alive);
        Desks scene;
        scene.roster.add_user("gus", "london");
        DeskPhone second(scene.world, "gus", scene.munich.phone(31), scene.munich.lan());
        DeskPhone away(scene.world, "gus", scene.london.phone(33), scene.london.lan());
        scene.register_desks();
        for (auto* phone : {&second, &away}) phone->register_now();
        scene.world.run(1s);
        if (!alive) scene.kill_centre();
        for (auto* phone : {&scene.gus, &second}) phone->answers = false;
        away.answer_after = 1s;
        const auto line = scene.fay.call("sip:gus@acme.example");
        scene.world.run(3s);
        CHECK(scene.fay.up(line));
        CHECK(away.up(0));
        for (auto* phone : {&scene.gus, &second}) {
            REQUIRE(phone->count("CANCEL") == 1);
            CHECK(phone->latest("CANCEL")->get("Reason") == "SIP;cause=200;text=\"Call completed elsewhere\"");
        }
        away.hang_up(0);
        scene.world.run(2s);
        CHECK(scene.quiet());
    }
}

TEST_CASE("why a caller gives up is passed on to the phones that ring") {
    for (const bool alive : {true, false}) {
        CAPTURE(alive);
        Desks scene;
        scene.register_desks();
        if (!alive) scene.kill_centre();
        scene.gus.answers = false;
        const auto line = scene.fay.call("sip:gus@acme.example");
        scene.world.run(2s);
        scene.fay.cancel(line, "Q.850;cause=16");
        scene.world.run(2s);
        REQUIRE(scene.gus.count("CANCEL") == 1);
        if (!alive) CHECK(scene.gus.latest("CANCEL")->get("Reason") == "Q.850;cause=16");
        CHECK(scene.quiet());
    }
}

TEST_CASE("two phones in one office that the centre forks to: one is busy, the other's call is anchored and stays") {
    for (const bool busy_first : {true, false}) {
        CAPTURE(busy_first);
        Desks scene;
        DeskPhone second(scene.world, "gus", scene.munich.phone(31), scene.munich.lan());
        scene.register_desks();
        second.register_now();
        scene.world.run(1s);
        auto& busy = busy_first ? scene.gus : second;
        auto& other = busy_first ? second : scene.gus;
        busy.answers = false;
        other.answer_after = 1s;
        const auto line = scene.fay.call("sip:gus@acme.example");
        scene.world.run(500ms);
        busy.refuse(0, 486);
        scene.world.run(3s);
        CHECK(scene.fay.up(line));
        CHECK(other.up(0));
        CHECK(other.count("INVITE") == 1);
        REQUIRE(scene.munich.proxy.calls().size() == 1);
        CHECK(scene.munich.proxy.calls().front().state == "up");
        CHECK(other.heard_sdp.find("c=IN IP4 10.2.0.1") != std::string::npos);
        REQUIRE(scene.munich.relays.size() == 1);
        CHECK(scene.munich.relays.begin()->second[0].rtp.address == other.at.address);
        scene.kill_centre();
        other.hang_up(0);
        scene.world.run(2s);
        CHECK_FALSE(scene.fay.up(line));
        CHECK(scene.quiet());
    }
}

TEST_CASE("two phones in one office that the centre forks to and that answer at once: one call, and its media, stays") {
    Desks scene;
    DeskPhone second(scene.world, "gus", scene.munich.phone(31), scene.munich.lan());
    scene.register_desks();
    second.register_now();
    scene.world.run(1s);
    const auto line = scene.fay.call("sip:gus@acme.example");
    scene.world.run(4s);
    REQUIRE(scene.fay.up(line));
    CHECK(scene.gus.lines_up() + second.lines_up() >= 1);
    auto& winner = scene.fay.latest("INVITE", 200)->to_tag() == scene.gus.latest("ACK")->to_tag() ? scene.gus : second;
    REQUIRE(scene.munich.proxy.calls().size() == 1);
    CHECK(scene.munich.relays.begin()->second[0].rtp.address == winner.at.address);
    scene.fay.hang_up(line);
    scene.world.run(2s);
    CHECK_FALSE(winner.up(0));
}

TEST_CASE("the best of several refusals is passed on, with every challenge (RFC 3261 16.7)") {
    struct Case {
        int first, second, best;
    };
    for (const auto& [first, second, best] : {Case{486, 503, 486}, {408, 486, 486}, {404, 407, 407}, {302, 486, 302}, {486, 603, 603},
                                             {500, 503, 500}, {503, 503, 500}, {407, 401, 407}}) {
        CAPTURE(first, second);
        Desks scene;
        scene.roster.add_user("gus", "london");
        DeskPhone away(scene.world, "gus", scene.london.phone(33), scene.london.lan());
        scene.register_desks();
        away.register_now();
        scene.world.run(1s);
        scene.kill_centre();
        scene.gus.answers = away.answers = false;
        scene.fay.call("sip:gus@acme.example");
        scene.world.run(1s);
        const auto challenge = [](int status, const std::string& realm) {
            DeskPhone::Headers headers;
            if (status == 407) headers.emplace_back("Proxy-Authenticate", "Digest realm=\"" + realm + "\", nonce=\"x\"");
            if (status == 401) headers.emplace_back("WWW-Authenticate", "Digest realm=\"" + realm + "\", nonce=\"x\"");
            return headers;
        };
        scene.gus.refuse(0, first, challenge(first, "one"));
        scene.world.run(500ms);
        CHECK(scene.fay.count("INVITE", first) == 0);
        away.refuse(0, second, challenge(second, "two"));
        scene.world.run(500ms);
        CHECK(scene.fay.count("INVITE", best) == 1);
        if (first == 407) {
            const auto* answer = scene.fay.latest("INVITE", 407);
            REQUIRE(answer != nullptr);
            CHECK(answer->count("Proxy-Authenticate") == 1);
            CHECK(answer->count("WWW-Authenticate") == 1);
        }
        scene.world.run(40s);
    }
}

TEST_CASE("a late answer of another phone is acknowledged and ended, with a tenth of all packets lost") {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        CAPTURE(seed);
        Desks scene(seed);
        scene.roster.add_user("gus", "london");
        DeskPhone away(scene.world, "gus", scene.london.phone(33), scene.london.lan());
        scene.register_desks();
        away.register_now();
        scene.world.run(1s);
        scene.kill_centre();
        scene.world.lost_percent = 10;
        const auto line = scene.fay.call("sip:gus@acme.example");
        CHECK(scene.world.run_until([&] { return scene.fay.up(line); }, 40s));
        scene.world.run(40s);
        CHECK(scene.gus.lines_up() + away.lines_up() == 1);
        scene.fay.hang_up(line);
        scene.world.run(40s);
        CHECK(scene.gus.lines_up() + away.lines_up() == 0);
        CHECK(scene.quiet());
    }
}

namespace {

/// A caller whom the centre, a proxy, has brought to two phones of one user in one office; then it dies in silence.
struct TwoRing : Desks {
    explicit TwoRing(bool one_office, bool second_first, bool unnoticed = false)
        : caller(one_office ? hal : fay),
          one(world, one_office ? "ida" : "gus", one_office ? london.phone(41) : munich.phone(41), one_office ? london.lan() : munich.lan()),
          other(one_office ? ida : gus) {
        register_desks();
        one.register_now();
        world.run(1s);
        one.answers = other.answers = false;
        line = caller.call(one_office ? "sip:ida@acme.example" : "sip:gus@acme.example");
        world.run(2s);
        REQUIRE(caller.last("INVITE") == 180);
        kill_centre(unnoticed);
        REQUIRE(one.count("INVITE") == 1);
        REQUIRE(other.count("INVITE") == 1);
        first = second_first ? &other : &one;
        second = second_first ? &one : &other;
    }
    DeskPhone& caller;
    DeskPhone one;
    DeskPhone& other;
    DeskPhone *first = nullptr, *second = nullptr;
    DeskPhone::LineId line = 0;
};

}  // namespace

TEST_CASE("two phones that a centre rang before it died in silence: one answers, the other stops") {
    const bool one_office = GENERATE(true, false), second_first = GENERATE(true, false);
    CAPTURE(one_office, second_first);
    TwoRing scene(one_office, second_first);
    scene.first->pick_up(0);
    scene.world.run(3s);
    CHECK(scene.caller.up(scene.line));
    CHECK(scene.first->up(0));
    CHECK(scene.first->count("CANCEL") == 0);
    CHECK(scene.first->count("ACK") >= 1);
    REQUIRE(scene.second->count("CANCEL") == 1);
    CHECK(scene.second->latest("CANCEL")->get("Reason") == voice::kElsewhere);
    scene.caller.hang_up(scene.line);
    scene.world.run(2s);
    CHECK_FALSE(scene.first->up(0));
    for (auto* phone : {scene.first, scene.second}) CHECK(phone->count("INVITE") == 1);
    CHECK(scene.quiet());
}

TEST_CASE("two phones that a centre rang before it died in silence: both answer, one call stays") {
    const bool one_office = GENERATE(true, false);
    CAPTURE(one_office);
    TwoRing scene(one_office, false);
    scene.first->pick_up(0);
    scene.second->pick_up(0);
    scene.world.run(3s);
    CHECK(scene.caller.up(scene.line));
    CHECK(scene.first->lines_up() + scene.second->lines_up() == 1);
    scene.caller.hang_up(scene.line);
    scene.world.run(2s);
    CHECK(scene.first->lines_up() + scene.second->lines_up() == 0);
    CHECK(scene.quiet());
}

TEST_CASE("two phones that a centre rang before it died: one answers before anybody knows of that, the other stops in the end") {
    const bool one_office = GENERATE(true, false), second_first = GENERATE(true, false), both = GENERATE(true, false);
    CAPTURE(one_office, second_first, both);
    TwoRing scene(one_office, second_first, true);
    scene.world.run(1s);
    scene.first->pick_up(0);
    if (both) scene.second->pick_up(0);
    scene.world.run(15s);
    CHECK(scene.caller.up(scene.line));
    CHECK(scene.first->lines_up() + scene.second->lines_up() == 1);
    CHECK(scene.first->count("CANCEL") == 0);
    CHECK(scene.second->count("CANCEL") == (both ? 0 : 1));
    CHECK(scene.first->up(0));
    scene.caller.hang_up(scene.line);
    scene.world.run(2s);
    CHECK(scene.first->lines_up() + scene.second->lines_up() == 0);
    CHECK(scene.quiet());
}

TEST_CASE("two phones that a centre rang before it died in silence: the caller gives up, both stop") {
    const bool one_office = GENERATE(true, false);
    CAPTURE(one_office);
    TwoRing scene(one_office, false);
    scene.caller.cancel(scene.line);
    scene.world.run(3s);
    CHECK(scene.caller.last("INVITE") == 487);
    for (auto* phone : {scene.first, scene.second}) {
        CHECK(phone->count("INVITE") == 1);
        CHECK(phone->count("CANCEL") == 1);
    }
    CHECK(scene.quiet());
}

TEST_CASE("two phones that a centre rang before it died in silence: one is busy, the other may answer or not") {
    const bool one_office = GENERATE(true, false), second_first = GENERATE(true, false), answered = GENERATE(true, false);
    CAPTURE(one_office, second_first, answered);
    TwoRing scene(one_office, second_first);
    scene.first->refuse(0, 486);
    scene.world.run(2s);
    CHECK(scene.caller.last("INVITE") == 180);
    CHECK(scene.second->count("CANCEL") == 0);
    answered ? scene.second->pick_up(0) : scene.second->refuse(0, 480);
    scene.world.run(3s);
    CHECK(scene.caller.up(scene.line) == answered);
    CHECK(scene.caller.last("INVITE") == (answered ? 200 : 486));
    if (answered) scene.caller.hang_up(scene.line);
    scene.world.run(2s);
    CHECK(scene.quiet());
}

TEST_CASE("two phones that a centre rang before it died in silence: one declines for both") {
    const bool one_office = GENERATE(true, false), second_first = GENERATE(true, false);
    CAPTURE(one_office, second_first);
    TwoRing scene(one_office, second_first);
    scene.first->refuse(0, 603);
    scene.world.run(3s);
    CHECK(scene.caller.last("INVITE") == 603);
    CHECK(scene.second->count("CANCEL") == 1);
    CHECK(scene.quiet());
}

TEST_CASE("a user's phones here and in another office, rung by a centre that died: here is answered or given up, there stops") {
    for (const bool answered : {true, false}) {
        CAPTURE(answered);
        Desks scene;
        scene.roster.add_user("gus", "london");
        DeskPhone away(scene.world, "gus", scene.london.phone(33), scene.london.lan());
        scene.register_desks();
        away.register_now();
        scene.world.run(1s);
        scene.gus.answers = away.answers = false;
        const auto line = scene.hal.call("sip:gus@acme.example");
        scene.world.run(2s);
        scene.kill_centre();
        answered ? away.pick_up(0) : scene.hal.cancel(line);
        scene.world.run(3s);
        CHECK(scene.hal.up(line) == answered);
        CHECK(away.up(0) == answered);
        REQUIRE(scene.gus.count("CANCEL") == 1);
        if (answered) CHECK(scene.gus.latest("CANCEL")->get("Reason") == voice::kElsewhere);
        if (answered) scene.hal.hang_up(line);
        scene.world.run(2s);
        CHECK(scene.quiet());
    }
}

TEST_CASE("the copies of one INVITE among thousands are those that a look at all of them finds") {
    net::SeededRandom random(7);
    voice::InviteIndex index;
    std::vector<std::pair<voice::ServerId, voice::Message>> all;
    const auto same = [](const voice::Message& a, const voice::Message& b) {
        return a.call_id() == b.call_id() && a.from_tag() == b.from_tag() && a.cseq().number == b.cseq().number;
    };
    const auto agree = [&](const voice::Message& invite) {
        std::vector<voice::ServerId> found;
        for (const auto& [id, other] : all) {
            if (same(invite, other)) found.push_back(id);
        }
        return index.copies_of(invite) == found;
    };
    for (voice::ServerId id = 1; id <= 4000; ++id) {
        auto invite = voice::Message::request("INVITE", *voice::Uri::parse("sip:bob@acme.example"));
        invite.set("Call-ID", "call" + std::to_string(random.below(800)));
        invite.set("From", "<sip:alice@acme.example>;tag=" + std::to_string(random.below(2)));
        invite.set("CSeq", std::to_string(random.below(2)) + " INVITE");
        index.add(invite, id);
        all.emplace_back(id, std::move(invite));
        if (random.below(3) == 0) {
            const auto gone = all.begin() + static_cast<std::ptrdiff_t>(random.below(all.size()));
            index.remove(gone->second, gone->first);
            all.erase(gone);
        }
    }
    bool agreed = true;
    for (const auto& [id, invite] : all) agreed &= agree(invite);
    CHECK(agreed);
    while (!all.empty()) {
        index.remove(all.back().second, all.back().first);
        const auto invite = all.back().second;
        all.pop_back();
        agreed &= all.size() % 10 != 0 || agree(invite);
    }
    CHECK(agreed);
    CHECK(index.names() == 0);
}
