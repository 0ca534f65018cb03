/// An HTTP proxy that connections to the outside go through.
#pragma once

#include "meshd/config.hpp"
#include "voice/trunk.hpp"

namespace meshd {

struct HttpProxy {
    HostPort at;
    std::string user;  ///< empty: it wants none
    voice::Password password;
};

/// "http://[USER[:PASSWORD]@]HOST:PORT[/]", the scheme left out or not, user and password percent-encoded (RFC 3986 section
/// 2.1). Nullopt if it is none, or of another scheme: to proxies themselves we speak no TLS.
std::optional<HttpProxy> parse_http_proxy(std::string_view url);

/// The proxy that the configuration names, with its password out of its file; or the one of the environment's https_proxy, or
/// HTTPS_PROXY. Throws std::runtime_error, with what to do, if either cannot be used.
std::optional<HttpProxy> http_proxy_of(const StreamsConfig& config);

}  // namespace meshd
