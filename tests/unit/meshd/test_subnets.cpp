// Which subnets are offered, and what the configuration may say of them.
#include <catch2/catch.hpp>

#include "meshd/config.hpp"
#include "meshd/offered_subnets.hpp"

using meshd::OfferedSubnets;

namespace {

net::Prefix prefix(const char* text) { return *net::Prefix::parse(text); }

std::string subnets_refusal(const std::string& subnets) {
    try {
        (void)meshd::parse_config("{\n\"subnets\": " + subnets + "}", "meshd.json");
    } catch (const meshd::ConfigError& error) {
        return error.what();
    }
    return "taken";
}

}  // namespace

TEST_CASE("subnets are plain, or mapped to another name of the same length") {
    CHECK_FALSE(meshd::parse_config("{}", "meshd.json").subnets);
    const auto config = meshd::parse_config(
        R"({"subnets": ["192.168.5.0/24", {"lan": "192.168.1.0/24", "as": "10.201.1.0/24"}, {"as": "2001:db8:7::/48", "lan": "fd01:2:3::/48"}]})",
        "meshd.json");
    REQUIRE(config.subnets->size() == 3);
    CHECK((*config.subnets)[0] == mesh::MappedSubnet{prefix("192.168.5.0/24"), prefix("192.168.5.0/24")});
    CHECK((*config.subnets)[1] == mesh::MappedSubnet{prefix("192.168.1.0/24"), prefix("10.201.1.0/24")});
    CHECK(OfferedSubnets(config.subnets).mapped().size() == 2);
    CHECK(meshd::parse_config(R"({"subnets": []})", "meshd.json").subnets->empty());
}

TEST_CASE("subnets that cannot be mapped are refused by their line") {
    using Catch::Contains;
    CHECK_THAT(subnets_refusal(R"([{"lan": "192.168.1.0/24", "as": "10.201.0.0/16"}])"), Contains("meshd.json:2") && Contains("one length"));
    CHECK_THAT(subnets_refusal(R"([{"lan": "192.168.1.0/24", "as": "fd00::/24"}])"), Contains("one IP version"));
    CHECK_THAT(subnets_refusal(R"([{"lan": "192.168.1.0/24"}])"), Contains("both \"lan\" and \"as\""));
    CHECK_THAT(subnets_refusal(R"([{"lan": "192.168.1.0/24", "to": "10.0.0.0/24"}])"), Contains("subnets[0].to"));
    CHECK_THAT(subnets_refusal(R"(["0.0.0.0/0"])"), Contains("\"exit\""));
    CHECK_THAT(subnets_refusal("[\n\"10.1.0.0/16\",\n\"10.1.2.0/24\"]"), Contains("meshd.json:4") && Contains("10.1.2.0/24 overlaps 10.1.0.0/16"));
    CHECK_THAT(subnets_refusal(R"([{"lan": "10.1.0.0/24", "as": "10.2.0.0/24"}, {"lan": "10.2.0.0/24", "as": "10.3.0.0/24"}])"), Contains("overlaps"));
    CHECK_THAT(subnets_refusal(R"([{"lan": "10.1.0.0/24", "as": "10.2.0.0/24"}, {"lan": "10.4.0.0/24", "as": "10.2.0.0/24"}])"), Contains("overlaps"));
    CHECK_THAT(subnets_refusal(R"([7])"), Contains("subnets"));
}

TEST_CASE("a subnet is withdrawn while the network that it was is gone or has no carrier") {
    const std::vector allowed{prefix("192.168.1.0/24"), prefix("172.20.0.0/16"), prefix("192.168.7.0/24")};
    OfferedSubnets subnets(std::nullopt);
    const tun::Network lan{prefix("192.168.1.0/24"), true, true}, part{prefix("172.20.3.0/24"), true, true};
    auto without_carrier = lan;
    without_carrier.carries = false;
    CHECK(subnets.now(allowed, {lan, part}) == allowed);  // the third lies behind another router
    CHECK(subnets.now(allowed, {without_carrier, part}) == std::vector{allowed[1], allowed[2]});
    CHECK(subnets.now(allowed, {lan, part}) == allowed);
    CHECK(subnets.now(allowed, {part}) == std::vector{allowed[1], allowed[2]});
    CHECK(subnets.now(allowed, {}) == std::vector{allowed[2]});
    CHECK(OfferedSubnets(std::nullopt).now(allowed, {without_carrier}) == std::vector{allowed[1], allowed[2]});
}

TEST_CASE("what is configured is offered by the name that the mesh knows, if the mesh allows it") {
    const std::vector<mesh::MappedSubnet> configured{{prefix("192.168.1.0/24"), prefix("10.201.1.0/24")},
                                                     {prefix("192.168.9.0/24"), prefix("192.168.9.0/24")}};
    OfferedSubnets subnets(configured);
    const std::vector allowed{prefix("10.201.1.0/24"), prefix("192.168.8.0/24")};
    const tun::Network lan{prefix("192.168.1.0/24"), true, true};
    CHECK(subnets.now(allowed, {lan}) == std::vector{prefix("10.201.1.0/24")});
    CHECK(subnets.not_allowed(allowed) == std::vector{prefix("192.168.9.0/24")});
    CHECK(subnets.now(allowed, {}).empty());
    CHECK(OfferedSubnets(std::vector<mesh::MappedSubnet>{}).now(allowed, {lan}).empty());
}
