#include <catch2/catch.hpp>

#include "voice/message.hpp"

using namespace voice;

namespace {

Message make(const std::string& text) {
    auto message = Message::parse(net::as_bytes(text));
    INFO((message ? "" : message.error().reason));
    REQUIRE(message);
    return std::move(*message);
}

const std::string kInvite =
    "INVITE sip:bob@biloxi.example SIP/2.0\r\n"
    "Via: SIP/2.0/UDP p1.example;branch=z9hG4bK2, SIP/2.0/TCP phone.example;branch=z9hG4bK1\r\n"
    "Record-Route: <sip:p1.example;lr>\r\n"
    "Route: <sip:p2.example;lr>, <sip:p3.example;lr>\r\n"
    "Route: <sip:p4.example;lr>\r\n"
    "Max-Forwards: 69\r\n"
    "f: Alice <sip:alice@atlanta.example>;tag=a\r\n"
    "To: Bob <sip:bob@biloxi.example>\r\n"
    "i: 3848276298220188511@atlanta.example\r\n"
    "CSeq: 314159 INVITE\r\n"
    "Proxy-Authorization: Digest username=\"alice\",  realm=\"x\", nonce=\"y\", uri=\"sip:z\", response=\"0\"\r\n"
    "m: <sip:alice@phone.example;transport=tcp>;+sip.instance=\"<urn:uuid:0>\";expires=60\r\n"
    "k: 100rel,timer , outbound\r\n"
    "Timestamp: 54\r\n"
    "X-Own: one\r\n"
    "c: application/sdp;charset=utf-8\r\n"
    "Content-Length: 5\r\n"
    "\r\n"
    "v=0\r\n";

}  // namespace

TEST_CASE("what is not touched is written as it came, in its order") {
    auto expected = kInvite;
    CHECK(make(kInvite).to_text() == expected);
}

TEST_CASE("Via is pushed, popped and changed, through comma lists too") {
    auto message = make(kInvite);
    CHECK(message.via_count() == 2);
    auto via = *Via::parse("SIP/2.0/UDP us.example;branch=z9hG4bK3");
    message.push_via(via);
    CHECK(message.vias()[0].host == "us.example");
    message.pop_via();
    via = *message.top_via();
    CHECK(via.host == "p1.example");
    via.params.set("received", "192.0.2.9");
    message.set_top_via(via);
    CHECK(message.vias().size() == 2);
    CHECK(message.top_via()->received() == net::IpAddress::v4(192, 0, 2, 9));
    message.pop_via();
    CHECK(message.top_via()->host == "phone.example");
    message.pop_via();
    CHECK_FALSE(message.top_via());
}

TEST_CASE("Route lists are popped one by one, and Record-Route goes on top") {
    auto message = make(kInvite);
    CHECK(message.routes().size() == 3);
    message.pop_first_address("Route");
    message.pop_first_address("Route");
    REQUIRE(message.routes().size() == 1);
    CHECK(message.routes()[0].uri.host == "p4.example");
    message.pop_first_address("Route");
    CHECK_FALSE(message.has("Route"));
    message.prepend_address("Record-Route", NameAddr::of(*Uri::parse("sip:us.example;lr")));
    message.append_address("Record-Route", NameAddr::of(*Uri::parse("sip:last.example;lr")));
    const auto routes = message.record_routes();
    REQUIRE(routes.size() == 3);
    CHECK(routes[0].uri.host == "us.example");
    CHECK(routes[2].uri.host == "last.example");
}

TEST_CASE("contacts are rewritten with their parameters kept") {
    auto message = make(kInvite);
    auto contacts = message.contacts();
    REQUIRE(contacts.size() == 1);
    CHECK(contacts[0].expires_s() == 60);
    CHECK(contacts[0].params.get("+sip.instance") == "\"<urn:uuid:0>\"");
    contacts[0].uri = *Uri::parse("sip:token@gw.example");
    message.set_contacts(contacts);
    CHECK(message.get("Contact") == "<sip:token@gw.example>;+sip.instance=\"<urn:uuid:0>\";expires=60");
    message.set_contacts({});
    CHECK_FALSE(message.has("m"));
}

TEST_CASE("headers are found by full and compact name, whatever the case, and lists by token") {
    auto message = make(kInvite);
    CHECK(message.call_id() == "3848276298220188511@atlanta.example");
    CHECK(message.get("FROM") == message.get("f"));
    CHECK(message.lists("Supported", "Timer"));
    CHECK_FALSE(message.lists("Supported", "path"));
    CHECK(message.has_sdp());
    message.set("x-own", "two");
    CHECK(message.get_all("X-OWN") == std::vector<std::string_view>{"two"});
    message.add("X-Own", "three");
    message.set("X-Own", *message.get("X-Own"));
    CHECK(message.get_all("X-Own").size() == 1);
    message.remove("X-Own");
    CHECK_FALSE(message.has("X-Own"));
}

TEST_CASE("a value from outside cannot bring a header of its own") {
    auto message = make(kInvite);
    message.set("X-Own", "a\r\nX-Evil: b");
    CHECK_FALSE(make(message.to_text()).has("X-Evil"));
    message.set_status(400, "no\r\nX-Evil: b");
    CHECK(message.to_text().find("\r\nX-Evil") == std::string::npos);
}

TEST_CASE("the body's length is always right") {
    auto message = make(kInvite);
    message.set_body("longer than it was");
    CHECK(make(message.to_text()).body() == "longer than it was");
    CHECK(message.content_type() == "application/sdp;charset=utf-8");
    message.clear_body();
    CHECK(message.to_text().ends_with("Content-Length: 0\r\n\r\n"));
    CHECK_FALSE(message.has_sdp());
}

TEST_CASE("a response copies what RFC 3261 8.2.6 names, and tags To") {
    const auto invite = make(kInvite);
    const auto ringing = Message::response(invite, 180, {}, "b");
    CHECK(ringing.status() == 180);
    CHECK(ringing.phrase() == "Ringing");
    CHECK(ringing.via_count() == 2);
    CHECK(ringing.to_tag() == "b");
    CHECK(ringing.from_tag() == "a");
    CHECK(ringing.method() == "INVITE");
    CHECK_FALSE(ringing.has("Timestamp"));
    CHECK_FALSE(ringing.has("Route"));
    const auto trying = Message::response(invite, 100, {}, "b");
    CHECK(trying.to_tag().empty());
    CHECK(trying.get("Timestamp") == "54");
    CHECK(make(ringing.to_text()).to_text() == ringing.to_text());
    CHECK(Message::response(invite, 299).phrase() == "Unknown");
}

TEST_CASE("ACK to a refusal and CANCEL are made of the INVITE as it was sent") {
    const auto invite = make(kInvite);
    const auto refusal = Message::response(invite, 486, {}, "b");
    const auto ack = Message::ack_for(invite, refusal);
    CHECK(ack.is("ACK"));
    CHECK(ack.via_count() == 1);
    CHECK(ack.top_via()->branch() == "z9hG4bK2");
    CHECK(ack.to_tag() == "b");
    CHECK(ack.routes().size() == 3);
    CHECK(ack.cseq().text() == "314159 ACK");
    CHECK_FALSE(ack.has("Contact"));
    const auto cancel = Message::cancel_for(invite);
    CHECK(cancel.is("CANCEL"));
    CHECK(cancel.to_tag().empty());
    CHECK(cancel.uri().text() == "sip:bob@biloxi.example");
    CHECK(make(cancel.to_text()).to_text() == cancel.to_text());
}

TEST_CASE("a request from scratch is one that everybody reads") {
    auto options = Message::request("OPTIONS", *Uri::parse("sip:centre.example"));
    options.push_via(*Via::parse("SIP/2.0/UDP us.example;branch=z9hG4bK7"));
    options.set_from(*NameAddr::parse("<sip:gw@us.example>;tag=1"));
    options.set_to(*NameAddr::parse("<sip:centre.example>"));
    options.set("Call-ID", "x");
    options.set("CSeq", CSeq{1, "OPTIONS"}.text());
    const auto read = make(options.to_text());
    CHECK(read.is("OPTIONS"));
    CHECK(read.max_forwards() == 70);
}

TEST_CASE("a malformed ACK, a malformed response and an oversized packet get silence") {
    auto ack = kInvite;
    ack.replace(0, 6, "ACK");
    const auto refused = Message::parse(net::as_bytes(ack));  // CSeq says INVITE
    REQUIRE_FALSE(refused);
    CHECK(refused.error().response.empty());
    const auto response = Message::parse(net::as_bytes("SIP/2.0 200 OK\r\nVia: x\r\n\r\n"));
    REQUIRE_FALSE(response);
    CHECK(response.error().response.empty());
    const std::string huge(70000, 'x');
    REQUIRE_FALSE(Message::parse(net::as_bytes(huge)));
    for (const auto* text : {"", "\r\n\r\n", "garbage", "INVITE", "INVITE sip:a@b SIP/2.0", "\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"}) {
        const auto parsed = Message::parse(net::as_bytes(text));
        REQUIRE_FALSE(parsed);
        CHECK(parsed.error().response.empty());
    }
}

TEST_CASE("a stray line end or control character in a header is refused") {
    for (const auto* evil : {"X-Own: one\n two", "X-Own: one\rX: y", "X-Own: a\x01", "X Own: a", ": a", "X-Own"}) {
        auto text = kInvite;
        text.replace(text.find("X-Own: one"), 10, evil);
        INFO(evil);
        const auto parsed = Message::parse(net::as_bytes(text));
        REQUIRE_FALSE(parsed);
        CHECK_FALSE(parsed.error().response.empty());
    }
}

TEST_CASE("headers are bounded in number, and a stream needs Content-Length") {
    auto text = kInvite;
    std::string many;
    for (int i = 0; i < 300; ++i) many += "X-Own: one\r\n";
    text.insert(text.find("X-Own"), many);
    CHECK(Message::parse(net::as_bytes(text)).error().reason == "too many headers");
    text = kInvite;
    text.erase(text.find("Content-Length: 5\r\n"), 19);
    CHECK(Message::parse(net::as_bytes(text)));
    CHECK(Message::parse(net::as_bytes(text), true).error().reason == "no Content-Length");
}
