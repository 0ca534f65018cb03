#include "meshctl/command.hpp"
#include "meshctl/table.hpp"
#include "meshctl/units.hpp"

namespace meshctl {
namespace {

void run(Invocation& in) {
    const auto result = in.call("calls");
    if (in.printed_as_json(result)) return;
    Table table({{"from"}, {"to"}, {"state"}, {"path"}, {"for", Table::Align::right}, {"id"}});
    for (const auto& call : result["calls"].elements()) {
        const auto since = call["since_s"].number();
        table.add({call["from"].text(),
                   call["to"].text(),
                   call["state"].text(),
                   call["path"].text(),
                   since ? duration(*since) : "",
                   {call["id"].text(), Colour::faint}});
    }
    if (table.empty()) {
        in.hints << "No call goes through this node now.\n";
    } else {
        in.out << table.text(in.colour);
    }
}

}  // namespace

extern const Command kCalls;
const Command kCalls{
    .name = "calls",
    .summary = "list the calls that go through this node",
    .details = "A call's path is central (through the centre), mesh (to another node) or local (between phones here).",
    .arguments = {},
    .options = {},
    .run = run,
};

}  // namespace meshctl
