/// Digest authentication, the server's side (RFC 7616, RFC 8760, RFC 3261 section 22): MD5, SHA-256, SHA-512-256, qop
/// "auth". Passwords never come here, HA1 values do.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>

#include "net/random.hpp"
#include "net/secret.hpp"
#include "net/time.hpp"
#include "voice/message.hpp"

namespace voice {

enum class DigestAlgorithm : std::uint8_t { md5, sha256, sha512_256 };
std::string_view name(DigestAlgorithm algorithm);  ///< "MD5", "SHA-256", "SHA-512-256"
std::optional<DigestAlgorithm> digest_algorithm(std::string_view name);

/// Lower-case hex of the hash.
std::string digest_hash(DigestAlgorithm algorithm, std::string_view text);
/// H(user:realm:password).
std::string digest_ha1(DigestAlgorithm algorithm, std::string_view user, std::string_view realm, std::string_view password);
/// The response value. `qop` empty: RFC 2069's form.
std::string digest_response(DigestAlgorithm algorithm, std::string_view ha1, std::string_view nonce, std::string_view nc,
                            std::string_view cnonce, std::string_view qop, std::string_view method, std::string_view uri);

/// What a client said in Authorization or Proxy-Authorization. Quotes are gone, escapes resolved.
struct DigestCredentials {
    std::string username, realm, nonce, uri, response, cnonce, nc, qop, opaque;
    DigestAlgorithm algorithm = DigestAlgorithm::md5;
    bool known_algorithm = true;
    static std::optional<DigestCredentials> parse(std::string_view header_value);
};

/// The realm that a challenge (WWW-Authenticate or Proxy-Authenticate) is for; nullopt if it is none of Digest's.
std::optional<std::string> digest_realm(std::string_view challenge);

/// Digest's client side, for our own requests: the header value that answers `challenge`; nullopt if it cannot be met.
std::optional<std::string> digest_answer(std::string_view challenge, std::string_view user, std::string_view password,
                                         std::string_view method, std::string_view uri, net::Random& random);

/// Makes challenges and checks answers for one realm. A nonce carries its time under a MAC, so that none is stored
/// before it has been answered rightly; those that have been are kept, bounded, with the counts they have seen.
class DigestServer {
public:
    struct Settings {
        std::string realm;
        net::Duration nonce_life = std::chrono::seconds(300);
        std::size_t max_nonces = 20000;  ///< answered ones; the oldest goes first, and is stale from then on
    };
    enum class Verdict : std::uint8_t {
        good,
        absent,   ///< no credentials for this realm: challenge
        stale,    ///< right, but nonce too old or forgotten: challenge with stale=true
        replayed, ///< right, but this nonce count was seen: challenge with stale=true
        wrong,    ///< wrong password, user, uri, or a nonce that is not ours: challenge or 403
    };
    struct Check {
        Verdict verdict = Verdict::absent;
        std::string username;  ///< as claimed; empty if absent
    };
    /// HA1 of a user in our realm for an algorithm, lower-case hex; nullopt: no such user or no such HA1. Constant work
    /// for unknown users is done here.
    using Ha1Of = std::function<std::optional<std::string>(std::string_view user, DigestAlgorithm)>;

    DigestServer(Settings settings, net::Random& random);
    ~DigestServer();
    DigestServer(const DigestServer&) = delete;
    DigestServer& operator=(const DigestServer&) = delete;

    /// Header values for one WWW-Authenticate or Proxy-Authenticate each, best algorithm first (RFC 8760 2.4).
    std::vector<std::string> challenges(net::Now now, bool stale = false,
                                        const std::vector<DigestAlgorithm>& algorithms = {DigestAlgorithm::sha256,
                                                                                            DigestAlgorithm::md5});
    /// Looks through all credentials headers of that name ("Authorization" or "Proxy-Authorization"). Their uri must name
    /// the Request-URI's host. A nonce of an earlier run under the right password is stale, so phones just try again.
    Check check(const Message& request, std::string_view header, const Ha1Of& ha1_of, net::Now now);

    std::size_t nonces() const { return counts_.size(); }

private:
    struct Seen {
        net::Steady made;
        std::uint32_t highest = 0;
        std::uint64_t window = 0;  ///< bit n: highest - n was seen
    };
    struct Mac;
    std::string make_nonce(net::Now now);
    std::optional<net::Steady> made_at(std::string_view nonce) const;
    std::string mac_of(std::string_view text) const;

    Settings settings_;
    std::unique_ptr<Mac> mac_;
    std::uint64_t made_ = 0;
    std::map<std::string, Seen, std::less<>> counts_;
    std::deque<std::string> order_;
    net::Steady forgotten_before_ = net::Steady::min();  ///< nonces made up to here may have had counts that are gone
};

}  // namespace voice
