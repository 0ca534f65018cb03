#include "meshctl/command.hpp"
#include "meshctl/terminal.hpp"

namespace meshctl {
namespace {

void run(Invocation& in) {
    const auto wanted = in.arguments.text("NODE");
    Request request(wanted.empty() ? "exit" : "exit.set");
    if (!wanted.empty() && wanted != "off") request.set("node", wanted);
    const auto result = in.call(request);
    if (in.printed_as_json(result)) return;
    const auto name = printable(result["node"].text());
    if (name.empty()) {
        in.out << "What goes to the Internet goes there directly.\n";
    } else {
        in.out << "What goes to the Internet goes through " << name << ": " << printable(result["state"].text()) << ".\n";
    }
    if (!wanted.empty()) in.hints << "Until meshd restarts; for good, see \"exit\" in meshd.json(5).\n";
}

}  // namespace

extern const Command kExit;
const Command kExit{
    .name = "exit",
    .summary = "choose the node through which this machine reaches the Internet",
    .details = "NODE is one that was invited with --exit; off ends it. Networks that are attached to this machine, the mesh and "
               "meshd's own traffic keep their ways. Without NODE, it shows what is chosen.",
    .arguments = {{"NODE", "a node's name, or off", true}},
    .options = {},
    .run = run,
};

}  // namespace meshctl
