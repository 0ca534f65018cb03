#include "meshctl/command.hpp"
#include "meshctl/terminal.hpp"

namespace meshctl {
namespace {

void run(Invocation& in) {
    const auto aor = in.arguments.text("AOR");
    Request request("user.remove");
    request.set("aor", aor);
    const auto result = in.call(request);
    if (in.printed_as_json(result)) return;
    in.out << printable(aor) << " may no longer register.\n";
}

}  // namespace

extern const Command kUserRemove;
const Command kUserRemove{
    .name = "user remove",
    .summary = "take a user out",
    .details = "",
    .arguments = {{"AOR", "address of record, such as bob@acme.example"}},
    .options = {},
    .run = run,
};

}  // namespace meshctl
