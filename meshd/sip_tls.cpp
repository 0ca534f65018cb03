#include "meshd/sip_tls.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "loop/file_descriptor.hpp"

namespace meshd {
namespace {

constexpr std::size_t kMaxFileBytes = 1 << 20;

net::Result<std::string> text_of(const std::string& path) {
    const loop::FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.is_open()) return net::fail("cannot read " + path + ": " + std::strerror(errno));
    std::string text(kMaxFileBytes, '\0');
    std::size_t size = 0;
    for (;;) {
        const auto got = ::read(file.get(), text.data() + size, text.size() - size);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return net::fail("cannot read " + path + ": " + std::strerror(errno));
        if (got == 0) break;
        size += static_cast<std::size_t>(got);
    }
    std::string out(text.data(), size);
    loop::wipe(text);  // it may have been a key
    return out;
}

/// Whole or not at all, for nobody else's eyes.
void keep(const std::string& path, const std::string& text) {
    const auto fresh = path + ".new";
    ::unlink(fresh.c_str());
    const loop::FileDescriptor file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    bool good = file.is_open();
    for (std::size_t done = 0; good && done < text.size();) {
        const auto put = ::write(file.get(), text.data() + done, text.size() - done);
        good = put > 0;
        if (good) done += static_cast<std::size_t>(put);
    }
    if (!good || ::fsync(file.get()) != 0 || ::rename(fresh.c_str(), path.c_str()) != 0) {
        throw std::runtime_error("cannot write " + path + ": " + std::strerror(errno));
    }
}

}  // namespace

SipTls::SipTls(const SipTlsConfig& config, const std::string& state_folder, const std::vector<std::string>& names)
    : config_(config), own_(state_folder + "/sip-tls.pem") {
    if (is_own() && ::access(own_.c_str(), F_OK) != 0) {
        auto made = loop::make_self_signed(names);
        if (!made) throw std::runtime_error(made.error().message);
        auto both = made->key + made->certificate;
        loop::wipe(made->key);
        try {
            keep(own_, both);
        } catch (...) {
            loop::wipe(both);
            throw;
        }
        loop::wipe(both);
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
    auto context = loop::TlsContext::server(*certificate, *key);
    loop::wipe(*key);
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

std::shared_ptr<const loop::TlsContext> tls_to_centre(const SipTlsConfig& config) {
    loop::TlsContext::Trust trust;
    trust.verify = config.verify_centre;
    if (config.authorities) {
        auto text = text_of(*config.authorities);
        if (!text) throw std::runtime_error(text.error().message + "; \"voice.tls.authorities\" names it");
        trust.authorities = std::move(*text);
    }
    auto context = loop::TlsContext::client(trust);
    if (!context) throw std::runtime_error(context.error().message);
    return *context;
}

}  // namespace meshd
