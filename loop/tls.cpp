#include "loop/tls.hpp"

#include <openssl/pem.h>
#include <openssl/rand.h>

#include <cstring>

#include "loop/tls_inner.hpp"
#include "net/address.hpp"

namespace loop {
namespace {

constexpr long kSelfSignedFor_s = 3650L * 24 * 3600;
constexpr long kBackdated_s = 24L * 3600;  // a phone's clock may be behind ours

MemoryBio reading(std::string_view text) {
    return MemoryBio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string written(BIO* bio) {
    char* data = nullptr;
    const auto size = BIO_get_mem_data(bio, &data);
    return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

SslCtx new_ctx(const SSL_METHOD* method) {
    SslCtx ctx(SSL_CTX_new(method));
    if (!ctx) return ctx;
    SSL_CTX_set_min_proto_version(ctx.get(), TLS1_2_VERSION);
    SSL_CTX_set_options(ctx.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ctx.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ctx.get(), SSL_SESS_CACHE_OFF);
    return ctx;
}

/// A key with a passphrase is refused, not asked about on the terminal.
int no_passphrase(char*, int, int, void*) { return -1; }

/// RFC 7301 section 3.1: a list of one.
std::string alpn_list(std::string_view protocol) {
    if (protocol.empty() || protocol.size() > 255) return {};
    return static_cast<char>(protocol.size()) + std::string(protocol);
}

/// Ours if it is offered; else the handshake goes on as without.
int choose_alpn(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* offered, unsigned size, void* list) {
    const auto& ours = *static_cast<const std::string*>(list);
    unsigned char* chosen = nullptr;
    if (SSL_select_next_proto(&chosen, out_size, reinterpret_cast<const unsigned char*>(ours.data()),
                              static_cast<unsigned>(ours.size()), offered, size) != OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

std::string fingerprint_of(const X509* certificate) {
    constexpr std::string_view kHex = "0123456789ABCDEF";
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    std::string out;
    if (X509_digest(certificate, EVP_sha256(), digest, &size) != 1) return out;
    for (unsigned i = 0; i < size; ++i) {
        if (i > 0) out += ':';
        out += kHex[digest[i] >> 4];
        out += kHex[digest[i] & 15];
    }
    return out;
}

std::string alternative_names(const std::vector<std::string>& names) {
    std::string out;
    for (const auto& name : names) {
        if (!out.empty()) out += ',';
        out += (net::IpAddress::parse(name) ? "IP:" : "DNS:") + name;
    }
    return out;
}

bool add_extension(X509* certificate, int nid, const std::string& value) {
    const std::unique_ptr<X509_EXTENSION, Freed<X509_EXTENSION_free>> extension(
        X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str()));
    return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

}  // namespace

std::string tls_error() {
    std::string out;
    while (const auto code = ERR_get_error()) {
        const char* reason = ERR_reason_error_string(code);
        out = reason != nullptr ? reason : "error " + std::to_string(code);
    }
    return out;
}

TlsContext::TlsContext(std::unique_ptr<Inner> inner) : inner_(std::move(inner)) {
    if (!inner_->is_server) return;
    if (const auto* certificate = SSL_CTX_get0_certificate(inner_->ctx.get())) fingerprint_ = fingerprint_of(certificate);
}

TlsContext::~TlsContext() = default;

net::Result<std::shared_ptr<const TlsContext>> TlsContext::server(std::string_view certificate, std::string_view key,
                                                                  std::string_view alpn) {
    ERR_clear_error();
    auto inner = std::make_unique<Inner>();
    inner->is_server = true;
    inner->ctx = new_ctx(TLS_server_method());
    if (!inner->ctx) return net::fail("TLS cannot be had: " + tls_error());

    const auto chain = reading(certificate);
    const Certificate own(PEM_read_bio_X509(chain.get(), nullptr, no_passphrase, nullptr));
    if (!own) return net::fail("the TLS certificate cannot be read (" + tls_error() + "); it must be PEM");
    if (SSL_CTX_use_certificate(inner->ctx.get(), own.get()) != 1) {
        return net::fail("the TLS certificate cannot be used: " + tls_error());
    }
    for (;;) {
        Certificate signer(PEM_read_bio_X509(chain.get(), nullptr, no_passphrase, nullptr));
        if (!signer) break;
        if (SSL_CTX_add0_chain_cert(inner->ctx.get(), signer.get()) != 1) break;
        static_cast<void>(signer.release());  // the context's now
    }
    ERR_clear_error();  // the end of the file is one

    const auto secret = reading(key);
    const Key own_key(PEM_read_bio_PrivateKey(secret.get(), nullptr, no_passphrase, nullptr));
    if (!own_key) {
        return net::fail("the TLS key cannot be read (" + tls_error() + "); it must be PEM, without a passphrase");
    }
    if (SSL_CTX_use_PrivateKey(inner->ctx.get(), own_key.get()) != 1 ||
        SSL_CTX_check_private_key(inner->ctx.get()) != 1) {
        ERR_clear_error();
        return net::fail("the TLS key is not that of the certificate");
    }
    inner->alpn = alpn_list(alpn);
    if (!inner->alpn.empty()) SSL_CTX_set_alpn_select_cb(inner->ctx.get(), choose_alpn, &inner->alpn);
    return std::shared_ptr<const TlsContext>(new TlsContext(std::move(inner)));
}

net::Result<std::shared_ptr<const TlsContext>> TlsContext::client(const Trust& trust) {
    ERR_clear_error();
    auto inner = std::make_unique<Inner>();
    inner->verify = trust.verify;
    inner->ctx = new_ctx(TLS_client_method());
    if (!inner->ctx) return net::fail("TLS cannot be had: " + tls_error());
    if (trust.verify) {
        SSL_CTX_set_verify(inner->ctx.get(), SSL_VERIFY_PEER, nullptr);
        if (trust.authorities.empty()) {
            SSL_CTX_set_default_verify_paths(inner->ctx.get());
        } else {
            const auto all = reading(trust.authorities);
            unsigned known = 0;
            for (;;) {
                const Certificate one(PEM_read_bio_X509(all.get(), nullptr, no_passphrase, nullptr));
                if (!one) break;
                known += X509_STORE_add_cert(SSL_CTX_get_cert_store(inner->ctx.get()), one.get()) == 1 ? 1 : 0;
            }
            ERR_clear_error();
            if (known == 0) return net::fail("there is no certificate in what TLS shall trust; it must be PEM");
        }
    }
    inner->alpn = alpn_list(trust.alpn);
    if (!inner->alpn.empty()) {
        SSL_CTX_set_alpn_protos(inner->ctx.get(), reinterpret_cast<const unsigned char*>(inner->alpn.data()),
                                static_cast<unsigned>(inner->alpn.size()));
    }
    return std::shared_ptr<const TlsContext>(new TlsContext(std::move(inner)));
}

net::Result<SelfSigned> make_self_signed(const std::vector<std::string>& names) {
    ERR_clear_error();
    const auto failed = [] { return net::fail("a TLS certificate cannot be made: " + tls_error()); };
    const Key key(EVP_EC_gen("P-256"));
    const Certificate certificate(X509_new());
    if (!key || !certificate || names.empty()) return failed();
    auto* x = certificate.get();
    std::uint64_t serial = 0;
    if (RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial) != 1) return failed();
    auto* subject = X509_get_subject_name(x);
    const auto common = names.front().substr(0, 64);  // X.520's ub-common-name
    const bool done =
        X509_set_version(x, X509_VERSION_3) == 1 && ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial >> 1) == 1 &&
        X509_gmtime_adj(X509_getm_notBefore(x), -kBackdated_s) != nullptr &&
        X509_gmtime_adj(X509_getm_notAfter(x), kSelfSignedFor_s) != nullptr && X509_set_pubkey(x, key.get()) == 1 &&
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(common.data()),
                                   static_cast<int>(common.size()), -1, 0) == 1 &&
        X509_set_issuer_name(x, subject) == 1 && add_extension(x, NID_subject_alt_name, alternative_names(names)) &&
        add_extension(x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
        X509_sign(x, key.get(), EVP_sha256()) != 0;
    if (!done) return failed();

    SelfSigned out;
    const MemoryBio text(BIO_new(BIO_s_mem()));
    const MemoryBio secret(BIO_new(BIO_s_secmem()));
    if (!text || !secret || PEM_write_bio_X509(text.get(), x) != 1 ||
        PEM_write_bio_PrivateKey(secret.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
        return failed();
    }
    out.certificate = written(text.get());
    out.key = written(secret.get());
    return out;
}

}  // namespace loop
