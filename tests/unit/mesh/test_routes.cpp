#include <catch2/catch.hpp>

#include "mesh/routes.hpp"
#include "net/random.hpp"

using mesh::RouteTable;

namespace {

std::optional<RouteTable::Slot> naive(const std::vector<RouteTable::Entry>& entries, const net::IpAddress& address) {
    std::optional<RouteTable::Slot> found;
    unsigned length = 0;
    for (const auto& entry : entries) {
        if (!entry.prefix.contains(address) || (found && entry.prefix.length() < length)) continue;
        found = entry.slot;
        length = entry.prefix.length();
    }
    return found;
}

// Few bits vary, so that prefixes nest and touch.
net::IpAddress address(net::SeededRandom& random, bool v6) {
    std::array<std::byte, 16> bytes{};
    const auto fill = random.below(4);
    for (auto& byte : bytes) byte = fill == 0 ? std::byte{0xff} : std::byte{0};
    for (int i = 0; i < 3; ++i) bytes[random.below(16)] ^= static_cast<std::byte>(1U << random.below(8));
    return v6 ? net::IpAddress::v6(bytes) : net::IpAddress::from_bytes(net::ByteView(bytes).first(4));
}

}  // namespace

TEST_CASE("the route table finds what a walk over all prefixes finds") {
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        INFO("seed " << seed);
        net::SeededRandom random(seed);
        std::vector<RouteTable::Entry> entries;
        const auto count = random.below(40);
        for (std::uint32_t i = 0; i < count; ++i) {
            const bool v6 = random.below(2) == 0;
            const auto length = static_cast<unsigned>(random.below(v6 ? 129 : 33));
            entries.push_back({net::Prefix(address(random, v6), length), i});
        }
        const RouteTable table(entries);
        for (int i = 0; i < 400; ++i) {
            const auto asked = address(random, random.below(2) == 0);
            REQUIRE(table.find(asked) == naive(entries, asked));
        }
        for (const auto& entry : entries) {
            REQUIRE(table.find(entry.prefix.address()) == naive(entries, entry.prefix.address()));
        }
    }
}

TEST_CASE("the longest prefix wins and the later of two equal ones") {
    const auto prefix = [](const char* text) { return *net::Prefix::parse(text); };
    const RouteTable table({{prefix("0.0.0.0/0"), 1},
                            {prefix("10.0.0.0/8"), 2},
                            {prefix("10.1.0.0/16"), 3},
                            {prefix("10.1.0.0/16"), 4},
                            {prefix("255.255.255.255/32"), 5},
                            {prefix("::/0"), 6},
                            {prefix("fd00::/8"), 7},
                            {prefix("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"), 8}});
    const auto find = [&](const char* text) { return table.find(*net::IpAddress::parse(text)); };
    CHECK(find("9.255.255.255") == 1);
    CHECK(find("10.0.255.255") == 2);
    CHECK(find("10.1.0.0") == 4);
    CHECK(find("10.1.255.255") == 4);
    CHECK(find("10.2.0.0") == 2);
    CHECK(find("255.255.255.255") == 5);
    CHECK(find("255.255.255.254") == 1);
    CHECK(find("fcff::1") == 6);
    CHECK(find("fdff:ffff::") == 7);
    CHECK(find("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff") == 8);
    CHECK_FALSE(table.find(net::IpAddress{}));
    CHECK_FALSE(RouteTable{}.find(*net::IpAddress::parse("10.0.0.1")));
}
