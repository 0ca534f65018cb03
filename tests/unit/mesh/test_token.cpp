#include <algorithm>
#include <catch2/catch.hpp>

#include "mesh/control_frame.hpp"
#include "mesh/introduction.hpp"
#include "mesh/token.hpp"
#include "net/text.hpp"

using namespace mesh;

namespace {

Token make_token() {
    start_crypto();
    net::SeededRandom random(3);
    Token token;
    random.fill(token.mesh_id.bytes);
    random.fill(token.secret.fill());
    token.expires = 1'800'000'000;
    Token::Contact contact;
    random.fill(contact.key.bytes);
    contact.endpoint = *net::Endpoint::parse("192.0.2.1:51820");
    token.contacts.push_back(contact);
    contact.endpoint = *net::Endpoint::parse("[2001:db8::1]:51820");
    token.contacts.push_back(contact);
    return token;
}

}  // namespace

TEST_CASE("a token is read back as it was printed") {
    const auto token = make_token();
    const auto text = token.text();
    CHECK(text.starts_with("meshd1-"));
    const auto read = Token::parse("  " + text + "\n");
    REQUIRE(read);
    CHECK(read->mesh_id == token.mesh_id);
    CHECK(read->expires == token.expires);
    CHECK(read->contacts == token.contacts);
    CHECK(read->tunnel_key() == token.tunnel_key());
}

TEST_CASE("a token names where its contacts are had by TLS, and is of the older format where there is none") {
    auto token = make_token();
    const auto format_of = [](const Token& one) { return (*net::from_base64url(one.text().substr(7)))[0]; };
    CHECK(format_of(token) == std::byte{1});
    auto contact = token.contacts.front();
    contact.stream = true;
    contact.endpoint = *net::Endpoint::parse("192.0.2.1:443");
    token.contacts.push_back(contact);
    contact.endpoint = *net::Endpoint::parse("[2001:db8::1]:443");
    token.contacts.push_back(contact);
    CHECK(format_of(token) == std::byte{2});
    const auto read = Token::parse(token.text());
    REQUIRE(read);
    CHECK(read->contacts == token.contacts);
    // Of the older format nothing is read as a stream.
    auto bytes = *net::from_base64url(token.text().substr(7));
    bytes[0] = std::byte{1};
    const auto hash = blake2s({net::as_bytes("meshd token checksum 1"), net::ByteView(bytes).first(bytes.size() - 4)});
    std::copy_n(hash.view().begin(), 4, bytes.end() - 4);
    CHECK(Token::parse("meshd1-" + net::to_base64url(bytes)).error().message == "the token is damaged; ask for a new one");
}

TEST_CASE("a mistyped token is refused, wherever the slip is") {
    const auto text = make_token().text();
    for (std::size_t at = 0; at < text.size(); ++at) {
        auto slip = text;
        slip[at] = slip[at] == 'A' ? 'B' : 'A';
        if (slip == text) continue;
        CHECK_FALSE(Token::parse(slip));
        CHECK_FALSE(Token::parse(text.substr(0, at)));
    }
    CHECK(Token::parse("hello").error().message.find("no token") != std::string::npos);
    CHECK(Token::parse(text.substr(0, 40)).error().message.find("cut short") != std::string::npos);
}

TEST_CASE("an expired token says so") {
    const auto token = make_token();
    CHECK(token.check_time(net::from_unix_seconds(token.expires)));
    const auto late = token.check_time(net::from_unix_seconds(token.expires + 1));
    REQUIRE_FALSE(late);
    CHECK(late.error().message.find("expired") != std::string::npos);
}

TEST_CASE("every control frame is read back, behind any padding") {
    start_crypto();
    Hello hello;
    hello.nonce = 5;
    hello.wall = 1'800'000'000;
    hello.observed = *net::Endpoint::parse("[2001:db8::1]:7");
    hello.answer_wanted = true;
    Digest digest;
    digest.depth_bits = 6;
    digest.prefix = std::uint64_t{63} << 58;
    digest.sums[3] = 9;
    Inventory inventory;
    inventory.items.resize(kMaxInventory, {1, 2, 3, 4});
    JoinReply reply;
    reply.admitted = true;
    reply.reason = "why\x1b[2J";
    reply.wires = {net::Bytes(300, std::byte{1}), net::Bytes(2, std::byte{2})};
    Relayed relayed;
    relayed.kind = Relayed::Kind::delivered;
    relayed.never_fragment = true;
    relayed.bulk = true;
    relayed.message = net::Bytes(100, std::byte{4});
    const Punch punch{{{*net::Endpoint::parse("203.0.113.1:7"), 4}, {*net::Endpoint::parse("[2001:db8::2]:8"), 1}}, true};
    const std::vector<Frame> frames{hello, punch, Birthday{Birthday::Kind::open, *net::Endpoint::parse("203.0.113.1:7")}, relayed, PathChallenge{3, true, *net::Endpoint::parse("192.0.2.9:5")}, Ping{1, 2, true}, PathChallenge{3, false, {}}, Leaving{}, digest, inventory, Want{{1, 2}},
                                    Records{reply.wires}, RecordPart{1, 1, 2, net::Bytes(9)}, JoinRequest{}, reply};
    for (const auto& frame : frames) {
        auto bytes = encode(frame);
        CHECK(bytes.size() <= kMaxFrameBytes);
        CHECK(is_control(bytes));
        for (const auto padding : {0, 1, 15}) {
            auto padded = bytes;
            padded.resize(bytes.size() + static_cast<std::size_t>(padding));
            const auto read = decode_frame(padded);
            REQUIRE(read);
            CHECK(read->index() == frame.index());
            if (!std::holds_alternative<JoinReply>(frame)) CHECK(encode(*read) == bytes);
        }
        for (std::size_t size = 0; size < bytes.size(); ++size) CHECK_FALSE(decode_frame(net::ByteView(bytes).first(size)));
    }
    // What a peer says goes to a terminal only in printable characters.
    CHECK(std::get<JoinReply>(*decode_frame(encode(reply))).reason == "why?[2J");
    CHECK(encode(Want{{1}}, 500).size() == 500);
    CHECK_FALSE(is_control(net::Bytes{std::byte{0x45}}));
    CHECK_FALSE(is_control(net::Bytes{std::byte{0x60}}));
}

TEST_CASE("records travel whole where they fit, and in two parts where not") {
    start_crypto();
    const net::Bytes small(500, std::byte{1}), large(2048, std::byte{2});
    const std::vector<net::ByteView> wires{small, small, small, large};
    std::vector<net::Bytes> arrived;
    Reassembly parts;
    for (const auto& frame : frames_of(wires)) {
        const auto bytes = encode(frame);
        CHECK(bytes.size() <= kMaxFrameBytes);
        const auto read = *decode_frame(bytes);
        if (const auto* records = std::get_if<Records>(&read)) arrived.insert(arrived.end(), records->wires.begin(), records->wires.end());
        if (const auto* part = std::get_if<RecordPart>(&read))
            if (auto whole = parts.add(*part)) arrived.push_back(std::move(*whole));
    }
    CHECK(arrived.size() == 4);
    CHECK(std::count(arrived.begin(), arrived.end(), small) == 3);
    CHECK(std::count(arrived.begin(), arrived.end(), large) == 1);
}

TEST_CASE("parts that never come whole take bounded space and hold up nothing") {
    Reassembly parts;
    for (std::uint64_t id = 0; id < 1000; ++id) CHECK_FALSE(parts.add({id, 0, 2, net::Bytes(100)}));
    CHECK_FALSE(parts.add({5000, 0, 2, net::Bytes(100)}));
    CHECK(parts.add({5000, 1, 2, net::Bytes(100)}));
}

TEST_CASE("an introduction is opened by whom it is sealed to, and by nobody else") {
    start_crypto();
    net::SeededRandom random(4);
    const auto secret = make_tunnel_secret(random), other = make_tunnel_secret(random);
    const net::Bytes wire(300, std::byte{7});
    const std::vector<net::ByteView> wires{wire, wire};
    auto datagram = make_introduction(public_key(secret), wires, random, {});
    REQUIRE(datagram);
    CHECK(is_introduction(*datagram));
    CHECK(datagram->size() <= kMaxIntroductionBytes);
    CHECK(open_introduction(secret, *datagram) == std::vector{wire, wire});
    CHECK_FALSE(open_introduction(other, *datagram));
    (*datagram)[50] ^= std::byte{1};
    CHECK_FALSE(open_introduction(secret, *datagram));
    const net::Bytes large(1200, std::byte{7});
    const std::vector<net::ByteView> too_large{large};
    CHECK_FALSE(make_introduction(public_key(secret), too_large, random, {}));
}
