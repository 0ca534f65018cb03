// "streams": TLS where UDP is blocked.
#include <array>

#include "meshd/config_sections.hpp"
#include "meshd/http_proxy.hpp"

namespace meshd {
namespace {

using Value = ConfigValue;

constexpr std::size_t kMaxListen = 8;

void read_listen(const Value& value, Config& config) {
    for (const auto& entry : value.list(0, kMaxListen)) {
        const auto at = net::Endpoint::parse(entry.text());
        if (!at || at->port == 0 || at->scope != 0 || at->address.is_multicast()) {
            entry.must_be("an ADDRESS:PORT of this machine, such as \"0.0.0.0:443\" or \"[::]:443\"");
        }
        config.streams.listen.push_back(*at);
    }
}

void read_proxy(const Value& value, Config& config) {
    auto& streams = config.streams;
    streams.proxy_of_environment = value.is_text("auto");
    if (value.is_text("auto") || value.is_text("none")) return;
    const auto proxy = value.is_text() ? parse_http_proxy(value.text()) : std::nullopt;
    // Not with what it is instead: that may hold a password.
    const auto expected = "\"streams.proxy\" must be \"auto\", \"none\" or an HTTP proxy, such as \"http://user@proxy.example:3128\"";
    if (!proxy) value.refuse(expected);
    if (!proxy->password.view().empty()) {
        value.refuse("\"streams.proxy\" holds a password; put it into a file that \"streams.proxy_password_file\" names");
    }
    streams.proxy = value.text();
    streams.proxy_has_user = !proxy->user.empty();
}

}  // namespace

void read_streams(const Value& value, Config& config) {
    static constexpr auto kKeys = std::to_array<Value::Key>({
        {"listen", read_listen},
        {"advertise",
         [](const Value& v, Config& c) {
             for (const auto& entry : v.list(0, kMaxListen)) c.streams.advertise.push_back(entry.endpoint());
         }},
        {"dial", [](const Value& v, Config& c) { c.streams.dial = v.boolean(); }},
        {"proxy", read_proxy},
        {"proxy_password_file", [](const Value& v, Config& c) { c.streams.proxy_password_file = v.text(); }},
        {"server_name", [](const Value& v, Config& c) { c.streams.server_name = v.domain_name(); }},
    });
    value.members(kKeys, config);
    const auto& streams = config.streams;
    if (streams.proxy_password_file.empty() ? streams.proxy_has_user : !streams.proxy_has_user) {
        value.refuse("a user in \"streams.proxy\" and \"streams.proxy_password_file\" go together: one of them is missing");
    }
}

}  // namespace meshd
