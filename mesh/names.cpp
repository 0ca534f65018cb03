// Names, subjects and addresses: bodies.hpp.
#include <algorithm>

#include "mesh/bodies.hpp"
#include "net/text.hpp"

namespace mesh {
namespace {

bool is_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

}  // namespace

std::vector<std::string> Roles::names() const {
    std::vector<std::string> out;
    if (has(Role::admin)) out.emplace_back("admin");
    if (has(Role::relay)) out.emplace_back("relay");
    if (has(Role::exit)) out.emplace_back("exit");
    if (has(Role::voice)) out.emplace_back("voice");
    return out;
}

std::string as_subject(net::ByteView key) { return std::string(net::as_text(key)); }
std::optional<net::NodeKey> node_key(std::string_view subject) { return net::NodeKey::from(net::as_bytes(subject)); }

bool is_node_name(std::string_view name) {
    if (name.empty() || name.size() > 63 || name.front() == '-' || name.back() == '-') return false;
    return std::all_of(name.begin(), name.end(), [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

std::optional<std::string> normal_aor(std::string_view text) {
    const auto at = text.find('@');
    if (at == std::string_view::npos || at == 0 || text.size() > kMaxSubjectBytes) return std::nullopt;
    const auto user = text.substr(0, at), domain = text.substr(at + 1);
    // RFC 3261 section 25.1: unreserved and user-unreserved; an escaped user part is more than this mesh needs.
    const std::string_view marks = "-_.!~*'()&=+$,;?/";
    if (!std::all_of(user.begin(), user.end(), [&](char c) { return is_alnum(c) || marks.find(c) != std::string_view::npos; }))
        return std::nullopt;
    if (domain.empty() || domain.front() == '.' || domain.back() == '.' || domain.front() == '-') return std::nullopt;
    if (!std::all_of(domain.begin(), domain.end(), [](char c) { return is_alnum(c) || c == '.' || c == '-'; }))
        return std::nullopt;
    return std::string(user) + "@" + net::to_lower(domain);
}

bool is_number(std::string_view text) {
    const auto digits = text.starts_with('+') ? text.substr(1) : text;
    if (digits.empty() || digits.size() > 31) return false;
    return std::all_of(digits.begin(), digits.end(), [](char c) { return (c >= '0' && c <= '9') || c == '*' || c == '#'; });
}

std::uint64_t user_id(std::string_view aor) {
    const auto hash = blake2s({net::as_bytes("meshd user 1"), net::as_bytes(aor)});
    return net::Reader(hash.view()).u64be();
}

std::uint8_t shard_of(std::string_view aor) { return static_cast<std::uint8_t>(user_id(aor) >> 56); }

// RFC 4193 section 3.2: fd, then a global id of 40 bits.
net::Prefix overlay_prefix(const net::NodeKey& mesh_id) {
    const auto hash = blake2s({net::as_bytes("meshd ula 1"), mesh_id.view()});
    std::array<std::byte, 16> bytes{};
    bytes[0] = std::byte{0xfd};
    std::copy_n(hash.bytes.begin(), 5, bytes.begin() + 1);
    return {net::IpAddress::v6(bytes), 48};
}

net::IpAddress overlay_address(const net::NodeKey& mesh_id, net::ByteView node_key) {
    const auto prefix = overlay_prefix(mesh_id);
    const auto hash = blake2s({net::as_bytes("meshd address 1"), mesh_id.view(), node_key});
    std::array<std::byte, 16> bytes{};
    std::copy_n(prefix.address().bytes().begin(), 6, bytes.begin());
    std::copy_n(hash.bytes.begin(), 10, bytes.begin() + 6);
    return net::IpAddress::v6(bytes);
}

}  // namespace mesh
