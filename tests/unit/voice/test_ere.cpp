#include <catch2/catch.hpp>

#include "net/random.hpp"
#include "voice/substitution.hpp"

using voice::Ere;

namespace {

/// The whole match and the groups, "a|b"; "-" for a group that took no part; "none", "costly", or why it is refused.
std::string match(std::string_view pattern, std::string_view text, bool ignore_case = false) {
    const auto ere = Ere::compile(pattern, ignore_case);
    if (!ere) return ere.error().message;
    std::vector<Ere::Span> spans;
    switch (ere->search(text, 5000, spans)) {
        case Ere::Outcome::no_match: return "none";
        case Ere::Outcome::too_costly: return "costly";
        case Ere::Outcome::matched: break;
    }
    std::string out;
    for (const auto& span : spans) {
        out += (&span == spans.data() ? "" : "|") +
               (span.is_set() ? std::string(text.substr(span.begin, span.end - span.begin)) : "-");
    }
    return out;
}

std::string rewrite(std::string_view field, std::string_view text = "+442079460148") {
    const auto substitution = voice::Substitution::parse(field);
    if (!substitution) return "malformed: " + substitution.error().message;
    const auto result = substitution->apply(text);
    return result ? *result : "no: " + result.error().message;
}

}  // namespace

TEST_CASE("an extended regular expression matches leftmost and longest") {
    CHECK(match("^.*$", "+44") == "+44");
    CHECK(match("a|ab", "xabc") == "ab");
    CHECK(match("(a|ab)(c|bcd)(d*)", "abcd") == "abcd|ab|c|d");
    CHECK(match("^\\+44(.*)$", "+442079460148") == "+442079460148|2079460148");
    CHECK(match("([0-9]{2})([[:digit:]]+)", "+442079") == "442079|44|2079");
    CHECK(match("[^0-9]", "12a3") == "a");
    CHECK(match("x*", "yyy") == "");
    CHECK(match("b{2,3}", "abbbbc") == "bbb");
    CHECK(match("(x)?b", "b") == "b|-");
    CHECK(match("[]a-]+", "]-a]") == "]-a]");
    CHECK(match("ABC", "abc", true) == "abc");
    CHECK(match("[A-C]+", "abc", true) == "abc");
    CHECK(match("ABC", "abc") == "none");
    CHECK(match("^$", "") == "");
}

TEST_CASE("a repeat of nothing stands for itself") {
    CHECK(match("^+44(.*)$", "+4420") == "+4420|20");
    CHECK(match("(+44|0)(.*)", "+4420") == "+4420|+44|20");
    CHECK(match("a|*b", "*b") == "*b");
    CHECK(match("^?x", "?x") == "?x");
    CHECK(match("a{,3}", "a{,3}") == "a{,3}");
}

TEST_CASE("an expression that is broken is refused with a reason") {
    for (const auto* broken : {"(", ")", "a)", "[a", "[z-a]", "a\\", "\\1", "(a)\\1", "[[:nothing:]]", "a{256}", "a{3,2}",
                               "a{1,99999999999}", "[[.a.]]"}) {
        INFO(broken);
        CHECK_FALSE(Ere::compile(broken, false));
    }
    CHECK_FALSE(Ere::compile(std::string(256, 'a'), false));
    CHECK_FALSE(Ere::compile(std::string(100, '(') + std::string(100, ')'), false));
}

TEST_CASE("a hostile expression costs no more than its bound") {
    const std::string number = "+123456789012345";
    CHECK(match("^((((.*)*)*)*)*x$", number) == "costly");
    CHECK(match("^(.|.|.|.|.)*x$", number) == "costly");
    CHECK(match("^(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)x$", number) == "costly");
    CHECK(match("((a{0,255}){0,255}){0,255}", number) == "||");
    CHECK(match("(((((.{0,255}){0,255}){0,255}){0,255}){0,255}){0,255}x", number) == "costly");
    CHECK(match("(()*)*$", number).find("costly") == std::string::npos);
}

TEST_CASE("random expressions end, and match what they say") {
    net::SeededRandom random(7);
    const std::string_view alphabet = "ab^$.*+?|()[]{}-,0129\\:";
    for (unsigned round = 0; round < 20000; ++round) {
        std::string pattern;
        for (auto left = random.below(20); left > 0; --left) pattern += alphabet[random.below(alphabet.size())];
        const auto ere = Ere::compile(pattern, (round & 1) != 0);
        if (!ere) continue;
        std::vector<Ere::Span> spans;
        if (ere->search("ab+0129ab", 5000, spans) != Ere::Outcome::matched) continue;
        REQUIRE(spans.size() == ere->groups() + 1);
        for (const auto& span : spans) {
            if (span.is_set()) REQUIRE((span.begin <= span.end && span.end <= 9));
        }
    }
}

TEST_CASE("a substitution gives its replacement with the groups filled in") {
    CHECK(rewrite("!^.*$!sip:info@example.com!") == "sip:info@example.com");
    CHECK(rewrite("!^\\+44(.*)$!sip:\\1@gw.example.com!") == "sip:2079460148@gw.example.com");
    CHECK(rewrite("!^+44(...)(.*)$!sip:\\2.\\1@example.com!") == "sip:9460148.207@example.com");
    CHECK(rewrite("!^.*$!SIP:A@B!i") == "SIP:A@B");
    // RFC 2916 section 3.2.3, with the '+' as it stands there.
    CHECK(rewrite("!^+46(.*)$!ldap://ldap.se/cn=0\\1!", "+468971234") == "ldap://ldap.se/cn=08971234");
}

TEST_CASE("a substitution may have any delimiter") {
    CHECK(rewrite("/^.*$/sip:a@example.com/") == "sip:a@example.com");
    CHECK(rewrite("#^.*$#sip:a@example.com#") == "sip:a@example.com");
    CHECK(rewrite("z^.*$zsip:a@example.comz") == "sip:a@example.com");
    CHECK(rewrite("/^.*$/http:\\/\\/example.com\\/\\//") == "http://example.com//");
    CHECK(rewrite("!^\\!?.*$!sip:a\\!b@example.com!") == "sip:a!b@example.com");
    CHECK(rewrite("|^\\|?.*$|sip:a@example.com|") == "sip:a@example.com");
    CHECK(rewrite("+^.*$+sip:\\+1@example.com+") == "sip:+1@example.com");
}

TEST_CASE("a substitution that is malformed is none") {
    for (const auto* broken : {"", "!", "!!", "!^.*$!sip:a@b", "!^.*$!sip:a@b!x", "!^.*$!sip:a@b!i!", "1^.*$1sip:a@b1",
                               "i^.*$isip:a@bi", "\\^.*$\\sip:a@b\\", "!^.*$!sip:\\1@b!", "!(.*)!\\0!", "!(.*)!\\2!",
                               "!^(.*$!sip:a@b!", "!.*!a\\!"}) {
        INFO(broken);
        CHECK(rewrite(broken).starts_with("malformed: "));
    }
    CHECK(rewrite("!^\\+49.*$!sip:a@b!") == "no: the regular expression does not match");
    CHECK(rewrite("!^((((.*)*)*)*)*x$!sip:a@b!") == "no: the regular expression would take too long");
}
