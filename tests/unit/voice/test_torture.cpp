// RFC 4475 and RFC 5118, judged as the RFCs' own grouping says. The whole sets are read from the folder that the
// environment's MESHD_VECTORS names; a few messages stand here, so that the test means something without it.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>

#include "voice/message.hpp"

using voice::Message;

namespace {

enum class Verdict { accept, refuse, either };

struct Row {
    const char* name;
    Verdict verdict;
    int answer = 400;  // of a refusal: 0 is silence
};

// "either" where RFC 4475 lets an element recover.
constexpr Row kTorture[] = {
    {"wsinv", Verdict::accept},      {"intmeth", Verdict::accept},    {"esc01", Verdict::accept},
    {"escnull", Verdict::accept},    {"esc02", Verdict::accept},      {"lwsdisp", Verdict::accept},
    {"longreq", Verdict::accept},    {"dblreq", Verdict::accept},     {"semiuri", Verdict::accept},
    {"transports", Verdict::accept}, {"mpart01", Verdict::accept},    {"unreason", Verdict::accept},
    {"noreason", Verdict::accept},   {"inv2543", Verdict::accept},    {"badinv01", Verdict::refuse},
    {"clerr", Verdict::refuse},      {"ncl", Verdict::refuse},        {"scalar02", Verdict::refuse},
    {"scalarlg", Verdict::refuse, 0}, {"quotbal", Verdict::refuse},   {"ltgtruri", Verdict::refuse},
    {"lwsruri", Verdict::refuse},    {"lwsstart", Verdict::refuse},   {"trws", Verdict::refuse},
    {"escruri", Verdict::refuse},    {"baddate", Verdict::either},    {"regbadct", Verdict::refuse},
    {"badaspec", Verdict::refuse},   {"baddn", Verdict::refuse},      {"badvers", Verdict::refuse, 505},
    {"mismatch01", Verdict::refuse}, {"mismatch02", Verdict::refuse, 501}, {"bigcode", Verdict::refuse, 0},
    {"badbranch", Verdict::accept},  {"insuf", Verdict::refuse},      {"unkscm", Verdict::accept},
    {"novelsc", Verdict::accept},    {"unksm2", Verdict::accept},     {"bext01", Verdict::accept},
    {"invut", Verdict::accept},      {"regaut01", Verdict::accept},   {"multi01", Verdict::refuse},
    {"mcl01", Verdict::refuse},      {"bcast", Verdict::accept},      {"zeromf", Verdict::accept},
    {"cparam01", Verdict::accept},   {"cparam02", Verdict::accept},   {"regescrt", Verdict::accept},
    {"sdp01", Verdict::accept},
};
constexpr Row kIpv6[] = {
    {"rfc5118-4.1", Verdict::accept},  {"rfc5118-4.2", Verdict::refuse},   {"rfc5118-4.3", Verdict::accept},
    {"rfc5118-4.4", Verdict::accept},  {"rfc5118-4.5a", Verdict::accept},  {"rfc5118-4.5b", Verdict::accept},
    {"rfc5118-4.6", Verdict::accept},  {"rfc5118-4.7", Verdict::accept},   {"rfc5118-4.8", Verdict::accept},
    {"rfc5118-4.9", Verdict::accept},  {"rfc5118-4.10a", Verdict::either}, {"rfc5118-4.10b", Verdict::accept},
};

int answer_of(const voice::Rejected& rejected) {
    if (rejected.response.empty()) return 0;
    const auto text = net::as_text(rejected.response);
    return std::stoi(std::string(text.substr(8, 3)));
}

void judge(const Row& row, const std::string& bytes) {
    INFO(row.name);
    const auto message = Message::parse(net::as_bytes(bytes));
    if (message) {
        CHECK(row.verdict != Verdict::refuse);
        // What was accepted is accepted again as we write it.
        const auto again = Message::parse(message->to_bytes());
        INFO((again ? "" : again.error().reason));
        REQUIRE(again);
        CHECK(again->to_text() == message->to_text());
    } else {
        INFO(message.error().reason);
        CHECK(row.verdict != Verdict::accept);
        if (row.verdict == Verdict::refuse) CHECK(answer_of(message.error()) == row.answer);
    }
}

template <std::size_t N>
void judge_folder(const std::string& folder, const Row (&rows)[N]) {
    for (const auto& row : rows) {
        std::ifstream file(folder + "/" + row.name + ".dat", std::ios::binary);
        INFO(folder << " " << row.name);
        REQUIRE(file);
        std::stringstream bytes;
        bytes << file.rdbuf();
        judge(row, bytes.str());
    }
}

const char* vectors() { return std::getenv("MESHD_VECTORS"); }

std::string crlf(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '\n') out += '\r';
        out += c;
    }
    return out;
}

}  // namespace

TEST_CASE("every torture message of RFC 4475 gets the RFC's verdict") {
    if (!vectors()) {
        std::cerr << "MESHD_VECTORS is not set: only the messages in this file are judged\n";
        return;
    }
    judge_folder(std::string(vectors()) + "/rfc4475", kTorture);
}

TEST_CASE("every IPv6 message of RFC 5118 gets the RFC's verdict") {
    if (!vectors()) {
        std::cerr << "MESHD_VECTORS is not set: only the messages in this file are judged\n";
        return;
    }
    judge_folder(std::string(vectors()) + "/rfc5118", kIpv6);
}

TEST_CASE("a short tortuous INVITE is read as RFC 4475 3.1.1.1 says") {
    const auto text = crlf(
        "INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0\n"
        "TO :\n"
        " sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n\n"
        "from   : \"J Rosenberg \\\\\\\"\"       <sip:jdrosen@example.com>\n"
        "  ;\n"
        "  tag = 98asjd8\n"
        "MaX-fOrWaRdS: 0068\n"
        "Call-ID: wsinv.ndaksdj@192.0.2.1\n"
        "Content-Length   : 0\n"
        "cseq: 0009\n"
        "  INVITE\n"
        "Via  : SIP  /   2.0\n"
        " /UDP\n"
        "    192.0.2.2;branch=390skdjuw\n"
        "s :\n"
        "NewFangledHeader:   newfangled value\n"
        " continued newfangled value\n"
        "UnknownHeaderWithUnusualValue: ;;,,;;,;\n"
        "Route:\n"
        " <sip:services.example.com;lr;unknownwith=value;unknown-no-value>\n"
        "v:  SIP  / 2.0  / TCP     spindle.example.com   ;\n"
        "  branch  =   z9hG4bK9ikj8  ,\n"
        " SIP  /    2.0   / UDP  192.168.255.111   ; branch=\n"
        " z9hG4bK30239\n"
        "m:\"Quoted string \\\"\\\"\" <sip:jdrosen@example.com> ; newparam =\n"
        "      newvalue ;\n"
        "  secondparam ; q = 0.33\n"
        "\n");
    const auto parsed = Message::parse(net::as_bytes(text));
    REQUIRE(parsed);
    CHECK(parsed->to_tag() == "1918181833n");
    CHECK(parsed->from_tag() == "98asjd8");
    CHECK(parsed->from().uri.text() == "sip:jdrosen@example.com");
    CHECK(parsed->max_forwards() == 68);
    CHECK(parsed->cseq().number == 9);
    CHECK(parsed->uri().params.has("unknownparam"));
    CHECK(parsed->get("Subject") == "");
    CHECK(parsed->get("newfangledheader") == "newfangled value continued newfangled value");
    const auto vias = parsed->vias();
    REQUIRE(vias.size() == 3);
    CHECK(vias[0].branch() == "390skdjuw");
    CHECK_FALSE(vias[0].has_cookie());
    CHECK(vias[1].host == "spindle.example.com");
    CHECK(vias[1].branch() == "z9hG4bK9ikj8");
    CHECK(vias[2].branch() == "z9hG4bK30239");
    REQUIRE(parsed->routes().size() == 1);
    CHECK(parsed->routes()[0].uri.loose_route());
    REQUIRE(parsed->contacts().size() == 1);
    CHECK(parsed->contacts()[0].q() == Approx(0.33));
    CHECK(parsed->contacts()[0].params.get("newparam") == "newvalue");
    judge({"wsinv", Verdict::accept}, text);
}

TEST_CASE("an unusual method and unusual characters are read as RFC 4475 3.1.1.2 says") {
    using namespace std::string_literals;
    const auto text =
        "!interesting-Method0123456789_*+`.%indeed'~ "
        "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com "
        "SIP/2.0\r\n"
        "Via: SIP/2.0/TCP host1.example.com;branch=z9hG4bK-.!%66*_+`'~\r\n"
        "To: \"BEL:\\\x07 NUL:\\\0 DEL:\\\x7f\" <sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com>\r\n"
        "From: token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam''~+*_!.-%=\"\xd1\x80\";"
        "tag=_token~1'+`*%!-.\r\n"
        "Call-ID: intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{\r\n"
        "CSeq: 139122385 !interesting-Method0123456789_*+`.%indeed'~\r\n"
        "Max-Forwards: 255\r\n"
        "extensionHeader-!.%*+_`'~:\xef\xbb\xbf\xe5\xa4\xa7\r\n"
        "Content-Length: 0\r\n\r\n"s;
    judge({"intmeth", Verdict::accept}, text);
    const auto parsed = Message::parse(net::as_bytes(text));
    REQUIRE(parsed);
    CHECK(parsed->uri().password == "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)");
    CHECK(parsed->from_tag() == "_token~1'+`*%!-.");
}

namespace {

constexpr std::string_view kFrame =
    "To: sip:user@example.com\n"
    "From: sip:caller@example.net;tag=8814\n"
    "Max-Forwards: 8\n"
    "Call-ID: x.dfknq234oi243099adsdfnawe3@example.com\n"
    "CSeq: 1893884 INVITE\n"
    "Via: SIP/2.0/UDP host1.example.com;branch=z9hG4bKkdjuw3923\n"
    "Contact: <sip:caller@host1.example.net>\n";

void refused(std::string_view start, std::string_view more, int answer = 400) {
    const auto text = crlf(std::string(start) + "\n" + std::string(kFrame) + std::string(more) + "\n");
    INFO(text);
    const auto parsed = Message::parse(net::as_bytes(text));
    REQUIRE_FALSE(parsed);
    CHECK(answer_of(parsed.error()) == answer);
}

}  // namespace

TEST_CASE("a malformed request is answered 400, or 505 for its version") {
    refused("INVITE <sip:user@example.com> SIP/2.0", "Content-Length: 0\n");                    // ltgtruri
    refused("INVITE sip:user@example.com; lr SIP/2.0", "Content-Length: 0\n");                  // lwsruri
    refused("INVITE  sip:user@example.com  SIP/2.0", "Content-Length: 0\n");                    // lwsstart
    refused("INVITE sip:user@example.com SIP/2.0  ", "Content-Length: 0\n");                    // trws
    refused("INVITE sip:user@example.com?Route=%3Csip:example.com%3E SIP/2.0", "");             // escruri
    refused("INVITE sip:user@example.com SIP/7.0", "Content-Length: 0\n", 505);                 // badvers
    refused("INVITE sip:user@example.com SIP/2.0", "Content-Length: 9999\n");                   // clerr
    refused("INVITE sip:user@example.com SIP/2.0", "Content-Length: -999\n");                   // ncl
    refused("INVITE sip:user@example.com SIP/2.0", "Content-Length: 0\nContent-Length: 0\n");   // mcl01
    refused("OPTIONS sip:user@example.com SIP/2.0", "Content-Length: 0\n");                     // mismatch01
    refused("INVITE sip:user@example.com SIP/2.0", "CSeq: 5 INVITE\n");                         // multi01
    refused("INVITE sip:user@example.com SIP/2.0", "Max-Forwards: 300\n");
    refused("INVITE sip:user@example.com SIP/2.0", "Contact: \"open <sip:caller@example.com>\n");
    refused("INVITE sip:user@example.com SIP/2.0", "Contact: sip:u@example.com?Route=%3Csip:x.example%3E\n");  // regbadct
    refused("INVITE sip:user@example.com SIP/2.0", "Expires: 1000000000000000000000\n");        // scalar02
    refused("INVITE sip:2001:db8::10 SIP/2.0", "Content-Length: 0\n");                          // RFC 5118 4.2
}
