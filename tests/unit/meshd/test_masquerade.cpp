#include "meshd/masquerade.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using nlohmann::json;

TEST_CASE("the rules of an exit replace what was there, and spare its own subnets, in one transaction") {
    const std::vector subnets{*net::Prefix::parse("192.168.1.0/24"), *net::Prefix::parse("fd01::/64")};
    const auto rules = json::parse(meshd::masquerade_rules("mesh0", subnets))["nftables"];
    REQUIRE(rules.size() == 6);
    const json table{{"family", "inet"}, {"name", "meshd-mesh0"}};
    CHECK(rules[0]["add"]["table"] == table);
    CHECK(rules[1]["delete"]["table"] == table);
    CHECK(rules[2]["add"]["table"] == table);
    CHECK(rules[3]["add"]["chain"]["hook"] == "postrouting");
    for (const auto& [at, own] : {std::pair{4, "192.168.1.0"}, {5, "fd01::"}}) {
        const auto& rule = rules[static_cast<std::size_t>(at)]["add"]["rule"]["expr"];
        CHECK(rule.front()["match"]["right"] == "mesh0");
        CHECK(rule.back().contains("masquerade"));
        CHECK(rule[3]["match"]["right"]["prefix"]["addr"] == own);
    }
    const auto none = json::parse(meshd::no_masquerade_rules("mesh0"))["nftables"];
    CHECK(none.size() == 2);
}
