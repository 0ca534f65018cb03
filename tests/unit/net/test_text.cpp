#include <catch2/catch.hpp>

#include "net/bytes.hpp"
#include "net/random.hpp"
#include "net/secret.hpp"
#include "net/text.hpp"

using net::as_bytes;

TEST_CASE("base64 and base32 agree with the vectors of RFC 4648 section 10") {
    CHECK(net::to_base64(as_bytes("")) == "");
    CHECK(net::to_base64(as_bytes("f")) == "Zg==");
    CHECK(net::to_base64(as_bytes("fo")) == "Zm8=");
    CHECK(net::to_base64(as_bytes("foo")) == "Zm9v");
    CHECK(net::to_base64(as_bytes("foobar")) == "Zm9vYmFy");
    CHECK(net::to_base32(as_bytes("foobar")) == "mzxw6ytboi");
    CHECK(net::to_hex(as_bytes("foobar")) == "666f6f626172");
}

TEST_CASE("text forms read back what they wrote, and nothing else") {
    net::SeededRandom random(7);
    for (std::size_t size = 0; size < 70; ++size) {
        net::Bytes bytes(size);
        random.fill(bytes);
        CHECK(net::from_base64(net::to_base64(bytes)) == bytes);
        CHECK(net::from_base64url(net::to_base64url(bytes)) == bytes);
        CHECK(net::from_base32(net::to_base32(bytes)) == bytes);
        CHECK(net::from_hex(net::to_hex(bytes)) == bytes);
    }
    CHECK_FALSE(net::from_base64("Zh=="));  // the last byte's spare bits are set
    CHECK_FALSE(net::from_base64("Zg="));
    CHECK_FALSE(net::from_base64("Z==="));
    CHECK_FALSE(net::from_hex("abc"));
    CHECK_FALSE(net::from_base64("Zm 9"));
}

TEST_CASE("a decimal number is digits within its bound") {
    CHECK(net::parse_decimal("65535", 65535) == 65535);
    CHECK_FALSE(net::parse_decimal("65536", 65535));
    CHECK_FALSE(net::parse_decimal("-1"));
    CHECK_FALSE(net::parse_decimal(""));
    CHECK(net::parse_decimal("18446744073709551615") == UINT64_MAX);
    CHECK_FALSE(net::parse_decimal("18446744073709551616"));
}

TEST_CASE("a reader that ran past the end stays failed") {
    net::Reader reader(as_bytes("abc"));
    CHECK(reader.u16be() == 0x6162);
    CHECK(reader.u32be() == 0);
    CHECK_FALSE(reader.ok());
    CHECK(reader.u8() == 0);
    CHECK_FALSE(reader.at_end());
}

TEST_CASE("a secret that was moved from is wiped") {
    net::Secret<4> one;
    one.fill()[0] = std::byte{1};
    net::Secret<4> other(std::move(one));
    CHECK(other.view()[0] == std::byte{1});
    CHECK(one.equals(net::Secret<4>{}));
}
