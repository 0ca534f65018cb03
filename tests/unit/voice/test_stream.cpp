#include <catch2/catch.hpp>

#include "voice/stream.hpp"

using namespace std::chrono_literals;
using voice::StreamFramer;

namespace {
const net::Now kNow{net::Steady(100s), {}};
std::string message(std::string_view body, std::string_view length_name = "Content-Length") {
    return "MESSAGE sip:a@b SIP/2.0\r\n" + std::string(length_name) + ": " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}
std::optional<std::string> next(StreamFramer& framer) {
    const auto bytes = framer.next(kNow);
    return bytes ? std::optional(std::string(net::as_text(*bytes))) : std::nullopt;
}
}  // namespace

TEST_CASE("messages are cut out of a stream whatever its pieces are") {
    const auto one = message("hello");
    const auto two = message("", "l ");
    const auto stream = one + two + "\r\n\r\n" + one;
    for (std::size_t piece = 1; piece < stream.size(); ++piece) {
        StreamFramer framer;
        std::vector<std::string> got;
        for (std::size_t at = 0; at < stream.size(); at += piece) {
            framer.feed(net::as_bytes(std::string_view(stream).substr(at, piece)), kNow);
            while (auto text = next(framer)) got.push_back(*text);
        }
        INFO(piece);
        REQUIRE(got == std::vector<std::string>{one, two, one});
        CHECK(framer.take_pings() == 1);
        CHECK(framer.take_pongs() == 0);
        CHECK(framer.state() == StreamFramer::State::between);
    }
}

TEST_CASE("double line ends are pings, single ones pongs, and inside a message they are neither") {
    StreamFramer framer;
    framer.feed(net::as_bytes("\r\n\r\n\r\n\r\n"), kNow);
    CHECK(framer.take_pings() == 2);
    CHECK(framer.take_pings() == 0);
    framer.feed(net::as_bytes("\r\n"), kNow);
    CHECK(framer.take_pongs() == 1);
    const auto text = message("\r\n\r\n");
    framer.feed(net::as_bytes(text), kNow);
    CHECK(next(framer) == text);
    CHECK(framer.take_pings() == 0);
}

TEST_CASE("a stream whose borders cannot be known is broken") {
    const auto why = [](const std::string& text) {
        StreamFramer framer;
        framer.feed(net::as_bytes(text), kNow);
        CHECK_FALSE(framer.next(kNow));
        CHECK(framer.state() == StreamFramer::State::broken);
        framer.feed(net::as_bytes(message("x")), kNow);
        CHECK_FALSE(framer.next(kNow));
        return framer.why();
    };
    CHECK(why("MESSAGE sip:a@b SIP/2.0\r\nX: y\r\n\r\n") == "no Content-Length");
    CHECK(why("MESSAGE sip:a@b SIP/2.0\r\nContent-Length: -1\r\n\r\n") == "bad Content-Length");
    CHECK(why("MESSAGE sip:a@b SIP/2.0\r\nContent-Length: 1\r\nl: 2\r\n\r\n") == "bad Content-Length");
    CHECK(why("MESSAGE sip:a@b SIP/2.0\r\nContent-Length: 65530\r\n\r\n") == "message too large");
    CHECK(why("MESSAGE sip:a@b SIP/2.0\r\nX: " + std::string(20000, 'x')) == "header too large");
}

TEST_CASE("a message that trickles in is given up after its time") {
    StreamFramer framer;
    CHECK(framer.deadline() == net::kNever);
    framer.feed(net::as_bytes("MESSAGE sip"), kNow);
    CHECK(framer.deadline() == kNow.steady + 30s);
    auto later = kNow;
    later.steady += 29s;
    framer.feed(net::as_bytes(":a@b"), later);
    framer.expire(later);
    CHECK(framer.state() == StreamFramer::State::inside);
    later.steady += 1s;
    framer.expire(later);
    CHECK(framer.why() == "too slow");
}

TEST_CASE("a folded Content-Length is read") {
    StreamFramer framer;
    framer.feed(net::as_bytes("MESSAGE sip:a@b SIP/2.0\r\nContent-Length :\r\n 2\r\nX: y\r\n\r\nhi"), kNow);
    CHECK(next(framer));
}

TEST_CASE("a request that breaks its stream is answered, and nothing else is") {
    const std::string head =
        "INVITE sip:x@y SIP/2.0\r\nVia: SIP/2.0/TCP 10.1.0.9;branch=z9hG4bK7\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:x@y>\r\n"
        "Call-ID: c7\r\nCSeq: 7 INVITE\r\nMax-Forwards: 70\r\n";
    const auto answer = [](const std::string& text, net::Duration later = 0s) {
        StreamFramer framer;
        framer.feed(net::as_bytes(text), kNow);
        while (framer.next(kNow)) continue;
        framer.expire({kNow.steady + later, {}});
        REQUIRE(framer.state() == StreamFramer::State::broken);
        return std::string(net::as_text(voice::answer_to_broken(framer)));
    };
    const auto status = [](const std::string& text) { return text.substr(0, text.find("\r\n")); };
    const auto large = answer(head + "Content-Length: 65500\r\n\r\nx");
    CHECK(status(large) == "SIP/2.0 513 Message Too Large");
    for (const auto* line : {"Via: SIP/2.0/TCP 10.1.0.9;branch=z9hG4bK7\r\n", "Call-ID: c7\r\n", "CSeq: 7 INVITE\r\n"}) {
        CHECK(large.find(line) != large.npos);
    }
    CHECK(status(answer(head + "Subject: " + std::string(20'000, 'x'))) == "SIP/2.0 513 Message Too Large");
    CHECK(status(answer(head + "Content-Length: 99999999\r\n\r\n")) == "SIP/2.0 513 Message Too Large");
    CHECK(status(answer(head + "l:\r\n -1\r\n\r\n")) == "SIP/2.0 400 Bad Request (bad Content-Length)");
    CHECK(status(answer(head + "\r\n")) == "SIP/2.0 400 Bad Request (no Content-Length)");
    CHECK(status(answer(head + "Content-Length: 10\r\n\r\nabc", 31s)) == "SIP/2.0 408 Request Timeout");
    CHECK(status(answer(head + "Subj", 31s)) == "SIP/2.0 408 Request Timeout");
    auto ack = head;
    while (ack.find("INVITE") != ack.npos) ack.replace(ack.find("INVITE"), 6, "ACK");
    CHECK(answer(ack + "\r\n").empty());
    CHECK(answer("SIP/2.0 200 OK\r\n" + head.substr(head.find("Via")) + "\r\n").empty());
    CHECK(answer("INVITE sip:x@y SIP/2.0\r\nSubject: " + std::string(20'000, 'x')).empty());
    CHECK(answer(std::string(20'000, '\0')).empty());
    CHECK(answer("x", 31s).empty());
}
