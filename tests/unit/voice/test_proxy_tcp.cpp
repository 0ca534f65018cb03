/// A phone that comes by TCP: what goes to it goes by the connection that it came by, and what becomes of that when the
/// connection is lost.
#include <catch2/catch.hpp>

#include "offices.hpp"

using namespace test;

namespace {

using voice::FlowFailure;
using voice::Message;
using voice::Transport;

/// alice on TCP, by hand, in trento; the centre asks for no passwords.
struct TcpScene : Scene {
    TcpScene() {
        centre.passwords.clear();
        bob.register_now();
        world.run(1s);
    }

    voice::Flow flow() const { return {Transport::tcp, trento.lan(), at, connection, voice::Side::phone}; }
    void send(const Message& message) { trento.receive(flow(), message.to_bytes(), world.now); }
    Message request(const std::string& start, const std::string& headers) {
        const auto method = start.substr(0, start.find(' '));
        const auto text = start + " SIP/2.0\r\nVia: SIP/2.0/TCP " + at.text() + ";branch=z9hG4bK" +
                          std::to_string(world.random.u64()) + "\r\nFrom: <sip:alice@acme.example>;tag=1\r\nCall-ID: t\r\nCSeq: " +
                          std::to_string(++cseq) + " " + method + "\r\nContact: <" + contact + ">" + parameters + "\r\n" + headers +
                          "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n";
        return *Message::parse(net::as_bytes(text), true);
    }
    Message invite() { return request("INVITE sip:bob@acme.example", "To: <sip:bob@acme.example>\r\n"); }
    /// What alice is sent within that time, and by which flows.
    std::vector<Message> hears(net::Duration within = 1s) {
        world.by_tcp.clear();
        world.run(within);
        std::vector<Message> out;
        flows.clear();
        for (const auto& one : world.by_tcp) {
            out.push_back(*Message::parse(one.bytes, true));
            flows.push_back(one.flow);
        }
        return out;
    }
    int asks(const Message& message) {
        send(message);
        const auto heard = hears();
        return heard.empty() ? 0 : heard.back().status();
    }
    int registers() { return asks(request("REGISTER sip:acme.example", "To: <sip:alice@acme.example>\r\nExpires: 3600\r\n")); }
    void lose(FlowFailure why) { trento.proxy.flow_failed(flow(), why, world.now); }

    net::Endpoint at = *net::Endpoint::parse("10.1.0.50:41000");
    std::uint64_t connection = 5;
    std::string contact = "sip:alice@10.1.0.50:5060;transport=tcp";
    std::string parameters;  ///< of the Contact
    unsigned cseq = 0;
    std::vector<voice::Flow> flows;
};

}  // namespace

TEST_CASE("a phone on TCP registers with a centre on UDP, and is called by its connection") {
    TcpScene scene;
    REQUIRE(scene.registers() == 200);
    CHECK(scene.flows.back().connection == 5);
    REQUIRE(scene.centre.contacts("alice").size() == 1);
    CHECK(scene.centre.contacts("alice").front().find("transport") == std::string::npos);

    scene.bob.call("sip:alice@acme.example");
    const auto calls = scene.hears();
    REQUIRE(calls.size() == 1);  // TCP is reliable: it is not sent again
    const auto& invite = calls.front();
    CHECK(scene.flows.front().connection == 5);
    CHECK(invite.is("INVITE"));
    CHECK(invite.uri().text() == scene.contact);
    CHECK(invite.top_via()->transport == "TCP");
    const auto routes = invite.record_routes();
    REQUIRE(routes.size() >= 2);
    CHECK(routes[0].uri.params.get("transport") == "tcp");
    CHECK_FALSE(routes[1].uri.params.has("transport"));

    auto answer = Message::response(invite, 200, {}, "a");
    answer.set_addresses("Record-Route", routes);
    answer.set_contacts({voice::NameAddr::of(*voice::Uri::parse(scene.contact))});
    scene.send(answer);
    const auto acks = scene.hears();
    REQUIRE(acks.size() == 1);
    CHECK(acks.front().is("ACK"));
    CHECK(scene.flows.front().connection == 5);
    REQUIRE(scene.bob.in_call());
    scene.bob.hang_up();
    const auto byes = scene.hears(300ms);  // later it comes by the mesh too, lest the centre be dead
    REQUIRE(byes.size() == 1);
    CHECK(byes.front().is("BYE"));
    CHECK(scene.flows.front().connection == 5);
    scene.send(Message::response(byes.front(), 200, {}, "a"));
    scene.world.run(1s);
    CHECK(scene.bob.last("BYE") == 200);
    CHECK(scene.quiet());
}

TEST_CASE("a phone on TCP calls, and all answers come by its connection") {
    TcpScene scene;
    REQUIRE(scene.registers() == 200);
    CHECK(scene.asks(scene.invite()) == 200);
    CHECK(scene.bob.count("INVITE") == 1);
    for (const auto& flow : scene.flows) CHECK(flow.connection == 5);
}

TEST_CASE("a phone whose connection is gone is called where it listens, on its own machine only") {
    for (const bool elsewhere : {true, false}) {
        TcpScene scene;
        if (elsewhere) scene.contact = "sip:alice@192.0.2.9:5060;transport=tcp";
        REQUIRE(scene.registers() == 200);
        scene.lose(FlowFailure::closed);
        scene.bob.call("sip:alice@acme.example");
        REQUIRE_FALSE(scene.hears().empty());
        CHECK(scene.flows.front().connection == 0);
        CHECK(scene.flows.front().remote.address == scene.at.address);
        CHECK(scene.flows.front().remote.port == (elsewhere ? 41000 : 5060));
    }
}

TEST_CASE("a phone that connects anew and registers again is called by its new connection") {
    TcpScene scene;
    REQUIRE(scene.registers() == 200);
    scene.lose(FlowFailure::reset);
    scene.connection = 6;
    scene.at.port = 41001;
    REQUIRE(scene.registers() == 200);
    CHECK(scene.trento.proxy.phones(scene.world.now).size() == 1);
    scene.bob.call("sip:alice@acme.example");
    REQUIRE_FALSE(scene.hears().empty());
    CHECK(scene.flows.front().connection == 6);
}

TEST_CASE("in an outage a phone on TCP that connects anew is still the device that the centre accepted") {
    TcpScene scene;
    scene.contact = "sip:alice@192.0.2.9:5060;transport=tcp";  // behind a NAT of its own
    REQUIRE(scene.registers() == 200);
    scene.centre.alive = false;
    scene.world.run(10s);
    REQUIRE(scene.trento.mode() == "island");
    scene.lose(FlowFailure::reset);
    scene.connection = 6;
    scene.at.port = 41001;
    CHECK(scene.asks(scene.request("MESSAGE sip:bob@acme.example", "To: <sip:bob@acme.example>\r\n")) == 200);
    CHECK(scene.registers() == 200);
    scene.at.address = *net::IpAddress::parse("10.1.0.66");
    scene.connection = 7;
    CHECK(scene.registers() == 403);
}

TEST_CASE("a connection that breaks ends the call that was being placed by it") {
    TcpScene scene;
    scene.bob.manner = Phone::Manner::rings;
    REQUIRE(scene.registers() == 200);
    scene.asks(scene.invite());
    REQUIRE(scene.bob.count("INVITE") == 1);
    scene.lose(FlowFailure::reset);
    scene.world.run(2s);
    CHECK(scene.bob.count("CANCEL") == 1);
    CHECK(scene.trento.proxy.calls().empty());
}

TEST_CASE("an answer to a request whose connection is gone goes nowhere, and to no other connection") {
    TcpScene scene;
    REQUIRE(scene.registers() == 200);
    scene.send(scene.request("MESSAGE sip:bob@acme.example", "To: <sip:bob@acme.example>\r\n"));
    scene.lose(FlowFailure::closed);  // bob's 200 is still on its way
    scene.connection = 6;
    scene.at.port = 41001;
    CHECK(scene.hears().empty());
    CHECK(scene.bob.count("MESSAGE") == 1);
}

TEST_CASE("a phone that keeps its flow by RFC 5626 is answered for with 430 when the flow is lost, until it brings another") {
    TcpScene scene;
    const auto registers = [&] {
        return scene.asks(scene.request("REGISTER sip:acme.example",
                                        "To: <sip:alice@acme.example>\r\nExpires: 3600\r\nSupported: outbound, path\r\n"));
    };
    const auto heard = [&](const char* uri) {
        scene.bob.call(uri);
        scene.world.run(2s);
        return scene.bob.last("INVITE");
    };
    scene.parameters = ";+sip.instance=\"<urn:uuid:1>\";reg-id=1";
    REQUIRE(registers() == 200);
    REQUIRE(scene.centre.contacts("alice").size() == 1);
    const auto token_uri = scene.centre.contacts("alice").front();
    REQUIRE(scene.trento.bound.contains("alice@acme.example"));

    scene.lose(FlowFailure::closed);
    scene.world.run(1s);
    CHECK_FALSE(scene.trento.bound.contains("alice@acme.example"));  // nor does the mesh send calls here
    scene.world.by_tcp.clear();
    CHECK(heard("sip:alice@acme.example") == 430);
    CHECK(scene.world.by_tcp.empty());  // nobody tries the port in its Contact, which nobody listens on

    scene.connection = 6;
    scene.at.port = 41001;
    REQUIRE(registers() == 200);
    CHECK(scene.centre.contacts("alice") == std::vector<std::string>{token_uri});  // the same binding
    CHECK(scene.trento.bound.contains("alice@acme.example"));
    scene.bob.call("sip:alice@acme.example");
    const auto calls = scene.hears();
    REQUIRE(calls.size() == 1);
    CHECK(calls.front().is("INVITE"));
    CHECK(scene.flows.front().connection == 6);
}

TEST_CASE("a phone next to us is told that its flow is kept, one behind another proxy or on UDP is not") {
    TcpScene scene;
    scene.parameters = ";+sip.instance=\"<urn:uuid:1>\";reg-id=1";
    const auto required = [&](const std::string& more) {
        scene.send(scene.request("REGISTER sip:acme.example", "To: <sip:alice@acme.example>\r\nExpires: 3600\r\n" + more));
        const auto heard = scene.hears();
        REQUIRE(heard.size() == 1);
        REQUIRE(heard.front().status() == 200);
        return std::string(heard.front().get("Require").value_or(""));
    };
    CHECK(required("Supported: outbound\r\n") == "outbound");
    CHECK(required("") == "");
    CHECK(required("Supported: outbound\r\nVia: SIP/2.0/TCP 10.1.0.99;branch=z9hG4bKx\r\n") == "");
    scene.parameters = "";
    CHECK(required("Supported: outbound\r\n") == "");
}

TEST_CASE("the Path that a REGISTER came by is given back, is not shown to the centre, and leads to the phone") {
    TcpScene scene;
    scene.send(scene.request("REGISTER sip:acme.example",
                             "To: <sip:alice@acme.example>\r\nExpires: 3600\r\nSupported: path\r\n"
                             "Path: <sip:edge@10.1.0.99;transport=tcp;lr>\r\n"));
    const auto heard = scene.hears();
    REQUIRE(heard.size() == 1);
    REQUIRE(heard.front().status() == 200);
    CHECK(heard.front().addresses("Path").size() == 1);
    for (const auto& [at, text] : scene.world.log) CHECK(text.find("Path:") == text.npos);
    scene.bob.call("sip:alice@acme.example");
    const auto calls = scene.hears();
    REQUIRE(calls.size() == 1);
    REQUIRE(calls.front().routes().size() == 1);
    CHECK(calls.front().routes().front().uri.text() == "sip:edge@10.1.0.99;transport=tcp;lr");
    CHECK(calls.front().uri().text() == scene.contact);
}
