// What a hostile member or newcomer can hand to the roster: records, control frames, tokens and introductions. The first
// byte of the input chooses which.
#include <cstdlib>

#include "mesh/control_frame.hpp"
#include "mesh/gossip.hpp"
#include "mesh/introduction.hpp"
#include "mesh/token.hpp"

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

struct Mesh {
    net::SeededRandom random{1};
    net::NodeSecret root;
    net::NodeKey id;
    net::TunnelSecret tunnel;
    Mesh() {
        mesh::start_crypto();
        root = mesh::make_node_secret(random);
        id = mesh::public_key(root);
        tunnel = mesh::make_tunnel_secret(random);
    }
};

/// The input as a body of every type, signed by the root: what decoding makes of it must be written and read back equal.
void body(const Mesh& world, net::ByteView input) {
    if (mesh::check_cbor(input) != mesh::CborShape::good || input.size() > 1500) return;
    const auto key = mesh::as_subject(world.id.view());
    for (const auto& [type, subject] : {std::pair(mesh::RecordType::member, key), std::pair(mesh::RecordType::revocation, key),
                                        std::pair(mesh::RecordType::invitation, key),
                                        std::pair(mesh::RecordType::policy, std::string("mesh")),
                                        std::pair(mesh::RecordType::policy, "voice-key" + key),
                                        std::pair(mesh::RecordType::user, std::string("bob@acme.example")),
                                        std::pair(mesh::RecordType::node, key), std::pair(mesh::RecordType::bindings, key + "x")}) {
        const mesh::RecordKey record_key{type, subject, world.id};
        const auto read = mesh::decode(record_key, input);
        if (read) require(mesh::decode(record_key, mesh::encode(*read)) == read);
        mesh::Roster roster(world.id);
        roster.add(mesh::sign_record(world.id, world.root, type, subject, 1, input).wire);
    }
}

void frame(Mesh& world, net::ByteView input) {
    const auto read = mesh::decode_frame(input);
    if (!read) return;
    require(mesh::encode(*read).size() <= mesh::kMaxFrameBytes);
    mesh::Roster roster(world.id);
    for (int i = 0; i < 80; ++i) {
        const auto subject = "u" + std::to_string(i) + "@acme.example";
        static std::map<std::string, net::Bytes> signed_once;
        auto& wire = signed_once[subject];
        if (wire.empty())
            wire = mesh::sign_record(world.id, world.root, mesh::RecordType::user, subject, 1, mesh::encode(mesh::User{})).wire;
        if (i < static_cast<int>(input.size() % 80)) roster.add(wire);
    }
    mesh::Gossip gossip(roster, world.random);
    gossip.peer_up(world.id, {});
    gossip.receive(world.id, *read, input.size(), {});
    std::size_t answer = 0;
    for (const auto& output : gossip.take_output()) answer += output.frame.size();
    require(answer <= mesh::kReplyFactor * input.size() + 64);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static Mesh world;
    if (size == 0) return 0;
    const net::ByteView input = std::as_bytes(std::span(data + 1, size - 1));
    switch (data[0] % 5) {
        case 0: {
            mesh::Roster roster(world.id);
            roster.add(input);
            if (roster.entries().empty()) break;
            // One that the root really has signed (the corpus holds such): with any other signature it is refused.
            auto forged = net::copy(input);
            forged.back() ^= std::byte{1};
            mesh::Roster other(world.id);
            other.add(forged);
            require(other.entries().empty());
            break;
        }
        case 1: body(world, input); break;
        case 2: frame(world, input); break;
        case 3: {
            const auto text = net::as_text(input);
            const auto token = mesh::Token::parse(text);
            if (token) require(mesh::Token::parse(token->text()).has_value());
            break;
        }
        default: mesh::open_introduction(world.tunnel, input); break;
    }
    return 0;
}
