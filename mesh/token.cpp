#include "mesh/token.hpp"

#include <algorithm>

#include "net/text.hpp"
#include "net/wiped.hpp"

namespace mesh {
namespace {

constexpr std::string_view kPrefix = "meshd1-";
constexpr std::uint8_t kTokenFormat = 1, kFormatWithStreams = 2;
constexpr std::uint8_t kStream = 16;  // on top of 4 or 6
constexpr std::size_t kMaxContacts = kMaxTokenEndpoints + kMaxTokenStreams;
constexpr std::size_t kChecksum = 4;

net::Bytes checksum(net::ByteView of) {
    const auto hash = blake2s({net::as_bytes("meshd token checksum 1"), of});
    return net::copy(hash.view().first(kChecksum));
}

/// What stands before the checksum.
std::optional<Token> read(net::ByteView bytes) {
    net::Reader in(bytes);
    const bool may_have_streams = in.u8() == kFormatWithStreams;
    Token token;
    const auto mesh_id = net::NodeKey::from(in.bytes(32));
    token.expires = static_cast<std::int64_t>(in.u64be() & INT64_MAX);
    const auto secret = in.bytes(32);
    if (!in.ok()) return std::nullopt;
    token.mesh_id = *mesh_id;
    token.secret = net::Secret<32>(secret.first<32>());
    std::vector<net::TunnelKey> keys(in.u8());
    if (keys.size() > kMaxContacts) return std::nullopt;
    for (auto& key : keys) key = net::TunnelKey::from(in.bytes(32)).value_or(net::TunnelKey{});
    const std::size_t contacts = in.u8();
    if (contacts > kMaxContacts) return std::nullopt;
    for (std::size_t i = 0; i < contacts; ++i) {
        const std::size_t key = in.u8();
        const auto kind = in.u8();
        const bool stream = may_have_streams && (kind & kStream) != 0;
        const unsigned version = stream ? kind - kStream : kind;
        if (key >= keys.size() || (version != 4 && version != 6)) return std::nullopt;
        net::Endpoint endpoint;
        endpoint.address = net::IpAddress::from_bytes(in.bytes(version == 4 ? 4 : 16));
        endpoint.port = in.u16be();
        if (!in.ok() || endpoint.port == 0) return std::nullopt;
        token.contacts.push_back({keys[key], endpoint, stream});
    }
    return in.at_end() ? std::optional(std::move(token)) : std::nullopt;
}

}  // namespace

std::string Token::text() const {
    std::vector<net::TunnelKey> keys;
    const auto shown = std::min(contacts.size(), kMaxContacts);
    const bool has_streams = std::any_of(contacts.begin(), contacts.end(), [](const Contact& one) { return one.stream; });
    for (std::size_t i = 0; i < shown; ++i)
        if (std::find(keys.begin(), keys.end(), contacts[i].key) == keys.end()) keys.push_back(contacts[i].key);
    net::Writer out;
    out.u8(has_streams ? kFormatWithStreams : kTokenFormat).bytes(mesh_id.view()).u64be(static_cast<std::uint64_t>(expires)).bytes(secret.view());
    out.u8(static_cast<std::uint8_t>(keys.size()));
    for (const auto& key : keys) out.bytes(key.view());
    out.u8(static_cast<std::uint8_t>(shown));
    for (std::size_t i = 0; i < shown; ++i) {
        const auto& [key, endpoint, stream] = contacts[i];
        out.u8(static_cast<std::uint8_t>(std::find(keys.begin(), keys.end(), key) - keys.begin()));
        out.u8(static_cast<std::uint8_t>((endpoint.address.is_v4() ? 4 : 6) + (stream ? kStream : 0))).bytes(endpoint.address.bytes()).u16be(endpoint.port);
    }
    out.bytes(checksum(out.view()));
    auto bytes = out.take();
    const net::WipedAtEnd wiped_bytes(bytes);
    auto encoded = net::to_base64url(bytes);
    const net::WipedAtEnd wiped_text(encoded);
    return std::string(kPrefix) + encoded;
}

net::Result<Token> Token::parse(std::string_view text) {
    text = net::trim(text);
    if (!text.starts_with(kPrefix))
        return net::fail("this is no token of meshd: it must begin with \"meshd1-\"; copy all that `meshctl invite` printed");
    auto bytes = net::from_base64url(text.substr(kPrefix.size())).value_or(net::Bytes{});
    const net::WipedAtEnd wiped(bytes);
    if (bytes.size() <= kChecksum)
        return net::fail("the token is mistyped or cut short; copy all that `meshctl invite` printed");
    const auto content = net::ByteView(bytes).first(bytes.size() - kChecksum);
    if (checksum(content) != net::copy(net::ByteView(bytes).last(kChecksum)))
        return net::fail("the token is mistyped or cut short (its checksum does not hold); copy all that `meshctl invite` printed");
    const auto format = std::to_integer<unsigned>(content[0]);
    if (format != kTokenFormat && format != kFormatWithStreams)
        return net::fail("the token was made by a newer meshd; update this one");
    auto token = read(content);
    if (!token) return net::fail("the token is damaged; ask for a new one");
    return std::move(*token);
}

net::Result<void> Token::check_time(net::Wall now) const {
    if (net::unix_seconds(now) <= expires) return {};
    return net::fail("the token has expired (or this machine's clock is wrong); ask for a new one with `meshctl invite`");
}

net::NodeSecret Token::signing_secret() const {
    auto derived = hmac_blake2s(secret.view(), {net::as_bytes("meshd token key 1"), mesh_id.view()});
    const net::Secret<32> seed(std::span<const std::byte, 32>(derived.bytes));
    explicit_bzero(derived.bytes.data(), derived.bytes.size());
    return node_secret_from_seed(seed);
}

net::TunnelSecret Token::tunnel_secret() const { return tunnel_secret_of(signing_secret()); }

net::TunnelKey Token::tunnel_key() const { return public_key(tunnel_secret()); }

}  // namespace mesh
