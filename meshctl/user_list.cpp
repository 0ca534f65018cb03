#include "meshctl/command.hpp"
#include "meshctl/table.hpp"

namespace meshctl {
namespace {

void run(Invocation& in) {
    const auto result = in.call("user.list");
    if (in.printed_as_json(result)) return;
    Table table({{"user"}, {"numbers"}, {"nodes"}, {"password"}});
    for (const auto& user : result["users"].elements()) {
        table.add({user["aor"].text(), user["numbers"].joined(), user["nodes"].joined(),
                   user["password"].flag() ? "in the mesh" : "at the centre"});
    }
    if (table.empty()) {
        in.hints << "No users yet. meshctl user add AOR adds one.\n";
    } else {
        in.out << table.text(in.colour);
    }
}

}  // namespace

extern const Command kUserList;
const Command kUserList{
    .name = "user list",
    .summary = "list the users",
    .details = "",
    .arguments = {},
    .options = {},
    .run = run,
};

}  // namespace meshctl
