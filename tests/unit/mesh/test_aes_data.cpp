// Data of type 5: AES-256-GCM between two meshd nodes.
#include <catch2/catch.hpp>

#include "net/text.hpp"
#include "tests/unit/mesh/wire_pair.hpp"

using namespace wire_pair;
using mesh::Drop;
using mesh::Inbound;

namespace {

net::Bytes from(std::string_view text) { return *net::from_hex(text); }

mesh::Session& session_of(Node& node) { return *node.wireguard.table()->peers[0]->session; }

struct AesPair : Pair {
    AesPair() {
        connect();
        alice.wireguard.allow_aes(bob_key());
    }
    net::Bytes sealed(net::ByteView payload, std::uint8_t flags = 0) {
        net::Bytes message(mesh::kMinDataBytes + payload.size());
        std::copy(payload.begin(), payload.end(), message.begin() + mesh::kDataHeaderBytes);
        REQUIRE(session_of(alice).seal(message, wire.now.steady, mesh::Lane::bulk, flags));
        return message;
    }
    Inbound receive(net::Bytes& message) {
        return mesh::inbound(*bob.wireguard.table(), message, alice.endpoint, wire.now.steady, mesh::Lane::bulk);
    }
};

}  // namespace

// McGrew and Viega, The Galois/Counter Mode of Operation (2005), appendix B, test cases 14 and 15.
TEST_CASE("AES-256-GCM is that of its specification") {
    struct Vector {
        std::string_view key, plain, nonce, sealed;
    };
    const Vector vectors[] = {
        {"0000000000000000000000000000000000000000000000000000000000000000", "00000000000000000000000000000000",
         "000000000000000000000000", "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"},
        {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
         "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
         "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
         "cafebabefacedbaddecaf888",
         "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
         "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
         "b094dac5d93471bdec1a502270e3cc6c"},
    };
    for (const auto& vector : vectors) {
        const mesh::SymmetricKey key(std::span<const std::byte, 32>(from(vector.key)));
        const auto nonce = from(vector.nonce);
        net::Reader reader(nonce);
        const auto flags = reader.u32le();
        const auto counter = reader.u64le();
        auto packet = from(vector.plain);
        const auto plain = packet;
        packet.resize(packet.size() + 16);
        using mesh::PacketCipher;
        PacketCipher(mesh::Cipher::aes_256_gcm, key, PacketCipher::Direction::seal).seal(mesh::Lane::bulk, flags, counter, packet);
        CHECK(net::to_hex(packet) == vector.sealed);
        PacketCipher opener(mesh::Cipher::aes_256_gcm, key, PacketCipher::Direction::open);
        REQUIRE(opener.open(mesh::Lane::voice, flags, counter, packet));
        packet.resize(plain.size());
        CHECK(packet == plain);
    }
}

TEST_CASE("a session sends type 4 until the other end allows AES, and type 5 from then on") {
    AesPair pair;
    auto message = pair.sealed(ip_packet("10.0.0.1", "10.0.0.2"));
    CHECK(message[0] == std::byte{5});
    const auto result = pair.receive(message);
    CHECK(result.verdict == Inbound::Verdict::tun);
    CHECK_FALSE(result.checksum_left);
    CHECK(net::copy(result.bytes) == ip_packet("10.0.0.1", "10.0.0.2"));

    net::Bytes other(mesh::kMinDataBytes);
    REQUIRE(session_of(pair.bob).seal(other, pair.wire.now.steady));  // bob has not been told
    CHECK(other[0] == std::byte{4});
}

TEST_CASE("a flag of type 5 is authentic, and one that nobody knows is malformed") {
    AesPair pair;
    auto message = pair.sealed(ip_packet("10.0.0.1", "10.0.0.2"), mesh::kChecksumLeft);
    auto forged = message;
    forged[1] = std::byte{0};
    CHECK(pair.receive(forged).reason == Drop::not_authentic);
    forged = message;
    forged[1] = std::byte{8};
    CHECK(pair.receive(forged).reason == Drop::malformed_datagram);
    forged = message;
    forged[2] = std::byte{1};
    CHECK(pair.receive(forged).reason == Drop::malformed_datagram);
    forged = message;
    forged[0] = std::byte{4};
    forged[1] = std::byte{0};
    CHECK(pair.receive(forged).reason == Drop::not_authentic);
    const auto result = pair.receive(message);
    CHECK(result.verdict == Inbound::Verdict::tun);
    CHECK(result.checksum_left);
}

TEST_CASE("the number of a queue is told only to a peer that knows of it, is authentic, and changes nothing else") {
    AesPair pair;
    const auto way = [&] {
        return mesh::find_way(*pair.alice.wireguard.table(), *net::parse_ip(ip_packet("10.0.0.1", "10.0.0.2")),
                              pair.wire.now.steady);
    };
    CHECK_FALSE(way().tells_queue);
    pair.alice.wireguard.allow_aes(pair.bob_key(), true);
    CHECK(way().tells_queue);
    for (unsigned queue = 0; queue < mesh::kMaxQueues; ++queue) {
        const auto flags = static_cast<std::uint8_t>(queue << mesh::kQueueShift | mesh::kChecksumLeft);
        auto message = pair.sealed(ip_packet("10.0.0.1", "10.0.0.2"), flags);
        auto forged = message;
        forged[1] ^= std::byte{1} << mesh::kQueueShift;
        CHECK(pair.receive(forged).reason == Drop::not_authentic);
        const auto result = pair.receive(message);
        CHECK(result.verdict == Inbound::Verdict::tun);
        CHECK(result.checksum_left);
        CHECK(net::copy(result.bytes) == ip_packet("10.0.0.1", "10.0.0.2"));
    }
}

TEST_CASE("both types share the counter and the replay window") {
    AesPair pair;
    auto first = pair.sealed(ip_packet("10.0.0.1", "10.0.0.2"));
    auto again = first;
    CHECK(pair.receive(first).verdict == Inbound::Verdict::tun);
    CHECK(pair.receive(again).reason == Drop::replayed);
    CHECK(net::Reader(net::ByteView(first).subspan(8)).u64le() > 0);  // the handshake's keepalive of type 4 was 0
}

TEST_CASE("with AES a session asks for a new one after 2^27 messages and ends after 2^28") {
    AesPair pair;
    auto& session = session_of(pair.alice);
    const auto now = pair.wire.now.steady;
    CHECK_FALSE(session.wants_rekey_after_sending(now));
    session.set_counter_for_test(std::uint64_t{1} << 27);
    CHECK(session.wants_rekey_after_sending(now));
    session.set_counter_for_test((std::uint64_t{1} << 28) - 1);
    auto last = pair.sealed(ip_packet("10.0.0.1", "10.0.0.2"));
    CHECK(pair.receive(last).verdict == Inbound::Verdict::tun);
    CHECK_FALSE(session.usable(now));
    net::Bytes message(mesh::kMinDataBytes);
    CHECK_FALSE(session.seal(message, now));
    CHECK_FALSE(session.seal(message, now));
    // Nor does the other end open more of it, should we ever send some.
    auto beyond = last;
    beyond[11] = std::byte{0x10};
    CHECK(pair.receive(beyond).reason == Drop::expired_session);
}

TEST_CASE("segments that go one way are sealed like packets alone") {
    AesPair pair;
    const auto table = pair.alice.wireguard.table();
    const auto now = pair.wire.now.steady;
    const auto packet = ip_packet("10.0.0.1", "10.0.0.2", 99);
    const auto way = mesh::find_way(*table, *net::parse_ip(packet), now);
    REQUIRE(way.verdict == mesh::Outbound::Verdict::send);
    CHECK(way.leaves_checksums);
    CHECK(way.endpoint == pair.bob.endpoint);
    net::Bytes storage(16 + 112 + 16);
    std::copy(packet.begin(), packet.end(), storage.begin() + 16);
    const auto sealed = mesh::seal(*table, way, {storage, 16, packet.size()}, now, mesh::Lane::bulk);
    CHECK(sealed.size() == storage.size());
    auto message = net::copy(sealed);
    CHECK(net::copy(pair.receive(message).bytes) == packet);
    CHECK(mesh::seal(*table, way, {net::MutableBytes(storage).first(100), 16, packet.size()}, now).empty());
    CHECK(pair.alice.dropped(Drop::too_big) == 1);
    CHECK(mesh::find_way(*table, *net::parse_ip(ip_packet("10.0.0.1", "10.9.9.9")), now).reason == Drop::no_route);
}
