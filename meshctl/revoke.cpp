#include "meshctl/command.hpp"
#include "meshctl/terminal.hpp"

namespace meshctl {
namespace {

void run(Invocation& in) {
    Request request("revoke");
    const auto name = in.arguments.text("NAME");
    request.set("name", name);
    const auto result = in.call(request);
    if (in.printed_as_json(result)) return;
    in.out << printable(name) << " is out of the mesh, for good.\n";
    const auto passwords = result["passwords_to_change"].elements();
    if (passwords.empty()) return;
    in.hints << "It could read what checks these users' passwords; change them with meshctl user add:\n";
    for (const auto& user : passwords) in.hints << "  " << printable(user.text()) << '\n';
}

}  // namespace

extern const Command kRevoke;
const Command kRevoke{
    .name = "revoke",
    .summary = "put a node out of the mesh, or an invitation out of force",
    .details = "Ends its tunnels at once on every node that hears of it, and spreads by itself.",
    .arguments = {{"NAME", "of the node, or of an invitation that was not used yet"}},
    .options = {},
    .run = run,
};

}  // namespace meshctl
