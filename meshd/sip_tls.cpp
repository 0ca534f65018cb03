#include "meshd/sip_tls.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "loop/file_descriptor.hpp"
#include "net/wiped.hpp"

namespace meshd {
namespace {

constexpr std::size_t kMaxFileBytes = 1 << 20;
constexpr std::string_view kOwnFile = "sip-tls.pem";

net::Result<std::string> text_of(const std::string& path) {
    const loop::FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.is_open()) return net::fail("cannot read " + path + ": " + std::strerror(errno));
    std::string text(kMaxFileBytes, '\0');
    const net::WipedAtEnd wipe(text);  // it may be a key
    std::size_t size = 0;
    for (;;) {
        const auto got = ::read(file.get(), text.data() + size, text.size() - size);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return net::fail("cannot read " + path + ": " + std::strerror(errno));
        if (got == 0) break;
        size += static_cast<std::size_t>(got);
    }
    return std::string(text.data(), size);
}

}  // namespace

SipTls::SipTls(const SipTlsConfig& config, const StateFolder& state, const std::vector<std::string>& names)
    : config_(config), own_(state.file(kOwnFile)) {
    if (is_own() && !state.has(kOwnFile)) {
        auto made = loop::make_self_signed(names);
        if (!made) throw std::runtime_error(made.error().message);
        const net::WipedAtEnd wipe_key(made->key);
        auto both = made->key + made->certificate;
        const net::WipedAtEnd wipe_both(both);
        state.write(kOwnFile, net::as_bytes(both));
    }
    seen_ = seen();
    auto loaded = load();
    if (!loaded) throw std::runtime_error(loaded.error().message);
    context_ = std::move(*loaded);
}

SipTls::Seen SipTls::seen() const {
    Seen out;
    const auto look = [](const std::string& path, std::int64_t& ns, std::int64_t& bytes) {
        struct stat at = {};
        if (::stat(path.c_str(), &at) != 0) return;
        ns = static_cast<std::int64_t>(at.st_mtim.tv_sec) * 1'000'000'000 + at.st_mtim.tv_nsec;
        bytes = at.st_size;
    };
    look(config_.certificate.value_or(own_), out.certificate_ns, out.certificate_bytes);
    look(config_.key.value_or(own_), out.key_ns, out.key_bytes);
    return out;
}

net::Result<std::shared_ptr<const loop::TlsContext>> SipTls::load() const {
    const auto certificate = text_of(config_.certificate.value_or(own_));
    if (!certificate) return net::fail(certificate.error().message + "; \"voice.tls.certificate\" names it");
    auto key = text_of(config_.key.value_or(own_));
    if (!key) return net::fail(key.error().message + "; \"voice.tls.key\" names it");
    const net::WipedAtEnd wipe(*key);
    auto context = loop::TlsContext::server(*certificate, *key);
    if (!context) return net::fail(config_.certificate.value_or(own_) + ": " + context.error().message);
    return context;
}

std::shared_ptr<const loop::TlsContext> SipTls::context(net::Now now) {
    if (now.steady < look_at_) return context_;
    look_at_ = now.steady + kLookEvery;
    const auto current = seen();
    if (current == seen_) return context_;
    seen_ = current;
    auto loaded = load();
    trouble_ = loaded ? "" : loaded.error().message;
    if (loaded) context_ = std::move(*loaded);
    return context_;
}

namespace {

std::shared_ptr<const loop::TlsContext> client_context(const SipTlsConfig& config, bool verify) {
    loop::TlsContext::Trust trust;
    trust.verify = verify;
    if (config.authorities) {
        auto text = text_of(*config.authorities);
        if (!text) throw std::runtime_error(text.error().message + "; \"voice.tls.authorities\" names it");
        trust.authorities = std::move(*text);
    }
    auto context = loop::TlsContext::client(trust);
    if (!context) throw std::runtime_error(context.error().message);
    return *context;
}

}  // namespace

std::shared_ptr<const loop::TlsContext> tls_to_centre(const SipTlsConfig& config) {
    return client_context(config, config.verify_centre);
}

std::shared_ptr<const loop::TlsContext> tls_to_others(const SipTlsConfig& config) { return client_context(config, true); }

}  // namespace meshd
