#include "meshd/config_value.hpp"

#include <algorithm>
#include <array>
#include <numeric>

#include "discovery/bootstrap.hpp"
#include "net/text.hpp"

namespace meshd {
namespace {

bool is_letter_or_digit(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

std::string quoted(std::string_view text) {
    constexpr std::size_t kShown = 60;
    return '"' + std::string(text.substr(0, kShown)) + (text.size() > kShown ? "..." : "") + '"';
}

std::string shown(const JsonNode& node) {
    if (const auto* value = node.as<bool>()) return *value ? "true" : "false";
    if (const auto* value = node.as<std::int64_t>()) return std::to_string(*value);
    if (const auto* value = node.as<std::string>()) return quoted(*value);
    return node.kind();
}

/// Levenshtein's distance, with two rows.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), 0U);
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = std::exchange(row[0], i);
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const auto replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
        }
    }
    return row.back();
}

std::string joined(std::span<const std::string_view> names) {
    std::string out;
    for (const auto name : names) out.append(out.empty() ? "" : ", ").append(name);
    return out;
}

}  // namespace

std::string_view closest(std::string_view text, std::span<const std::string_view> names) {
    std::string_view best;
    std::size_t best_distance = std::max<std::size_t>(2, text.size() / 3) + 1;
    for (const auto name : names) {
        const bool part = text.size() >= 4 && (name.find(text) == 0 || text.find(name) == 0);
        const auto d = part ? 1 : distance(net::to_lower(text), name);
        if (d >= best_distance) continue;
        best_distance = d;
        best = name;
    }
    return best;
}

bool is_domain_name(std::string_view text) {
    if (text.empty() || text.size() > 253) return false;
    while (!text.empty()) {
        const auto dot = text.find('.');
        const auto label = text.substr(0, dot);
        if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') return false;
        if (!std::all_of(label.begin(), label.end(), [](char c) { return is_letter_or_digit(c) || c == '-'; })) {
            return false;
        }
        if (dot == std::string_view::npos) return true;
        text.remove_prefix(dot + 1);
    }
    return false;  // ends with a dot
}

bool is_interface_name(std::string_view text) {
    constexpr std::size_t kMaxBytes = 15;  // IFNAMSIZ without its zero
    return !text.empty() && text.size() <= kMaxBytes && text != "." && text != ".." &&
           std::all_of(text.begin(), text.end(),
                       [](char c) { return is_letter_or_digit(c) || c == '-' || c == '_' || c == '.'; });
}

std::optional<HostPort> parse_host_port(std::string_view text) {
    if (const auto endpoint = net::Endpoint::parse(text)) {
        if (endpoint->port == 0 || endpoint->scope != 0) return std::nullopt;
        return HostPort{endpoint->address.text(), endpoint->port};
    }
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    const auto host = text.substr(0, colon);
    const auto port = net::parse_decimal(text.substr(colon + 1), 65535);
    // What ends in a number is a mistyped address, not a name: no top-level domain is one (RFC 3696 section 2).
    const auto last_label = host.substr(host.rfind('.') + 1);
    if (!port || *port == 0 || !is_domain_name(host) || net::parse_decimal(last_label)) return std::nullopt;
    return HostPort{net::to_lower(host), static_cast<std::uint16_t>(*port)};
}

std::optional<Centre> parse_centre(std::string_view text) {
    Centre out;
    out.uri = text;
    const auto scheme = net::to_lower(text.substr(0, text.find(':') + 1));
    if (scheme != "sip:" && scheme != "sips:") return std::nullopt;
    out.tls = scheme == "sips:";
    text.remove_prefix(scheme.size());
    if (const auto semicolon = text.find(';'); semicolon != std::string_view::npos) {
        const auto parameter = net::to_lower(text.substr(semicolon + 1));
        if (parameter == "transport=tls" || (out.tls && parameter == "transport=tcp")) {
            out.tls = true;  // sips over TCP is TLS (RFC 3261 26.2.2)
        } else if (out.tls || (parameter != "transport=udp" && parameter != "transport=tcp")) {
            return std::nullopt;
        } else {
            out.tcp = parameter == "transport=tcp";
        }
        text = text.substr(0, semicolon);
    }
    if (out.tls) out.tcp = false;
    const bool has_port =
        text.find(':', text.rfind(']') == std::string_view::npos ? 0 : text.rfind(']')) != std::string_view::npos;
    const auto host_port = parse_host_port(has_port ? std::string(text) : std::string(text) + ":5060");
    if (!host_port) return std::nullopt;
    out.host = host_port->host;
    if (has_port) out.port = host_port->port;
    if (net::IpAddress::parse(out.host)) {
        out.port = out.port.value_or(voice::default_port(out.tls ? voice::Transport::tls : voice::Transport::udp));
        out.tcp = out.tcp.value_or(false);
    }
    return out;
}

void ConfigValue::must_be(const std::string& expected) const {
    refuse(quoted(name_) + " must be " + expected + ", not " + shown(*node_));
}

bool ConfigValue::boolean() const {
    const auto* value = node_->as<bool>();
    if (value == nullptr) must_be("true or false");
    return *value;
}

std::int64_t ConfigValue::integer(std::int64_t min, std::int64_t max) const {
    const auto* value = node_->as<std::int64_t>();
    if (value == nullptr || *value < min || *value > max) {
        must_be("a number from " + std::to_string(min) + " to " + std::to_string(max));
    }
    return *value;
}

std::uint16_t ConfigValue::port() const {
    const auto* value = node_->as<std::int64_t>();
    if (value == nullptr || *value < 1 || *value > 65535) must_be("a port, from 1 to 65535");
    return static_cast<std::uint16_t>(*value);
}

std::uint64_t ConfigValue::rate_bit_per_s() const {
    static constexpr auto kUnits = std::to_array<std::pair<std::string_view, std::uint64_t>>(
        {{"kbit", 1'000}, {"mbit", 1'000'000}, {"gbit", 1'000'000'000}});
    constexpr std::uint64_t kLeast = 64'000;  // below it not even one call goes through
    if (const auto* value = node_->as<std::string>()) {
        const auto text = net::to_lower(*value);
        for (const auto& [unit, bits] : kUnits) {
            if (!text.ends_with(unit)) continue;
            const auto count = net::parse_decimal(std::string_view(text).substr(0, text.size() - unit.size()), 1'000'000'000);
            if (count && *count * bits >= kLeast) return *count * bits;
        }
    }
    must_be("a rate of at least 64kbit, a whole number with its unit, such as \"9500kbit\" or \"10mbit\"");
}

std::chrono::seconds ConfigValue::seconds(std::int64_t min, std::int64_t max) const {
    const auto* value = node_->as<std::int64_t>();
    if (value == nullptr || *value < min || *value > max) {
        must_be("a whole number of seconds from " + std::to_string(min) + " to " + std::to_string(max));
    }
    return std::chrono::seconds(*value);
}

const std::string& ConfigValue::text() const {
    const auto* value = node_->as<std::string>();
    if (value == nullptr) must_be("a text");
    return *value;
}

std::size_t ConfigValue::choice(std::span<const std::string_view> names) const {
    const auto* value = node_->as<std::string>();
    const auto found = value == nullptr ? names.end() : std::find(names.begin(), names.end(), *value);
    if (found == names.end()) must_be("one of " + joined(names));
    return static_cast<std::size_t>(found - names.begin());
}

std::string ConfigValue::domain_name() const {
    const auto* value = node_->as<std::string>();
    if (value == nullptr || !is_domain_name(*value)) must_be("a domain name, such as \"acme.example\"");
    return net::to_lower(*value);
}

std::string ConfigValue::interface_name() const {
    const auto* value = node_->as<std::string>();
    if (value == nullptr || !is_interface_name(*value)) {
        must_be("a network interface's name: 1 to 15 letters, digits, '-', '_' or '.', such as \"mesh0\"");
    }
    return *value;
}

HostPort ConfigValue::host_port() const {
    const auto* value = node_->as<std::string>();
    const auto parsed = value == nullptr ? std::nullopt : parse_host_port(*value);
    if (!parsed) must_be("HOST:PORT, such as \"hq.example:51820\", \"192.0.2.1:51820\" or \"[2001:db8::1]:51820\"");
    return *parsed;
}

HostPort ConfigValue::bootstrap() const {
    const auto* value = node_->as<std::string>();
    const auto parsed = value == nullptr ? std::nullopt : discovery::BootstrapEntry::parse(*value);
    const bool good = parsed && (net::IpAddress::parse(parsed->host) || parse_host_port(parsed->host + ":1"));
    if (!good) {
        must_be("HOST:PORT, an address or a domain, such as \"hq.example:51820\", \"192.0.2.1\", \"[2001:db8::1]:51820\" or "
                "\"acme.example\"");
    }
    return {parsed->host, parsed->domain ? std::uint16_t{0} : parsed->port};
}

net::Endpoint ConfigValue::endpoint() const {
    const auto* value = node_->as<std::string>();
    const auto parsed = value == nullptr ? std::nullopt : net::Endpoint::parse(*value);
    if (!parsed || parsed->port == 0 || parsed->scope != 0 || parsed->address.is_unspecified() ||
        parsed->address.is_multicast() || parsed->address.is_link_local()) {
        must_be("an ADDRESS:PORT that others can send to, such as \"198.51.100.7:51820\"");
    }
    return *parsed;
}

net::IpAddress ConfigValue::own_address() const {
    const auto* value = node_->as<std::string>();
    const auto parsed = value == nullptr ? std::nullopt : net::IpAddress::parse(*value);
    if (!parsed || parsed->is_unspecified() || parsed->is_multicast() || (parsed->is_v6() && parsed->is_link_local())) {
        must_be("one address of this machine, such as \"192.168.1.1\"");
    }
    return *parsed;
}

net::Prefix ConfigValue::prefix() const {
    const auto* value = node_->as<std::string>();
    const auto parsed = value == nullptr ? std::nullopt : net::Prefix::parse(*value);
    if (parsed) return *parsed;
    // "10.1.2.3/16": say what the network is, it is nearly always what was meant.
    if (value != nullptr) {
        const auto slash = value->find('/');
        const auto address = net::IpAddress::parse(std::string_view(*value).substr(0, slash));
        const auto length = slash == std::string::npos || !address
                                ? std::nullopt
                                : net::parse_decimal(std::string_view(*value).substr(slash + 1), address->bits());
        if (length) {
            must_be("a network without host bits, such as \"" +
                    net::Prefix(*address, static_cast<unsigned>(*length)).text() + '"');
        }
    }
    must_be("a network, such as \"192.168.1.0/24\" or \"fd00:1::/64\"");
}

Centre ConfigValue::centre() const {
    const auto* value = node_->as<std::string>();
    const auto parsed = value == nullptr ? std::nullopt : parse_centre(*value);
    if (!parsed) must_be("a SIP server, such as \"sip:203.0.113.5:5060;transport=udp\" or \"sip:sip.acme.example\"");
    return *parsed;
}

std::vector<ConfigValue> ConfigValue::list(std::size_t min, std::size_t max) const {
    const auto* array = node_->as<JsonNode::Array>();
    if (array == nullptr) must_be("a list");
    if (array->size() < min || array->size() > max) {
        refuse(quoted(name_) + " must have " + std::to_string(min) + " to " + std::to_string(max) + " entries, not " +
               std::to_string(array->size()));
    }
    std::vector<ConfigValue> out;
    for (const auto& node : *array) out.emplace_back(file_, name_ + "[" + std::to_string(out.size()) + "]", node);
    return out;
}

void ConfigValue::members(std::span<const Key> keys, Config& out) const {
    const auto* object = node_->as<JsonNode::Object>();
    if (object == nullptr) {
        if (!name_.empty()) must_be("an object, in braces");
        refuse(std::string("the configuration must be an object, in braces, not ") + node_->kind());
    }
    const auto prefix = name_.empty() ? std::string() : name_ + ".";
    for (const auto& member : *object) {
        const auto key = std::find_if(keys.begin(), keys.end(), [&](const Key& k) { return k.name == member.key; });
        if (key == keys.end()) {
            std::vector<std::string_view> names;
            for (const auto& k : keys) names.push_back(k.name);
            const auto meant = closest(member.key, names);
            throw ConfigError(file_, member.line,
                              quoted(prefix + member.key) + " is no setting; " +
                                  (meant.empty() ? "the ones there are here: " + joined(names)
                                                 : "did you mean " + quoted(prefix + std::string(meant)) + "?"));
        }
        key->read(ConfigValue(file_, prefix + member.key, member.value), out);
    }
}

}  // namespace meshd
