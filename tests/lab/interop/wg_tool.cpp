// A WireGuard peer made of the mesh's core, the data threads and a TUN device: what talks to other implementations
// in the interoperability test. One peer, told by arguments; prints a line an event; `rekey` on standard input begins a
// new handshake, and end of input ends it.
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <stdexcept>

#include "loop/clock.hpp"
#include "loop/system_random.hpp"
#include "meshd/data_threads.hpp"
#include "net/text.hpp"

namespace {

tun::Device open_tun(const std::string& name) {
    auto device = tun::Device::open({.name = name, .queues = 2});
    if (!device) throw std::runtime_error(device.error().message);
    return std::move(*device);
}

template <std::size_t N>
std::array<std::byte, N> key_argument(std::string_view text) {
    const auto bytes = net::from_base64(text);
    if (!bytes || bytes->size() != N) throw std::runtime_error("not a key: " + std::string(text));
    std::array<std::byte, N> out;
    std::copy(bytes->begin(), bytes->end(), out.begin());
    return out;
}

net::Secret<32> secret_argument(std::string_view text) {
    const auto bytes = key_argument<32>(text);
    return net::Secret<32>(std::span<const std::byte, 32>(bytes));
}

void tell(const std::string& line) { std::cout << line << std::endl; }

void tell_event(const mesh::Event& event) {
    if (const auto* const up = std::get_if<mesh::SessionUp>(&event)) {
        tell(std::string("session ") + (up->initiator ? "initiator " : "responder ") + up->endpoint.text());
    } else if (std::holds_alternative<mesh::SessionDown>(event)) {
        tell("down");
    } else if (const auto* const moved = std::get_if<mesh::EndpointMoved>(&event)) {
        tell("endpoint " + moved->endpoint.text());
    } else if (std::holds_alternative<mesh::HandshakeFailed>(event)) {
        tell("failed");
    }
}

int run(int count, char** arguments) {
    if (count != 8) {
        std::cerr << "usage: wg_tool TUN PORT SECRET PEER-KEY PSK|- ALLOWED-IPS ENDPOINT|-\n";
        return 2;
    }
    mesh::start_crypto();
    loop::SystemRandom random;
    mesh::WireGuard wireguard(secret_argument(arguments[3]), random, {});
    mesh::PeerSettings peer;
    peer.key = net::TunnelKey{key_argument<32>(arguments[4])};
    if (std::string_view(arguments[5]) != "-") peer.psk = secret_argument(arguments[5]);
    for (std::string_view rest = arguments[6]; !rest.empty();) {
        const auto comma = std::min(rest.find(','), rest.size());
        const auto prefix = net::Prefix::parse(rest.substr(0, comma));
        if (!prefix) throw std::runtime_error("not a prefix");
        peer.allowed_ips.push_back(*prefix);
        rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
    peer.follows_endpoint = true;
    wireguard.set_peer(peer);
    if (const auto endpoint = net::Endpoint::parse(arguments[7])) wireguard.set_endpoint(peer.key, *endpoint);

    auto tun = open_tun(arguments[1]);
    const loop::FileDescriptor woken(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    meshd::DataThreads::Settings settings;
    settings.port = static_cast<std::uint16_t>(net::parse_decimal(arguments[2], UINT16_MAX).value_or(0));
    settings.wake = [&woken] {
        const std::uint64_t one = 1;
        [[maybe_unused]] const auto written = ::write(woken.get(), &one, sizeof one);
    };
    meshd::DataThreads threads(settings);
    threads.swap_table(wireguard.table());
    threads.start(tun.queues(), {.tcp = tun.offloads().tcp, .udp = tun.offloads().udp});
    tell("ready");

    for (;;) {
        for (bool more = true; more;) {
            more = false;
            for (const auto& event : wireguard.take_events()) {
                tell_event(event);
                if (const auto* const stamp = std::get_if<mesh::StampToPersist>(&event)) {
                    wireguard.stamp_persisted(stamp->stamp);
                    wireguard.tick(loop::read_clocks());
                    more = true;
                }
            }
        }
        threads.swap_table(wireguard.table());
        for (const auto& datagram : wireguard.take_datagrams()) threads.send(datagram);

        const auto wait = wireguard.next_deadline() - loop::read_clocks().steady;
        const auto wait_ms = std::chrono::ceil<std::chrono::milliseconds>(
            std::clamp<net::Duration>(wait, net::Duration::zero(), std::chrono::hours(1)));
        pollfd fds[] = {{STDIN_FILENO, POLLIN, 0}, {woken.get(), POLLIN, 0}};
        ::poll(fds, 2, static_cast<int>(wait_ms.count()));
        const auto now = loop::read_clocks();
        if ((fds[0].revents & (POLLIN | POLLHUP)) != 0) {
            char buffer[64];
            const auto size = ::read(STDIN_FILENO, buffer, sizeof buffer);
            if (size <= 0) break;
            if (std::string_view(buffer, static_cast<std::size_t>(size)) == "rekey\n") wireguard.rekey(peer.key, now);
        }
        std::uint64_t ignored = 0;
        [[maybe_unused]] const auto got = ::read(woken.get(), &ignored, sizeof ignored);
        const auto upward = threads.take();
        wireguard.tick(now);
        for (const auto& handshake : upward.handshakes) {
            wireguard.receive_handshake(handshake.bytes, handshake.from, now, upward.under_load);
        }
        for (const auto& packet : upward.packets) wireguard.send(packet.peer, packet.bytes, now);
    }
    threads.stop();
    for (std::size_t i = 0; i < mesh::kDropReasons; ++i) {
        const auto reason = static_cast<mesh::Drop>(i);
        if (wireguard.drops().get(reason) > 0) {
            tell("dropped " + std::string(mesh::name_of(reason)) + " " + std::to_string(wireguard.drops().get(reason)));
        }
    }
    return 0;
}

}  // namespace

int main(int count, char** arguments) try {
    return run(count, arguments);
} catch (const std::exception& error) {
    std::cerr << "wg_tool: " << error.what() << '\n';
    return 1;
}
