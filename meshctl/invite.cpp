#include "meshctl/command.hpp"
#include "meshctl/terminal.hpp"
#include "meshctl/units.hpp"

namespace meshctl {
namespace {

void run(Invocation& in) {
    check_prefixes(in.arguments, "--subnet");
    Request request("invite");
    request.set("name", in.arguments.text("NAME")).set("subnets", in.arguments.texts("--subnet"));
    if (in.arguments.has("--admin")) request.set_flag("admin", true);
    if (in.arguments.has("--exit")) request.set_flag("exit", true);
    if (in.arguments.has("--force")) request.set_flag("force", true);
    if (const auto text = in.arguments.text("--expires"); !text.empty()) {
        const auto expires = parse_duration(text);
        if (!expires) throw UsageError("--expires must be a time such as 90s, 30m, 24h or 7d, not \"" + text + '"');
        if (*expires < std::chrono::minutes(1) || *expires > std::chrono::days(365))
            throw UsageError("--expires must be from 60s to 365d, not \"" + text + '"');
        request.set_number("expires_s", expires->count());
    }
    const auto result = in.call(request);
    if (in.printed_as_json(result)) return;
    in.out << printable(result["token"].text()) << '\n';
    in.hints << "Give this token to " << printable(in.arguments.text("NAME"))
             << ", where meshctl join asks for it. It works once";
    if (const auto seconds = result["expires_s"].number()) in.hints << ", within " << duration(*seconds);
    in.hints << "; whoever has it can join, so send it over something you trust.\n";
    for (const auto& note : result["notes"].elements()) in.hints << "Note: " << printable(note.text()) << ".\n";
    if (result.has("endpoints") && result["endpoints"].elements().empty()) {
        in.hints << "Beware: it says no address where this mesh is reached, because this node knows none. Set "
                    "\"advertise\" in "
                    "meshd.json and invite again.\n";
    }
}

}  // namespace

extern const Command kInvite;
const Command kInvite{
    .name = "invite",
    .summary = "print a token that admits one new node",
    .details = "The token alone goes to standard output. A second invitation for one name replaces the first. Two nodes may "
               "route the very same subnet, and then stand in for each other: the second takes over in under 3 s.",
    .arguments = {{"NAME", "the new node's name"}},
    .options = {{"--subnet", Command::Takes::values, "PREFIX", "a network that the node may route; repeatable"},
                {"--admin", Command::Takes::flag, nullptr, "let it invite and revoke, too"},
                {"--exit", Command::Takes::flag, nullptr, "let others reach the Internet through it (meshctl exit)"},
                {"--force", Command::Takes::flag, nullptr, "even if a --subnet lies within another node's, or around it"},
                {"--expires", Command::Takes::value, "TIME",
                 "how long the token is good, such as 30m or 7d (default 24h)"}},
    .run = run,
};

}  // namespace meshctl
