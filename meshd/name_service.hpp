/// Carries the proxy's questions to DNS and the answers back, and waits for what people want to know of a number.
/// Control thread only.
#pragma once

#include <map>

#include "loop/resolver.hpp"
#include "voice/proxy.hpp"

namespace meshd {

class NameService {
public:
    using Done = std::function<void(const voice::NameFound&)>;

    /// `servers` empty: those of /etc/resolv.conf. All references are borrowed for life. `changed` is called after the
    /// proxy has heard of something.
    NameService(loop::Loop& loop, std::vector<net::Endpoint> servers, voice::Proxy& proxy, std::function<void()> changed);

    /// Asks what the proxy wants asked, and tells what it has found.
    void pump();
    /// Calls `done` once, from pump(). False: too many are being looked up.
    bool look_up(std::string e164, Done done);

private:
    void ask(const voice::DnsQuestion& question);

    loop::Loop& loop_;
    voice::Proxy& proxy_;
    std::function<void()> changed_;
    std::map<voice::NameQuery, Done> wanted_;
    loop::Resolver resolver_;
};

}  // namespace meshd
