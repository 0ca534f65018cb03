#include "voice/digest.hpp"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "net/text.hpp"

namespace voice {
namespace {

/// Looked up once: EVP_md5() and its like are looked up anew at each use, which costs more than a short text's hash.
const EVP_MD* evp(DigestAlgorithm algorithm) {
    static const EVP_MD* const kMd5 = EVP_MD_fetch(nullptr, "MD5", nullptr);
    static const EVP_MD* const kSha256 = EVP_MD_fetch(nullptr, "SHA2-256", nullptr);
    static const EVP_MD* const kSha512_256 = EVP_MD_fetch(nullptr, "SHA2-512/256", nullptr);
    switch (algorithm) {
    case DigestAlgorithm::md5: return kMd5;
    case DigestAlgorithm::sha256: return kSha256;
    case DigestAlgorithm::sha512_256: return kSha512_256;
    }
    return kSha256;
}

std::string joined(std::initializer_list<std::string_view> parts) {
    std::string out;
    for (const auto part : parts) {
        out += part;
        out += ':';
    }
    out.pop_back();
    return out;
}

bool same(std::string_view a, std::string_view b) {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    return out + '"';
}

std::string unquoted(std::string_view text) {
    if (text.size() < 2 || text.front() != '"' || text.back() != '"') return std::string(text);
    if (text.find('\\') == text.npos) return std::string(text.substr(1, text.size() - 2));
    std::string out;
    for (std::size_t i = 1; i + 1 < text.size(); ++i) {
        if (text[i] == '\\' && i + 2 < text.size()) ++i;
        out += text[i];
    }
    return out;
}

/// name=value pairs behind the word "Digest", values with their quotes; false, when some may have been told already, if the
/// scheme is another or a pair is none.
template <class Each>
bool each_pair(std::string_view value, Each each) {
    constexpr unsigned kMost = 32;
    const auto space = value.find_first_of(" \t");
    if (space == value.npos || !net::equals_ignoring_case(value.substr(0, space), "Digest")) return false;
    auto rest = value.substr(space + 1);
    for (unsigned count = 0; count < kMost; ++count) {
        const auto piece = first_in_list(rest);
        const auto equals = piece.find('=');
        if (equals == piece.npos) return false;
        each(net::trim(piece.substr(0, equals)), net::trim(piece.substr(equals + 1)));
        const auto comma = rest.find(',', static_cast<std::size_t>(piece.data() + piece.size() - rest.data()));
        if (comma == rest.npos) return true;
        rest.remove_prefix(comma + 1);
    }
    return false;
}

std::optional<std::vector<std::pair<std::string, std::string>>> pairs_of(std::string_view value) {
    std::vector<std::pair<std::string, std::string>> pairs;
    const bool good = each_pair(value, [&](std::string_view name, std::string_view text) {
        pairs.emplace_back(net::to_lower(name), unquoted(text));
    });
    return good ? std::optional(std::move(pairs)) : std::nullopt;
}

}  // namespace

std::string_view name(DigestAlgorithm algorithm) {
    switch (algorithm) {
    case DigestAlgorithm::md5: return "MD5";
    case DigestAlgorithm::sha256: return "SHA-256";
    case DigestAlgorithm::sha512_256: return "SHA-512-256";
    }
    return "";
}

std::optional<DigestAlgorithm> digest_algorithm(std::string_view text) {
    for (const auto algorithm : {DigestAlgorithm::md5, DigestAlgorithm::sha256, DigestAlgorithm::sha512_256}) {
        if (net::equals_ignoring_case(text, name(algorithm))) return algorithm;
    }
    return std::nullopt;
}

std::string digest_hash(DigestAlgorithm algorithm, std::string_view text) {
    std::array<std::byte, EVP_MAX_MD_SIZE> out{};
    unsigned size = 0;
    if (EVP_Digest(text.data(), text.size(), net::u8(net::MutableBytes(out)), &size, evp(algorithm), nullptr) != 1) return {};
    return net::to_hex(net::ByteView(out).first(size));
}

std::string digest_ha1(DigestAlgorithm algorithm, std::string_view user, std::string_view realm, std::string_view password) {
    auto text = joined({user, realm, password});
    auto hash = digest_hash(algorithm, text);
    OPENSSL_cleanse(text.data(), text.size());
    return hash;
}

std::string digest_response(DigestAlgorithm algorithm, std::string_view ha1, std::string_view nonce, std::string_view nc,
                            std::string_view cnonce, std::string_view qop, std::string_view method, std::string_view uri) {
    const auto ha2 = digest_hash(algorithm, joined({method, uri}));
    if (qop.empty()) return digest_hash(algorithm, joined({ha1, nonce, ha2}));
    return digest_hash(algorithm, joined({ha1, nonce, nc, cnonce, qop, ha2}));
}

std::optional<DigestCredentials> DigestCredentials::parse(std::string_view header_value) {
    DigestCredentials out;
    const bool good = each_pair(header_value, [&](std::string_view key, std::string_view value) {
        const auto is = [&](std::string_view name) { return net::equals_ignoring_case(key, name); };
        if (is("username")) out.username = unquoted(value);
        if (is("realm")) out.realm = unquoted(value);
        if (is("nonce")) out.nonce = unquoted(value);
        if (is("uri")) out.uri = unquoted(value);
        if (is("response")) out.response = net::to_lower(unquoted(value));
        if (is("cnonce")) out.cnonce = unquoted(value);
        if (is("nc")) out.nc = unquoted(value);
        if (is("qop")) out.qop = net::to_lower(unquoted(value));
        if (is("opaque")) out.opaque = unquoted(value);
        if (is("algorithm")) {
            const auto known = digest_algorithm(unquoted(value));
            out.known_algorithm = known.has_value();
            out.algorithm = known.value_or(DigestAlgorithm::md5);
        }
    });
    if (!good) return std::nullopt;
    if (out.username.empty() || out.nonce.empty() || out.uri.empty() || out.response.empty()) return std::nullopt;
    return out;
}

std::optional<std::string> digest_realm(std::string_view challenge) {
    std::optional<std::string> realm;
    const bool good = each_pair(challenge, [&](std::string_view key, std::string_view value) {
        if (!realm && net::equals_ignoring_case(key, "realm")) realm = unquoted(value);
    });
    return good ? realm : std::nullopt;
}

std::optional<std::string> digest_answer(std::string_view challenge, std::string_view user, std::string_view password,
                                         std::string_view method, std::string_view uri, net::Random& random) {
    const auto pairs = pairs_of(challenge);
    if (!pairs) return std::nullopt;
    std::string realm, nonce, opaque, qops;
    std::string_view algorithm_name = "MD5";
    for (const auto& [key, value] : *pairs) {
        if (key == "realm") realm = value;
        if (key == "nonce") nonce = value;
        if (key == "opaque") opaque = value;
        if (key == "qop") qops = value;
        if (key == "algorithm") algorithm_name = value;
    }
    const auto algorithm = digest_algorithm(algorithm_name);
    if (!algorithm || nonce.empty()) return std::nullopt;
    bool auth = false;
    for (const auto qop : split_list(qops)) auth = auth || net::equals_ignoring_case(qop, "auth");
    if (!qops.empty() && !auth) return std::nullopt;
    std::array<std::byte, 8> drawn{};
    random.fill(drawn);
    const auto cnonce = net::to_hex(drawn);
    auto ha1 = digest_ha1(*algorithm, user, realm, password);
    const auto response = digest_response(*algorithm, ha1, nonce, "00000001", cnonce, auth ? "auth" : "", method, uri);
    OPENSSL_cleanse(ha1.data(), ha1.size());
    auto out = "Digest username=" + quoted(user) + ", realm=" + quoted(realm) + ", nonce=" + quoted(nonce) +
               ", uri=" + quoted(uri) + ", response=\"" + response + "\", algorithm=" + std::string(name(*algorithm));
    if (auth) out += ", cnonce=\"" + cnonce + "\", qop=auth, nc=00000001";
    if (!opaque.empty()) out += ", opaque=" + quoted(opaque);
    return out;
}

/// HMAC-SHA-256 under a key that is set once: looking the algorithm up and setting the key cost many times the hash.
struct DigestServer::Mac {
    explicit Mac(net::Random& random) {
        net::Secret<32> key;
        random.fill(key.fill());
        auto* const hmac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
        context = EVP_MAC_CTX_new(hmac);
        EVP_MAC_free(hmac);
        char digest[] = "SHA256";
        const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                                     OSSL_PARAM_construct_end()};
        if (context == nullptr || EVP_MAC_init(context, key.data(), key.size(), params) != 1) {
            throw std::runtime_error("libcrypto has no HMAC-SHA-256");
        }
    }
    ~Mac() { EVP_MAC_CTX_free(context); }
    Mac(const Mac&) = delete;
    Mac& operator=(const Mac&) = delete;

    EVP_MAC_CTX* context = nullptr;
};

DigestServer::DigestServer(Settings settings, net::Random& random)
    : settings_(std::move(settings)), mac_(std::make_unique<Mac>(random)) {}
DigestServer::~DigestServer() = default;

std::string DigestServer::mac_of(std::string_view text) const {
    std::array<std::byte, 32> out{};
    std::size_t size = 0;
    auto* const context = mac_->context;
    const bool good = EVP_MAC_init(context, nullptr, 0, nullptr) == 1 &&
                      EVP_MAC_update(context, net::u8(net::as_bytes(text)), text.size()) == 1 &&
                      EVP_MAC_update(context, net::u8(net::as_bytes(settings_.realm)), settings_.realm.size()) == 1 &&
                      EVP_MAC_final(context, net::u8(net::MutableBytes(out)), &size, out.size()) == 1;
    if (!good) throw std::runtime_error("libcrypto cannot make an HMAC");
    return net::to_hex(net::ByteView(out).first(16));
}

// A nonce: when it was made in milliseconds of our steady clock, its number in this life, and a MAC over both under a key
// of this life.
std::string DigestServer::make_nonce(net::Now now) {
    net::Writer writer;
    writer.u64be(static_cast<std::uint64_t>(now.steady.time_since_epoch() / std::chrono::milliseconds(1))).u64be(++made_);
    const auto text = net::to_hex(writer.view());
    return text + mac_of(text);
}

std::optional<net::Steady> DigestServer::made_at(std::string_view nonce) const {
    if (nonce.size() != 64 || !same(nonce.substr(32), mac_of(nonce.substr(0, 32)))) return std::nullopt;
    const auto bytes = net::from_hex(nonce.substr(0, 16));
    if (!bytes) return std::nullopt;
    return net::Steady(std::chrono::milliseconds(static_cast<std::int64_t>(net::Reader(*bytes).u64be())));
}

std::vector<std::string> DigestServer::challenges(net::Now now, bool stale, const std::vector<DigestAlgorithm>& algorithms) {
    std::vector<std::string> out;
    const auto nonce = make_nonce(now);
    for (const auto algorithm : algorithms) {
        out.push_back("Digest realm=" + quoted(settings_.realm) + ", nonce=\"" + nonce + "\", qop=\"auth\", algorithm=" +
                      std::string(name(algorithm)) + (stale ? ", stale=true" : ""));
    }
    return out;
}

DigestServer::Check DigestServer::check(const Message& request, std::string_view header, const Ha1Of& ha1_of, net::Now now) {
    for (const auto value : request.get_all(header)) {
        const auto given = DigestCredentials::parse(value);
        if (!given || given->realm != settings_.realm) continue;
        Check result{Verdict::wrong, given->username};
        if (!given->known_algorithm || (!given->qop.empty() && given->qop != "auth")) return result;
        const auto made = made_at(given->nonce);
        // A nonce of a life before ours is not wrong, it is old: the phone shall simply try again.
        const bool known_nonce = made.has_value();
        if (known_nonce && *made > now.steady) return result;
        // RFC 3261 22.4 item 1, loosely: a proxy on the way may have changed the Request-URI, but not what it names.
        const auto uri = Uri::parse(given->uri);
        if (!uri || !net::equals_ignoring_case(uri->host, request.uri().host)) return result;

        const auto ha1 = ha1_of(given->username, given->algorithm);
        const auto expected = digest_response(given->algorithm, ha1.value_or(std::string(32, '0')), given->nonce, given->nc,
                                              given->cnonce, given->qop, request.method(), given->uri);
        if (!ha1 || !same(expected, given->response)) return result;
        if (!known_nonce || now.steady - *made > settings_.nonce_life) return {Verdict::stale, given->username};
        if (given->qop.empty()) {
            // RFC 2069's form has no count: such a nonce is good once.
            if (counts_.contains(given->nonce)) return {Verdict::replayed, given->username};
        } else if (given->cnonce.empty() || given->nc.size() != 8) {
            return result;
        }
        std::uint32_t count = 1;
        if (!given->qop.empty()) {
            const auto bytes = net::from_hex(net::to_lower(given->nc));
            if (!bytes) return result;
            count = net::Reader(*bytes).u32be();
            if (count == 0) return result;
        }
        const auto [found, fresh] = counts_.try_emplace(given->nonce, Seen{*made, 0, 0});
        auto& seen = found->second;
        if (fresh) {
            order_.push_back(given->nonce);
            while (order_.size() > settings_.max_nonces) {
                forgotten_before_ = std::max(forgotten_before_, counts_.find(order_.front())->second.made);
                counts_.erase(order_.front());
                order_.pop_front();
            }
            // Counts of this nonce may be among those forgotten.
            if (*made <= forgotten_before_) return {Verdict::stale, given->username};
        }
        if (count > seen.highest) {
            const auto ahead = count - seen.highest;
            seen.window = ahead < 64 ? seen.window << ahead | 1 : 1;
            seen.highest = count;
        } else {
            const auto behind = seen.highest - count;
            if (behind >= 64 || (seen.window >> behind & 1) != 0) return {Verdict::replayed, given->username};
            seen.window |= std::uint64_t{1} << behind;
        }
        // The old ones at the front are of no more use.
        while (!order_.empty()) {
            const auto old = counts_.find(order_.front());
            if (old != counts_.end() && now.steady - old->second.made <= settings_.nonce_life) break;
            if (old != counts_.end()) counts_.erase(old);
            order_.pop_front();
        }
        return {Verdict::good, given->username};
    }
    return {};
}

}  // namespace voice
