#include "meshctl/command.hpp"
#include "meshctl/table.hpp"
#include "meshctl/units.hpp"

namespace meshctl {
namespace {

void run(Invocation& in) {
    const auto result = in.call("members");
    if (in.printed_as_json(result)) return;
    Table table({{"member"}, {"addresses"}, {"subnets"}, {"roles"}, {"kind"}, {"standing"}, {"key"}});
    for (const auto& member : result["members"].elements()) {
        const bool revoked = member["revoked"].flag();
        table.add({member["name"].text(),
                   member["addresses"].joined(),
                   member["subnets"].joined(),
                   member["roles"].joined(","),
                   member["stock"].flag() ? "stock WireGuard" : "node",
                   {revoked ? "revoked" : "good", revoked ? Colour::bad : Colour::good},
                   member["key"].text()});
    }
    for (const auto& invitation : result["invitations"].elements()) {
        const auto left = invitation["expires_s"].number();
        const auto standing = "invited" + (left ? ", for " + duration(*left) : std::string());
        table.add({invitation["name"].text(),
                   "",
                   invitation["subnets"].joined(),
                   invitation["roles"].joined(","),
                   "",
                   {standing, Colour::warning},
                   ""});
    }
    if (table.empty()) {
        in.hints << "This machine is in no mesh yet: meshctl init MESH makes one; meshctl join joins one.\n";
    } else {
        in.out << table.text(in.colour);
    }
}

}  // namespace

extern const Command kMembers;
const Command kMembers{
    .name = "members",
    .summary = "list who belongs to the mesh, who is invited, and who was put out",
    .details = "",
    .arguments = {},
    .options = {},
    .run = run,
};

}  // namespace meshctl
