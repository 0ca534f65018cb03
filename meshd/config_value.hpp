/// One value of the configuration with its name and place, read as the type it must have. Every reader throws
/// ConfigError, which says what the value must be and what it is.
#pragma once

#include <chrono>
#include <functional>
#include <span>

#include "meshd/config.hpp"

namespace meshd {

class ConfigValue {
public:
    /// Borrows all three; `name` as a person finds it: "listen_port", "voice.port". Empty for the whole file.
    ConfigValue(std::string_view file, std::string name, const JsonNode& node)
        : file_(file), name_(std::move(name)), node_(&node) {}

    bool is_bool() const { return node_->as<bool>() != nullptr; }
    bool is_text() const { return node_->as<std::string>() != nullptr; }
    bool is_text(std::string_view text) const {
        const auto* const value = node_->as<std::string>();
        return value != nullptr && *value == text;
    }
    /// Nullopt if it is none.
    std::optional<std::int64_t> number() const {
        const auto* const value = node_->as<std::int64_t>();
        return value != nullptr ? std::optional(*value) : std::nullopt;
    }

    bool boolean() const;
    std::int64_t integer(std::int64_t min, std::int64_t max) const;
    std::uint16_t port() const;
    std::uint64_t rate_bit_per_s() const;  ///< "10mbit", "9500kbit", as tc(8) writes them
    std::chrono::seconds seconds(std::int64_t min, std::int64_t max) const;
    const std::string& text() const;
    std::size_t choice(std::span<const std::string_view> names) const;  ///< the index of the one that was chosen
    std::string domain_name() const;                                    ///< in lower case
    std::string interface_name() const;
    HostPort host_port() const;
    /// A host or an address with its port; or an address without, which has the usual one; or a domain, whose port is 0.
    HostPort bootstrap() const;
    net::Endpoint endpoint() const;
    net::IpAddress own_address() const;  ///< that a socket may be bound to: of one machine, and none that needs a zone
    net::Prefix prefix() const;
    Centre centre() const;
    std::vector<ConfigValue> list(std::size_t min, std::size_t max) const;

    struct Key {
        std::string_view name;
        void (*read)(const ConfigValue&, Config&);
    };
    /// Reads an object's members by their rows in `keys`. An unknown one is refused, with the key that was meant if one
    /// is near, or the section it belongs to.
    void members(std::span<const Key> keys, Config& out) const;

    [[noreturn]] void refuse(const std::string& what) const { throw ConfigError(file_, node_->line, what); }
    /// Refuses with "NAME must be EXPECTED, not WHAT IT IS".
    [[noreturn]] void must_be(const std::string& expected) const;
    const std::string& name() const { return name_; }
    unsigned line() const { return node_->line; }

private:
    std::string_view file_;
    std::string name_;
    const JsonNode* node_;
};

/// Of `names` the one that `text` most likely was meant to be; empty if none is near.
std::string_view closest(std::string_view text, std::span<const std::string_view> names);

bool is_domain_name(std::string_view text);  ///< RFC 1123 labels, at most 253 characters
bool is_interface_name(std::string_view text);
/// "HOST:PORT", the host a DNS name, an IPv4 address or an IPv6 address in brackets, the port not zero.
std::optional<HostPort> parse_host_port(std::string_view text);
std::optional<Centre> parse_centre(std::string_view text);

}  // namespace meshd
