/// Numbers and addresses that nobody in the mesh has: found by DNS, called outside, and what keeps strangers out.
#include <catch2/catch.hpp>

#include "dns_message.hpp"
#include "offices.hpp"

using namespace test;

namespace {

using voice::DnsQuestion;
using voice::DnsType;

const std::string kOutsideNumber = "sip:+442079460148@acme.example";
const std::string kOutsideDomain = "8.4.1.0.6.4.9.7.0.2.4.4.e164.arpa";

/// Offices without a centre (or with one), a name server, and two phones outside.
struct OutsideScene : Scene {
    explicit OutsideScene(bool with_centre = false, const std::function<void(voice::ProxySettings&)>& change = {})
        : Scene(1, with_centre, change),
          erin(world, "erin", *net::Endpoint::parse("198.51.100.20:5060"), trento.wan()),
          spare(world, "erin", *net::Endpoint::parse("198.51.100.21:5060"), trento.wan()) {
        erin.domain = spare.domain = "example.org";
        enum_record("sip:erin@example.org");
        server(0, "one.example.org");
        server(1, "two.example.org");
        host("one.example.org", erin.at.address);
        host("two.example.org", spare.at.address);
        register_all();
    }

    void enum_record(const std::string& uri) {
        const DnsQuestion question{kOutsideDomain, DnsType::naptr};
        zone[question] = DnsMessage(question).naptr(kOutsideDomain, 60, {10, 10, "u", "E2U+sip", "!^.*$!" + uri + "!", ""}).bytes();
    }
    void server(std::uint16_t priority, const std::string& name) {
        servers.srv("_sip._udp.example.org", 60, {priority, 0, 5060, name});
        zone[{"_sip._udp.example.org", DnsType::srv}] = servers.bytes();
    }
    void host(const std::string& name, const net::IpAddress& address) {
        const DnsQuestion question{name, DnsType::a};
        zone[question] = DnsMessage(question).host(name, 60, address).bytes();
    }
    void serve() {
        for (const auto& question : trento.proxy.take_questions()) {
            ++asked;
            const auto known = zone.find(question);
            if (silent) continue;
            if (dead) {
                trento.proxy.dns_unanswered(question, world.now);
            } else {
                trento.proxy.dns_answered(
                    question, known != zone.end() ? known->second : DnsMessage(question, 3).soa("example", 60, 60).bytes(), world.now);
            }
        }
    }
    /// The world goes on, and DNS answers within 10 ms.
    void go(net::Duration time) {
        for (const auto end = world.now.steady + time; world.now.steady < end;) {
            world.run(10ms);
            serve();
        }
    }
    int dial(const std::string& uri, net::Duration time = 2s) {
        alice.history.clear();
        alice.call(uri);
        go(time);
        return alice.last("INVITE");
    }
    std::vector<std::string> routed_uris() const {
        std::vector<std::string> out;
        for (const auto& told : erin.history) {
            if (told.method == "INVITE" && told.status == 0) out.push_back(told.message.uri().text());
        }
        return out;
    }

    std::map<DnsQuestion, net::Bytes> zone;
    DnsMessage servers{{"_sip._udp.example.org", DnsType::srv}};
    bool dead = false, silent = false;
    unsigned asked = 0;
    Phone erin, spare;
};

}  // namespace

TEST_CASE("a number that nobody here has is found by ENUM and called outside") {
    OutsideScene scene;
    REQUIRE(scene.dial(kOutsideNumber) == 200);
    CHECK(scene.routed_uris() == std::vector<std::string>{"sip:erin@example.org"});
    CHECK(scene.erin.in_call());
    CHECK(scene.erin.count("ACK") == 1);
    REQUIRE(scene.trento.proxy.calls().size() == 1);
    CHECK(scene.trento.proxy.calls()[0].path == "outside");
    CHECK(scene.spare.history.empty());
    SECTION("the caller hangs up") {
        scene.alice.hang_up();
        scene.go(1s);
        CHECK(scene.erin.count("BYE") == 1);
        CHECK(scene.alice.last("BYE") == 200);
    }
    SECTION("the callee hangs up") {
        scene.erin.hang_up();
        scene.go(1s);
        CHECK(scene.alice.count("BYE") == 1);
        CHECK(scene.erin.last("BYE") == 200);
    }
    SECTION("the callee holds first") {
        scene.erin.reinvite();
        scene.go(1s);
        CHECK(scene.erin.last("INVITE") == 200);
        scene.alice.hang_up();
        scene.go(1s);
        CHECK(scene.erin.count("BYE") == 1);
    }
    CHECK(scene.quiet());
}

TEST_CASE("a SIP address of another domain is called at its servers") {
    OutsideScene scene;
    CHECK(scene.dial("sip:somebody@example.org") == 200);
    CHECK(scene.routed_uris() == std::vector<std::string>{"sip:somebody@example.org"});
    scene.alice.hang_up();
    scene.go(1s);
    CHECK(scene.quiet());
}

TEST_CASE("a number is read by the dial plan before it is looked for") {
    OutsideScene scene(false, [](auto& settings) {
        voice::DialPlanSettings plan;
        plan.country = "44";
        settings.dial_plan = voice::DialPlan(plan);
    });
    CHECK(scene.dial("sip:02079460148@acme.example") == 200);
    scene.alice.hang_up();
    scene.go(1s);
    // A user's own number is found in each of its forms, and nobody asks DNS for it.
    scene.roster.numbers["+442079460200"] = "bob@acme.example";
    const auto before = scene.asked;
    CHECK(scene.dial("sip:02079460200@acme.example") == 200);
    CHECK(scene.bob.in_call());
    CHECK(scene.asked == before);
}

TEST_CASE("the next server is tried after 503, and after silence") {
    OutsideScene scene;
    SECTION("503 after ringing") {
        scene.erin.manner = Phone::Manner::rings;
        scene.alice.call(kOutsideNumber);
        scene.go(500ms);
        scene.erin.fail(503);
        scene.go(2s);
        // It rang there: what comes after that is about the callee.
        CHECK(scene.alice.last("INVITE") == 500);
        CHECK(scene.spare.history.empty());
    }
    SECTION("486 is the callee's own word") {
        scene.erin.manner = Phone::Manner::busy;
        CHECK(scene.dial(kOutsideNumber) == 486);
        CHECK(scene.spare.history.empty());
    }
    SECTION("503 at once") {
        scene.erin.manner = Phone::Manner::is_overloaded;
        CHECK(scene.dial(kOutsideNumber) == 200);
        CHECK(scene.spare.in_call());
    }
    SECTION("silence") {
        scene.erin.manner = Phone::Manner::is_silent;
        CHECK(scene.dial(kOutsideNumber, 2s) <= 100);
        scene.go(3s);
        CHECK(scene.alice.last("INVITE") == 200);
        CHECK(scene.spare.in_call());
        scene.alice.hang_up();
        scene.go(1s);
        CHECK(scene.quiet());
    }
    SECTION("an address that cannot be reached") {
        scene.erin.manner = Phone::Manner::is_silent;
        CHECK(scene.dial(kOutsideNumber, 500ms) <= 100);
        const auto to = scene.erin.at;
        scene.trento.proxy.flow_failed({voice::Transport::udp, scene.trento.wan(), to, 0, voice::Side::outside},
                                       voice::FlowFailure::unreachable, scene.world.now);
        scene.world.flush();
        scene.go(1s);
        CHECK(scene.alice.last("INVITE") == 200);
        CHECK(scene.spare.in_call());
    }
}

TEST_CASE("the last good answer still routes when DNS is dead") {
    OutsideScene scene;
    REQUIRE(scene.dial(kOutsideNumber) == 200);
    scene.alice.hang_up();
    scene.go(1s);
    SECTION("DNS says so") { scene.dead = true; }
    SECTION("DNS is silent") { scene.silent = true; }
    scene.world.run(1h);
    CHECK(scene.dial(kOutsideNumber, 4s) == 200);
    CHECK(scene.erin.in_call());
}

TEST_CASE("a number that leads nowhere is answered, and it is said why") {
    OutsideScene scene;
    CHECK(scene.dial("sip:+4930123456@acme.example") == 404);
    CHECK(scene.dial("sip:nobody@acme.example") == 404);
    CHECK(scene.dial("sip:a@nowhere.example") == 404);
    scene.dead = true;
    CHECK(scene.dial("sip:+4930777777@acme.example") == 480);
    scene.silent = true;
    CHECK(scene.dial("sip:+4930888888@acme.example", 13s) == 480);
    CHECK(scene.quiet());
}

TEST_CASE("a number whose URI is of our own domain rings its user") {
    OutsideScene scene;
    scene.enum_record("sip:bob@acme.example");
    CHECK(scene.dial(kOutsideNumber) == 200);
    CHECK(scene.bob.in_call());
    CHECK(scene.erin.history.empty());
}

TEST_CASE("a number whose URI is sips is reached by TLS alone, or not at all") {
    SECTION("a phone of another office") {
        OutsideScene scene;
        scene.enum_record("sips:bob@acme.example");
        CHECK(scene.dial(kOutsideNumber) == 404);
        CHECK(scene.bob.history.size() == scene.bob.count("REGISTER", 200) + scene.bob.count("REGISTER", 401));
    }
    SECTION("a server, where there is no TLS") {
        OutsideScene scene;
        scene.enum_record("sips:erin@198.51.100.20");
        CHECK(scene.dial(kOutsideNumber) == 404);
        CHECK(scene.erin.history.empty());
    }
    SECTION("a server") {
        OutsideScene scene(false, [](auto& settings) {
            settings.names.locate.transports = {voice::Transport::udp, voice::Transport::tcp, voice::Transport::tls};
        });
        scene.host("sip.example.org", scene.erin.at.address);
        scene.enum_record("sips:erin@sip.example.org:5071");
        scene.dial(kOutsideNumber);
        REQUIRE(scene.world.by_tcp.size() == 1);
        const auto& flow = scene.world.by_tcp[0].flow;
        CHECK(flow.transport == voice::Transport::tls);
        CHECK(flow.remote.text() == "198.51.100.20:5071");
        CHECK(scene.trento.proxy.tls_name(flow) == "sip.example.org");
        CHECK(scene.erin.history.empty());
    }
}

TEST_CASE("a call that is given up while DNS is silent ends there") {
    OutsideScene scene;
    scene.silent = true;
    scene.dial(kOutsideNumber);
    scene.alice.cancel();
    scene.go(1s);
    CHECK(scene.alice.last("INVITE") == 487);
    scene.go(20s);
    CHECK(scene.erin.history.empty());
    CHECK(scene.quiet());
}

TEST_CASE("who is outside is heard only for calls to him") {
    OutsideScene scene;
    scene.erin.call("sip:alice@acme.example");
    scene.go(1s);
    CHECK(scene.erin.history.empty());  // a stranger: silence
    REQUIRE(scene.dial(kOutsideNumber) == 200);
    scene.alice.hang_up();
    scene.go(1s);
    scene.erin.call("sip:bob@acme.example");
    scene.erin.send("MESSAGE", "sip:alice@acme.example", "hello");
    scene.go(1s);
    CHECK(scene.erin.last("INVITE") == 403);
    CHECK(scene.erin.last("MESSAGE") == 403);
    CHECK(scene.alice.count("MESSAGE") == 0);
    CHECK(scene.bob.count("INVITE") == 0);
}

TEST_CASE("a phone that may not call asks nobody's DNS") {
    OutsideScene scene;
    Phone stranger(scene.world, "mallory", scene.trento.phone(66), scene.trento.lan());
    stranger.call(kOutsideNumber);
    scene.go(1s);
    CHECK(stranger.last("INVITE") == 403);
    CHECK(scene.asked == 0);
}

TEST_CASE("a zone cannot lead a call to what is inside") {
    for (const auto* address : {"127.0.0.1", "10.99.0.2", "10.99.0.1", "203.0.113.1", "169.254.1.1"}) {
        INFO(address);
        OutsideScene scene;
        scene.enum_record(std::string("sip:x@") + address);
        CHECK(scene.dial(kOutsideNumber) >= 400);
        CHECK(scene.quiet());
    }
}

TEST_CASE("while the centre is in use it is asked, and DNS only if told so") {
    SECTION("as usual") {
        OutsideScene scene(true);
        scene.dial(kOutsideNumber);
        CHECK(scene.asked == 0);
        CHECK(scene.erin.history.empty());
    }
    SECTION("always") {
        OutsideScene scene(true, [](auto& settings) { settings.outside = voice::OutsideUse::always; });
        CHECK(scene.dial(kOutsideNumber) == 200);
        CHECK(scene.erin.in_call());
        scene.alice.hang_up();
        scene.go(1s);
        CHECK(scene.dial("sip:+4930123456@acme.example") == 404);  // the centre's word
        CHECK(scene.world.seen("INVITE sip:+4930123456@acme.example") >= 2);
    }
    SECTION("never") {
        OutsideScene scene(false, [](auto& settings) { settings.outside = voice::OutsideUse::never; });
        CHECK(scene.dial(kOutsideNumber) == 404);
        CHECK(scene.asked == 0);
    }
    SECTION("the centre is busy") {
        OutsideScene scene(true);
        scene.centre.invite_status = 503;
        scene.centre.retry_after_s = 60;
        scene.dial(kOutsideNumber);
        REQUIRE(scene.trento.mode() == "busy");
        CHECK(scene.dial(kOutsideNumber) == 200);
        CHECK(scene.erin.in_call());
        scene.alice.hang_up();
        scene.go(1s);
        CHECK(scene.dial("sip:+4930123456@acme.example") == 503);  // there may be such a number
    }
    SECTION("the centre is lost") {
        OutsideScene scene(true);
        scene.world.cut.insert(scene.centre_at.address);
        scene.go(15s);
        REQUIRE(scene.trento.mode() == "island");
        CHECK(scene.dial(kOutsideNumber) == 200);
        CHECK(scene.erin.in_call());
    }
}

TEST_CASE("a call that is to replace one which nobody in the mesh has is asked for outside, in an outage too") {
    OutsideScene scene;
    scene.alice.dress = [](voice::Message& message) {
        if (message.is("INVITE")) message.set("Replaces", "theirs;to-tag=a;from-tag=b");
    };
    SECTION("who is there has it, or not") {
        for (const bool has : {true, false}) {
            CAPTURE(has);
            if (!has) scene.erin.manner = Phone::Manner::rings;
            const auto status = scene.dial(kOutsideNumber);
            if (!has) {
                scene.erin.fail(481);
                scene.go(1s);
            }
            CHECK((has ? status : scene.alice.last("INVITE")) == (has ? 200 : 481));
            REQUIRE(scene.erin.count("INVITE") == (has ? 1 : 2));
            for (const auto& told : scene.erin.history) {
                if (told.method == "INVITE" && told.status == 0) CHECK(told.message.get("Replaces") == "theirs;to-tag=a;from-tag=b");
            }
            scene.alice.hang_up();
            scene.go(1s);
        }
    }
    SECTION("the number is one of ours after all") {
        scene.enum_record("sip:bob@acme.example");
        CHECK(scene.dial(kOutsideNumber) == 481);
        CHECK(scene.bob.count("INVITE") == 0);
    }
    CHECK(scene.quiet());
}

TEST_CASE("when the centre is lost DNS is asked one question, and for one that is silent nobody waits who has a trunk") {
    const auto at = *net::Endpoint::parse("192.0.2.1:5060");
    OutsideScene scene(true, [&](auto& settings) {
        if (settings.node != "trento") return;
        voice::TrunkSettings trunk;
        trunk.name = "line";
        trunk.server = *voice::Uri::parse("sip:" + at.text());
        settings.trunks = {trunk};
    });
    Phone gateway(scene.world, "gateway", at, scene.trento.wan());
    gateway.domain = at.address.text();
    scene.go(1s);
    scene.silent = true;
    scene.world.cut.insert(scene.centre_at.address);
    for (int i = 0; i < 1500 && scene.trento.mode() == "central"; ++i) {
        CHECK(scene.asked == 0);
        scene.go(10ms);
    }
    REQUIRE(scene.trento.mode() == "island");
    REQUIRE(scene.asked == 1);
    SECTION("by the time that it is known") {
        scene.go(voice::Names::kPatience);
        CHECK(scene.asked == 1);
        scene.dial(kOutsideNumber, 300ms);
    }
    SECTION("for longer than until it is known") {
        scene.go(1s);
        scene.dial(kOutsideNumber, voice::Names::kPatience - 1100ms);
        CHECK(gateway.count("INVITE") == 0);
        scene.go(300ms);
    }
    CHECK(gateway.count("INVITE") == 1);
    scene.go(1s);
    scene.alice.hang_up();
    scene.go(1s);
    CHECK(scene.quiet());
}
