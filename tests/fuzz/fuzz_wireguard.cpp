// Datagrams as an attacker on the underlay sends them, to a node with a session, and payloads as a hostile member sends
// them inside it. The first byte of the input chooses which, and from where.
#include <cstdlib>

#include "mesh/data_path.hpp"
#include "mesh/wireguard.hpp"

namespace {

using namespace std::chrono_literals;

constexpr std::string_view kHere = "192.0.2.1:51820", kThere = "192.0.2.2:51820", kElsewhere = "198.51.100.9:7";

net::Endpoint at(std::string_view text) { return *net::Endpoint::parse(text); }

struct Node {
    Node(std::uint64_t seed, std::string_view endpoint)
        : random(seed), wireguard(mesh::make_tunnel_secret(random), random, {}), here(at(endpoint)) {}

    void meet(const Node& peer, std::string_view allowed) {
        mesh::PeerSettings settings;
        settings.key = peer.wireguard.own_key();
        settings.allowed_ips = {*net::Prefix::parse(allowed)};
        wireguard.set_peer(settings);
        wireguard.set_routes({{settings.allowed_ips[0], settings.key}});
        wireguard.set_endpoint(settings.key, peer.here);
    }
    void receive(net::MutableBytes datagram, const net::Endpoint& from, net::Now now, bool under_load) {
        const auto table = wireguard.table();
        const auto result = mesh::inbound(*table, datagram, from, now.steady);
        if (result.wake) wireguard.tick(now);
        if (result.verdict == mesh::Inbound::Verdict::handshake) {
            wireguard.receive_handshake(result.bytes, from, now, under_load);
        }
    }
    std::vector<mesh::Datagram> work(net::Now now) {
        for (const auto& event : wireguard.take_events()) {
            if (const auto* const stamp = std::get_if<mesh::StampToPersist>(&event)) {
                wireguard.stamp_persisted(stamp->stamp);
            }
        }
        wireguard.tick(now);
        return wireguard.take_datagrams();
    }

    net::SeededRandom random;
    mesh::WireGuard wireguard;
    net::Endpoint here;
};

void exchange(Node& one, Node& other, net::Now now) {
    for (int i = 0; i < 8; ++i) {
        for (auto& datagram : one.work(now)) other.receive(datagram.bytes, one.here, now, false);
        for (auto& datagram : other.work(now)) one.receive(datagram.bytes, other.here, now, false);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    mesh::start_crypto();
    Node ours(1, kHere), theirs(2, kThere);
    ours.meet(theirs, "10.0.0.2/32");
    theirs.meet(ours, "10.0.0.1/32");
    net::Now now{net::Steady(1h), net::from_unix_seconds(1719792000)};
    theirs.wireguard.connect(ours.wireguard.own_key(), now);
    exchange(theirs, ours, now);
    now.steady += 1s;

    const unsigned choice = data[0];
    const auto input = std::as_bytes(std::span(data + 1, size - 1));
    const auto from = (choice & 1) != 0 ? theirs.here : at(kElsewhere);
    if ((choice & 2) != 0) {  // inside the session
        net::Bytes message(mesh::kMinDataBytes + input.size());
        std::copy(input.begin(), input.end(), message.begin() + mesh::kDataHeaderBytes);
        const auto session = theirs.wireguard.table()->peers[0]->session;
        if (!session || !session->seal(message, now.steady)) std::abort();
        ours.receive(message, from, now, false);
    } else {
        // Some of the work an attacker can do: a receiver index that exists, and a valid mac1.
        net::Bytes message = net::copy(input);
        if ((choice & 4) != 0 && message.size() >= 8) {
            const auto index = ours.wireguard.table()->receivers.begin()->first;
            const auto bytes = net::Writer().u32le(index).take();
            std::copy(bytes.begin(), bytes.end(), message.begin() + (message.size() == mesh::kResponseBytes ? 8 : 4));
        }
        if ((choice & 8) != 0 && (message.size() == mesh::kInitiationBytes || message.size() == mesh::kResponseBytes)) {
            mesh::CookieJar(ours.wireguard.own_key()).put_macs(message, now.steady);
        }
        ours.receive(message, from, now, (choice & 16) != 0);
    }

    // Whatever came, the session goes on.
    exchange(ours, theirs, now);
    auto packet = net::copy(net::as_bytes(std::string_view("\x45\0\0\x14\0\0\0\0\x40\x11\0\0\x0a\0\0\2\x0a\0\0\1", 20)));
    net::Bytes message(mesh::kMinDataBytes + packet.size());
    std::copy(packet.begin(), packet.end(), message.begin() + mesh::kDataHeaderBytes);
    const auto session = theirs.wireguard.table()->peers[0]->session;
    if (!session || !session->seal(message, now.steady)) std::abort();
    const auto result = mesh::inbound(*ours.wireguard.table(), message, theirs.here, now.steady);
    if (result.verdict != mesh::Inbound::Verdict::tun) std::abort();
    return 0;
}
