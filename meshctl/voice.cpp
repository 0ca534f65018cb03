#include <cstdint>

#include "meshctl/command.hpp"
#include "meshctl/terminal.hpp"
#include "meshctl/voice_line.hpp"

namespace meshctl {
namespace {

void run(Invocation& in) {
    const auto result = in.call("voice");
    if (in.printed_as_json(result)) return;
    in.out << voice_line(result, in.colour) << '\n';
    const auto tls = result["tls"];
    if (const auto port = tls["port"].number()) {
        in.out << "TLS on port " << static_cast<unsigned>(*port) << (tls["own"].flag() ? ", with a certificate of its own" : "") << ": SHA-256 "
               << printable(tls["fingerprint"].text()) << '\n';
    }
    for (const auto& trouble : {tls["trouble"].text(), result["tls_trouble"].text()}) {
        if (!trouble.empty()) in.hints << printable(trouble) << '\n';
    }
    if (const auto refused = static_cast<std::uint64_t>(result["answered_503"].number().value_or(0)); refused > 0) {
        in.out << refused << " requests were answered 503 for want of room\n";
    }
    if (const auto served = static_cast<std::uint64_t>(result["subscriptions"].number().value_or(0)); served > 0) {
        in.out << served << " subscriptions of lamps and presence are served here, not by a central server\n";
    }
    if (const auto beyond = static_cast<std::uint64_t>(result["lamps_unremembered"].number().value_or(0)); beyond > 0) {
        in.out << beyond << (beyond == 1 ? " NOTIFY" : " NOTIFYs") << " of the central server came for lamps that there was no room to "
               << "remember: if it dies they stay dark until they ask anew\n";
    }
    if (const auto waiting = static_cast<std::uint64_t>(result["messages_waiting"].number().value_or(0)); waiting > 0) {
        in.out << waiting << (waiting == 1 ? " message waits" : " messages wait") << " here for people without a phone: meshctl messages\n";
    }
}

}  // namespace

extern const Command kVoice;
const Command kVoice{
    .name = "voice",
    .summary = "tell which way calls go now, since when, and why",
    .details =
        "Its modes in --json: central, busy (the centre asked for a rest), island (it is out of reach, or does nothing but "
        "answer), checking, registrar (there is no centre). Where the centre is lost, it says whether other nodes reach it.",
    .arguments = {},
    .options = {},
    .run = run,
};

}  // namespace meshctl
