/// The certificate that phones see: the one that a person named, read again when its files change, or one of our own,
/// made at the first start and kept in the state folder. And whom we trust as the centre.
#pragma once

#include "loop/tls.hpp"
#include "meshd/config.hpp"
#include "meshd/state_folder.hpp"
#include "net/time.hpp"

namespace meshd {

class SipTls {
public:
    /// `config` is borrowed for life; `names` are for a certificate of our own. Throws std::runtime_error with what to do
    /// if the files cannot be used, StateError if our own cannot be kept.
    SipTls(const SipTlsConfig& config, const StateFolder& state, const std::vector<std::string>& names);

    /// For the next connection. Files that have changed and are no good are left alone, and trouble() says why.
    std::shared_ptr<const loop::TlsContext> context(net::Now now);
    const std::string& fingerprint() const { return context_->fingerprint(); }
    bool is_own() const { return !config_.certificate; }
    const std::string& trouble() const { return trouble_; }

private:
    /// What tells a changed file: nanoseconds and size of both.
    struct Seen {
        std::int64_t certificate_ns = 0, key_ns = 0, certificate_bytes = 0, key_bytes = 0;
        bool operator==(const Seen&) const = default;
    };
    Seen seen() const;
    net::Result<std::shared_ptr<const loop::TlsContext>> load() const;

    static constexpr auto kLookEvery = std::chrono::seconds(5);
    const SipTlsConfig& config_;
    std::string own_;  ///< the file of our own: key and certificate
    std::shared_ptr<const loop::TlsContext> context_;
    Seen seen_;
    net::Steady look_at_ = net::Steady::min();
    std::string trouble_;
};

/// What TLS to the centre trusts. Throws std::runtime_error if the authorities cannot be read.
std::shared_ptr<const loop::TlsContext> tls_to_centre(const SipTlsConfig& config);
/// What TLS to anybody else trusts: the same authorities, and never nobody's word.
std::shared_ptr<const loop::TlsContext> tls_to_others(const SipTlsConfig& config);

}  // namespace meshd
