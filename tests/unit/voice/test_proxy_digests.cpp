/// Which digest algorithms meshd asks for (RFC 8760), and of whom.
#include <catch2/catch.hpp>

#include "offices.hpp"

using namespace test;
using voice::DigestAlgorithm;

namespace {

const std::vector<DigestAlgorithm> kAll{DigestAlgorithm::sha512_256, DigestAlgorithm::sha256, DigestAlgorithm::md5};

struct Registrar : Scene {
    explicit Registrar(std::vector<DigestAlgorithm> digests)
        : Scene(1, false, [&](auto& settings) { settings.digests = digests; }) {}
    /// The algorithms of the challenge that a phone was given last, in order.
    static std::vector<std::string> asked(const Phone& phone, std::string_view header = "WWW-Authenticate") {
        std::vector<std::string> out;
        for (const auto& told : phone.history) {
            if (told.status != 401 && told.status != 407) continue;
            out.clear();
            for (const auto value : told.message.get_all(header)) {
                const std::string text(value);
                const auto begin = text.find("algorithm=") + 10;
                out.push_back(text.substr(begin, text.find(',', begin) - begin));
            }
        }
        return out;
    }
};

}  // namespace

TEST_CASE("by default phones are asked for MD5 and nothing else") {
    Scene scene(1, false);
    scene.register_all();
    CHECK(Registrar::asked(scene.alice) == std::vector<std::string>{"MD5"});
    CHECK(scene.alice.last("REGISTER") == 200);
}

TEST_CASE("several algorithms are offered in headers of their own, the best first, and each is taken") {
    Registrar scene(kAll);
    scene.alice.takes_topmost = true;
    scene.register_all();
    CHECK(Registrar::asked(scene.alice) == std::vector<std::string>{"SHA-512-256", "SHA-256", "MD5"});
    CHECK(scene.alice.last("REGISTER") == 200);  // by SHA-512-256
    CHECK(scene.bob.last("REGISTER") == 200);    // by MD5
    Phone wrong(scene.world, "alice", scene.trento.phone(20), scene.trento.lan(), "guess");
    wrong.takes_topmost = true;
    wrong.register_now();
    scene.world.run(2s);
    CHECK(wrong.last("REGISTER") == 401);
}

TEST_CASE("a call is challenged by the same algorithms as a registration") {
    Registrar scene({DigestAlgorithm::sha256});
    scene.register_all();
    Phone second(scene.world, "alice", scene.trento.phone(20), scene.trento.lan());
    second.call("sip:bob@acme.example");
    scene.world.run(2s);
    CHECK(Registrar::asked(second, "Proxy-Authenticate") == std::vector<std::string>{"SHA-256"});
    CHECK(second.in_call());
}

TEST_CASE("a user who was added with MD5 only is asked for that, whatever else is set") {
    Registrar scene({DigestAlgorithm::sha512_256, DigestAlgorithm::sha256});
    auto& record = scene.roster.users["alice@acme.example"].record;
    record.ha1_sha512_256.clear();
    SECTION("of what is set, what he has") {
        scene.register_all();
        CHECK(Registrar::asked(scene.alice) == std::vector<std::string>{"SHA-256"});
    }
    SECTION("nothing of what is set") {
        record.ha1_sha256.clear();
        scene.register_all();
        CHECK(Registrar::asked(scene.alice) == std::vector<std::string>{"MD5"});
    }
    CHECK(scene.alice.last("REGISTER") == 200);
    CHECK(scene.bob.last("REGISTER") == 200);
}

TEST_CASE("an algorithm that was not offered is not taken") {
    Registrar scene({DigestAlgorithm::sha256});
    scene.register_all();
    const auto challenge = std::string(*scene.alice.history.front().message.get("WWW-Authenticate"));
    const auto nonce = challenge.substr(challenge.find("nonce=\"") + 7, 64);
    const auto ha1 = voice::digest_ha1(DigestAlgorithm::md5, "alice", "acme.example", "secret");
    const auto at = scene.trento.phone(66);
    const auto text =
        "REGISTER sip:acme.example SIP/2.0\r\nVia: SIP/2.0/UDP " + at.text() +
        ";branch=z9hG4bKd\r\nFrom: <sip:alice@acme.example>;tag=s\r\nTo: <sip:alice@acme.example>\r\nCall-ID: d\r\n"
        "CSeq: 1 REGISTER\r\nContact: <sip:alice@" + at.text() +
        ">\r\nAuthorization: Digest username=\"alice\", realm=\"acme.example\", nonce=\"" + nonce +
        "\", uri=\"sip:acme.example\", algorithm=MD5, qop=auth, cnonce=\"c\", nc=00000009, response=\"" +
        voice::digest_response(DigestAlgorithm::md5, ha1, nonce, "00000009", "c", "auth", "REGISTER", "sip:acme.example") +
        "\"\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n";
    scene.trento.receive({voice::Transport::udp, scene.trento.lan(), at, 0, voice::Side::phone}, net::as_bytes(text),
                         scene.world.now);
    const auto out = scene.trento.take_outgoing();
    REQUIRE(out.size() == 1);
    CHECK(net::as_text(out.front().bytes).starts_with("SIP/2.0 401"));
}
