/// What TLS needs that many connections share: a certificate and its key, or whom to trust. TLS 1.2 and later, over
/// libssl; this and tls_session.hpp are all that the rest of the project sees of it.
#pragma once

#include <memory>
#include <string>

#include "net/bytes.hpp"
#include "net/result.hpp"

namespace loop {

class TlsContext {
public:
    /// For connections that come in. Both texts are PEM: the certificate, then those that signed it; a key without a
    /// passphrase. The error says what is wrong with which.
    /// `alpn`: the protocol that is agreed on where the client offers it (RFC 7301); empty: none is.
    static net::Result<std::shared_ptr<const TlsContext>> server(std::string_view certificate, std::string_view key,
                                                                 std::string_view alpn = {});

    struct Trust {
        bool verify = true;
        std::string authorities;  ///< PEM; empty: those that the machine trusts
        std::string alpn = {};    ///< the protocol to offer; empty: none
    };
    /// For connections that go out.
    static net::Result<std::shared_ptr<const TlsContext>> client(const Trust& trust);

    ~TlsContext();
    TlsContext(const TlsContext&) = delete;
    TlsContext& operator=(const TlsContext&) = delete;

    /// SHA-256 of the server's certificate: "AB:CD:...", as browsers and phones show it. Empty of a client.
    const std::string& fingerprint() const { return fingerprint_; }

    struct Inner;
    const Inner& inner() const { return *inner_; }

private:
    explicit TlsContext(std::unique_ptr<Inner> inner);
    std::unique_ptr<Inner> inner_;
    std::string fingerprint_;
};

/// A new P-256 key and a certificate that it signs itself, for ten years, PEM both. The names go into its
/// subjectAltName, addresses as such; the first is its subject too. The key is the caller's to wipe.
struct SelfSigned {
    std::string certificate;
    std::string key;
};
net::Result<SelfSigned> make_self_signed(const std::vector<std::string>& names);

}  // namespace loop
