#include <catch2/catch.hpp>

#include "offices.hpp"

using namespace test;

namespace {

/// A request as a phone of trento would send it, with whatever headers.
void from_trento_lan(Scene& scene, const net::Endpoint& from, const std::string& start, const std::string& headers) {
    const auto text = start + " SIP/2.0\r\nVia: SIP/2.0/UDP " + from.text() + ";branch=z9hG4bK" +
                      std::to_string(scene.world.random.u64()) + "\r\nCall-ID: x" +
                      std::to_string(scene.world.random.u64()) + "\r\nCSeq: 1 " + start.substr(0, start.find(' ')) +
                      "\r\n" + headers + "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n";
    scene.trento.receive({voice::Transport::udp, scene.trento.lan(), from, 0, voice::Side::phone}, net::as_bytes(text),
                         scene.world.now);
    scene.world.flush();
    scene.world.run(2s);
}

}  // namespace

TEST_CASE("a To tag that somebody made up opens no way to other phones") {
    for (const bool alive : {true, false}) {
        Scene scene;
        scene.register_all();
        scene.centre.alive = alive;
        scene.world.run(10s);
        const auto before = scene.trento.proxy.counters().forged;
        for (const auto* from : {"10.1.0.66:5060", "10.1.0.10:5060"}) {
            from_trento_lan(scene, *net::Endpoint::parse(from), "MESSAGE sip:bob@10.2.0.10:5060",
                            "From: <sip:carol@acme.example>;tag=1\r\nTo: <sip:bob@acme.example>;tag=2\r\n"
                            "Route: <sip:10.99.0.2:5080;lr;meshd=munich>\r\n");
            from_trento_lan(scene, *net::Endpoint::parse(from), "NOTIFY sip:alice@10.1.0.10:5060",
                            "From: <sip:carol@acme.example>;tag=1\r\nTo: <sip:alice@acme.example>;tag=2\r\n"
                            "Route: <sip:10.1.0.1:5060;lr;meshd=trento>\r\n");
        }
        CHECK(scene.bob.count("MESSAGE") == 0);
        CHECK(scene.alice.count("NOTIFY") == 0);
        CHECK(scene.trento.proxy.counters().forged > before);
    }
}

TEST_CASE("a member of the mesh has no way to the centre through another office but for a user of its own") {
    Scene scene;
    scene.register_all();
    for (const auto* user : {"carol", "bob"}) {
        const auto text = std::string("INVITE sip:+39900@acme.example SIP/2.0\r\nVia: SIP/2.0/UDP 10.99.0.2:5080"
                                      ";branch=z9hG4bK") + user + "\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n"
                          "From: <sip:" + user + "@acme.example>;tag=1\r\nTo: <sip:x@acme.example>;tag=2\r\n"
                          "Route: <sip:198.51.100.1:5060;lr>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n";
        const auto before = scene.world.seen("INVITE sip:+39900@");
        scene.trento.receive({voice::Transport::udp, {scene.trento.overlay_address(), 5080, 0},
                              *net::Endpoint::parse("10.99.0.2:5080"), 0, voice::Side::mesh},
                             net::as_bytes(text), scene.world.now);
        scene.world.flush();
        scene.world.run(200ms);
        CHECK((scene.world.seen("INVITE sip:+39900@") > before) == (user == std::string("bob")));
    }
}

TEST_CASE("a call that nobody has answered yet opens no way to other phones, and one that rings not for other names") {
    for (const bool rings : {false, true}) {
        CAPTURE(rings);
        Scene scene;
        scene.centre.passwords.clear();
        scene.register_all();
        scene.bob.manner = Phone::Manner::rings;
        scene.centre.asleep = !rings;
        const auto mallory = *net::Endpoint::parse("10.1.0.66:5060");
        const auto say = [&](const std::string& method, const std::string& to_tag, const std::string& more) {
            const auto text = method + " sip:bob@" + (to_tag.empty() ? "acme.example" : "10.2.0.10:5060") +
                              " SIP/2.0\r\nVia: SIP/2.0/UDP 10.1.0.66:5060;branch=z9hG4bK" + method +
                              "\r\nCall-ID: m\r\nCSeq: 1 " + method + "\r\nTo: <sip:bob@acme.example>" + to_tag +
                              "\r\n" + more + "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n";
            scene.trento.receive({voice::Transport::udp, scene.trento.lan(), mallory, 0, voice::Side::phone},
                                 net::as_bytes(text), scene.world.now);
            scene.world.flush();
            scene.world.run(1s);
        };
        say("INVITE", "", "From: <sip:mallory@acme.example>;tag=1\r\nContact: <sip:mallory@10.1.0.66>\r\n");
        REQUIRE(scene.bob.count("INVITE") == (rings ? 1 : 0));
        say("MESSAGE", ";tag=2",
            "From: <sip:alice@acme.example>;tag=1\r\nRoute: <sip:10.99.0.2:5080;lr;meshd=munich>\r\n");
        CHECK(scene.bob.count("MESSAGE") == 0);
        CHECK(scene.trento.proxy.counters().forged == 1);
    }
}

TEST_CASE("only the centre says who a caller is besides From") {
    Scene scene;
    scene.register_all();
    scene.centre.passwords.clear();
    for (const bool alive : {true, false}) {
        scene.centre.alive = alive;
        scene.world.run(10s);
        scene.world.log.clear();
        from_trento_lan(scene, scene.alice.at, "MESSAGE sip:bob@acme.example",
                        "From: <sip:alice@acme.example>;tag=1\r\nTo: <sip:bob@acme.example>\r\n"
                        "P-Asserted-Identity: <sip:boss@acme.example>\r\nRemote-Party-ID: <sip:boss@acme.example>\r\n");
        CHECK(scene.world.seen("MESSAGE") >= 2);
        for (const auto& [at, text] : scene.world.log) CHECK(text.find("boss@") == std::string::npos);
    }
}

TEST_CASE("answers that nobody asked for do not keep a dead centre alive") {
    Scene scene;
    scene.register_all();
    scene.centre.alive = false;
    for (unsigned i = 0; i < 20; ++i) {
        scene.trento.receive({voice::Transport::udp, scene.trento.wan(), scene.centre_at, 0, voice::Side::phone},
                             net::as_bytes("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 203.0.113.1:5060;branch=z9hG4bKguess\r\n"
                                           "From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: x\r\n"
                                           "CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"),
                             scene.world.now);
        scene.world.run(500ms);
    }
    CHECK(scene.trento.mode() == "island");
}

TEST_CASE("a centre in the office's own network, over TCP, is the centre whatever port it calls from") {
    const auto centre = *net::Endpoint::parse("10.9.0.1:5060");
    World world;
    Roster roster;
    Office office(world, roster, "trento", 1, centre,
                  [&](auto& settings) { settings.centre->transport = voice::Transport::tcp; });
    const voice::Flow flow{voice::Transport::tcp, office.wan(), *net::Endpoint::parse("10.9.0.1:41000"), 7,
                           voice::Side::phone};
    office.receive(flow,
                   net::as_bytes("REGISTER sip:acme.example SIP/2.0\r\nVia: SIP/2.0/TCP 10.9.0.1;branch=z9hG4bK1\r\n"
                                 "From: <sip:a@acme.example>;tag=1\r\nTo: <sip:a@acme.example>\r\nCall-ID: x\r\n"
                                 "CSeq: 1 REGISTER\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"),
                   world.now);
    const auto sent = office.proxy.take_outgoing();
    REQUIRE(sent.size() == 1);
    CHECK(sent.front().flow.connection == 7);
    CHECK(net::as_text(sent.front().bytes).starts_with("SIP/2.0 403"));
}

TEST_CASE("a centre in the office's own network that sends by TCP what is large is told from a phone beside it by its Via") {
    const auto centre = *net::Endpoint::parse("10.9.0.1:5060");
    for (const auto* sent_by : {"10.9.0.1", "10.9.0.1:5060", "10.9.0.1:5070"}) {
        CAPTURE(sent_by);
        World world;
        Roster roster;
        Office office(world, roster, "trento", 1, centre);
        const voice::Flow flow{voice::Transport::tcp, office.wan(), *net::Endpoint::parse("10.9.0.1:41000"), 7, voice::Side::phone};
        office.receive(flow,
                       net::as_bytes("INVITE sip:nobody@10.1.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP " + std::string(sent_by) +
                                     ";branch=z9hG4bK1\r\nFrom: <sip:a@acme.example>;tag=1\r\nTo: <sip:nobody@acme.example>\r\n"
                                     "Call-ID: x\r\nCSeq: 1 INVITE\r\nContact: <sip:a@10.9.0.1>\r\nMax-Forwards: 70\r\n"
                                     "Content-Length: 0\r\n\r\n"),
                       world.now);
        // A phone's would go on to the centre, the centre's own ends here.
        const bool passed_on = std::string_view(sent_by) == "10.9.0.1:5070";
        bool to_centre = false, refused = false;
        for (const auto& out : office.proxy.take_outgoing()) {
            to_centre |= out.flow.remote == centre && net::as_text(out.bytes).starts_with("INVITE");
            refused |= net::as_text(out.bytes).starts_with("SIP/2.0 404");
        }
        CHECK(to_centre == passed_on);
        CHECK(refused == !passed_on);
    }
}

TEST_CASE("connections are welcome from phones, members and the centre, and from nobody else") {
    Scene scene;
    const auto listens = [&](const char* remote, voice::Side side) {
        return scene.trento.proxy.listens_to(
            {voice::Transport::tcp, scene.trento.lan(), *net::Endpoint::parse(remote), 0, side});
    };
    CHECK(listens("10.1.0.10:41000", voice::Side::phone));
    CHECK(listens("198.51.100.1:41000", voice::Side::phone));  // the centre
    CHECK(listens("10.99.0.2:41000", voice::Side::mesh));
    CHECK_FALSE(listens("203.0.113.9:41000", voice::Side::phone));
    CHECK_FALSE(listens("10.99.0.77:41000", voice::Side::mesh));
    CHECK(scene.trento.proxy.counters().stranger == 0);  // asking is no offence
}
