#include "meshd/http_proxy.hpp"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#include "meshd/config_value.hpp"
#include "meshd/trunk_password.hpp"
#include "net/text.hpp"
#include "net/wiped.hpp"

namespace meshd {
namespace {

/// Nullopt if a '%' begins no byte, or that byte would end a line.
std::optional<std::string> percent_decoded(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (c == '%') {
            const auto byte = net::from_hex(text.substr(i + 1, 2));
            if (!byte || byte->size() != 1) return std::nullopt;
            c = static_cast<char>(byte->front());
            i += 2;
        }
        if (static_cast<unsigned char>(c) < ' ') return std::nullopt;
        out += c;
    }
    return out;
}

}  // namespace

std::optional<HttpProxy> parse_http_proxy(std::string_view url) {
    constexpr std::string_view kScheme = "http://";
    if (url.size() >= kScheme.size() && net::equals_ignoring_case(url.substr(0, kScheme.size()), kScheme)) {
        url.remove_prefix(kScheme.size());
    }
    if (!url.empty() && url.back() == '/') url.remove_suffix(1);
    HttpProxy out;
    if (const auto at = url.rfind('@'); at != url.npos) {
        const auto both = url.substr(0, at);
        const auto colon = both.find(':');
        const auto user = percent_decoded(both.substr(0, colon));
        auto password = percent_decoded(colon == both.npos ? std::string_view() : both.substr(colon + 1));
        // RFC 7617 section 2: a colon in the user's name would be the end of it.
        if (!user || user->empty() || user->find(':') != user->npos || !password) return std::nullopt;
        const net::WipedAtEnd wipe(*password);
        out.user = *user;
        if (!password->empty()) out.password = voice::Password(*password);
        url.remove_prefix(at + 1);
    }
    const auto host_port = parse_host_port(url);
    if (!host_port) return std::nullopt;
    out.at = *host_port;
    return out;
}

std::optional<HttpProxy> http_proxy_of(const StreamsConfig& config) {
    if (!config.proxy.empty()) {
        auto out = parse_http_proxy(config.proxy);
        if (out && !config.proxy_password_file.empty()) {
            out->password = password_in(config.proxy_password_file, "the proxy's password");
        }
        return out;
    }
    if (!config.proxy_of_environment) return std::nullopt;
    for (const auto* const name : {"https_proxy", "HTTPS_PROXY"}) {
        const char* const url = std::getenv(name);
        if (url == nullptr || *url == '\0') continue;
        auto out = parse_http_proxy(url);
        if (out) return out;
        // What it holds may be a password.
        throw std::runtime_error(std::string("the environment's ") + name +
                                 " is no HTTP proxy, such as http://proxy.example:3128; \"proxy\": \"none\" in \"streams\" ignores it");
    }
    return std::nullopt;
}

}  // namespace meshd
