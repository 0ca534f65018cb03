/// What members say of their trunks is theirs to say: a call gets through though some of it is a lie.
#include <catch2/catch.hpp>

#include "tests/unit/voice/offices.hpp"

using namespace test;

namespace {

const std::string kNumber = "sip:+442079460148@acme.example";

net::Endpoint gateway_of(std::uint8_t n) { return {net::IpAddress::v4(192, 0, 2, n), 5060, 0}; }

voice::TrunkSettings trunk(const std::string& name, std::uint8_t n, std::vector<std::string> prefixes) {
    voice::TrunkSettings out;
    out.name = name;
    out.server = *voice::Uri::parse("sip:" + gateway_of(n).text());
    out.prefixes = std::move(prefixes);
    return out;
}

/// london and trento have no trunk of their own; munich has an honest one, and rome says what `offers` has.
struct HostileMember : Scene {
    explicit HostileMember(const std::vector<voice::TrunkSettings>& offers)
        : Scene(1, false,
                [](auto& settings) {
                    settings.outside = voice::OutsideUse::never;
                    settings.emergency = {"112"};
                    if (settings.node == "munich") settings.trunks = {trunk("amt", 2, {"+"})};
                }),
          rome(world, roster, "rome", 9, std::nullopt,
               [&](auto& settings) {
                   settings.outside = voice::OutsideUse::never;
                   settings.emergency = {"112"};
                   settings.trunks = offers;
               }),
          honest(world, "gateway", gateway_of(2), munich.wan()),
          theirs(world, "gateway", gateway_of(9), rome.wan()) {
        honest.domain = honest.at.address.text();
        theirs.domain = theirs.at.address.text();
        register_all();
        world.run(3s);
        REQUIRE(rome.proxy.trunk_offers().size() == offers.size());
    }
    int dial(const std::string& uri) {
        alice.history.clear();
        world.log.clear();
        alice.call(uri);
        world.run(10s);
        const auto status = alice.last("INVITE");
        alice.hang_up();
        world.run(2s);
        return status;
    }

    Office rome;
    Phone honest, theirs;
};

}  // namespace

TEST_CASE("an offer that no meshd makes is left out, whatever would be written by it") {
    const auto name = GENERATE(as<std::string>{}, "x y", "x;meshd-emergency", "x SIP/2.0", "x>", "x%0d%0a", "\"", std::string(33, 'x'));
    CAPTURE(name);
    HostileMember scene({trunk(name, 9, {"+44207946"})});
    CHECK(scene.dial(kNumber) == 200);
    CHECK(scene.honest.count("INVITE") == 1);
    CHECK(scene.theirs.count("INVITE") == 0);
    CHECK(scene.dial("sip:112@acme.example") == 200);
    CHECK(scene.theirs.count("INVITE") == 0);
}

TEST_CASE("prefixes that are no digits lead nowhere") {
    const auto prefix = GENERATE(as<std::string>{}, "", "+44x", "*", "++44", std::string(17, '1'));
    CAPTURE(prefix);
    HostileMember scene({trunk("line", 9, {"+44207946", prefix})});
    CHECK(scene.dial(kNumber) == 200);
    CHECK(scene.theirs.count("INVITE") == 0);
}

TEST_CASE("a member that draws all calls to itself and brings none of them to anybody costs a caller seconds, not his call") {
    const auto manner = GENERATE(Phone::Manner::is_overloaded, Phone::Manner::is_silent);
    HostileMember scene({trunk("best", 9, {"+44207946", "+4420794601"})});
    scene.theirs.manner = manner;
    CHECK(scene.dial(kNumber) == 200);
    CHECK(scene.honest.count("INVITE") == 1);
}

TEST_CASE("a member that has gone, or was never one, is not asked whatever it has offered") {
    HostileMember scene({trunk("best", 9, {"+44207946"})});
    scene.world.cut.insert(scene.rome.overlay_address());
    CHECK(scene.dial(kNumber) == 200);
    CHECK(scene.honest.count("INVITE") == 1);
    scene.world.cut.clear();
    scene.roster.offices.erase("rome");  // revoked
    CHECK(scene.dial(kNumber) == 200);
    CHECK(scene.honest.count("INVITE") == 2);
    CHECK(scene.theirs.count("INVITE") == 0);
}

TEST_CASE("an offer of a member gives it no right to call by ours as another") {
    HostileMember scene({trunk("best", 9, {"+44"})});
    const std::string invite =
        "INVITE sip:+442079460148@acme.example;meshd-trunk=amt SIP/2.0\r\nVia: SIP/2.0/UDP 10.99.0.9:5080;branch=z9hG4bK1\r\n"
        "From: <sip:alice@acme.example>;tag=1\r\nTo: <sip:+442079460148@acme.example>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n"
        "Contact: <sip:x@10.99.0.9:5080>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n";
    for (const auto* from : {"10.99.0.9:5080", "10.99.0.77:5080"}) {
        scene.munich.receive({voice::Transport::udp, {scene.munich.overlay_address(), 5080, 0}, *net::Endpoint::parse(from), 0, voice::Side::mesh},
                             net::as_bytes(invite), scene.world.now);
        scene.world.flush();
        scene.world.run(2s);
    }
    CHECK(scene.honest.count("INVITE") == 0);
    CHECK(scene.munich.proxy.counters().forged == 1);
    CHECK(scene.munich.proxy.counters().stranger == 1);
}
