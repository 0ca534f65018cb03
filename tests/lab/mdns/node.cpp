/// One node of the mDNS test: announces itself and prints a line for each sighting.
///
///   mdns-node KEY NODE PORT       KEY and NODE are one letter each, standing for 32 such bytes
///
///   found B 10.9.0.2:7002,[fe80::1%2]:7002        lost B        strangers 1

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "discovery/mdns.hpp"
#include "loop/interfaces.hpp"
#include "loop/signals.hpp"
#include "loop/system_random.hpp"
#include "loop/timer.hpp"
#include "meshd/avahi_poll.hpp"

namespace {

void say(const std::string& line) {
    std::puts(line.c_str());
    std::fflush(stdout);
}

std::vector<discovery::LocalAddress> our_addresses() {
    std::vector<discovery::LocalAddress> out;
    for (const auto& interface : loop::interfaces()) {
        for (const auto& entry : interface.addresses) out.push_back({interface.index, entry.address});
    }
    return out;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    loop::Loop loop;
    const meshd::LoopAvahiPoll poll(loop);
    loop::SystemRandom random;
    discovery::Mdns::Settings settings;
    for (auto& byte : settings.key.fill()) byte = static_cast<std::byte>(argv[1][0]);
    for (auto& byte : settings.self.bytes) byte = static_cast<std::byte>(argv[2][0]);
    settings.port = static_cast<std::uint16_t>(std::atoi(argv[3]));

    const auto name = [](const net::NodeKey& node) { return std::string(1, static_cast<char>(node.bytes[0])); };
    auto mdns = discovery::Mdns::open(poll.api(), settings,
                                      {.found =
                                           [&](const discovery::Member& member) {
                                               std::string line = "found " + name(member.node) + " ";
                                               for (const auto& endpoint : member.endpoints) {
                                                   line += (line.back() == ' ' ? "" : ",") + endpoint.text();
                                               }
                                               say(line);
                                           },
                                       .lost = [&](const net::NodeKey& node) { say("lost " + name(node)); }},
                                      random);
    if (!mdns) {
        say(mdns.error().message);
        return 1;
    }
    // The daemon learns of changes by netlink; here it is enough to look often.
    std::uint64_t strangers = 0;
    loop::Timer look(loop, [&] {
        (*mdns)->set_addresses(our_addresses());
        if ((*mdns)->counters().strangers != strangers) {
            strangers = (*mdns)->counters().strangers;
            say("strangers " + std::to_string(strangers));
        }
        look.after(std::chrono::milliseconds(50));
    });
    look.after(std::chrono::milliseconds(0));
    const loop::Signals signals(loop, {SIGTERM, SIGINT}, [&](int) { loop.stop(); });
    say("ready");
    loop.run();
    mdns->reset();
    return 0;
}
