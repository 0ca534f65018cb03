#include <catch2/catch.hpp>

#include "net/random.hpp"
#include "voice/message.hpp"
#include "voice/plain.hpp"

using namespace voice;

namespace {

const std::vector<std::string> kUsual{
    "REGISTER sip:acme.example SIP/2.0\r\nVia: SIP/2.0/UDP 10.1.0.10:5060;branch=z9hG4bKa1b2;rport\r\nMax-Forwards: 70\r\n"
    "From: <sip:alice@acme.example>;tag=a1\r\nTo: <sip:alice@acme.example>\r\nCall-ID: 1-42@10.1.0.10\r\nCSeq: 2 REGISTER\r\n"
    "Contact: <sip:alice@10.1.0.10:5060;transport=udp>;expires=3600\r\nExpires: 3600\r\nUser-Agent: phone 1.0 (x)\r\n"
    "Authorization: Digest username=\"alice\", realm=\"acme.example\", nonce=\"00ab\", uri=\"sip:acme.example\","
    "response=\"0f\",algorithm=MD5, cnonce=\"c\", qop=auth, nc=00000001\r\nContent-Length: 0\r\n\r\n",
    "INVITE sip:bob@acme.example SIP/2.0\r\nVia: SIP/2.0/TCP a.example;branch=z9hG4bKq\r\n"
    "Record-Route: <sip:tok@10.1.0.1:5060;lr;meshd=trento>\r\nFrom: <sip:+390461123456@acme.example>;tag=1\r\n"
    "To: <sip:bob@acme.example>\r\nCall-ID: q_1.x\r\nCSeq: 1 INVITE\r\nContact: <sip:alice@10.1.0.10>\r\n"
    "Allow: INVITE, ACK, BYE\r\nSupported: timer,100rel\r\nContent-Type: application/sdp\r\nContent-Length: 0\r\n\r\n",
    "SIP/2.0 180 Ringing\r\nVia: SIP/2.0/UDP 10.1.0.10:5060;branch=z9hG4bKq;received=10.1.0.10;rport=5060\r\n"
    "From: <sip:a@acme.example>;tag=1\r\nTo: <sip:bob@acme.example>;tag=2\r\nCall-ID: q\r\nCSeq: 1 INVITE\r\n"
    "Contact: <sip:bob@10.2.0.10:5060>\r\nContent-Length: 0\r\n\r\n",
    "ACK sip:bob@10.2.0.10:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 10.1.0.10;branch=z9hG4bKr\r\nRoute: <sip:10.1.0.1;lr>\r\n"
    "Max-Forwards: 70\r\nFrom: <sip:a@acme.example>;tag=1\r\nTo: <sip:bob@acme.example>;tag=2\r\nCall-ID: q\r\nCSeq: 1 ACK\r\n"
    "Content-Length: 0\r\n\r\n",
    "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.1.0.1:5060;branch=z9hG4bKr-m6a5;rport, SIP/2.0/TCP 10.1.0.10;branch=z9hG4bKq;"
    "received=10.1.0.10,SIP/2.0/UDP a.example\r\nRecord-Route: <sip:tok@10.1.0.1:5060;lr;meshd=trento>, <sip:10.1.0.2;lr>;x=1,"
    "\"p\" <sip:10.1.0.3>\r\nFrom: \"Alice (2nd floor)\" <sip:a@acme.example>;tag=1\r\nTo: \"\"<sip:bob@acme.example>;tag=2\r\n"
    "Call-ID: q\r\nCSeq: 1 INVITE\r\nContact: <sip:bob@10.2.0.10:5060>\r\nContent-Length: 0\r\n\r\n"};

bool accepted(std::string_view text, Message::Scrutiny scrutiny) {
    return Message::parse(net::as_bytes(text), false, scrutiny).has_value();
}

}  // namespace

TEST_CASE("what phones usually send is plain") {
    for (const auto& text : kUsual) {
        CAPTURE(text);
        CHECK(is_plain(text));
        CHECK(accepted(text, Message::Scrutiny::full));
    }
}

TEST_CASE("what holds escapes, folds, lists, compact names or other schemes where it matters is not plain") {
    const auto with = [](std::string_view from, std::string_view to) {
        auto text = kUsual.front();
        text.replace(text.find(from), from.size(), to);
        return text;
    };
    for (const auto& [from, to] :
         {std::pair("From: <", "From: \"A\\\"\" <"), {"From: <", "From: \"\xc3\xa4\" <"}, {"From: <", "From: \"A\"\" <"},
          {"From: <", "From: A <"}, {"To: <", "To: <sip:h>, <"}, {"Contact: <", "Contact: <sip:h>, <"}, {"From: <sip:", "From: <tel:"},
          {"User-Agent: phone 1.0 (x)", "Route: <sip:h>, "}, {"User-Agent: phone 1.0 (x)", "Route: <sip:h>,,<sip:h>"},
          {"User-Agent: phone 1.0 (x)", "Route: \"a, b\" <sip:h>"}, {"User-Agent: phone 1.0 (x)", "Record-Route: <sip:h> , <sip:h>"},
          {"From:", "f:"}, {"To: <", "To:\r\n <"}, {"rport\r\n", "rport, SIP/2.0/UDP\r\n"}, {"rport\r\n", "rport, h\r\n"},
          {"alice@10", "al%69ce@10"}, {"\"c\"", "\"c\\\"\""}, {"tag=a1", "tag="}, {"REGISTER sip", "REGISTRE sip"},
          {"User-Agent", "Proxy-Require"}, {":5060;b", ":506000;b"}, {"@10.1.0.10:5060", "@[::1]"}, {":5060;b", ":65536;b"},
          {"rport\r\n", "rport;received=h\r\n"}, {"expires=3600", "expires=4294967296"}, {"transport=udp", "lr;Lr"}}) {
        CAPTURE(from, to);
        CHECK_FALSE(is_plain(with(from, to)));
    }
}

TEST_CASE("whatever is plain our own readers of addresses and the second parser accept too") {
    net::SeededRandom random(GENERATE(1, 2, 3));
    constexpr std::string_view kBits = "aZ09-._ :;=<>@,/\"+\\~%?*[]()\r\n\t";
    constexpr std::array<std::string_view, 15> kWords{", <sip:h;lr>", ",<sip:h>", "\"a\" ", ", SIP/2.0/UDP h", ",", "\"b, <\"",
                                                      ";lr", ";LR", ";expires=1", ";expires=99999999999", ";received=1.2.3.4",
                                                      ";received=a", ":65535", ":65536", ";ttl=1;ttl=2"};
    unsigned plain = 0;
    for (unsigned i = 0; i < 60000; ++i) {
        auto text = kUsual[random.below(kUsual.size())];
        for (auto changes = 1 + random.below(3); changes > 0; --changes) {
            const auto at = random.below(text.size() - 4);
            switch (random.below(5)) {
                case 4: text.insert(at, kWords[random.below(kWords.size())]); break;
                case 0: text[at] = kBits[random.below(kBits.size())]; break;
                case 1: text.insert(at, 1, kBits[random.below(kBits.size())]); break;
                case 2: text.erase(at, 1 + random.below(4)); break;
                case 3: text.insert(at, text.substr(random.below(text.size()), random.below(30))); break;
            }
        }
        if (!is_plain(text.substr(0, text.find("\r\n\r\n") == text.npos ? 0 : text.find("\r\n\r\n") + 4))) continue;
        if (!accepted(text, Message::Scrutiny::as_needed)) continue;
        ++plain;
        if (!accepted(text, Message::Scrutiny::full)) FAIL(text);
    }
    CHECK(plain > 5000);
}
