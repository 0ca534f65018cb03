#include <catch2/catch.hpp>

#include <algorithm>

#include "discovery/nat_pmp.hpp"
#include "discovery/pcp.hpp"
#include "net/text.hpp"

namespace nat_pmp = discovery::nat_pmp;
namespace pcp = discovery::pcp;

namespace {

net::IpAddress ip(const char* text) { return *net::IpAddress::parse(text); }

net::Bytes bytes(std::string_view spaced_hex) {
    std::string hex;
    std::ranges::copy_if(spaced_hex, std::back_inserter(hex), [](char c) { return c != ' '; });
    return *net::from_hex(hex);
}

pcp::Nonce nonce() {
    pcp::Nonce out;
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::byte>(0xa0 + i);
    return out;
}

constexpr const char* kMapSuccess =
    "02 81 00 00 00000e10 00000064 000000000000000000000000"  // version 2, R and MAP, success; 3600 s; epoch 100
    "a0a1a2a3a4a5a6a7a8a9aaab 11 000000 ca6c d431"            // nonce, UDP, 51820, 54321
    "00000000000000000000ffff 05060708";                      // 5.6.7.8

}  // namespace

TEST_CASE("a MAP request is as RFC 6887 figures 2 and 9 draw it") {
    const pcp::MapRequest request{ip("192.168.1.7"), nonce(), 51820, {ip("5.6.7.8"), 54321, 0}, 7200};
    CHECK(net::to_hex(pcp::encode(request)) == net::to_hex(bytes("02 01 0000 00001c20 00000000000000000000ffff c0a80107"
                                                                 "a0a1a2a3a4a5a6a7a8a9aaab 11 000000 ca6c d431"
                                                                 "00000000000000000000ffff 05060708")));
    // Section 11.1: whatever the gateway likes is all zeros of the family.
    auto any = request;
    any.suggested = {};
    any.lifetime_s = 0;
    CHECK(net::to_hex(pcp::encode(any)) == net::to_hex(bytes("02 01 0000 00000000 00000000000000000000ffff c0a80107"
                                                             "a0a1a2a3a4a5a6a7a8a9aaab 11 000000 ca6c 0000"
                                                             "00000000000000000000ffff 00000000")));
    any.client = ip("2001:db8::7");
    CHECK(net::to_hex(pcp::encode(any)) == net::to_hex(bytes("02 01 0000 00000000 20010db8000000000000000000000007"
                                                             "a0a1a2a3a4a5a6a7a8a9aaab 11 000000 ca6c 0000"
                                                             "00000000000000000000000000000000")));
}

TEST_CASE("a MAP response is read as RFC 6887 figures 3 and 10 draw it") {
    const auto response = pcp::parse(bytes(kMapSuccess));
    REQUIRE(response);
    CHECK(response->result == pcp::Result::success);
    CHECK(response->lifetime_s == 3600);
    CHECK(response->epoch_s == 100);
    REQUIRE(response->map);
    CHECK(response->map->nonce == nonce());
    CHECK(response->map->internal_port == 51820);
    CHECK(response->map->external == net::Endpoint{ip("5.6.7.8"), 54321, 0});

    const auto announce = pcp::parse(bytes("02 80 00 00 00000000 00000007 000000000000000000000000"));
    REQUIRE(announce);
    CHECK_FALSE(announce->map);
    CHECK(announce->epoch_s == 7);

    // What another version has behind its header, nobody knows.
    const auto other = pcp::parse(bytes("01 81 00 01 00000000 00000007 000000000000000000000000"));
    REQUIRE(other);
    CHECK((other->version == 1 && other->result == pcp::Result::unsupported_version && !other->map));
}

TEST_CASE("what is cut, too long, no response, or not of UDP is none of PCP's") {
    const auto whole = bytes(kMapSuccess);
    for (std::size_t size = 0; size < whole.size(); ++size) CHECK_FALSE(pcp::parse(net::ByteView(whole).first(size)));
    auto with_option = whole;
    with_option.resize(whole.size() + 8);
    CHECK(pcp::parse(with_option));
    with_option.resize(pcp::kLargestBytes + 4);
    CHECK_FALSE(pcp::parse(with_option));
    with_option.resize(whole.size() + 1);
    CHECK_FALSE(pcp::parse(with_option));
    for (const auto& [at, value] : {std::pair{1, 0x01}, {1, 0x82}, {36, 6}}) {
        auto changed = whole;
        changed[static_cast<std::size_t>(at)] = static_cast<std::byte>(value);
        CHECK_FALSE(pcp::parse(changed));
    }
}

TEST_CASE("an epoch goes on while the gateway's clock goes as ours, within a sixteenth and two seconds") {
    CHECK(pcp::epoch_goes_on(100, 100, 0));
    CHECK(pcp::epoch_goes_on(100, 99, 0));   // the answers have changed places
    CHECK_FALSE(pcp::epoch_goes_on(100, 98, 0));
    CHECK(pcp::epoch_goes_on(100, 260, 160));
    CHECK(pcp::epoch_goes_on(100, 248, 160));
    CHECK_FALSE(pcp::epoch_goes_on(100, 247, 160));
    CHECK(pcp::epoch_goes_on(100, 272, 160));
    CHECK_FALSE(pcp::epoch_goes_on(100, 273, 160));
    CHECK_FALSE(pcp::epoch_goes_on(3'000'000'000, 5, 3600));
}

TEST_CASE("NAT-PMP's messages are as RFC 6886 sections 3.2 and 3.3 draw them") {
    CHECK(net::to_hex(nat_pmp::address_request()) == "0000");
    CHECK(net::to_hex(nat_pmp::map_request(51820, 54321, 7200)) == net::to_hex(bytes("00 01 0000 ca6c d431 00001c20")));
    CHECK(net::to_hex(nat_pmp::map_request(51820, 54321, 0)) == net::to_hex(bytes("00 01 0000 ca6c 0000 00000000")));

    const auto told = nat_pmp::parse(bytes("00 80 0000 00000064 05060708"));
    REQUIRE(told);
    CHECK(told->epoch_s == 100);
    CHECK(std::get<nat_pmp::Address>(told->says).address == ip("5.6.7.8"));
    const auto mapped = nat_pmp::parse(bytes("00 81 0000 00000064 ca6c d431 00000e10"));
    REQUIRE(mapped);
    const auto& map = std::get<nat_pmp::Map>(mapped->says);
    CHECK((map.internal_port == 51820 && map.external_port == 54321 && map.lifetime_s == 3600));

    // Section 3.5: what is refused may be told in eight bytes.
    const auto refused = nat_pmp::parse(bytes("00 00 0001 00000064"));
    REQUIRE(refused);
    CHECK(refused->result == nat_pmp::Result::unsupported_version);
    for (const auto* bad : {"", "00", "00 80 0000 00000064 050607", "00 81 0000 00000064 ca6c d431 00000e", "00 00 0000 00000064",
                            "01 80 0000 00000064 05060708"}) {
        INFO(bad);
        CHECK_FALSE(nat_pmp::parse(bytes(bad)));
    }
}
