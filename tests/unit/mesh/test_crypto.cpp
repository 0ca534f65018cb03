#include <catch2/catch.hpp>

#include "mesh/crypto.hpp"
#include "mesh/packet_cipher.hpp"
#include "mesh/tai64n.hpp"
#include "net/text.hpp"

using net::as_bytes;

using namespace std::chrono_literals;

namespace {

net::Bytes hex(std::string_view text) { return *net::from_hex(text); }

template <std::size_t N>
net::Secret<N> secret(std::string_view text) {
    return net::Secret<N>(std::span<const std::byte, N>(hex(text)));
}

net::Bytes counted(std::size_t size) {
    net::Bytes out(size);
    for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::byte>(i & 0xff);
    return out;
}

// RFC 7693 appendix E.
net::Bytes selftest_sequence(std::size_t length, std::uint32_t seed) {
    std::uint32_t a = 0xDEAD4BAD * seed, b = 1;
    net::Bytes out(length);
    for (auto& byte : out) {
        const std::uint32_t t = a + b;
        a = b;
        b = t;
        byte = static_cast<std::byte>(t >> 24 & 0xff);
    }
    return out;
}

const net::Bytes kSunscreen = net::copy(as_bytes(
    "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it."));

}  // namespace

TEST_CASE("X25519 agrees with RFC 7748 section 5.2 and 6.1") {
    mesh::SymmetricKey shared;
    CHECK(mesh::x25519(
        shared, secret<32>("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
        *net::TunnelKey::from(hex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"))));
    CHECK(net::to_hex(shared.view()) == "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");

    const auto bob = secret<32>("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
    CHECK(net::to_hex(mesh::public_key(bob).view()) ==
          "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    CHECK(mesh::x25519(
        shared, bob, *net::TunnelKey::from(hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"))));
    CHECK(net::to_hex(shared.view()) == "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");

    auto k = secret<32>("0900000000000000000000000000000000000000000000000000000000000000");
    auto u = *net::TunnelKey::from(k.view());
    for (int i = 0; i < 1000; ++i) {
        REQUIRE(mesh::x25519(shared, k, u));
        u = *net::TunnelKey::from(k.view());
        k = shared;
    }
    CHECK(net::to_hex(k.view()) == "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
}

TEST_CASE("a public key of small order gives no shared secret") {
    mesh::SymmetricKey shared;
    net::SeededRandom random(1);
    CHECK_FALSE(mesh::x25519(shared, mesh::make_tunnel_secret(random), net::TunnelKey{}));
    CHECK(shared.equals(mesh::SymmetricKey{}));
}

TEST_CASE("Ed25519 agrees with RFC 8032 section 7.1 test 2") {
    const auto key = mesh::node_secret_from_seed(
        secret<32>("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"));
    CHECK(net::to_hex(mesh::public_key(key).view()) ==
          "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
    auto signature = mesh::sign(key, hex("72"));
    CHECK(net::to_hex(signature.view()) ==
          "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aee"
          "b00d291612bb0c00");
    CHECK(mesh::verify(mesh::public_key(key), hex("72"), signature));
    CHECK_FALSE(mesh::verify(mesh::public_key(key), hex("73"), signature));
    signature.bytes[0] ^= std::byte{1};
    CHECK_FALSE(mesh::verify(mesh::public_key(key), hex("72"), signature));
}

TEST_CASE("BLAKE2s agrees with RFC 7693 appendix B") {
    CHECK(net::to_hex(mesh::blake2s({as_bytes("abc")}).view()) ==
          "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982");
    CHECK(mesh::blake2s({as_bytes("a"), as_bytes(""), as_bytes("bc")}) == mesh::blake2s({as_bytes("abc")}));
}

// The inputs and keys are the appendix's; the digests are those that make up its grand hash.
TEST_CASE("BLAKE2s agrees with the self test of RFC 7693 appendix E at the sizes WireGuard uses") {
    const struct {
        std::size_t length;
        std::string_view hash, mac_of_16_bytes_key, mac_of_32_bytes_key;
    } rows[] = {
        {0, "69217a3079908094e11121d042354a7c1f55b6482ca1a51e1b250dfd1ed0eef9", "848968b35901e9579a4dbf28df99ec23",
         "ee3ded4aa88f4a2c34565a5e581efe15"},
        {3, "77012be5f6fb6b23846795e1e8e22fb598a1ba60ea59a378d9d908d8b6dea646", "2ebb1878da3405ad981a33065035d375",
         "ec1c391ea9b7be694450eb1047df43e8"},
        {64, "ea1387748c70a79548f4e19453cacf84e6eadf88beb5511ad53181271c6f40e5", "3cd4ead7880b8e82de079c1fad3417d4",
         "bd69ea85d6178072673f0338f547bb55"},
        {65, "f40d1afedd6265437e1cc49a2bae67c3bf936f84956ef2d548e0a323df58aa59", "ee92c5254c297a88e69a236956b67cee",
         "7d66d48e665d16fc8b99aa0c6b8efc3e"},
        {255, "ad4286d0cb7544fe3b1c1aff31b8a9aa3b6076d9a2c6b4bbdb7975ba7f7408a1", "9b7c5ffc7770587f9f96323dcc82dcd1",
         "56c40d2154260d3566f326e37b544a64"},
        {1024, "c795e9ac66ad49540e9ce43efcc6da142c61c1e6051f0608bb109c14d24e4ebb", "94a7b5dacb7b645405e7898a8905592a",
         "75c5ef23b4fcac726d737a3ec11e6d0a"},
    };
    for (const auto& row : rows) {
        const auto input = selftest_sequence(row.length, static_cast<std::uint32_t>(row.length));
        CHECK(net::to_hex(mesh::blake2s({input}).view()) == row.hash);
        CHECK(net::to_hex(mesh::blake2s_mac(selftest_sequence(16, 16), {input}).view()) == row.mac_of_16_bytes_key);
        const auto half = net::ByteView(input).first(row.length / 2), rest = net::ByteView(input).subspan(row.length / 2);
        CHECK(net::to_hex(mesh::blake2s_mac(selftest_sequence(32, 32), {half, rest}).view()) == row.mac_of_32_bytes_key);
    }
}

TEST_CASE("HMAC-BLAKE2s is RFC 2104 over BLAKE2s") {
    const auto key = counted(32);
    net::Bytes inner(64, std::byte{0x36}), outer(64, std::byte{0x5c});
    for (std::size_t i = 0; i < key.size(); ++i) {
        inner[i] ^= key[i];
        outer[i] ^= key[i];
    }
    const auto expected = mesh::blake2s({outer, mesh::blake2s({inner, as_bytes("message")}).view()});
    CHECK(mesh::hmac_blake2s(key, {as_bytes("mess"), as_bytes("age")}) == expected);
    CHECK(net::to_hex(expected.view()) == "db1ebbda189c6ec2d7755c2592537050e44264aa57a3d4f825f451ebcdff4cd3");
}

TEST_CASE("KDF_n gives T(1) to T(n) of the whitepaper's section 5.4") {
    const auto chaining = counted(32);
    mesh::SymmetricKey one, two, three;
    mesh::kdf({&one, &two, &three}, chaining, as_bytes("input"));
    const auto t0 = mesh::hmac_blake2s(chaining, {as_bytes("input")});
    const auto t1 = mesh::hmac_blake2s(t0.view(), {hex("01")});
    const auto t2 = mesh::hmac_blake2s(t0.view(), {t1.view(), hex("02")});
    const auto t3 = mesh::hmac_blake2s(t0.view(), {t2.view(), hex("03")});
    CHECK(net::to_hex(one.view()) == net::to_hex(t1.view()));
    CHECK(net::to_hex(two.view()) == net::to_hex(t2.view()));
    CHECK(net::to_hex(three.view()) == net::to_hex(t3.view()));
    mesh::SymmetricKey alone;
    mesh::kdf({&alone}, chaining, as_bytes("input"));
    CHECK(alone.equals(one));
}

TEST_CASE("the faster library and libcrypto make the same bytes, and each opens what the other sealed") {
    using mesh::PacketCipher;
    using Library = PacketCipher::Library;
    const auto key = secret<32>("a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf");
    for (const auto cipher : {mesh::Cipher::chacha20_poly1305, mesh::Cipher::aes_256_gcm}) {
        PacketCipher seals[] = {{cipher, key, PacketCipher::Direction::seal, Library::fastest},
                                {cipher, key, PacketCipher::Direction::seal, Library::libcrypto}};
        PacketCipher opens[] = {{cipher, key, PacketCipher::Direction::open, Library::fastest},
                                {cipher, key, PacketCipher::Direction::open, Library::libcrypto}};
        for (std::size_t size = 0; size <= 1500; size += size < 300 ? 1 : 37) {
            const auto plain = counted(size);
            const auto counter = size * 0x0123456789abcdU;
            const auto flags = static_cast<std::uint32_t>(size % 3);
            net::Bytes sealed[2];
            for (int i = 0; i < 2; ++i) {
                sealed[i] = plain;
                sealed[i].resize(size + 16);
                seals[i].seal(mesh::Lane::bulk, flags, counter, sealed[i]);
            }
            REQUIRE(sealed[0] == sealed[1]);
            for (auto& opener : opens) {
                for (const std::size_t at : {std::size_t{0}, size, size + 15}) {
                    auto forged = sealed[0];
                    forged[at] ^= std::byte{0x80};
                    REQUIRE_FALSE(opener.open(mesh::Lane::bulk, flags, counter, forged));
                }
                auto packet = sealed[0];
                REQUIRE_FALSE(opener.open(mesh::Lane::bulk, flags + 1, counter, packet));
                packet = sealed[0];
                REQUIRE(opener.open(mesh::Lane::voice, flags, counter, packet));
                packet.resize(size);
                REQUIRE(packet == plain);
            }
        }
        net::Bytes shorter(15);
        CHECK_FALSE(opens[0].open(mesh::Lane::bulk, 0, 0, shorter));
    }
}

TEST_CASE("both ChaCha20-Poly1305 agree with each other, and open what the other sealed") {
    const auto key = secret<32>("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
    mesh::PacketCipher seal(mesh::Cipher::chacha20_poly1305, key, mesh::PacketCipher::Direction::seal);
    mesh::PacketCipher open(mesh::Cipher::chacha20_poly1305, key, mesh::PacketCipher::Direction::open);
    std::uint64_t counter = 0;
    for (const std::size_t size : {0U, 1U, 16U, 63U, 64U, 65U, 114U, 1420U}) {
        const auto plain = counted(size);
        net::Bytes sealed(size + 16), packet(size + 16);
        counter = counter * 251 + 7;
        mesh::aead_seal(sealed, key, counter, plain, {});
        std::copy(plain.begin(), plain.end(), packet.begin());
        seal.seal(mesh::Lane::control, 0, counter, packet);
        CHECK(packet == sealed);
        CHECK_FALSE(open.open(mesh::Lane::bulk, 0, counter + 1, packet));
        packet = sealed;
        CHECK(open.open(mesh::Lane::bulk, 0, counter, packet));
        CHECK(std::equal(plain.begin(), plain.end(), packet.begin()));
        for (const std::size_t at : {std::size_t{0}, size, size + 15}) {
            packet = sealed;
            packet[at] ^= std::byte{1};
            CHECK_FALSE(open.open(mesh::Lane::bulk, 0, counter, packet));
        }
        net::Bytes opened(size);
        CHECK(mesh::aead_open(opened, key, counter, sealed, {}));
        CHECK(opened == plain);
        CHECK_FALSE(mesh::aead_open(opened, key, counter, sealed, as_bytes("x")));
    }
    net::Bytes none;
    CHECK_FALSE(mesh::aead_open({}, key, 0, none, {}));
    CHECK_FALSE(open.open(mesh::Lane::bulk, 0, 0, none));
}

TEST_CASE("ChaCha20-Poly1305 opens RFC 8439 appendix A.5 with its nonce as counter") {
    // The nonce 00000000 0102030405060708 is counter 0x0807060504030201 in WireGuard's layout.
    const auto key = secret<32>("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0");
    const auto sealed = hex(
        "64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb24c6cfc18755d43eea09ee94e382d26b0bdb7b73c321b0100"
        "d4f03b7f355894cf332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c8559797a06ef4f0ef61c186324e2b350638"
        "3606907b6a7c02b0f9f6157b53c867e4b9166c767b804d46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523eaf4534d7f83fa115"
        "5b0047718cbc546a0d072b04b3564eea1b422273f548271a0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a10"
        "49e617d91d361094fa68f0ff77987130305beaba2eda04df997b714d6c6f2c29a6ad5cb4022b02709beead9d67890cbb22392336fea1851f"
        "38");
    net::Bytes plain(sealed.size() - 16);
    REQUIRE(mesh::aead_open(plain, key, 0x0807060504030201U, sealed, hex("f33388860000000000004e91")));
    CHECK(net::as_text(plain).starts_with("Internet-Drafts are draft documents valid for a maximum of six months"));
}

TEST_CASE("XChaCha20-Poly1305 agrees with draft-irtf-cfrg-xchacha-03 appendix A.3.1") {
    const auto key = secret<32>("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
    const auto nonce = *mesh::XNonce::from(hex("404142434445464748494a4b4c4d4e4f5051525354555657"));
    const auto associated = hex("50515253c0c1c2c3c4c5c6c7");
    net::Bytes sealed(kSunscreen.size() + 16);
    mesh::xaead_seal(sealed, key, nonce, kSunscreen, associated);
    CHECK(net::to_hex(sealed) ==
          "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216"
          "cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff921f9664c97637da9768812f615c68b13"
          "b52ec0875924c1c7987947deafd8780acf49");
    net::Bytes plain(kSunscreen.size());
    CHECK(mesh::xaead_open(plain, key, nonce, sealed, associated));
    CHECK(plain == kSunscreen);
    sealed[3] ^= std::byte{4};
    CHECK_FALSE(mesh::xaead_open(plain, key, nonce, sealed, associated));
}

TEST_CASE("a sealed box opens for its receiver only") {
    net::SeededRandom random(3);
    const auto mine = mesh::make_tunnel_secret(random), other = mesh::make_tunnel_secret(random);
    const auto box = mesh::seal_to(mesh::public_key(mine), as_bytes("voice key"));
    REQUIRE(mesh::open_sealed(mine, box));
    CHECK(net::as_text(*mesh::open_sealed(mine, box)) == "voice key");
    CHECK_FALSE(mesh::open_sealed(other, box));
    CHECK_FALSE(mesh::open_sealed(mine, net::ByteView(box).first(20)));
}

TEST_CASE("TAI64N counts from 2^62 + 10 and compares on the wire as in time") {
    const auto epoch = mesh::Tai64n::from(net::from_unix_seconds(0));
    CHECK(net::to_hex(epoch.bytes()) == "400000000000000a00000000");
    const auto later = mesh::Tai64n::from(net::from_unix_seconds(1719792000) + std::chrono::milliseconds(500));
    CHECK(later.nanoseconds == (500'000'000U & 0xff000000U));
    CHECK(later > epoch);
    CHECK(net::to_hex(later.bytes()) > net::to_hex(epoch.bytes()));
    CHECK(mesh::Tai64n::from(later.bytes()) == later);
    CHECK_FALSE(mesh::Tai64n::from(hex("00")));
    CHECK(mesh::Tai64n{5, 999'999'999}.next() == mesh::Tai64n{6, 0});
    CHECK(mesh::Tai64n{5, 7}.next() == mesh::Tai64n{5, 8});
}

TEST_CASE("no stamp is given out before a mark above it is durable") {
    const auto at = [](std::chrono::seconds after) {
        return net::Now{net::Steady(after), net::from_unix_seconds(1719792000) + after};
    };
    mesh::StampSource stamps({});
    CHECK_FALSE(stamps.next(at(0s)));
    const auto mark = stamps.wanted();
    REQUIRE(mark);
    CHECK_FALSE(stamps.wanted());
    CHECK_FALSE(stamps.next(at(1s)));
    CHECK_FALSE(stamps.wanted());  // it is under way
    stamps.stored(*mark);
    const auto first = stamps.next(at(2s));
    REQUIRE(first);
    CHECK(*first < *mark);
    CHECK(*stamps.next(at(2s)) > *first);
    CHECK_FALSE(stamps.wanted());

    // The mark is moved on well before it is reached.
    const auto before = stamps.next(at(40min));
    CHECK(before);
    const auto second = stamps.wanted();
    REQUIRE(second);
    CHECK(*second > *mark);
}

TEST_CASE("stamps go on above a mark that does not become durable, and say so") {
    const auto at = [](std::chrono::seconds after) {
        return net::Now{net::Steady(1h + after), net::from_unix_seconds(1719792000) + after};
    };
    mesh::StampSource stamps({});
    CHECK_FALSE(stamps.next(at(0s)));
    CHECK(stamps.patience_ends() == at(mesh::StampSource::kPatience).steady);
    CHECK_FALSE(stamps.next(at(9s)));
    CHECK_FALSE(stamps.is_past_mark());
    auto last = stamps.next(at(10s));
    REQUIRE(last);
    CHECK(stamps.is_past_mark());
    std::optional<mesh::Tai64n> asked;
    for (auto time = 11s; time < 5h; time += 100s) {
        const auto stamp = stamps.next(at(time));
        REQUIRE(stamp);
        CHECK(*stamp > *last);
        last = stamp;
        if (const auto wanted = stamps.wanted()) asked = wanted;
    }
    // A restart with a clock that is right begins above all of them, with nothing on the disk.
    mesh::StampSource again({});
    (void)again.next(at(5h));
    again.stored(*again.wanted());
    CHECK(*again.next(at(5h)) > *last);
    // The disk is back: what was asked for last is enough.
    stamps.stored(*asked);
    CHECK_FALSE(stamps.is_past_mark());
    CHECK(stamps.next(at(5h)));
}

TEST_CASE("a disk that fails for half an hour only is not even noticed") {
    const auto at = [](std::chrono::seconds after) {
        return net::Now{net::Steady(after), net::from_unix_seconds(1719792000) + after};
    };
    mesh::StampSource stamps({});
    (void)stamps.next(at(0s));
    stamps.stored(*stamps.wanted());
    for (auto time = 1s; time < 59min; time += 60s) {
        REQUIRE(stamps.next(at(time)));
        REQUIRE_FALSE(stamps.is_past_mark());
    }
}

TEST_CASE("stamps grow over a restart even when the clock has stepped back") {
    const net::Now now{{}, net::from_unix_seconds(1719792000)}, stepped_back{{}, net::from_unix_seconds(0)};
    mesh::StampSource stamps({});
    (void)stamps.next(now);
    auto mark = *stamps.wanted();
    stamps.stored(mark);
    auto last = *stamps.next(now);
    for (int restart = 0; restart < 50; ++restart) {
        mesh::StampSource again(mark);
        CHECK_FALSE(again.next(stepped_back));
        const auto next_mark = *again.wanted();
        again.stored(next_mark);
        const auto stamp = again.next(stepped_back);
        REQUIRE(stamp);
        CHECK(*stamp > last);
        last = *stamp;
        mark = next_mark;
    }
    // 50 crashes ran ahead by less than two minutes.
    CHECK(mark < mesh::Tai64n::from(now.wall + mesh::StampSource::kReserve + 100s));
}
