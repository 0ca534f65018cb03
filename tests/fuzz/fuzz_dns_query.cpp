// A question, by UDP and by TCP, over a mesh's zones; and the same bytes as a stream. Whatever it is: a response no larger
// than its bound, that begins as the question does, has RA never and records only with AA.
#include <cstdint>
#include <cstdlib>

#include "dns/framing.hpp"
#include "dns/respond.hpp"

namespace {

void require(bool held) {
    if (!held) std::abort();
}

const dns::Zones& zones() {
    static const dns::Zones kZones = [] {
        dns::Contents contents;
        contents.mesh = "acme.internal";
        contents.self = "trento";
        contents.hosts = {{"trento", {net::IpAddress::v4(10, 87, 0, 1)}}, {"munich", {net::IpAddress::v4(10, 87, 0, 2)}}};
        contents.networks = {*net::Prefix::parse("10.87.0.0/16")};
        contents.voice_domain = "acme.example";
        contents.is_office = true;
        contents.offices = {{"munich", 5060, 5060, 5061}};
        contents.sips_port = 5061;
        contents.numbers = std::make_shared<const dns::Numbers>(dns::Numbers{{"442079460148", "alice@acme.example"}});
        contents.number_suffixes = {"e164.arpa"};
        return dns::Zones(contents);
    }();
    return kZones;
}

void judge(net::ByteView question, bool by_tcp) {
    const auto response = dns::respond(zones(), {question, by_tcp, net::IpAddress::v4(192, 168, 1, 1)});
    require((response.outcome == dns::Outcome::dropped) == response.message.empty());
    if (response.message.empty()) return;
    require(response.message.size() >= dns::kHeaderBytes);
    require(response.message.size() <= (by_tcp ? dns::kTcpBytes : dns::kEdnsUdpBytes));
    net::Reader reader(response.message), asked(question);
    require(reader.u16be() == asked.u16be());
    const auto flags = reader.u16be();
    require((flags & 0x8000) != 0 && (flags & 0x0080) == 0);
    reader.u16be();
    const auto answers = reader.u16be();
    require(answers == 0 || (flags & 0x0400) != 0);
    // What answers a question is itself none.
    require(dns::respond(zones(), {response.message, by_tcp, {}}).outcome == dns::Outcome::dropped);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    judge(bytes, false);
    judge(bytes, true);
    dns::Framer framer;
    framer.feed(bytes);
    std::size_t taken = 0;
    while (const auto message = framer.next()) {
        taken += 2 + message->size();
        require(message->size() >= dns::kHeaderBytes && message->size() <= dns::kMaxQueryBytes);
        judge(*message, true);
    }
    require(taken <= size);
    return 0;
}
