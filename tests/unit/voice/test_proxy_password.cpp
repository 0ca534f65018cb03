/// RFC 3261 section 22.3: without the centre, a phone that is not registered here shows by a password whose it is.
#include <catch2/catch.hpp>

#include "offices.hpp"

using namespace test;

namespace {

/// A phone of trento that is not registered and whose messages are written by hand.
struct Stranger {
    explicit Stranger(Scene& in) : scene(in) {}

    voice::Message request(std::string_view method, const std::string& more = "") {
        const auto text = std::string(method) + " " + uri + " SIP/2.0\r\nVia: SIP/2.0/UDP " + at.text() + ";branch=z9hG4bK" +
                          std::to_string(scene.world.random.u64()) + "\r\nFrom: <sip:alice@acme.example>;tag=s\r\nTo: <" +
                          uri + ">\r\nCall-ID: stranger\r\nCSeq: " + std::to_string(++cseq) + " " + std::string(method) +
                          "\r\nContact: <sip:alice@" + at.text() + ">\r\n" + more +
                          "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n";
        return *voice::Message::parse(net::as_bytes(text));
    }
    /// The last final answer to it.
    std::optional<voice::Message> ask(const voice::Message& message) {
        scene.trento.receive({voice::Transport::udp, scene.trento.lan(), at, 0, voice::Side::phone}, message.to_bytes(),
                             scene.world.now);
        std::optional<voice::Message> last;
        for (const auto& out : scene.trento.take_outgoing()) {
            auto answer = voice::Message::parse(out.bytes);
            if (out.flow.remote == at && answer && answer->is_response() && answer->status() >= 200) last = *answer;
        }
        return last;
    }
    static std::string nonce_of(const voice::Message& challenge) {
        const std::string value(challenge.get("Proxy-Authenticate").value_or(""));
        const auto begin = value.find("nonce=\"") + 7;
        return value.substr(begin, value.find('"', begin) - begin);
    }
    std::string credentials(std::string_view method, const std::string& nonce, const std::string& count) const {
        using voice::DigestAlgorithm;
        const auto ha1 = voice::digest_ha1(DigestAlgorithm::md5, "alice", "acme.example", "secret");
        return "Proxy-Authorization: Digest username=\"alice\", realm=\"acme.example\", nonce=\"" + nonce + "\", uri=\"" + uri +
               "\", algorithm=MD5, qop=auth, cnonce=\"c\", nc=" + count + ", response=\"" +
               voice::digest_response(DigestAlgorithm::md5, ha1, nonce, count, "c", "auth", method, uri) + "\"\r\n";
    }

    Scene& scene;
    net::Endpoint at = *net::Endpoint::parse("10.1.0.66:5060");
    std::string uri = "sip:bob@acme.example";
    unsigned cseq = 0;
};

bool reached_bob_with(Scene& scene, std::string_view method, std::string_view header) {
    return std::any_of(scene.bob.history.begin(), scene.bob.history.end(), [&](const auto& told) {
        return told.method == method && told.status == 0 && told.message.has(header);
    });
}

}  // namespace

TEST_CASE("without a centre a phone that is not registered calls by its password, which goes no further") {
    Scene scene(1, false);
    scene.register_all();
    Phone second(scene.world, "alice", scene.trento.phone(20), scene.trento.lan());
    second.call("sip:bob@acme.example");
    scene.world.run(2s);
    CHECK(second.count("INVITE", 407) == 1);
    CHECK(second.in_call());
    CHECK(scene.bob.in_call());
    CHECK(scene.bob.count("INVITE") == 1);
    CHECK_FALSE(reached_bob_with(scene, "INVITE", "Proxy-Authorization"));
    CHECK(scene.trento.proxy.counters().forged == 0);
    scene.bob.hang_up();
    scene.world.run(40s);
    CHECK_FALSE(second.in_call());
    CHECK(scene.quiet());
}

TEST_CASE("the password that a phone shows again within a call goes no further either") {
    Scene scene(1, false);
    scene.register_all();
    Phone second(scene.world, "alice", scene.trento.phone(20), scene.trento.lan());
    second.call("sip:bob@acme.example");
    scene.world.run(2s);
    REQUIRE(second.in_call());
    second.reinvite();
    scene.world.run(2s);
    second.hang_up();
    scene.world.run(2s);
    for (const auto* method : {"ACK", "INVITE", "BYE"}) {
        CAPTURE(method);
        CHECK(scene.bob.count(method) > 0);
        CHECK_FALSE(reached_bob_with(scene, method, "Proxy-Authorization"));
    }
}

TEST_CASE("an answer to a registrar of our realm is shown to nobody else") {
    Scene scene(1, false);
    scene.register_all();
    Stranger alice(scene);
    alice.at = scene.alice.at;
    auto shown = alice.credentials("MESSAGE", "n", "00000001");
    alice.ask(alice.request("MESSAGE", shown.substr(shown.find('-') + 1)));
    scene.world.run(1s);
    REQUIRE(scene.bob.count("MESSAGE") == 1);
    CHECK_FALSE(reached_bob_with(scene, "MESSAGE", "Authorization"));
}

TEST_CASE("a registered phone is not asked for its password again") {
    Scene scene(1, false);
    scene.register_all();
    scene.alice.call("sip:bob@acme.example");
    scene.world.run(2s);
    CHECK(scene.alice.in_call());
    CHECK(scene.alice.count("INVITE", 407) == 0);
}

TEST_CASE("a caller with a wrong password is asked again, one with another's or out of place is refused") {
    Scene scene(1, false);
    scene.register_all();
    Phone wrong(scene.world, "alice", scene.trento.phone(20), scene.trento.lan(), "guess");
    Phone other(scene.world, "dave", scene.trento.phone(21), scene.trento.lan());
    other.from_user = "alice";
    Phone elsewhere(scene.world, "alice", scene.london.phone(20), scene.london.lan());
    Phone unknown(scene.world, "mallory", scene.trento.phone(22), scene.trento.lan());
    for (auto* phone : {&wrong, &other, &elsewhere, &unknown}) phone->call("sip:bob@acme.example");
    scene.world.run(2s);
    CHECK(wrong.count("INVITE", 407) == 2);
    CHECK(other.last("INVITE") == 403);
    CHECK(elsewhere.last("INVITE") == 403);
    CHECK(unknown.last("INVITE") == 403);
    CHECK(unknown.count("INVITE", 407) == 0);
    CHECK(scene.bob.count("INVITE") == 0);
    CHECK(scene.trento.proxy.counters().forged == 2);
    CHECK(scene.london.proxy.counters().forged == 1);
}

TEST_CASE("in an outage a password counts where one is provisioned, and nothing does where none is") {
    for (const bool provisioned : {true, false}) {
        Scene scene;
        scene.register_all();
        if (provisioned) scene.roster.add_user("alice", "trento", "secret");
        scene.centre.alive = false;
        scene.world.run(10s);
        Phone second(scene.world, "alice", scene.trento.phone(20), scene.trento.lan());
        second.call("sip:bob@acme.example");
        scene.world.run(2s);
        CHECK(second.in_call() == provisioned);
        CHECK(scene.bob.in_call() == provisioned);
        CHECK(second.count("INVITE", 407) == (provisioned ? 1 : 0));
        CHECK(second.count("INVITE", 403) == (provisioned ? 0 : 1));
    }
}

TEST_CASE("a realm that is not ours is no password for us") {
    Scene scene;
    scene.register_all();
    scene.roster.add_user("alice", "trento", "secret");
    scene.roster.users["alice@acme.example"].record.realm = "centre.example";
    scene.centre.alive = false;
    scene.world.run(10s);
    CHECK(Stranger(scene).ask(Stranger(scene).request("MESSAGE"))->status() == 403);
}

TEST_CASE("MESSAGE and SUBSCRIBE are asked for a password as INVITE is") {
    Scene scene(1, false);
    scene.register_all();
    Phone second(scene.world, "alice", scene.trento.phone(20), scene.trento.lan());
    second.send("MESSAGE", "sip:bob@acme.example", "hello");
    scene.world.run(2s);
    CHECK(second.count("MESSAGE", 407) == 1);
    CHECK(second.last("MESSAGE") == 200);
    REQUIRE(scene.bob.count("MESSAGE") == 1);
    CHECK_FALSE(reached_bob_with(scene, "MESSAGE", "Proxy-Authorization"));
    second.send("SUBSCRIBE", "sip:bob@acme.example");
    scene.world.run(2s);
    CHECK(second.count("SUBSCRIBE", 407) == 1);
    CHECK(second.last("SUBSCRIBE") == 489);
}

TEST_CASE("each count of a nonce is good for one request") {
    Scene scene(1, false);
    Stranger stranger(scene);
    const auto challenge = stranger.ask(stranger.request("MESSAGE"));
    REQUIRE(challenge);
    REQUIRE(challenge->status() == 407);
    CHECK(challenge->get("Proxy-Authenticate")->find("stale") == std::string_view::npos);
    const auto nonce = Stranger::nonce_of(*challenge);
    CHECK(stranger.ask(stranger.request("MESSAGE", stranger.credentials("MESSAGE", nonce, "00000001")))->status() == 202);
    CHECK(stranger.ask(stranger.request("MESSAGE", stranger.credentials("MESSAGE", nonce, "00000002")))->status() == 202);
    const auto again = stranger.ask(stranger.request("MESSAGE", stranger.credentials("MESSAGE", nonce, "00000001")));
    REQUIRE(again->status() == 407);
    CHECK(again->get("Proxy-Authenticate")->find("stale=true") != std::string_view::npos);
    scene.world.run(301s);
    const auto late = stranger.ask(stranger.request("MESSAGE", stranger.credentials("MESSAGE", nonce, "00000003")));
    REQUIRE(late->status() == 407);
    CHECK(late->get("Proxy-Authenticate")->find("stale=true") != std::string_view::npos);
}

TEST_CASE("a challenged INVITE that comes again gets the same challenge, and its ACK ends there") {
    Scene scene(1, false);
    Stranger stranger(scene);
    const auto invite = stranger.request("INVITE");
    const auto first = stranger.ask(invite);
    const auto second = stranger.ask(invite);
    REQUIRE(first);
    REQUIRE(second);
    CHECK(first->status() == 407);
    CHECK(first->to_text() == second->to_text());
    CHECK_FALSE(stranger.ask(voice::Message::ack_for(invite, *first)));
    CHECK_FALSE(stranger.ask(invite));  // confirmed: no more answers
    CHECK(scene.trento.proxy.counters().forged == 0);
    CHECK(scene.trento.proxy.calls().empty());
}

TEST_CASE("what a phone says to the centre's challenge reaches no other office, what it says to others does") {
    Scene scene;
    scene.register_all();
    scene.centre.alive = false;  // and not known to be: the mesh is the spare
    Stranger alice(scene);
    alice.at = scene.alice.at;
    alice.ask(alice.request("INVITE", alice.credentials("INVITE", "centre's", "00000001") +
                                          "Proxy-Authorization: Digest username=\"a\", realm=\"beyond\", nonce=\"n\", "
                                          "uri=\"sip:beyond\", response=\"0\"\r\n"));
    scene.world.run(3s);
    REQUIRE(scene.bob.count("INVITE") >= 1);
    for (const auto& told : scene.bob.history) {
        if (told.method != "INVITE") continue;
        const auto all = told.message.get_all("Proxy-Authorization");
        REQUIRE(all.size() == 1);
        CHECK(all.front().find("beyond") != std::string_view::npos);
    }
}

TEST_CASE("what a phone says to a centre of another realm reaches no other office either") {
    Scene scene(1, true, [](auto& settings) { settings.domain = "branch.example"; });
    scene.register_all();  // the centre's realm is acme.example
    scene.centre.alive = false;
    Stranger alice(scene);
    alice.at = scene.alice.at;
    alice.ask(alice.request("INVITE", alice.credentials("INVITE", "centre's", "00000002")));
    scene.world.run(10s);
    REQUIRE(scene.bob.count("INVITE") >= 1);
    CHECK_FALSE(reached_bob_with(scene, "INVITE", "Proxy-Authorization"));
    alice.ask(alice.request("MESSAGE", alice.credentials("MESSAGE", "centre's", "00000003")));
    scene.world.run(2s);
    REQUIRE(scene.bob.count("MESSAGE") == 1);
    CHECK_FALSE(reached_bob_with(scene, "MESSAGE", "Proxy-Authorization"));
}
