#include "meshctl/command.hpp"
#include "meshctl/table.hpp"

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
    .summary = "list who belongs to the mesh, and who was put out",
    .details = "",
    .arguments = {},
    .options = {},
    .run = run,
};

}  // namespace meshctl
