#include <cstdio>

#include "meshctl/command.hpp"
#include "meshctl/terminal.hpp"

namespace meshctl {
namespace {

const char* yes(const Value& value) { return value.flag() ? "yes" : "no"; }

std::string waited(const Value& us) {
    const auto number = us.number();
    if (!number) return "unknown";
    char text[32];
    std::snprintf(text, sizeof text, "%.1f ms", *number / 1000);
    return text;
}

void check(const Invocation& in, const char* option) {
    const auto text = in.arguments.text(option);
    if (in.arguments.has(option) && text != "on" && text != "off") {
        throw UsageError(std::string(option) + " takes on or off, not \"" + text + "\"");
    }
}

void run(Invocation& in) {
    const bool changes = in.arguments.has("--tun-offloads") || in.arguments.has("--udp-offloads");
    for (const auto* const option : {"--tun-offloads", "--udp-offloads"}) check(in, option);
    Request request(changes ? "data.set" : "data");
    if (in.arguments.has("--tun-offloads")) request.set("tun_offloads", in.arguments.text("--tun-offloads"));
    if (in.arguments.has("--udp-offloads")) request.set("udp_offloads", in.arguments.text("--udp-offloads"));
    const auto result = in.call(request);
    if (in.printed_as_json(result)) return;
    const auto tun = result["tun_offloads"], udp = result["udp_offloads"];
    const auto queues = [&](const char* way) { return static_cast<std::uint64_t>(result["queues"][way].number().value_or(1)); };
    in.out << "threads         " << printable(result["threads"].text()) << '\n'
           << "queues of bulk  to be encrypted: " << queues("out") << ", to be decrypted: " << queues("in") << '\n'
           << "device          TCP in large pieces: " << yes(tun["tcp"]) << ", UDP: " << yes(tun["udp"])
           << ", checksums left to the kernel: " << yes(tun["checksum"]) << '\n'
           << "                joined for it: TCP: " << yes(result["tun_joins"]["tcp"])
           << ", UDP: " << yes(result["tun_joins"]["udp"]) << '\n'
           << "network         many datagrams in one send: " << yes(udp["send"])
           << ", in one receive: " << yes(udp["receive"]) << '\n'
           << "voice           queue of its own: " << yes(result["voice_queue"])
           << ", socket of its own: " << yes(result["voice_socket"]) << '\n'
           << "DSCP            shown outside: " << (result["dscp"].text() == "copy" ? "every packet's" : "voice's only") << '\n'
           << "AES in hardware " << yes(result["aes"]) << '\n';
    if (const auto longest = result["longest_wait_us"]; longest["in"].number()) {
        in.out << "longest wait    to be encrypted: " << waited(longest["out"]) << ", to be decrypted: " << waited(longest["in"])
               << '\n';
    }
    if (const auto rate = result["uplink_rate_bit_s"].number()) {
        in.out << "uplink          shaped to " << *rate / 1e6 << " Mbit/s\n";
    }
    if (const auto over = result["voice_over_share"].number(); over && *over > 0) {
        in.hints << static_cast<std::uint64_t>(*over) << " packets that were marked as voice waited for the uplink, being more "
                 << "than 70 % of it.\n";
    }
    if (const auto why = result["voice_queue_trouble"].text(); !why.empty()) in.hints << printable(why) << '\n';
    if (const auto why = result["longest_wait_trouble"].text(); !why.empty()) {
        in.hints << "Nothing keeps short what waits to be encrypted: " << printable(why) << '\n';
    }
    if (changes) in.hints << "Until meshd restarts; for good, see \"data\" in meshd.json(5).\n";
}

}  // namespace

extern const Command kData;
const Command kData{
    .name = "data",
    .summary = "show how packets are carried, and switch the kernel's help off or on",
    .details = "If connections through the mesh stall or are slow after a new kernel or driver, switch the offloads off, "
               "one after the other, to see which one is to blame.",
    .arguments = {},
    .options = {{"--tun-offloads", Command::Takes::value, "on|off", "large packets and checksums at the TUN device"},
                {"--udp-offloads", Command::Takes::value, "on|off", "many datagrams in one system call"}},
    .run = run,
};

}  // namespace meshctl
