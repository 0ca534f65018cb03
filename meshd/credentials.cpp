#include "meshd/credentials.hpp"

#include "voice/digest.hpp"

namespace meshd {
namespace {

// realm, HA1 with MD5, with SHA-256, with SHA-512-256: a line each. Realms hold no line ends, as they are domain names.
// Records that were written before there was the last have no such line, and nodes of then do not look for it.
constexpr char kSeparator = '\n';

std::optional<std::string> take_line(std::string_view& text) {
    const auto end = text.find(kSeparator);
    if (end == std::string_view::npos) return std::nullopt;
    std::string line(text.substr(0, end));
    text.remove_prefix(end + 1);
    return line;
}

}  // namespace

net::Bytes make_credentials(const voice::Aor& aor, const std::string& realm, std::string_view password) {
    const auto user = std::string_view(aor).substr(0, aor.find('@'));
    std::string text = realm;
    for (const auto algorithm : {voice::DigestAlgorithm::md5, voice::DigestAlgorithm::sha256, voice::DigestAlgorithm::sha512_256}) {
        text += kSeparator + voice::digest_ha1(algorithm, user, realm, password);
    }
    text += kSeparator;
    return net::copy(net::as_bytes(text));
}

std::optional<voice::UserRecord> read_credentials(const voice::Aor& aor, net::ByteView credentials) {
    auto text = net::as_text(credentials);
    auto realm = take_line(text), md5 = take_line(text), sha256 = take_line(text);
    if (!realm || !md5 || !sha256) return std::nullopt;
    return voice::UserRecord{aor, std::move(*realm), std::move(*md5), std::move(*sha256), take_line(text).value_or("")};
}

}  // namespace meshd
