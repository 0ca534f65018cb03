#include "meshctl/command.hpp"
#include "meshctl/table.hpp"
#include "meshctl/units.hpp"

namespace meshctl {
namespace {

void run(Invocation& in) {
    const auto result = in.call("messages");
    if (in.printed_as_json(result)) return;
    Table table({{"for"}, {"messages", Table::Align::right}, {"oldest", Table::Align::right}});
    for (const auto& one : result["messages"].elements()) {
        const auto age = one["oldest_s"].number();
        table.add({one["aor"].text(), std::to_string(static_cast<unsigned>(one["count"].number().value_or(0))), age ? duration(*age) : ""});
    }
    if (table.empty()) {
        in.hints << "No message waits at this node.\n";
    } else {
        in.out << table.text(in.colour);
    }
}

}  // namespace

extern const Command kMessages;
const Command kMessages{
    .name = "messages",
    .summary = "count the messages that wait at this node for people without a phone",
    .details = "A message is delivered when a phone of its recipient registers anywhere in the mesh. What it says is not shown.",
    .arguments = {},
    .options = {},
    .run = run,
};

}  // namespace meshctl
