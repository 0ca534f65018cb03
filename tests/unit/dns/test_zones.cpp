#include "asking.hpp"

using namespace dns;
using namespace dns::testing;

TEST_CASE("nodes have their addresses, and the addresses their names") {
    const Zones zones(acme());
    auto said = ask(zones, {"munich.acme.internal", kA});
    CHECK(said.rcode() == 0);
    CHECK(said.aa());
    CHECK_FALSE(ldns_pkt_ra(said.get()));
    CHECK(said.answers() == Texts{"munich.acme.internal. 30 A 10.87.0.2"});
    CHECK(ask(zones, {"munich.acme.internal", kAaaa}).answers() == Texts{"munich.acme.internal. 30 AAAA fd00:1:2::2"});
    CHECK(ask(zones, {"2.0.87.10.in-addr.arpa", kPtr}).answers() == Texts{"2.0.87.10.in-addr.arpa. 30 PTR munich.acme.internal."});
    CHECK(ask(zones, {reverse_name(address("fd00:1:2::3")).text(), kPtr}).answers().at(0).ends_with(" PTR london.acme.internal."));
}

TEST_CASE("a zone has SOA, and this node as its server") {
    const Zones zones(acme());
    const Texts soa{"acme.internal. 10 SOA ns.trento.acme.internal. hostmaster.acme.internal. 7 60 60 600 10"};
    CHECK(ask(zones, {"acme.internal", kSoa}).answers() == soa);
    const auto said = ask(zones, {"87.10.in-addr.arpa", kNs});
    CHECK(said.answers() == Texts{"87.10.in-addr.arpa. 30 NS ns.trento.acme.internal."});
    // Where it can be reached by who has asked it.
    CHECK(said.additional() == Texts{"ns.trento.acme.internal. 30 A 192.168.1.1"});
    auto contents = acme();
    contents.is_office = false;
    CHECK(ask(Zones(contents), {"ns.trento.acme.internal", kA}).answers() == Texts{"ns.trento.acme.internal. 30 A 192.168.1.1"});
}

TEST_CASE("no such name and no such record are told apart, each with SOA, RFC 2308") {
    const Zones zones(acme());
    const Texts soa{"acme.internal. 10 SOA ns.trento.acme.internal. hostmaster.acme.internal. 7 60 60 600 10"};
    for (const auto* name : {"paris.acme.internal", "a.trento.acme.internal", "_x._udp.acme.internal", "9.e164.acme.internal"}) {
        const auto said = ask(zones, {name, kA});
        CHECK(said.rcode() == 3);
        CHECK(said.aa());
        CHECK(said.answers().empty());
        CHECK(said.authority() == soa);
        CHECK(said.outcome() == Outcome::nothing);
    }
    // The last ones are there because something is below them (RFC 8020).
    for (const auto* name : {"acme.internal", "london.acme.internal", "_udp.acme.internal", "e164.acme.internal",
                             "4.4.e164.acme.internal", "8.4.1.0.6.4.9.7.0.2.4.4.e164.acme.internal", "_sip._udp.acme.internal"}) {
        const auto said = ask(zones, {name, kA});
        CHECK(said.rcode() == 0);
        CHECK(said.aa());
        CHECK(said.answers().empty());
        CHECK(said.authority() == soa);
    }
    CHECK(ask(zones, {"0.87.10.in-addr.arpa", kPtr}).rcode() == 0);
    CHECK(ask(zones, {"9.9.87.10.in-addr.arpa", kPtr}).rcode() == 3);
}

TEST_CASE("names outside the zones are refused, and nobody is asked") {
    const Zones zones(acme());
    for (const auto* name : {"example.com", "internal", "notacme.internal", "88.10.in-addr.arpa", "10.in-addr.arpa", "arpa", "",
                             "e164.arpa"}) {
        const auto said = ask(zones, {name, kA});
        CHECK(said.rcode() == 5);
        CHECK_FALSE(said.aa());
        CHECK(said.authority().empty());
    }
    CHECK(ask(Zones(), {"acme.internal", kA}).rcode() == 5);
}

TEST_CASE("a phone is led to its own office first, at the address that it asks") {
    auto contents = acme();
    contents.sips_port = 5061;
    const Zones zones(contents);
    auto said = ask(zones, {"_sip._udp.acme.internal", kSrv});
    CHECK(said.answers() == Texts{"_sip._udp.acme.internal. 10 SRV 10 10 5060 sip.trento.acme.internal.",
                                  "_sip._udp.acme.internal. 10 SRV 20 10 5060 munich.acme.internal.",
                                  "_sip._udp.acme.internal. 10 SRV 21 10 5070 london.acme.internal."});
    CHECK(said.additional() == Texts{"sip.trento.acme.internal. 10 A 192.168.1.1", "munich.acme.internal. 30 A 10.87.0.2",
                                     "munich.acme.internal. 30 AAAA fd00:1:2::2", "london.acme.internal. 30 AAAA fd00:1:2::3"});
    // Of the others those that say so, by what they say.
    CHECK(ask(zones, {"_sip._tcp.acme.internal", kSrv}).answers() ==
          Texts{"_sip._tcp.acme.internal. 10 SRV 10 10 5060 sip.trento.acme.internal.",
                "_sip._tcp.acme.internal. 10 SRV 20 10 5060 munich.acme.internal."});
    CHECK(ask(zones, {"_sips._tcp.acme.internal", kSrv}).answers() ==
          Texts{"_sips._tcp.acme.internal. 10 SRV 10 10 5061 sip.trento.acme.internal.",
                "_sips._tcp.acme.internal. 10 SRV 20 10 5071 london.acme.internal."});
    CHECK(ask(zones, {"acme.internal", kNaptr}).answers() ==
          Texts{R"(acme.internal. 10 NAPTR 10 10 "s" "SIP+D2U" "" _sip._udp.acme.internal.)",
                R"(acme.internal. 10 NAPTR 10 20 "s" "SIP+D2T" "" _sip._tcp.acme.internal.)",
                R"(acme.internal. 10 NAPTR 10 30 "s" "SIPS+D2T" "" _sips._tcp.acme.internal.)"});
    // By IPv6 it is asked at an address of IPv6.
    const auto link = address("fd77::1");
    CHECK(ask(zones, {"sip.trento.acme.internal", kAaaa}, false, link).answers() == Texts{"sip.trento.acme.internal. 10 AAAA fd77::1"});
    said = ask(zones, {"sip.trento.acme.internal", kA}, false, link);
    CHECK(said.rcode() == 0);
    CHECK(said.answers().empty());
}

TEST_CASE("behind a resolver on this machine a phone is led to where phones reach it, or to the overlay") {
    const auto loopback = address("127.0.0.1");
    auto contents = acme();
    CHECK(ask(Zones(contents), {"sip.trento.acme.internal", kA}, false, loopback).answers() ==
          Texts{"sip.trento.acme.internal. 10 A 10.87.0.1"});
    CHECK(ask(Zones(contents), {"ns.trento.acme.internal", kAaaa}, false, address("::1")).answers() ==
          Texts{"ns.trento.acme.internal. 30 AAAA fd00:1:2::1"});
    contents.phones_reach = {address("192.168.1.1"), address("192.168.2.1")};
    for (const auto& asked_at : {loopback, address("10.87.0.1")}) {
        const auto said = ask(Zones(contents), {"sip.trento.acme.internal", kA}, false, asked_at);
        CHECK(said.answers() == Texts{"sip.trento.acme.internal. 10 A 192.168.1.1", "sip.trento.acme.internal. 10 A 192.168.2.1"});
    }
    CHECK(ask(Zones(contents), {"sip.trento.acme.internal", kAaaa}, false, loopback).rcode() == 0);
}

TEST_CASE("offices are bounded, and one that has no phones leads to the others") {
    auto contents = acme();
    contents.is_office = false;
    contents.offices.assign(20, {"munich", 0, 5060, 0});
    auto said = ask(Zones(contents), {"_sip._tcp.acme.internal", kSrv}, true);
    CHECK(said.answers().size() == Zones::kMaxOffices);
    CHECK(ask(Zones(contents), {"sip.trento.acme.internal", kA}).rcode() == 3);
    for (const auto* none : {"_sips._tcp.acme.internal", "_sip._udp.acme.internal"}) {
        CHECK(ask(Zones(contents), {none, kSrv}).rcode() == 3);
    }
    CHECK(ask(Zones(contents), {"acme.internal", kNaptr}).answers().size() == 1);
    contents.offices.clear();
    CHECK(ask(Zones(contents), {"_sip._tcp.acme.internal", kSrv}).rcode() == 3);
    CHECK(ask(Zones(contents), {"acme.internal", kNaptr}).answers().empty());
}

TEST_CASE("of a voice domain outside the mesh only what leads to phones is answered") {
    auto contents = acme();
    contents.voice_domain = "acme.example";
    contents.offices.back().tls_port = 0;
    const Zones zones(contents);
    CHECK(ask(zones, {"acme.example", kNaptr}).answers().size() == 2);
    CHECK(ask(zones, {"_sip._udp.acme.example", kSrv}).answers().size() == 3);
    const auto none = ask(zones, {"_sip._udp.acme.example", kA});
    CHECK(none.rcode() == 0);
    CHECK(none.authority().at(0).starts_with("_sip._udp.acme.example. 10 SOA "));
    CHECK(ask(zones, {"a._sip._udp.acme.example", kA}).rcode() == 3);
    for (const auto type : {kA, kMx, kSoa, kAny}) CHECK(ask(zones, {"acme.example", type}).rcode() == 5);
    for (const auto* name : {"www.acme.example", "_udp.acme.example", "_sips._tcp.acme.example", "_xmpp._tcp.acme.example"}) {
        CHECK(ask(zones, {name, kA}).rcode() == 5);
    }
    CHECK(ask(zones, {"_sip._udp.acme.internal", kSrv}).rcode() == 3);

    // While no office is up there is nothing, and that is said: who is refused may ask elsewhere.
    contents.is_office = false;
    contents.offices.clear();
    const Zones idle(contents);
    CHECK(idle.apexes() == zones.apexes());
    const auto service = ask(idle, {"_sip._udp.acme.example", kSrv});
    CHECK(service.rcode() == 0);
    CHECK(service.answers().empty());
    CHECK(service.authority().at(0).starts_with("_sip._udp.acme.example. 10 SOA "));
    const auto leads = ask(idle, {"acme.example", kNaptr});
    CHECK(leads.rcode() == 0);
    CHECK(leads.answers().empty());
}

TEST_CASE("the mesh's numbers are in its tree, and under other suffixes") {
    auto contents = acme();
    contents.number_suffixes = {"e164.arpa", "tel.acme.internal"};
    const Zones zones(contents);
    // RFC 6116 section 3.2: the digits, the last first.
    for (const auto* suffix : {"e164.acme.internal", "e164.arpa", "tel.acme.internal"}) {
        const auto owner = "8.4.1.0.6.4.9.7.0.2.4.4." + std::string(suffix);
        CHECK(ask(zones, {owner, kNaptr}).answers() ==
              Texts{owner + R"(. 30 NAPTR 100 10 "u" "E2U+sip" "!^.*$!sip:alice@acme.internal!" .)"});
        // What is in the URI is no delimiter.
        CHECK(ask(zones, {"7." + owner, kNaptr}).answers() ==
              Texts{"7." + owner + R"(. 30 NAPTR 100 10 "u" "E2U+sip" "|^.*$|sip:it's!odd@acme.internal|" .)"});
    }
    CHECK(ask(zones, {"9.e164.arpa", kNaptr}).authority().at(0).starts_with("e164.arpa. 10 SOA "));
    CHECK(ask(zones, {"1.6.4.9.7.0.2.4.4.e164.arpa", kNaptr}).rcode() == 3);
    CHECK(ask(zones, {"5.6.4.9.7.0.2.4.4.e164.arpa", kNaptr}).rcode() == 3);
    for (const auto* odd : {"44.e164.arpa", "x.4.e164.arpa", "1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.e164.arpa"}) {
        CHECK(ask(zones, {odd, kNaptr}).rcode() == 3);
    }
    const auto apexes = zones.apexes();
    CHECK(std::count(apexes.begin(), apexes.end(), *Name::parse("e164.arpa")) == 1);
    CHECK(std::count(apexes.begin(), apexes.end(), *Name::parse("tel.acme.internal")) == 0);
}

TEST_CASE("a suffix is there with no number, and so is what lies above it") {
    auto contents = acme();
    contents.numbers = nullptr;
    contents.number_suffixes = {"tel.voice.acme.internal"};
    for (const auto* name : {"tel.voice.acme.internal", "voice.acme.internal", "e164.acme.internal"}) {
        CHECK(ask(Zones(contents), {name, kNaptr}).rcode() == 0);
    }
    CHECK(ask(Zones(contents), {"1.tel.voice.acme.internal", kNaptr}).rcode() == 3);
}

TEST_CASE("who may not know the numbers is not told whether there are any") {
    auto contents = acme();
    contents.number_suffixes = {"e164.arpa"};
    const Zones zones(contents);
    const auto ask_as_stranger = [&](const std::string& name, std::uint16_t type) {
        const auto bytes = Question{name, type}.bytes();
        return Said(respond(zones, {bytes, false, kLan, false}));
    };
    for (const std::string suffix : {"e164.acme.internal", "e164.arpa"}) {
        for (const auto* digits : {"8.4.1.0.6.4.9.7.0.2.4.4.", "4.", "9.", "4.4."}) {
            for (const auto type : {kNaptr, kAny, kA}) {
                const auto said = ask_as_stranger(digits + suffix, type);
                CHECK(said.rcode() == 5);
                CHECK(said.answers().empty());
                CHECK(said.authority().empty());
            }
        }
        CHECK(ask_as_stranger(suffix, kNaptr).rcode() == 0);
    }
    CHECK(ask_as_stranger("_sip._udp.acme.internal", kSrv).answers().size() == 3);
}

TEST_CASE("people are shown every record of a name") {
    Texts texts;
    const Zones zones(acme());
    for (const auto& record : zones.all(*Name::parse("sip.trento.acme.internal"))) texts.push_back(text(record));
    CHECK(texts == Texts{"sip.trento.acme.internal. 10 A (the address that was asked)",
                         "sip.trento.acme.internal. 10 AAAA (the address that was asked)"});
    CHECK(text(zones.all(*Name::parse("8.4.1.0.1.6.4.0.9.3.e164.acme.internal")).at(0)) ==
          "8.4.1.0.1.6.4.0.9.3.e164.acme.internal. 30 NAPTR 100 10 \"u\" \"E2U+sip\" \"!^.*$!sip:bob@acme.internal!\" .");
}
