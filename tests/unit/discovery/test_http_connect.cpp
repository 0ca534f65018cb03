#include <catch2/catch.hpp>

#include "discovery/http_connect.hpp"

using discovery::ConnectAnswer;
using State = ConnectAnswer::State;

namespace {

std::string request(std::string_view target, std::string_view user = {}, std::string_view password = {}) {
    const auto bytes = discovery::connect_request(target, user, password);
    return std::string(net::as_text(bytes));
}

ConnectAnswer answered(std::string_view text, bool with_password = false, std::size_t step = SIZE_MAX) {
    ConnectAnswer answer("192.0.2.7:443", with_password);
    for (; !text.empty(); text.remove_prefix(std::min(step, text.size()))) {
        answer.feed(net::as_bytes(text.substr(0, std::min(step, text.size()))));
    }
    return answer;
}

}  // namespace

TEST_CASE("CONNECT names where to, and carries a password only if there is one") {
    CHECK(request("192.0.2.7:443") == "CONNECT 192.0.2.7:443 HTTP/1.1\r\nHost: 192.0.2.7:443\r\n\r\n");
    // RFC 7617 section 2's example.
    CHECK(request("[2001:db8::1]:443", "Aladdin", "open sesame") ==
          "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n"
          "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n");
}

TEST_CASE("any 2xx opens the tunnel at the end of its header, whatever else that says") {
    const std::size_t step = GENERATE(as<std::size_t>(), 1, 5, 10000);
    for (const auto* text : {"HTTP/1.1 200 Connection established\r\n\r\n", "HTTP/1.0 200 OK\r\nContent-Length: 17\r\nVia: x\r\n\r\n",
                             "HTTP/1.1 204\n\n", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 299 Fine\r\n\r\n"}) {
        const auto answer = answered(text, false, step);
        INFO(text << answer.why());
        CHECK(answer.state() == State::open);
    }
    CHECK(answered("HTTP/1.1 200 OK\r\nVia: x\r\n").state() == State::waiting);
    CHECK(answered("HTTP/1.1 200 OK\r\n\r\nhello").why() == "the proxy says more than its answer");
}

TEST_CASE("a refusal is told by its reason") {
    CHECK(answered("HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n").why() ==
          "the proxy wants a user's name and password (407)");
    CHECK(answered("HTTP/1.1 407 x\r\nproxy-authenticate:NTLM\r\n\r\n").why() ==
          "the proxy wants a password by NTLM (407), and only Basic is known here");
    CHECK(answered("HTTP/1.1 407 x\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n", true).why() ==
          "the proxy refuses the user's name or password (407)");
    CHECK(answered("HTTP/1.1 403 Filtered\r\n\r\n<html>").why() ==
          "the proxy does not allow connections to 192.0.2.7:443 (403 Filtered)");
    CHECK(answered("HTTP/1.0 502 \x1b[31m" + std::string(200, 'x') + "\r\n\r\n").why() ==
          "the proxy has no connection to 192.0.2.7:443 (502 ?[31m" + std::string(71, 'x') + ")");
}

TEST_CASE("what is no HTTP fails at its first bytes, and an answer that does not end fails at the bound") {
    for (const auto* text : {"SSH-2.0-OpenSSH_9.2\r\n", "H!", "HTTP/2 200\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 abc\r\n\r\n",
                             "HTTP/1.1 099 x\r\n\r\n", "HTTP/1.1\r\n\r\n", "\r\n\r\n"}) {
        INFO(text);
        CHECK(answered(text).why() == "what answers there is no HTTP proxy");
    }
    const auto endless = answered("HTTP/1.1 200 OK\r\nX: " + std::string(40000, 'x'), false, 1000);
    CHECK(endless.why() == "the proxy's answer does not end");
    std::string interim;
    for (int i = 0; i < 2000; ++i) interim += "HTTP/1.1 100 Continue\r\n\r\n";
    CHECK(answered(interim, false, 100).why() == "the proxy's answer does not end");
}
