#include "meshctl/command.hpp"
#include "meshctl/terminal.hpp"

namespace meshctl {
namespace {

void run(Invocation& in) {
    check_prefixes(in.arguments, "--pool");
    check_prefixes(in.arguments, "--subnet");
    check_endpoints(in.arguments, "--endpoint");
    Request request("init");
    request.set("mesh", in.arguments.text("MESH")).set("name", in.arguments.text("--name"));
    request.set("pool", in.arguments.text("--pool")).set("subnets", in.arguments.texts("--subnet"));
    request.set("endpoints", in.arguments.texts("--endpoint"));
    if (in.arguments.has("--exit")) request.set_flag("exit", true);
    const auto result = in.call(request);
    if (in.printed_as_json(result)) return;
    in.out << "The mesh " << printable(result["mesh"]["name"].text()) << " is made. This node is "
           << printable(result["node"]["name"].text()) << ", " << printable(result["node"]["addresses"].joined(", "))
           << ".\n";
    in.hints << "Next: meshctl invite NAME here prints a token; meshctl join on the other machine asks for it.\n"
                "Only this machine holds the mesh's root key: keep a backup of meshd's state folder.\n";
}

}  // namespace

extern const Command kInit;
const Command kInit{
    .name = "init",
    .summary = "make a new mesh, with this machine as its first node",
    .details = "Makes the mesh's root key, which stays on this machine and signs who belongs.",
    .arguments = {{"MESH", "the mesh's name: a-z, 0-9 and dashes"}},
    .options = {{"--name", Command::Takes::value, "NODE", "this node's name (default: the host's)"},
                {"--pool", Command::Takes::value, "PREFIX",
                 "IPv4 addresses for the mesh, such as 10.77.0.0/16 (default: one that is free here)"},
                {"--subnet", Command::Takes::values, "PREFIX",
                 "a network behind this node that others may reach; repeatable"},
                {"--exit", Command::Takes::flag, nullptr, "let others reach the Internet through this node"},
                {"--endpoint", Command::Takes::values, "ADDRESS:PORT",
                 "where others reach this node, if it cannot know that itself; repeatable"}},
    .run = run,
};

}  // namespace meshctl
