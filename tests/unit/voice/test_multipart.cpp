#include <catch2/catch.hpp>

#include "voice/multipart.hpp"

using namespace voice;

namespace {

const std::string kSdp = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\n";
const std::string kLocation = "--b1\r\nContent-Type: application/pidf+xml\r\n\r\n<presence/>\r\n";

std::string text_of(std::string_view type, std::string_view body) {
    const auto part = sdp_part(type, body);
    return part ? std::string(part->text) : "none";
}
std::string part_with(const std::string& headers, const std::string& text = kSdp) {
    return "--b1\r\n" + headers + "\r\n" + text + "\r\n--b1--\r\n";
}

}  // namespace

TEST_CASE("a session description is the body, or the part of it that is one") {
    CHECK(text_of("application/sdp", kSdp) == kSdp);
    CHECK(text_of("Application/SDP; charset=utf-8", kSdp) == kSdp);
    CHECK(text_of("text/plain", kSdp) == "none");
    CHECK(text_of("application/sdp", "") == "none");
    const auto body = "preamble\r\n" + kLocation + part_with("content-type: application/sdp\r\nContent-Disposition: session;handling=required\r\n");
    for (const auto* type : {"multipart/mixed;boundary=b1", "multipart/mixed; charset=x; boundary=\"b1\"", "MULTIPART/alternative ; Boundary = b1"}) {
        INFO(type);
        CHECK(text_of(type, body) == kSdp);
    }
    const auto nested = "--out\r\nContent-Type: multipart/related;boundary=b1\r\n\r\n" + body + "\r\n--out--\r\n";
    CHECK(text_of("multipart/mixed;boundary=out", nested) == kSdp);
}

TEST_CASE("another text takes the part's place, and all around it stays but the part's own length") {
    const auto before = kLocation + "--b1\r\nContent-Type: application/sdp\r\nContent-Length: ";
    const auto body = before + "99\r\n\r\nv=0\r\ns=-\r\n--b1--\r\n";
    const auto part = sdp_part("multipart/mixed;boundary=b1", body);
    REQUIRE(part);
    CHECK(part->text == "v=0\r\ns=-");  // the end of that line is the delimiter's (RFC 2046 5.1.1)
    CHECK(with_part(body, *part, "v=0\r\ns=other\r\n") == before + "12\r\n\r\nv=0\r\ns=other\r\n--b1--\r\n");
    const auto whole = sdp_part("application/sdp", kSdp);
    CHECK(with_part(kSdp, *whole, "v=0\r\n") == "v=0\r\n");
}

TEST_CASE("parts that are no session, are encoded, or never end are left alone") {
    const auto type = "multipart/mixed;boundary=b1";
    CHECK(text_of(type, part_with("Content-Type: application/sdp\r\n")) == kSdp);
    CHECK(text_of(type, part_with("Content-Type: application/sdp\r\nContent-Transfer-Encoding: base64\r\n")) == "none");
    CHECK(text_of(type, part_with("Content-Type: application/sdp\r\nContent-Disposition: early-session\r\n")) == "none");
    CHECK(text_of(type, part_with("")) == "none");  // text/plain
    CHECK(text_of(type, "--b1\r\nContent-Type: application/sdp\r\n\r\n" + kSdp) == "none");
    CHECK(text_of("multipart/mixed", part_with("Content-Type: application/sdp\r\n")) == "none");
    CHECK(text_of("multipart/mixed;boundary=\"b1", part_with("Content-Type: application/sdp\r\n")) == "none");
    CHECK(text_of("multipart/mixed;boundary=" + std::string(71, 'b'), part_with("Content-Type: application/sdp\r\n")) == "none");
    std::string deep = part_with("Content-Type: application/sdp\r\n"), boundary = "b1";
    for (int i = 0; i < 3; ++i) {
        const auto outer = "o" + std::to_string(i);
        deep = "--" + outer + "\r\nContent-Type: multipart/mixed;boundary=" + boundary + "\r\n\r\n" + deep + "\r\n--" + outer + "--\r\n";
        boundary = outer;
        CHECK(text_of("multipart/mixed;boundary=" + outer, deep) == (i < 2 ? kSdp : "none"));
    }
}
