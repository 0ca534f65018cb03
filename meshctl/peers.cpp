#include "meshctl/command.hpp"
#include "meshctl/peer_table.hpp"

namespace meshctl {
namespace {

void run(Invocation& in) {
    const auto result = in.call("peers");
    if (in.printed_as_json(result)) return;
    const auto table = peer_table(result["peers"]);
    if (table.empty()) {
        in.hints << "No peers yet. meshctl invite NAME prints a token for one.\n";
    } else {
        in.out << table.text(in.colour);
    }
}

}  // namespace

extern const Command kPeers;
const Command kPeers{
    .name = "peers",
    .summary = "list the other nodes: tunnels, endpoints, round trips",
    .details = "A round trip is measured inside the tunnel.",
    .arguments = {},
    .options = {},
    .run = run,
};

}  // namespace meshctl
