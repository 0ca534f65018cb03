#include <catch2/catch.hpp>

#include "mesh/bodies.hpp"
#include "net/text.hpp"

using namespace mesh;

namespace {

net::Bytes bytes(std::string_view hex) { return net::from_hex(hex).value(); }

struct Signer {
    net::SeededRandom random{7};
    net::NodeSecret secret;
    net::NodeKey mesh_id;
    Signer() {
        start_crypto();
        secret = make_node_secret(random);
        mesh_id = public_key(secret);
    }
    Record member(const std::string& name, std::uint64_t sequence = 1) {
        Member body;
        body.name = name;
        body.tunnel_key = public_key(make_tunnel_secret(random));
        return sign_record(mesh_id, secret, RecordType::member, as_subject(mesh_id.view()), sequence, encode(body));
    }
    Refusal refusal(net::ByteView wire) {
        const auto opened = open_record(mesh_id, wire);
        REQUIRE(std::holds_alternative<Refusal>(opened));
        return std::get<Refusal>(opened);
    }
};

}  // namespace

TEST_CASE("a CBOR item is measured without being decoded") {
    CHECK(check_cbor(bytes("00")) == CborShape::good);
    CHECK(check_cbor(bytes("a1616101")) == CborShape::good);
    CHECK(check_cbor(bytes("80")) == CborShape::good);
    CHECK(check_cbor(bytes("8180")) == CborShape::good);
    CHECK(check_cbor(bytes("")) == CborShape::malformed);
    CHECK(check_cbor(bytes("0000")) == CborShape::malformed);                // two items
    CHECK(check_cbor(bytes("a16161")) == CborShape::malformed);              // a key without its value
    CHECK(check_cbor(bytes("62ff")) == CborShape::malformed);                // longer than it is
    CHECK(check_cbor(bytes("9f00ff")) == CborShape::malformed);              // indefinite length
    CHECK(check_cbor(bytes("c000")) == CborShape::malformed);                // a tag
    CHECK(check_cbor(bytes("f93c00")) == CborShape::malformed);              // a float
    CHECK(check_cbor(bytes("9bffffffffffffffff")) == CborShape::malformed);  // 2^64 items
    CHECK(check_cbor(bytes("bb8000000000000000")) == CborShape::malformed);  // 2^63 pairs: twice that overflows
}

TEST_CASE("nesting is counted, eight levels and no more") {
    CHECK(check_cbor(bytes("818181818181818100")) == CborShape::good);
    CHECK(check_cbor(bytes("81818181818181818100")) == CborShape::too_deep);
    CHECK(check_cbor(bytes("81818181818181818180")) == CborShape::too_deep);
    const net::Bytes hostile(60'000, std::byte{0x81});
    CHECK(check_cbor(hostile) == CborShape::too_deep);
}

TEST_CASE("a signed record is read back as it was written") {
    Signer signer;
    const auto record = signer.member("trento", 42);
    const auto opened = open_record(signer.mesh_id, record.wire);
    REQUIRE(std::holds_alternative<Record>(opened));
    const auto& read = std::get<Record>(opened);
    CHECK(read.key == record.key);
    CHECK(read.sequence == 42);
    CHECK(read.id == record.id);
    CHECK(read.wire == record.wire);
    const auto body = decode(read.key, read.body());
    REQUIRE(body);
    CHECK(std::get<Member>(*body).name == "trento");
}

TEST_CASE("a record in which any bit has been changed is refused") {
    Signer signer;
    const auto good = signer.member("trento").wire;
    for (std::size_t at = 0; at < good.size(); at += 3) {
        auto changed = good;
        changed[at] ^= std::byte{1};
        CHECK(std::holds_alternative<Refusal>(open_record(signer.mesh_id, changed)));
    }
    auto longer = good;
    longer.push_back(std::byte{0});
    CHECK(signer.refusal(longer) == Refusal::malformed);
    CHECK(signer.refusal(net::ByteView(good).first(good.size() - 1)) == Refusal::malformed);
}

TEST_CASE("a record of one mesh is nothing in another") {
    Signer signer;
    const auto wire = signer.member("trento").wire;
    auto other = signer.mesh_id;
    other.bytes[0] ^= std::byte{1};
    const auto opened = open_record(other, wire);
    REQUIRE(std::holds_alternative<Refusal>(opened));
    CHECK(std::get<Refusal>(opened) == Refusal::bad_signature);
}

TEST_CASE("a malleated signature, S plus the group's order, is refused") {
    Signer signer;
    auto wire = signer.member("trento").wire;
    // L of RFC 8032 section 5.1, little endian.
    const auto order = bytes("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    unsigned carry = 0;
    for (std::size_t i = 0; i < 32; ++i) {
        auto& byte = wire[wire.size() - 32 + i];
        carry += std::to_integer<unsigned>(byte) + std::to_integer<unsigned>(order[i]);
        byte = static_cast<std::byte>(carry & 0xff);
        carry >>= 8;
    }
    CHECK(signer.refusal(wire) == Refusal::bad_signature);
}

TEST_CASE("size and depth are refused before anything is decoded") {
    Signer signer;
    CHECK(signer.refusal(net::Bytes(60'000, std::byte{0x81})) == Refusal::too_large);
    const net::Bytes deep(1000, std::byte{0x81});
    // Signed even: a member may be hostile.
    const auto record = sign_record(signer.mesh_id, signer.secret, RecordType::policy, "x", 1, deep);
    CHECK(signer.refusal(record.wire) == Refusal::too_deep);
    CHECK_THROWS(sign_record(signer.mesh_id, signer.secret, RecordType::policy, "x", 1, net::Bytes(3000, std::byte{0})));
}

TEST_CASE("every body comes back equal") {
    Signer signer;
    Member member;
    member.name = "trento";
    member.tunnel_key.bytes[0] = std::byte{9};
    member.addresses = {*net::IpAddress::parse("10.73.0.1"), *net::IpAddress::parse("fd00::1")};
    member.subnets = {*net::Prefix::parse("192.168.1.0/24"), *net::Prefix::parse("2001:db8::/48")};
    member.groups = {"office"};
    member.roles = Roles{}.with(Role::voice).with(Role::admin);
    member.valid_from = 1'800'000'000;
    member.valid_until = 1'900'000'000;
    member.invitation.bytes[3] = std::byte{4};
    Invitation invitation{"munich", {*net::Prefix::parse("10.1.0.0/16")}, Roles{}.with(Role::relay), 1'800'000'000, signer.mesh_id};
    MeshPolicy policy{"acme", *net::Prefix::parse("10.73.0.0/16"), {}};
    User user{{"+390461123456", "201"}, false, {signer.mesh_id}, 5, false, UINT64_MAX, bytes("0102")};
    NodeInfo info{{*net::Endpoint::parse("192.0.2.1:51820"), *net::Endpoint::parse("[2001:db8::1]:51820")}, 7, member.subnets,
                  {{"carrier", {"+44", "+"}, 10, true}, {"line", {}, 0, false}}, {5060, 5070, UINT16_MAX}};
    const Bindings bindings{{{7ULL << 56, 1'800'000'120}, {(8ULL << 56) - 1, 1'800'000'000}}};
    const auto key_subject = as_subject(signer.mesh_id.view());
    const std::pair<RecordKey, Body> all[] = {
        {{RecordType::member, key_subject, signer.mesh_id}, member},
        {{RecordType::revocation, key_subject, signer.mesh_id}, Revocation{77, "lost"}},
        {{RecordType::invitation, key_subject, signer.mesh_id}, invitation},
        {{RecordType::policy, "mesh", signer.mesh_id}, policy},
        {{RecordType::policy, "voice-key" + key_subject, signer.mesh_id}, SealedVoiceKey{9, bytes("aabb")}},
        {{RecordType::policy, "other", signer.mesh_id}, OpaquePolicy{}},
        {{RecordType::user, "bob@acme.example", signer.mesh_id}, user},
        {{RecordType::node, key_subject, signer.mesh_id}, info},
        {{RecordType::bindings, key_subject + "\x07", signer.mesh_id}, bindings},
    };
    for (const auto& [key, body] : all) {
        const auto cbor = encode(body);
        CHECK(check_cbor(cbor) == CborShape::good);
        const auto read = decode(key, cbor);
        REQUIRE(read);
        CHECK(*read == body);
    }
}

TEST_CASE("where phones may come to a node is read as far as it is known, and refused where it can be no port") {
    Signer signer;
    const RecordKey key{RecordType::node, as_subject(signer.mesh_id.view()), signer.mesh_id};
    const auto ports = [&](std::string_view after_c) -> std::optional<PhonePorts> {
        const auto read = decode(key, bytes(after_c));
        return read ? std::optional(std::get<NodeInfo>(*read).phones) : std::nullopt;
    };
    CHECK(ports("a1616301") == PhonePorts{});  // of an earlier version
    CHECK(ports("a2616301" "6170a0") == PhonePorts{});
    CHECK(ports("a2616301" "6170a1" "6175" "1913c4") == PhonePorts{5060, 0, 0});
    CHECK(ports("a2616301" "6170a3" "6173" "19ffff" "6174" "01" "6175" "1913c4") == PhonePorts{5060, 1, UINT16_MAX});
    // A transport of a later version is skipped, whatever is said of it.
    CHECK(ports("a2616301" "6170a2" "6171" "8118ff" "6174" "1913c4") == PhonePorts{0, 5060, 0});
    for (const auto* bad : {"00", "1a00010000", "20", "6135", "f5", "f6", "8101"}) {
        CHECK_FALSE(ports("a2616301" "6170a1" "6175" + std::string(bad)));
    }
    for (const auto* bad : {"00", "80", "f6", "6135", "8101"}) CHECK_FALSE(ports("a2616301" "6170" + std::string(bad)));
    std::string many = "a2616301" "6170a9";
    for (int i = 0; i < 9; ++i) many += "616" + std::to_string(i) + "01";
    CHECK_FALSE(ports(many));
    // One that says all there is to say still fits.
    NodeInfo full;
    full.endpoints.assign(16, *net::Endpoint::parse("[2001:db8::1]:51820"));
    full.offered.assign(32, *net::Prefix::parse("2001:db8::/48"));
    full.trunks.assign(kMaxTrunks, {std::string(32, 'x'), std::vector(kMaxTrunkPrefixes, std::string(4, '+')), UINT32_MAX, true});
    full.phones = {UINT16_MAX, UINT16_MAX, UINT16_MAX};
    CHECK(sign_record(signer.mesh_id, signer.secret, key.type, key.subject, 1, encode(full)).wire.size() <= kMaxRecordBytes);
}

TEST_CASE("bindings fit into a record, and are refused out of order, too many or cut short") {
    Signer signer;
    const RecordKey key{RecordType::bindings, as_subject(signer.mesh_id.view()) + "\x07", signer.mesh_id};
    Bindings full;
    for (std::uint64_t i = 0; i < Bindings::kMost; ++i) full.bindings.push_back({(7ULL << 56) + (i << 48), INT64_MAX / 8 + static_cast<std::int64_t>(i)});
    CHECK(sign_record(signer.mesh_id, signer.secret, key.type, key.subject, 1, encode(full)).wire.size() <= kMaxRecordBytes);
    CHECK(decode(key, encode(full)) == Body(full));
    CHECK(decode(key, encode(Bindings{})) == Body(Bindings{}));
    full.bindings.push_back({(8ULL << 56) - 1, INT64_MAX / 8});
    CHECK_FALSE(decode(key, encode(full)));
    CHECK(decode(key, bytes("a2617405" "61754a" "07000000000000010001")));
    CHECK_FALSE(decode(key, bytes("a2617405" "617549" "070000000000000100")));
    CHECK_FALSE(decode(key, bytes("a2617405" "617554" "07000000000000020001" "07000000000000010001")));
    CHECK_FALSE(decode(key, bytes("a2617405" "617554" "07000000000000020001" "07000000000000020001")));
    CHECK_FALSE(decode(key, bytes("a1617405")));
    CHECK_FALSE(decode(key, bytes("a2617405" "61754a" "08000000000000010001")));  // of another shard
    // One that ends more than 18 hours after another is told to end then.
    constexpr std::uint64_t kFirst = 7ULL << 56;
    const Bindings apart{{{kFirst, 1'800'000'000}, {kFirst + 1, 1'900'000'000}}};
    CHECK(decode(key, encode(apart)) == Body(Bindings{{{kFirst, 1'800'000'000}, {kFirst + 1, 1'800'065'535}}}));
}

TEST_CASE("a body with a wrong type, name or size is refused, an unknown key is not") {
    Signer signer;
    const RecordKey user{RecordType::user, "bob@acme.example", signer.mesh_id};
    CHECK(decode(user, bytes("a1617405")));                        // {"t": 5}
    CHECK(decode(user, bytes("a2617405617a6568656c6c6f")));        // and {"z": "hello"}
    CHECK_FALSE(decode(user, bytes("a0")));                        // no "t"
    CHECK_FALSE(decode(user, bytes("a1617420")));                  // "t" is -1
    CHECK_FALSE(decode(user, bytes("a161746135")));                // "t" is text
    CHECK_FALSE(decode(user, bytes("a2617405616d8101")));          // "m" holds a number
    CHECK_FALSE(decode(user, bytes("a2617405616d81616b")));        // "m" holds "k", which nobody can dial
    CHECK_FALSE(decode(user, bytes("8101")));                      // no map
    CHECK_FALSE(decode({RecordType::user, "Bob@ACME.example", signer.mesh_id}, bytes("a1617405")));  // not its normal form
    CHECK_FALSE(decode({RecordType::user, "bob", signer.mesh_id}, bytes("a1617405")));
    CHECK_FALSE(decode({RecordType::member, "short", signer.mesh_id}, bytes("a1617405")));
}

TEST_CASE("names and addresses of record have one form") {
    CHECK(is_node_name("trento-2"));
    for (const auto* bad : {"", "-a", "a-", "Trento", "tren to", "a.b", "ü"}) CHECK_FALSE(is_node_name(bad));
    CHECK(is_node_name(std::string(63, 'a')));
    CHECK_FALSE(is_node_name(std::string(64, 'a')));
    CHECK(normal_aor("Bob@ACME.Example") == "Bob@acme.example");
    for (const auto* bad : {"bob", "@acme.example", "bob@", "bob@a b", "b ob@acme.example", "bob@acme.example:5060", "sip:bob@x", "a@b@c"})
        CHECK_FALSE(normal_aor(bad));
    CHECK(is_number("+390461"));
    CHECK(is_number("201"));
    for (const auto* bad : {"", "+", "20 1", "abc"}) CHECK_FALSE(is_number(bad));
}

TEST_CASE("overlay addresses lie in the mesh's own ULA prefix") {
    Signer signer;
    const auto prefix = overlay_prefix(signer.mesh_id);
    CHECK(prefix.length() == 48);
    CHECK(net::Prefix::parse("fd00::/8")->contains(prefix));
    const auto address = overlay_address(signer.mesh_id, signer.mesh_id.view());
    CHECK(prefix.contains(address));
    CHECK(address == overlay_address(signer.mesh_id, signer.mesh_id.view()));
}
