#include "meshctl/command.hpp"
#include "meshctl/terminal.hpp"

namespace meshctl {
namespace {

void run(Invocation& in) {
    Request request("stock");
    const auto name = in.arguments.text("NAME");
    request.set("name", name).set("public_key", in.arguments.text("--public-key"));
    const auto result = in.call(request);
    if (in.printed_as_json(result)) return;
    in.out << result["config"].text();
    in.hints << "This is the configuration of " << printable(name) << ", for wg-quick or any WireGuard app";
    if (in.arguments.has("--public-key")) {
        in.hints << "; put its private key where the file says so.\n";
    } else {
        in.hints << ". It holds the private key, which is kept nowhere else: store it with mode 0600.\n";
    }
}

}  // namespace

extern const Command kStock;
const Command kStock{
    .name = "stock",
    .summary = "admit a phone or router with any stock WireGuard, and print its configuration",
    .details = "Without --public-key a key pair is made here, and the configuration has the private key.",
    .arguments = {{"NAME", "the peer's name"}},
    .options = {{"--public-key", Command::Takes::value, "KEY", "the peer's own public key, in base64"}},
    .run = run,
};

}  // namespace meshctl
