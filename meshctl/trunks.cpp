#include "meshctl/command.hpp"
#include "meshctl/table.hpp"
#include "meshctl/units.hpp"

namespace meshctl {
namespace {

std::string list(const Value& values) {
    std::string out;
    for (const auto& value : values.elements()) out += (out.empty() ? "" : " ") + value.text();
    return out;
}

std::string number(const Value& value) { return std::to_string(static_cast<long>(value.number().value_or(0))); }

Cell state_cell(const Value& trunk) {
    const auto state = trunk["state"].text();
    const auto why = trunk["why"].text();
    auto text = why.empty() ? state : state + ": " + why;
    if (state == "up" || state == "registered") return {std::move(text), Colour::good};
    if (state == "failing") return {std::move(text), Colour::bad};
    return {std::move(text)};
}

void run(Invocation& in) {
    const auto result = in.call("trunks");
    if (in.printed_as_json(result)) return;
    Table table({{"trunk"}, {"where"}, {"server"}, {"numbers"}, {"cost", Table::Align::right}, {"emergency"}, {"state"}});
    for (const auto& trunk : result["trunks"].elements()) {
        table.add({trunk["name"].text(), Cell("here", Colour::good), trunk["server"].text(), list(trunk["prefixes"]),
                   number(trunk["cost"]), trunk["emergency"].flag() ? "yes" : "no", state_cell(trunk)});
    }
    for (const auto& trunk : result["others"].elements()) {
        table.add({trunk["name"].text(), trunk["node"].text(), "", list(trunk["prefixes"]), number(trunk["cost"]),
                   trunk["emergency"].flag() ? "yes" : "no", Cell("offered", Colour::good)});
    }
    if (table.empty()) {
        in.hints << "No trunk is known. \"voice\": {\"trunks\": [...]} in meshd's configuration names them: meshd.json(5).\n";
    } else {
        in.out << table.text(in.colour);
    }
    if (const auto numbers = list(result["emergency"]); !numbers.empty()) in.out << "Calls for help: " << numbers << '\n';
}

}  // namespace

extern const Command kTrunks;
const Command kTrunks{
    .name = "trunks",
    .summary = "list the trunks to gateways and carriers, here and at other nodes",
    .details =
        "Those of other nodes are listed while they work and can be reached. A number goes by the trunk with the longest "
        "prefix, then the least cost, then this node's own, then the nearest.",
    .arguments = {},
    .options = {},
    .run = run,
};

}  // namespace meshctl
