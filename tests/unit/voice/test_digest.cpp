#include <catch2/catch.hpp>

#include "voice/digest.hpp"

using namespace std::chrono_literals;
using namespace voice;

namespace {

struct DigestBench {
    explicit DigestBench(std::uint64_t seed = 3) : random(seed) {}
    net::SeededRandom random;
    DigestServer server{{"acme", 300s, 3}, random};
    net::Now now{net::Steady(1000s), {}};

    Message request(std::string_view authorization) {
        auto message = Message::request("REGISTER", *Uri::parse("sip:acme.example"));
        if (!authorization.empty()) message.set("Authorization", authorization);
        return message;
    }
    std::string answer(std::string_view challenge, std::string_view password = "secret", std::string_view user = "bob") {
        const auto text = digest_answer(challenge, user, password, "REGISTER", "sip:acme.example", random);
        REQUIRE(text);
        return *text;
    }
    DigestServer::Verdict check(std::string_view authorization) {
        return server.check(request(authorization), "Authorization",
                            [](std::string_view user, DigestAlgorithm algorithm) -> std::optional<std::string> {
                                if (user != "bob") return std::nullopt;
                                return digest_ha1(algorithm, "bob", "acme", "secret");
                            },
                            now).verdict;
    }
};

std::string with_count(const std::string& nonce, const std::string& count) {
    const auto response = digest_response(DigestAlgorithm::md5, digest_ha1(DigestAlgorithm::md5, "bob", "acme", "secret"), nonce,
                                          count, "c", "auth", "REGISTER", "sip:acme.example");
    return "Digest username=\"bob\", realm=\"acme\", nonce=\"" + nonce + "\", uri=\"sip:acme.example\", response=\"" + response +
           "\", cnonce=\"c\", qop=auth, nc=" + count + ", algorithm=MD5";
}

using V = DigestServer::Verdict;

}  // namespace

TEST_CASE("the examples of RFC 7616 3.9.1 come out") {
    for (const auto& [algorithm, expected] :
         {std::pair{DigestAlgorithm::md5, "8ca523f5e9506fed4657c9700eebdbec"},
          std::pair{DigestAlgorithm::sha256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"}}) {
        const auto ha1 = digest_ha1(algorithm, "Mufasa", "http-auth@example.org", "Circle of Life");
        CHECK(digest_response(algorithm, ha1, "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", "00000001",
                              "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", "auth", "GET", "/dir/index.html") == expected);
    }
    // RFC 7616 3.9.2's hash of the user name.
    CHECK(digest_hash(DigestAlgorithm::sha512_256, "J\xc3\xa4s\xc3\xb8n Doe:api@example.org") ==
          "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b");
}

TEST_CASE("a right answer is good, for each algorithm") {
    for (const auto algorithm : {DigestAlgorithm::md5, DigestAlgorithm::sha256, DigestAlgorithm::sha512_256}) {
        DigestBench bench;
        const auto challenges = bench.server.challenges(bench.now, false, {algorithm});
        REQUIRE(challenges.size() == 1);
        CHECK(bench.check(bench.answer(challenges[0])) == V::good);
    }
}

TEST_CASE("no credentials, other realms and other schemes are absent; a wrong password, user or uri is wrong") {
    DigestBench bench;
    const auto challenge = bench.server.challenges(bench.now)[0];
    CHECK(bench.check("") == V::absent);
    CHECK(bench.check("Basic dTpw") == V::absent);
    CHECK(bench.check("Digest realm=\"centre\", username=\"bob\", nonce=\"1\", uri=\"sip:x\", response=\"0\"") == V::absent);
    CHECK(bench.check(bench.answer(challenge, "guess")) == V::wrong);
    CHECK(bench.check(bench.answer(challenge, "secret", "eve")) == V::wrong);
    const auto elsewhere = *digest_answer(challenge, "bob", "secret", "REGISTER", "sip:evil.example", bench.random);
    CHECK(bench.check(elsewhere) == V::wrong);
    const auto other_method = *digest_answer(challenge, "bob", "secret", "INVITE", "sip:acme.example", bench.random);
    CHECK(bench.check(other_method) == V::wrong);
    CHECK(bench.server.nonces() == 0);  // nothing is kept for those who guess
}

TEST_CASE("an old nonce and one of an earlier run are stale, and a forged one with a wrong password is wrong") {
    DigestBench bench;
    const auto challenge = bench.server.challenges(bench.now)[0];
    auto answer = bench.answer(challenge);
    bench.now.steady += 301s;
    CHECK(bench.check(answer) == V::stale);
    CHECK(bench.server.challenges(bench.now, true)[0].find("stale=true") != std::string::npos);

    DigestBench other(4);
    CHECK(other.check(answer) == V::stale);
    const auto at = answer.find("response=\"") + 10;
    answer[at] = answer[at] == '0' ? '1' : '0';
    CHECK(other.check(answer) == V::wrong);
}

TEST_CASE("each count of a nonce is good once, also out of order") {
    DigestBench bench;
    const auto challenge = bench.server.challenges(bench.now)[0];
    const auto nonce = challenge.substr(challenge.find("nonce=\"") + 7, 64);
    CHECK(bench.check(with_count(nonce, "00000001")) == V::good);
    CHECK(bench.check(with_count(nonce, "00000001")) == V::replayed);
    CHECK(bench.check(with_count(nonce, "00000003")) == V::good);
    CHECK(bench.check(with_count(nonce, "00000002")) == V::good);
    CHECK(bench.check(with_count(nonce, "00000002")) == V::replayed);
    CHECK(bench.check(with_count(nonce, "00000100")) == V::good);
    CHECK(bench.check(with_count(nonce, "00000004")) == V::replayed);
    CHECK(bench.check(with_count(nonce, "00000000")) == V::wrong);
    CHECK(bench.check(with_count(nonce, "1")) == V::wrong);
}

TEST_CASE("the nonces kept are bounded, and one that was forgotten cannot be replayed") {
    DigestBench bench;
    std::vector<std::string> answers;
    for (int i = 0; i < 5; ++i) {
        bench.now.steady += 1s;
        answers.push_back(bench.answer(bench.server.challenges(bench.now)[0]));
        CHECK(bench.check(answers.back()) == V::good);
        CHECK(bench.server.nonces() <= 3);
    }
    CHECK(bench.check(answers[0]) == V::stale);
    CHECK(bench.check(answers[4]) == V::replayed);
}
