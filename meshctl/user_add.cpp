#include "meshctl/command.hpp"
#include "meshctl/secret_text.hpp"
#include "meshctl/terminal.hpp"

namespace meshctl {
namespace {

SecretText password(const Arguments& arguments) {
    if (arguments.has("--password-file")) return read_secret_file(arguments.text("--password-file"));
    if (arguments.has("--no-password") || !can_ask()) return {};
    auto first = ask_secret("Password (empty if the central server keeps it): ");
    if (!first.empty() && ask_secret("Again: ").view() != first.view()) throw Failure("the two passwords differ");
    return first;
}

void run(Invocation& in) {
    if (in.arguments.has("--password-file") && in.arguments.has("--no-password")) {
        throw UsageError("--password-file and --no-password exclude each other");
    }
    const auto secret = password(in.arguments);
    if (in.arguments.has("--password-file") && secret.empty()) throw Failure("the password is empty");
    const auto aor = in.arguments.text("AOR");
    Request request("user.add");
    request.set("aor", aor).set("numbers", in.arguments.texts("--number")).set("nodes", in.arguments.texts("--node"));
    request.set("password", secret.view());
    const auto result = in.call(request);
    if (in.printed_as_json(result)) return;
    // "bob" has become bob at the mesh's own domain, say.
    const auto whole = result["aor"].text();
    in.out << printable(whole.empty() ? aor : whole) << (result["replaced"].flag() ? ", changed," : "")
           << (secret.empty() ? " may have a phone now; its password is the central server's.\n"
                              : " may have a phone now, with that password.\n");
    if (secret.empty() && result.has("centre") && !result["centre"].flag()) {
        in.hints << "Beware: this node has no central server, so a phone needs a password here to register. "
                    "Run the command again with one, or set \"centre\" in meshd.json.\n";
    }
}

}  // namespace

extern const Command kUserAdd;
const Command kUserAdd{
    .name = "user add",
    .summary = "let somebody's phone register, or change what is known of them",
    .details = "Asks for the password; where standard input is no terminal there is none unless a file is named.",
    .arguments = {{"AOR", "address of record, such as bob@acme.example"}},
    .options = {{"--number", Command::Takes::values, "NUMBER",
                 "an extension or E.164 number, such as 201 or +390461000201; "
                 "repeatable"},
                {"--node", Command::Takes::values, "NAME",
                 "the office where the phone may register, or \"any\"; repeatable"},
                {"--password-file", Command::Takes::value, "FILE",
                 "read the password from a file (- for standard input)"},
                {"--no-password", Command::Takes::flag, nullptr, "the central server keeps the password; do not ask"}},
    .run = run,
};

}  // namespace meshctl
