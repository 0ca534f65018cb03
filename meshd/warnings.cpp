#include "meshd/warnings.hpp"

namespace meshd {
namespace {

constexpr const char* kJoinAnew =
    "ask an admin for a new invitation (meshctl invite), then, here: stop meshd, move its state folder away, start meshd, "
    "and run meshctl join";

/// Of a node that offers subnets: those of one IP version lead nowhere as long as the kernel does not pass packets on.
void put_forwarding(const std::vector<net::Prefix>& subnets, bool v4, const char* setting, std::vector<std::string>& out) {
    std::string names;
    for (const auto& subnet : subnets)
        if (subnet.address().is_v4() == v4) names += (names.empty() ? "" : ", ") + subnet.text();
    if (names.empty()) return;
    out.push_back("this node routes " + names + ", but the kernel passes no packets on: run \"sysctl -w " + setting +
                  "=1\", and put it into /etc/sysctl.d/ to keep it");
}

}  // namespace

std::string standing_in_words(const mesh::Node& node) {
    const auto& name = node.self().says.name;
    const auto& mesh = node.mesh_name();
    switch (node.standing()) {
        case mesh::Standing::member: return {};
        case mesh::Standing::revoked:
            return "this node, " + name + ", has been revoked: it is out of the mesh " + mesh +
                   ", for good. To come back as a new member, " + kJoinAnew;
        case mesh::Standing::unvouched: {
            const auto& signer = node.self().signer;
            const auto by = node.name_of(signer);
            const bool revoked = node.view().is_revoked(signer.view());
            const bool admin = node.view().admins.contains(signer);
            const auto why = revoked ? by + ", which let it in, has been revoked"
                             : admin ? std::string("another member has its keys or its place")
                                     : by + ", which let it in, is no admin";
            return "the record of this node, " + name + ", no longer counts in the mesh " + mesh + ": " + why +
                   ". Until an admin signs a new one, no member talks to it; should one arrive, it goes on by itself. "
                   "Otherwise " + kJoinAnew;
        }
    }
    return {};
}

std::vector<std::string> warnings_of(const mesh::Node& node, const Surroundings& around) {
    std::vector<std::string> out;
    if (auto words = standing_in_words(node); !words.empty()) out.push_back(std::move(words));
    if (node.self().expired) {
        out.push_back("the membership of this node, " + node.self().says.name + ", has expired: " + kJoinAnew);
    }
    if (!around.store_trouble.empty()) out.push_back(around.store_trouble);
    if (node.stamps_are_unstored()) out.push_back(kStampsAreUnstored);
    if (const auto why = node.exit().empty() ? std::string() : node.no_exit(node.exit()); !why.empty()) {
        out.push_back("what goes to the Internet should go through " + node.exit() + ", but " + why +
                      ", so it goes nowhere: mend that, choose another with meshctl exit, or end it with meshctl exit off");
    }
    out.insert(out.end(), around.of_exit.begin(), around.of_exit.end());
    if (!node.exit().empty()) {
        for (const auto& name : around.strict_interfaces) {
            out.push_back("the kernel checks the way back strictly at " + name + ", so with an exit it drops what the other nodes " +
                          "send: run \"sysctl -w net.ipv4.conf." + name + ".rp_filter=2\", and put it into /etc/sysctl.d/ to keep it");
        }
    }
    if (node.self().says.roles.has(mesh::Role::exit)) {
        const std::vector all4{net::Prefix(net::IpAddress::v4(0), 0)};
        if (!around.forwarding.v4) put_forwarding(all4, true, "net.ipv4.ip_forward", out);
    }
    for (const auto& subnet : around.subnets_not_allowed) {
        out.push_back("\"subnets\" in meshd.json names " + subnet.text() + ", which the mesh does not let this node route: " +
                      "take it out there, or have this node invited anew with --subnet " + subnet.text());
    }
    const auto& subnets = node.self().says.subnets;
    if (!around.forwarding.v4) put_forwarding(subnets, true, "net.ipv4.ip_forward", out);
    if (!around.forwarding.v6) put_forwarding(subnets, false, "net.ipv6.conf.all.forwarding", out);
    return out;
}

}  // namespace meshd
