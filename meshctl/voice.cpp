#include "meshctl/command.hpp"
#include "meshctl/voice_line.hpp"

namespace meshctl {
namespace {

void run(Invocation& in) {
    const auto result = in.call("voice");
    if (in.printed_as_json(result)) return;
    in.out << voice_line(result, in.colour) << '\n';
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
