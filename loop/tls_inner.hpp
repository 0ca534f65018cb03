/// Inside of loop/tls: owners of libssl's objects, and its errors as text.
#pragma once

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "loop/tls.hpp"

namespace loop {

template <auto Free>
struct Freed {
    template <class T>
    void operator()(T* object) const {
        Free(object);
    }
};
using SslCtx = std::unique_ptr<SSL_CTX, Freed<SSL_CTX_free>>;
using Ssl = std::unique_ptr<SSL, Freed<SSL_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using MemoryBio = std::unique_ptr<BIO, Freed<BIO_free>>;

struct TlsContext::Inner {
    SslCtx ctx;
    bool is_server = false;
    bool verify = false;
    std::string alpn;  ///< as on the wire: a byte of length before it. The context's callback refers to it
};

/// What libssl says went wrong last, for people; its queue of errors is empty then.
std::string tls_error();

}  // namespace loop
