#include "meshctl/command.hpp"
#include "meshctl/secret_text.hpp"
#include "meshctl/terminal.hpp"

namespace meshctl {
namespace {

SecretText token(const Arguments& arguments) {
    if (arguments.has("--token-file")) return read_secret_file(arguments.text("--token-file"));
    return can_ask() ? ask_secret("Token (from meshctl invite): ") : read_secret_file("-");
}

void run(Invocation& in) {
    const auto secret = token(in.arguments);
    if (secret.empty()) throw Failure("the token is empty", "meshctl invite NAME, on a node of the mesh, prints one");
    Request request("join");
    request.set("token", secret.view());
    const auto result = in.call(request);
    if (in.printed_as_json(result)) return;
    in.out << "Joined the mesh " << printable(result["mesh"]["name"].text()) << ". This node is "
           << printable(result["node"]["name"].text()) << ", " << printable(result["node"]["addresses"].joined(", "))
           << ".\n";
    in.hints << "Next: meshctl peers shows who is reached.\n";
}

}  // namespace

extern const Command kJoin;
const Command kJoin{
    .name = "join",
    .summary = "bring this machine into a mesh, with a token",
    .details =
        "Asks for the token, or reads it from standard input if that is no terminal. It is never an argument: others "
        "could read it there.",
    .arguments = {},
    .options = {{"--token-file", Command::Takes::value, "FILE", "read the token from a file (- for standard input)"}},
    .run = run,
};

}  // namespace meshctl
