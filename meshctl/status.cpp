#include <algorithm>
#include <cstdint>

#include "meshctl/command.hpp"
#include "meshctl/dns_line.hpp"
#include "meshctl/peer_table.hpp"
#include "meshctl/voice_line.hpp"

namespace meshctl {
namespace {

void print_counters(Invocation& in, const Value& counters) {
    Table table({{"counter"}, {"count", Table::Align::right}});
    for (const auto& [name, count] : counters.members()) {
        if (const auto number = count.number(); number && *number != 0) {
            table.add({name, std::to_string(static_cast<std::uint64_t>(*number))});
        }
    }
    if (!table.empty()) in.out << '\n' << table.text(in.colour);
}

void run(Invocation& in) {
    const auto result = in.call("status");
    if (in.printed_as_json(result)) return;
    const auto mesh = result["mesh"], node = result["node"];
    if (mesh["name"].text().empty()) {
        if (result["state"].text() == "joining") {
            in.out << "This machine is joining a mesh at this moment.\n";
            return;
        }
        in.out << "This machine is in no mesh yet.\n";
        in.hints << "Next: meshctl init MESH makes one; meshctl join, with a token, joins one.\n";
        return;
    }
    const auto peers = result["peers"].elements();
    const auto live =
        std::count_if(peers.begin(), peers.end(), [](const Value& peer) { return peer["state"].text() == "session"; });
    const auto roles = printable(node["roles"].joined(", ")), subnets = printable(node["subnets"].joined(", "));
    in.out << "mesh   " << printable(mesh["name"].text()) << '\n'
           << "node   " << printable(node["name"].text()) << ", " << printable(node["addresses"].joined(", "))
           << (roles.empty() ? "" : " (" + roles + ")") << '\n'
           << (subnets.empty() ? "" : "routes " + subnets + '\n')
           << "peers  " << live << " of " << peers.size() << " in session\n"
           << (result["exit"]["node"].text().empty() ? "" : "exit   " + printable(result["exit"]["node"].text()) + ", " + printable(result["exit"]["state"].text()) + '\n')
           << "voice  " << voice_line(result["voice"], in.colour) << '\n';
    if (!result["dns"].is_null()) in.out << "dns    " << dns_line(result["dns"], in.colour) << '\n';
    for (const auto& warning : result["warnings"].elements()) {
        in.out << coloured("beware", Colour::bad, in.colour) << ' ' << printable(warning.text()) << '\n';
    }
    if (!peers.empty()) in.out << '\n' << short_peer_table(result["peers"]).text(in.colour);
    if (in.arguments.has("--counters")) print_counters(in, result["counters"]);
}

}  // namespace

extern const Command kStatus;
const Command kStatus{
    .name = "status",
    .summary = "show the mesh, this node, its peers, its voice and its names",
    .details = "",
    .arguments = {},
    .options = {{"--counters", Command::Takes::flag, nullptr,
                 "also what was counted: drops by their reason, and more"}},
    .run = run,
};

}  // namespace meshctl
