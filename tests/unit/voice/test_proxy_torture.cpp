// What a proxy makes of each message of RFC 4475 and RFC 5118. The files are messages of our own with the faults and
// oddities of the RFCs' messages, under their names; where the environment's MESHD_VECTORS names a folder with the
// RFCs' own, those are judged by the same table.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "offices.hpp"

using namespace test;

namespace {

constexpr int kForwarded = 0;  // well-formed, and for others to answer: it goes on to the centre
constexpr int kSilence = -1;   // a response that is not ours, or cannot be read: RFC 3261 18.1.2, dropped

struct Row {
    const char* name;
    int verdict;  // or the status that refuses it
    const char* reason;
};

constexpr Row kRfc4475[] = {
    // 3.1.1: well-formed
    {"wsinv", kForwarded, "white space and folds wherever the grammar has them"},
    {"intmeth", kForwarded, "an unknown method is for the far end; every character is one that its place allows"},
    {"esc01", kForwarded, "escapes in a user part do not make it another scheme"},
    {"escnull", kForwarded, "%00 is one character of a user part, no end of it"},
    {"esc02", kForwarded, "% in a method or a display name is no escape: RE%47IST%45R is an unknown method"},
    {"lwsdisp", kForwarded, "no space is needed between a display name and <"},
    {"longreq", kForwarded, "long values are legal, and so are 31 Vias"},
    {"dblreq", kForwarded, "what stands behind Content-Length in a datagram is ignored"},
    {"semiuri", kForwarded, "; belongs to the user part before @"},
    {"transports", kForwarded, "a Via may name a transport that we do not know"},
    {"mpart01", kForwarded, "a body is bytes"},
    {"unreason", kSilence, "a response to nothing we asked; its reason phrase is legal UTF-8"},
    {"noreason", kSilence, "a response to nothing we asked; an empty reason phrase is legal"},
    // 3.1.2: malformed
    {"badinv01", 400, "empty parameters between separators"},
    {"clerr", 400, "the datagram is shorter than Content-Length"},
    {"ncl", 400, "Content-Length is negative"},
    {"scalar02", 400, "CSeq, Max-Forwards and Expires are out of range"},
    {"scalarlg", kSilence, "a response whose CSeq is out of range"},
    {"quotbal", 400, "an open quotation mark in To"},
    {"ltgtruri", 400, "<> around the Request-URI"},
    {"lwsruri", 400, "white space in the Request-URI"},
    {"lwsstart", 400, "two spaces in the start line"},
    {"trws", 400, "white space behind the version"},
    {"escruri", 400, "headers in the Request-URI"},
    {"baddate", kForwarded, "Date in another zone: we do not act on it, the far end judges"},
    {"regbadct", 400, "a Contact with ? needs brackets"},
    {"badaspec", 400, "white space inside <>"},
    {"baddn", 400, "a comma in a display name needs quotes"},
    {"badvers", 505, "SIP/7.0"},
    {"mismatch01", 400, "OPTIONS with the CSeq of an INVITE"},
    {"mismatch02", 501, "an unknown method with the CSeq of another"},
    {"bigcode", kSilence, "a status beyond 699"},
    // 3.2 and 3.3: of transactions and applications
    {"badbranch", kForwarded, "a branch of the cookie alone is matched by RFC 2543's rules"},
    {"insuf", 400, "From, To and Call-ID are missing"},
    {"unkscm", 416, "a Request-URI of a scheme that nobody knows"},
    {"novelsc", 416, "a Request-URI of a scheme that is registered, and not ours"},
    {"unksm2", kForwarded, "schemes in To, From and Contact are the registrar's to judge"},
    {"bext01", 420, "Proxy-Require of what we lack; Require is for the far end"},
    {"invut", kForwarded, "the type of a body is the far end's to judge"},
    {"regaut01", kForwarded, "an unknown scheme of authorization is for whoever challenged"},
    {"multi01", 400, "headers twice that may stand once"},
    {"mcl01", 400, "two Content-Length that disagree"},
    {"bcast", kSilence, "a response whose Via is not ours"},
    {"zeromf", 483, "no hops left"},
    {"cparam01", kForwarded, "an unknown parameter of the Contact header"},
    {"cparam02", kForwarded, "an unknown parameter of the Contact's URI"},
    {"regescrt", kForwarded, "a Contact with headers in its URI, inside <>"},
    {"sdp01", kForwarded, "Accept is the far end's to judge"},
    // 3.4
    {"inv2543", kForwarded, "RFC 2543: no Max-Forwards, no Contact, no tag, no branch"},
};
constexpr Row kRfc5118[] = {
    {"4.1", kForwarded, "an IPv6 reference in the Request-URI"},
    {"4.2", 400, "an IPv6 address without brackets"},
    {"4.3", kForwarded, "the last group looks like a port, and is none"},
    {"4.4", kForwarded, "a port behind the brackets"},
    {"4.5a", kForwarded, "received with brackets, as some write it"},
    {"4.5b", kForwarded, "received without, as the grammar has it"},
    {"4.6", kForwarded, "IPv6 in SDP"},
    {"4.7", kForwarded, "both families in one list of Vias"},
    {"4.8", kForwarded, "both families in one SDP"},
    {"4.9", kForwarded, "IPv4-mapped addresses in signalling and SDP"},
    {"4.10a", 400, "three colons: a slip of RFC 3261's grammar, not an address"},
    {"4.10b", kForwarded, "two colons before an IPv4 part"},
};

int verdict_on(const std::string& bytes) {
    Scene scene;
    scene.register_all();
    scene.trento.receive({voice::Transport::udp, scene.trento.lan(), scene.alice.at, 0, voice::Side::phone},
                         net::as_bytes(bytes), scene.world.now);
    int status = kSilence;
    for (const auto& sent : scene.trento.proxy.take_outgoing()) {
        const auto message = voice::Message::parse(sent.bytes);
        if (sent.flow.remote == scene.centre_at) {
            REQUIRE(message);
            return kForwarded;
        }
        // An answer to what was malformed gives the malformed lines back, so that it need not parse itself.
        const auto text = net::as_text(sent.bytes);
        if (text.starts_with("SIP/2.0 ") && text[8] != '1') status = std::stoi(std::string(text.substr(8, 3)));
    }
    return status;
}

template <std::size_t N>
void judge(const Row (&rows)[N], const std::string& before, const std::string& behind) {
    for (const auto& row : rows) {
        std::ifstream file(before + row.name + behind, std::ios::binary);
        INFO(before << row.name << ": " << row.reason);
        REQUIRE(file);
        std::stringstream bytes;
        bytes << file.rdbuf();
        CHECK(verdict_on(bytes.str()) == row.verdict);
    }
}

}  // namespace

TEST_CASE("every kind of message in RFC 4475 is passed on or refused as the RFC says") {
    judge(kRfc4475, TORTURE_FOLDER "/rfc4475-", "");
    if (const char* vectors = std::getenv("MESHD_VECTORS")) judge(kRfc4475, std::string(vectors) + "/rfc4475/", ".dat");
}

TEST_CASE("every kind of message in RFC 5118 is passed on or refused as the RFC says") {
    judge(kRfc5118, TORTURE_FOLDER "/rfc5118-", "");
    if (const char* vectors = std::getenv("MESHD_VECTORS")) {
        judge(kRfc5118, std::string(vectors) + "/rfc5118/rfc5118-", ".dat");
    }
}
