#include "loop/tls_session.hpp"

#include <algorithm>

#include "loop/tls_inner.hpp"
#include "net/address.hpp"
#include "net/text.hpp"

namespace loop {
namespace {

std::string_view text_of(const ASN1_STRING* string) {
    return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(string)),
            static_cast<std::size_t>(ASN1_STRING_length(string))};
}

/// The domain of an identity that is a SIP URI; empty of one with a user part, which is a person's (RFC 5922 7.1).
std::string_view domain_of(std::string_view uri) {
    if (uri.size() < 4 || !net::equals_ignoring_case(uri.substr(0, 4), "sip:")) return {};
    uri.remove_prefix(4);
    return uri.find('@') == uri.npos ? uri.substr(0, uri.find_first_of(":;?")) : std::string_view{};
}

bool is_for(X509* certificate, const std::string& peer) {
    if (const auto address = net::IpAddress::parse(peer)) {
        return X509_check_ip_asc(certificate, address->text().c_str(), 0) == 1;
    }
    using Names = std::unique_ptr<GENERAL_NAMES, Freed<GENERAL_NAMES_free>>;
    const Names names(static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
    bool has_identity = false;
    for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
        const auto* name = sk_GENERAL_NAME_value(names.get(), i);
        std::string_view identity;
        if (name->type == GEN_URI) identity = domain_of(text_of(name->d.uniformResourceIdentifier));
        if (name->type == GEN_DNS) identity = text_of(name->d.dNSName);
        has_identity |= !identity.empty();
        if (!identity.empty() && net::equals_ignoring_case(identity, peer)) return true;
    }
    if (has_identity) return false;
    const auto* subject = X509_get_subject_name(certificate);
    const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0) return false;
    return net::equals_ignoring_case(text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at))), peer);
}

}  // namespace

struct TlsSession::Inner {
    std::shared_ptr<const TlsContext> context;
    std::string peer;
    Ssl ssl;
    BIO* from_wire = nullptr;  // both the SSL's
    BIO* to_wire = nullptr;
};

TlsSession::TlsSession(std::shared_ptr<const TlsContext> context, std::string peer) : inner_(std::make_unique<Inner>()) {
    auto& in = *inner_;
    in.context = std::move(context);
    in.peer = std::move(peer);
    ERR_clear_error();
    in.ssl.reset(SSL_new(in.context->inner().ctx.get()));
    MemoryBio from(BIO_new(BIO_s_mem())), to(BIO_new(BIO_s_mem()));
    if (!in.ssl || !from || !to) {
        fail("TLS cannot be had: " + tls_error());
        return;
    }
    BIO_set_mem_eof_return(from.get(), -1);  // nothing there is "later", not "the end"
    BIO_set_mem_eof_return(to.get(), -1);
    in.from_wire = from.release();
    in.to_wire = to.release();
    SSL_set_bio(in.ssl.get(), in.from_wire, in.to_wire);
    if (in.context->inner().is_server) {
        SSL_set_accept_state(in.ssl.get());
        return;
    }
    SSL_set_connect_state(in.ssl.get());
    if (!in.peer.empty() && !net::IpAddress::parse(in.peer)) SSL_set_tlsext_host_name(in.ssl.get(), in.peer.c_str());
    shake_hands();
}

TlsSession::~TlsSession() = default;

void TlsSession::fail(std::string why) {
    state_ = State::failed;
    why_ = std::move(why);
    waiting_ = {};
}

std::string TlsSession::alpn() const {
    const unsigned char* chosen = nullptr;
    unsigned size = 0;
    if (inner_->ssl) SSL_get0_alpn_selected(inner_->ssl.get(), &chosen, &size);
    return size == 0 ? std::string() : std::string(reinterpret_cast<const char*>(chosen), size);
}

void TlsSession::shake_hands() {
    auto& in = *inner_;
    ERR_clear_error();
    const int done = SSL_do_handshake(in.ssl.get());
    if (done != 1) {
        const int error = SSL_get_error(in.ssl.get(), done);
        if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return;
        const auto verdict = SSL_get_verify_result(in.ssl.get());
        auto text = tls_error();
        if (in.context->inner().verify && verdict != X509_V_OK) text = X509_verify_cert_error_string(verdict);
        return fail("TLS: " + (text.empty() ? std::string("the handshake failed") : text));
    }
    if (in.context->inner().verify) {
        const Certificate certificate(SSL_get1_peer_certificate(in.ssl.get()));
        if (!certificate || in.peer.empty() || !is_for(certificate.get(), in.peer)) {
            return fail("TLS: the certificate is not for " + in.peer);
        }
    }
    state_ = State::open;
    write_waiting();
}

void TlsSession::feed(net::ByteView wire, net::Bytes& plain) {
    if (state_ == State::closed || state_ == State::failed) return;
    while (!wire.empty() && state_ != State::closed && state_ != State::failed) {
        const auto some = wire.first(std::min<std::size_t>(wire.size(), 16384));
        const int taken = BIO_write(inner_->from_wire, some.data(), static_cast<int>(some.size()));
        if (taken <= 0) return fail("TLS: out of memory");
        wire = wire.subspan(static_cast<std::size_t>(taken));
        turn(plain);
    }
}

void TlsSession::turn(net::Bytes& plain) {
    if (state_ == State::handshaking) shake_hands();
    while (state_ == State::open) {
        std::byte buffer[16384];
        ERR_clear_error();
        const int size = SSL_read(inner_->ssl.get(), buffer, sizeof buffer);
        if (size > 0) {
            plain.insert(plain.end(), buffer, buffer + size);
            continue;
        }
        switch (SSL_get_error(inner_->ssl.get(), size)) {
            case SSL_ERROR_WANT_READ:
            case SSL_ERROR_WANT_WRITE:
                return;
            case SSL_ERROR_ZERO_RETURN:
                state_ = State::closed;
                return;
            default: {
                const auto text = tls_error();
                return fail("TLS: " + (text.empty() ? std::string("broken") : text));
            }
        }
    }
}

void TlsSession::write(net::ByteView plain) {
    if (state_ == State::closed || state_ == State::failed) return;
    waiting_.insert(waiting_.end(), plain.begin(), plain.end());
    if (state_ == State::open) write_waiting();
}

void TlsSession::write_waiting() {
    std::size_t sent = 0;
    while (sent < waiting_.size()) {
        ERR_clear_error();
        const auto left = std::min<std::size_t>(waiting_.size() - sent, 16384);
        const int size = SSL_write(inner_->ssl.get(), waiting_.data() + sent, static_cast<int>(left));
        if (size <= 0) return fail("TLS: " + tls_error());  // a memory BIO takes all that there is
        sent += static_cast<std::size_t>(size);
    }
    waiting_ = {};
}

void TlsSession::close() {
    if (state_ != State::open) return;
    ERR_clear_error();
    SSL_shutdown(inner_->ssl.get());
    state_ = State::closed;
}

net::Bytes TlsSession::take_wire() {
    net::Bytes out;
    if (inner_->to_wire == nullptr) return out;
    const auto waiting = BIO_ctrl_pending(inner_->to_wire);
    out.resize(waiting);
    if (waiting == 0) return out;
    const int taken = BIO_read(inner_->to_wire, out.data(), static_cast<int>(waiting));
    out.resize(taken > 0 ? static_cast<std::size_t>(taken) : 0);
    return out;
}

}  // namespace loop
