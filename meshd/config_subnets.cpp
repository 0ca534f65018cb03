#include <algorithm>
#include <array>

#include "mesh/bodies.hpp"
#include "meshd/config_sections.hpp"

namespace meshd {
namespace {

constexpr std::size_t kMaxSubnets = 32;  // a member record allows no more

mesh::MappedSubnet& last_subnet(Config& config) { return config.subnets->back(); }

/// {"lan": "192.168.1.0/24", "as": "10.201.1.0/24"}, or the prefix alone.
void read_subnet(const ConfigValue& value, Config& config) {
    static constexpr auto kKeys = std::to_array<ConfigValue::Key>({
        {"lan", [](const ConfigValue& v, Config& c) { last_subnet(c).lan = v.prefix(); }},
        {"as", [](const ConfigValue& v, Config& c) { last_subnet(c).as = v.prefix(); }},
    });
    config.subnets->emplace_back();
    auto& subnet = last_subnet(config);
    if (value.is_text()) {
        subnet.lan = subnet.as = value.prefix();
    } else {
        value.members(kKeys, config);
        if (subnet.lan.address().is_none() || subnet.as.address().is_none()) {
            value.refuse("\"" + value.name() + R"(" needs both "lan" and "as", such as {"lan": "192.168.1.0/24", "as": "10.201.1.0/24"})");
        }
    }
    const auto& [lan, as] = subnet;
    if (lan.address().bits() != as.address().bits() || lan.length() != as.length()) {
        value.refuse("\"" + value.name() + "\" maps " + lan.text() + " to " + as.text() +
                     ": both must be of one IP version and one length, as each address has its own on the other side");
    }
    if (lan.length() == 0) value.refuse("\"" + value.name() + "\" is all addresses; for a way to the Internet see \"exit\"");
}

/// No address may have two names, nor one name mean two.
void check_overlaps(const ConfigValue& value, const mesh::MappedSubnet& subnet, std::span<const mesh::MappedSubnet> before) {
    const auto refuse = [&](const net::Prefix& one, const net::Prefix& other) {
        value.refuse("\"" + value.name() + "\": " + one.text() + " overlaps " + other.text() + "; each subnet and each \"as\" needs addresses of its own");
    };
    if (subnet.lan != subnet.as && subnet.lan.overlaps(subnet.as)) refuse(subnet.as, subnet.lan);
    for (const auto& other : before)
        for (const auto& mine : {subnet.lan, subnet.as})
            for (const auto& theirs : {other.lan, other.as})
                if (mine.overlaps(theirs)) refuse(mine, theirs);
}

}  // namespace

void read_exit(const ConfigValue& value, Config& config) {
    if (!mesh::is_node_name(value.text())) value.must_be("the name of a node, such as \"munich\"");
    config.exit = value.text();
}

void read_subnets(const ConfigValue& value, Config& config) {
    config.subnets.emplace();
    for (const auto& entry : value.list(0, kMaxSubnets)) {
        read_subnet(entry, config);
        check_overlaps(entry, last_subnet(config), std::span(*config.subnets).first(config.subnets->size() - 1));
    }
}

}  // namespace meshd
