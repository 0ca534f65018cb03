#include "asking.hpp"

using namespace dns;
using namespace dns::testing;

namespace {

const Zones& zones() {
    static const Zones kZones(acme());
    return kZones;
}
/// Larger than 512 bytes even without additional records: three long replacements.
Zones wordy() {
    auto contents = acme();
    contents.voice_domain = std::string(60, 'v') + "." + std::string(60, 'w') + "." + std::string(60, 'x') + ".example";
    contents.sips_port = 5061;
    return Zones(contents);
}
const std::string kWordy = std::string(60, 'v') + "." + std::string(60, 'w') + "." + std::string(60, 'x') + ".example";

Response raw(std::string_view bytes) { return respond(zones(), {net::as_bytes(bytes), false, kLan}); }
/// The header's flags and counts of a response that is that and no more.
std::string header(const Response& response) { return net::as_text(response.message).size() == 12 ? std::string(net::as_text(response.message).substr(2)) : "no header"; }

}  // namespace

TEST_CASE("the question comes back in the case it was asked in, and so does the owner") {
    const auto said = ask(zones(), {"mUnIcH.AcMe.INTERNAL", kA});
    CHECK(said.answers() == Texts{"mUnIcH.AcMe.INTERNAL. 30 A 10.87.0.2"});
    CHECK(net::as_text(said.bytes().subspan(12, 22)) == std::string_view("\6mUnIcH\4AcMe\10INTERNAL\0", 22));
    CHECK(ldns_pkt_id(said.get()) == 0x4d44);
    CHECK(ldns_pkt_rd(said.get()));
    CHECK_FALSE(ldns_pkt_rd(ask(zones(), {.name = "munich.acme.internal", .flags = 0}).get()));
}

TEST_CASE("a response is answered by nothing, and so is what is too short") {
    auto bytes = Question{.name = "munich.acme.internal", .flags = 0x8100}.bytes();
    CHECK(respond(zones(), {bytes, false, kLan}).outcome == Outcome::dropped);
    bytes = Question{"munich.acme.internal", kA}.bytes();
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        const auto response = respond(zones(), {net::ByteView(bytes).first(size), false, kLan});
        CHECK(response.outcome == (size < kHeaderBytes ? Outcome::dropped : Outcome::malformed));
        CHECK(response.message.size() == (size < kHeaderBytes ? 0 : kHeaderBytes));
    }
}

TEST_CASE("what is no question gets FORMERR, and its header back") {
    using namespace std::string_view_literals;
    const std::string_view formerr("\x81\x01\0\0\0\0\0\0\0\0", 10);
    const std::string_view start = "MD\1\0\0\1\0\0\0\0\0\0"sv;
    // Pointers: to itself, to the header, behind the end; a label of the kinds that nobody uses.
    for (const auto name : {"\300\014"sv, "\1a\300\014"sv, "\300\0"sv, "\377\377"sv, "\100ab"sv, "\200ab"sv}) {
        CHECK(header(raw(std::string(start) + std::string(name) + std::string("\0\1\0\1"sv))) == formerr);
    }
    // None, two; an answer in a question; more behind it; an OPT that is asked for; two of them; one with a name.
    CHECK(header(raw("MD\1\0\0\0\0\0\0\0\0\0"sv)) == formerr);
    CHECK(header(raw("MD\1\0\0\2\0\0\0\0\0\0\0\0\1\0\1\0\0\1\0\1"sv)) == formerr);
    CHECK(header(raw("MD\1\0\0\1\0\1\0\0\0\0\0\0\1\0\1\0\0\1\0\1\0\0\0\0\0\0"sv)) == formerr);
    CHECK(header(raw(std::string(start) + std::string("\0\0\1\0\1x"sv))) == formerr);
    CHECK(header(raw(std::string(start) + std::string("\0\0\51\0\1"sv))) == formerr);
    const std::string opt("\0\0\51\4\320\0\0\0\0\0\0"sv);
    CHECK(header(raw("MD\1\0\0\1\0\0\0\0\0\2\0\0\1\0\1"sv)) == formerr);
    CHECK(header(raw(std::string("MD\1\0\0\1\0\0\0\0\0\2\0\0\1\0\1"sv) + opt + opt)) == formerr);
    CHECK(header(raw(std::string("MD\1\0\0\1\0\0\0\0\0\1\0\0\1\0\1\1a"sv) + opt)) == formerr);
    auto huge = Question{"munich.acme.internal", kA}.bytes();
    huge.resize(kMaxQueryBytes + 1);
    CHECK(respond(zones(), {huge, true, kLan}).outcome == Outcome::malformed);
}

TEST_CASE("what is not QUERY is not implemented") {
    using namespace std::string_view_literals;
    for (unsigned opcode = 1; opcode < 16; ++opcode) {
        const auto flags = static_cast<std::uint16_t>(opcode << 11);
        const auto bytes = Question{.name = "acme.internal", .flags = flags}.bytes();
        const Said said(respond(zones(), {bytes, false, kLan}));
        CHECK(said.rcode() == 4);
        CHECK(static_cast<unsigned>(ldns_pkt_get_opcode(said.get())) == opcode);
    }
}

TEST_CASE("other classes and zone transfers are refused") {
    CHECK(ask(zones(), {"version.bind", 16, 3}).rcode() == 5);
    CHECK(ask(zones(), {"munich.acme.internal", kA, 255}).rcode() == 5);
    CHECK(ask(zones(), {"acme.internal", 252}, true).rcode() == 5);
    CHECK(ask(zones(), {"acme.internal", 251}, true).rcode() == 5);
}

TEST_CASE("a question for any record gets one set, RFC 8482") {
    CHECK(ask(zones(), {"munich.acme.internal", kAny}).answers() == Texts{"munich.acme.internal. 30 A 10.87.0.2"});
    CHECK(ask(zones(), {"sip.trento.acme.internal", kAny}, false, address("fd77::1")).answers() ==
          Texts{"sip.trento.acme.internal. 10 AAAA fd77::1"});
    CHECK(ask(zones(), {"paris.acme.internal", kAny}).rcode() == 3);
}

TEST_CASE("EDNS is answered by EDNS, and another version than 0 by BADVERS, RFC 6891") {
    auto said = ask(zones(), {.name = "munich.acme.internal", .udp_bytes = 4096, .dnssec_ok = true});
    CHECK(ldns_pkt_edns_udp_size(said.get()) == 1232);
    CHECK(ldns_pkt_edns_version(said.get()) == 0);
    CHECK(ldns_pkt_edns_do(said.get()));
    CHECK(said.answers().size() == 1);
    CHECK_FALSE(ldns_pkt_edns(ask(zones(), {"munich.acme.internal", kA}).get()));
    said = ask(zones(), {.name = "munich.acme.internal", .udp_bytes = 4096, .version = 1});
    CHECK(said.rcode() == 16);
    CHECK(ldns_pkt_edns_version(said.get()) == 0);
    CHECK(said.answers().empty());
    CHECK_FALSE(said.aa());
    CHECK(ask(zones(), {.name = "example.com", .udp_bytes = 4096}).rcode() == 5);
}

TEST_CASE("toward UDP a response fits, and is cut where it does not, with TC") {
    const auto big = wordy();
    auto said = ask(big, {kWordy, kNaptr});
    CHECK(said.tc());
    CHECK(said.outcome() == Outcome::truncated);
    CHECK(said.answers().empty());
    CHECK(said.aa());
    CHECK(said.bytes().size() <= 512);
    for (const int size : {0, 511, 512}) CHECK(ask(big, {.name = kWordy, .type = kNaptr, .udp_bytes = size}).tc());
    said = ask(big, {.name = kWordy, .type = kNaptr, .udp_bytes = 65535});
    CHECK_FALSE(said.tc());
    CHECK(said.answers().size() == 3);
    CHECK(ask(big, {kWordy, kNaptr}, true).answers().size() == 3);

    auto contents = acme();
    contents.mesh = contents.voice_domain = std::string(50, 'm') + "." + std::string(50, 'n') + ".internal";
    const auto service = "_sip._udp." + contents.mesh;
    contents.hosts.clear();
    contents.offices.clear();
    for (char c = 'a'; c < 'i'; ++c) {
        contents.offices.push_back({std::string(63, c), 5060, 5060, 0});
        contents.hosts.push_back({contents.offices.back().label, {address("10.87.1." + std::to_string(c)), address("fd00:1:2::1:1")}});
    }
    const Zones many(contents);
    // Additional records go first.
    said = ask(many, {.name = service, .type = kSrv, .udp_bytes = 1232});
    CHECK_FALSE(said.tc());
    CHECK(said.answers().size() == 5);
    CHECK(said.additional().empty());
    CHECK(said.bytes().size() <= 1232);
    CHECK(ask(many, {service, kSrv}).tc());
    CHECK(ask(many, {service, kSrv}, true).additional().size() == 9);
}
