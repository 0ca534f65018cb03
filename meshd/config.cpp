#include "meshd/config.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "mesh/protocol.hpp"
#include "meshd/config_sections.hpp"

namespace meshd {
namespace {

using Value = ConfigValue;

constexpr std::size_t kMaxBootstrap = 256;
constexpr std::size_t kMaxAdvertised = 16;
constexpr std::size_t kMaxPhoneNetworks = 256;
constexpr std::size_t kMaxEnumSuffixes = 16;
constexpr std::size_t kMaxNameServers = 8;
constexpr std::size_t kMaxDnsAddresses = 16;

/// Private networks, loopback and link-local.
std::vector<net::Prefix> neighbours() {
    std::vector<net::Prefix> out;
    for (const auto* text : {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "127.0.0.0/8", "fc00::/7",
                             "fe80::/10", "::1/128"}) {
        out.push_back(*net::Prefix::parse(text));
    }
    return out;
}

void read_mdns(const Value& value, Config& out) {
    static constexpr auto kKeys = std::to_array<Value::Key>({
        {"interfaces",
         [](const Value& v, Config& c) {
             for (const auto& entry : v.list(1, 64)) c.mdns.interfaces.push_back(entry.interface_name());
         }},
    });
    if (value.is_bool()) {
        out.mdns.enabled = value.boolean();
    } else {
        value.members(kKeys, out);
    }
}

void read_media_ports(const Value& value, Config& out) {
    const auto ports = value.list(2, 2);
    out.voice.first_media_port = ports[0].port();
    out.voice.last_media_port = ports[1].port();
    // A call takes RTP and RTCP ports on both sides, for each of its streams.
    constexpr unsigned kLeast = 16;
    if (out.voice.first_media_port < 1024 || out.voice.last_media_port < out.voice.first_media_port + kLeast - 1) {
        value.refuse("\"voice.media_ports\" must be the first and the last port of a range of at least " +
                     std::to_string(kLeast) + " above 1023, such as [20000, 29999]");
    }
}

void read_media(const Value& value, Config& out) {
    static constexpr auto kWays = std::to_array<std::string_view>({"anchor", "direct"});
    auto& networks = out.voice.direct_media;
    networks.clear();
    if (!value.is_text()) {
        for (const auto& entry : value.list(1, kMaxPhoneNetworks)) networks.push_back(entry.prefix());
    } else if (value.choice(kWays) == 1) {
        for (const auto* all : {"0.0.0.0/0", "::/0"}) networks.push_back(*net::Prefix::parse(all));
    }
}

void read_dial_plan(const Value& value, Config& out) {
    static constexpr auto kKeys = std::to_array<Value::Key>({
        {"country", [](const Value& v, Config& c) { c.voice.dial_plan.country = v.text(); }},
        {"area", [](const Value& v, Config& c) { c.voice.dial_plan.area = v.text(); }},
        {"international_prefix", [](const Value& v, Config& c) { c.voice.dial_plan.international_prefix = v.text(); }},
        {"national_prefix", [](const Value& v, Config& c) { c.voice.dial_plan.national_prefix = v.text(); }},
        {"outside_prefix", [](const Value& v, Config& c) { c.voice.dial_plan.outside_prefix = v.text(); }},
        {"site", [](const Value& v, Config& c) { c.voice.dial_plan.site = v.text(); }},
        {"extension_digits",
         [](const Value& v, Config& c) {
             const auto digits = v.list(2, 2);
             c.voice.dial_plan.min_extension_digits = static_cast<unsigned>(digits[0].integer(1, voice::kMaxE164Digits));
             c.voice.dial_plan.max_extension_digits = static_cast<unsigned>(digits[1].integer(1, voice::kMaxE164Digits));
         }},
    });
    value.members(kKeys, out);
    if (const auto fault = out.voice.dial_plan.fault(); !fault.empty()) value.refuse("\"voice.dial_plan\": " + fault);
}

void read_enum(const Value& value, Config& out) {
    static constexpr auto kKeys = std::to_array<Value::Key>({
        {"use", [](const Value& v, Config& c) { c.voice.enum_lookup.use = static_cast<voice::OutsideUse>(v.choice(kEnumUses)); }},
        {"suffixes",
         [](const Value& v, Config& c) {
             c.voice.enum_lookup.suffixes.clear();
             for (const auto& entry : v.list(0, kMaxEnumSuffixes)) c.voice.enum_lookup.suffixes.push_back(entry.domain_name());
         }},
        {"servers",
         [](const Value& v, Config& c) {
             for (const auto& entry : v.list(0, kMaxNameServers)) c.voice.enum_lookup.servers.push_back(entry.endpoint());
         }},
    });
    value.members(kKeys, out);
}

void read_sip_tls(const Value& value, Config& out) {
    static constexpr auto kKeys = std::to_array<Value::Key>({
        {"listen", [](const Value& v, Config& c) { c.voice.tls.port = v.port(); }},
        {"certificate", [](const Value& v, Config& c) { c.voice.tls.certificate = v.text(); }},
        {"key", [](const Value& v, Config& c) { c.voice.tls.key = v.text(); }},
        {"authorities", [](const Value& v, Config& c) { c.voice.tls.authorities = v.text(); }},
        {"verify_centre", [](const Value& v, Config& c) { c.voice.tls.verify_centre = v.boolean(); }},
    });
    out.voice.tls.listens = true;
    value.members(kKeys, out);
    if (out.voice.tls.certificate.has_value() != out.voice.tls.key.has_value()) {
        value.refuse("\"voice.tls\" must name both \"certificate\" and \"key\", or neither: then meshd makes them itself");
    }
}

void read_voice(const Value& value, Config& out) {
    static constexpr auto kKeys = std::to_array<Value::Key>({
        {"enabled", [](const Value& v, Config& c) { c.voice.enabled = v.boolean(); }},
        {"port", [](const Value& v, Config& c) { c.voice.port = v.port(); }},
        {"phones",
         [](const Value& v, Config& c) {
             c.voice.phones.clear();
             for (const auto& entry : v.list(1, kMaxPhoneNetworks)) c.voice.phones.push_back(entry.prefix());
         }},
        {"domain", [](const Value& v, Config& c) { c.voice.domain = v.domain_name(); }},
        {"centre", [](const Value& v, Config& c) { c.voice.centre = v.centre(); }},
        {"digests",
         [](const Value& v, Config& c) {
             c.voice.digests.clear();
             for (const auto& entry : v.list(1, kDigests.size())) {
                 const auto digest = entry.choice(kDigests);
                 if (std::count(c.voice.digests.begin(), c.voice.digests.end(), digest) > 0) {
                     entry.refuse("\"voice.digests\" names " + std::string(kDigests[digest]) + " twice");
                 }
                 c.voice.digests.push_back(digest);
             }
         }},
        {"dial_plan", read_dial_plan},
        {"enum", read_enum},
        {"hold_down_s", [](const Value& v, Config& c) { c.voice.hold_down = v.seconds(0, 86400); }},
        {"expires_s", [](const Value& v, Config& c) { c.voice.expires = v.seconds(5, 86400); }},
        {"outage_expires_s", [](const Value& v, Config& c) { c.voice.outage_expires = v.seconds(5, 86400); }},
        {"media", read_media},
        {"media_ports", read_media_ports},
        {"max_calls", [](const Value& v, Config& c) { c.voice.max_calls = static_cast<std::size_t>(v.integer(1, 20000)); }},
        {"tls", read_sip_tls},
        {"trunks", read_trunks},
        {"emergency", read_emergency},
    });
    value.members(kKeys, out);
}

void read_queues(const Value& value, Config& out) {
    constexpr std::int64_t kMost = mesh::kMaxQueues;
    out.data.queues.reset();
    if (value.is_text("auto")) return;
    const auto count = value.number();
    if (!count || *count < 1 || *count > kMost) value.must_be("\"auto\" or a number from 1 to " + std::to_string(kMost));
    out.data.queues = static_cast<std::size_t>(*count);
}

void read_data(const Value& value, Config& out) {
    static constexpr auto kThreads = std::to_array<std::string_view>({"auto", "one"});
    static constexpr auto kDscp = std::to_array<std::string_view>({"voice", "copy"});  // as net::OuterDscp
    static constexpr auto kKeys = std::to_array<Value::Key>({
        {"threads", [](const Value& v, Config& c) { c.data.single_thread = v.choice(kThreads) == 1; }},
        {"queues", read_queues},
        {"tun_offloads", [](const Value& v, Config& c) { c.data.tun_offloads = v.boolean(); }},
        {"udp_offloads", [](const Value& v, Config& c) { c.data.udp_offloads = v.boolean(); }},
        {"aes", [](const Value& v, Config& c) { c.data.aes = v.boolean(); }},
        {"dscp", [](const Value& v, Config& c) { c.data.dscp = static_cast<net::OuterDscp>(v.choice(kDscp)); }},
        {"uplink_rate", [](const Value& v, Config& c) { c.data.uplink_bit_per_s = v.rate_bit_per_s(); }},
        {"relay_rate", [](const Value& v, Config& c) { c.data.relay_bit_per_s = v.rate_bit_per_s(); }},
    });
    value.members(kKeys, out);
}

void read_dns(const Value& value, Config& out) {
    static constexpr auto kKeys = std::to_array<Value::Key>({
        {"enabled", [](const Value& v, Config& c) { c.dns.enabled = v.boolean(); }},
        {"listen",
         [](const Value& v, Config& c) {
             for (const auto& entry : v.list(0, kMaxDnsAddresses)) c.dns.listen.push_back(entry.own_address());
         }},
        {"port", [](const Value& v, Config& c) { c.dns.port = v.port(); }},
        {"suffixes",
         [](const Value& v, Config& c) {
             for (const auto& entry : v.list(0, kMaxEnumSuffixes)) c.dns.suffixes.push_back(entry.domain_name());
         }},
        {"clients",
         [](const Value& v, Config& c) {
             c.dns.clients.clear();
             for (const auto& entry : v.list(1, kMaxPhoneNetworks)) c.dns.clients.push_back(entry.prefix());
         }},
        {"numbers",
         [](const Value& v, Config& c) {
             for (const auto& entry : v.list(0, kMaxPhoneNetworks)) c.dns.numbers.push_back(entry.prefix());
         }},
        {"phones_reach",
         [](const Value& v, Config& c) {
             for (const auto& entry : v.list(0, kMaxDnsAddresses)) c.dns.phones_reach.push_back(entry.own_address());
         }},
        {"resolved", [](const Value& v, Config& c) { c.dns.resolved = v.boolean(); }},
    });
    if (value.is_bool()) {
        out.dns.enabled = value.boolean();
    } else {
        value.members(kKeys, out);
    }
}

void read_top(const Value& value, Config& out) {
    static constexpr auto kLogLevels = std::to_array<std::string_view>({"trace", "debug", "info", "warn", "error"});
    static constexpr auto kKeys = std::to_array<Value::Key>({
        {"listen_port", [](const Value& v, Config& c) { c.listen_port = v.port(); }},
        {"bootstrap",
         [](const Value& v, Config& c) {
             for (const auto& entry : v.list(0, kMaxBootstrap)) c.bootstrap.push_back(entry.bootstrap());
         }},
        {"mdns", read_mdns},
        {"device", [](const Value& v, Config& c) { c.device = v.interface_name(); }},
        {"mtu",
         [](const Value& v, Config& c) { c.mtu_bytes = static_cast<unsigned>(v.integer(kMinMtuBytes, kMaxMtuBytes)); }},
        {"advertise",
         [](const Value& v, Config& c) {
             for (const auto& entry : v.list(0, kMaxAdvertised)) c.advertise.push_back(entry.endpoint());
         }},
        {"subnets", read_subnets},
        {"port_mapping", [](const Value& v, Config& c) { c.port_mapping = v.boolean(); }},
        {"exit", read_exit},
        {"log", [](const Value& v, Config& c) { c.log = static_cast<LogLevel>(v.choice(kLogLevels)); }},
        {"data", read_data},
        {"voice", read_voice},
        {"dns", read_dns},
        {"streams", read_streams},
    });
    value.members(kKeys, out);
}

/// What is wrong only between two settings. The line is the top's: either of the two may be the one to change.
void check_together(const Config& config, std::string_view file, unsigned line) {
    const auto& voice = config.voice;
    const auto refuse = [&](const std::string& what) { throw ConfigError(file, line, what); };
    if (!voice.enabled) return;
    if (voice.port == config.listen_port) {
        refuse("\"listen_port\" and \"voice.port\" are both " + std::to_string(voice.port) +
               "; each needs a UDP port of its own");
    }
    if (voice.port == kOverlaySipPort || config.listen_port == kOverlaySipPort) {
        refuse("port 5080 carries SIP between nodes; choose another for \"listen_port\" and \"voice.port\"");
    }
    if (voice.tls.listens && (voice.tls.port == voice.port || voice.tls.port == kOverlaySipPort)) {
        refuse("\"voice.tls.listen\" is " + std::to_string(voice.tls.port) + ", which carries SIP without TLS; choose another");
    }
    for (const auto port : {voice.port, config.listen_port, kOverlaySipPort}) {
        if (port < voice.first_media_port || port > voice.last_media_port) continue;
        refuse("\"voice.media_ports\" holds port " + std::to_string(port) +
               ", which has another use here; move the range, such as to [20000, 29999]");
    }
    for (const auto& at : config.streams.listen) {
        if (at.port == voice.port || (voice.tls.listens && at.port == voice.tls.port) || at.port == kOverlaySipPort) {
            refuse("\"streams.listen\" has port " + std::to_string(at.port) + ", which carries SIP; choose another");
        }
    }
    if (voice.direct_media.empty() && voice.most_calls() > voice.most_streams()) {
        refuse("\"voice.max_calls\" is " + std::to_string(voice.most_calls()) + ", but \"voice.media_ports\" has room for the sound of " +
               std::to_string(voice.most_streams()) + " calls, four ports each; widen the range or allow fewer");
    }
    if (voice.outage_expires > voice.expires) {
        refuse("\"voice.outage_expires_s\" is " + std::to_string(voice.outage_expires.count()) +
               ", longer than \"voice.expires_s\", " + std::to_string(voice.expires.count()) +
               "; phones must refresh at least as often in an outage");
    }
}

}  // namespace

VoiceConfig::VoiceConfig() : phones(neighbours()) {}

std::size_t VoiceConfig::most_streams() const {
    const unsigned first = (first_media_port + 1U) & ~1U;
    return (last_media_port + 1U - first) / 4;
}

std::size_t VoiceConfig::most_calls() const {
    if (max_calls) return *max_calls;
    return direct_media.empty() ? std::min(voice::kUsualMaxCalls, most_streams()) : voice::kUsualMaxCalls;
}

DnsConfig::DnsConfig() : clients(neighbours()) {}

Config parse_config(std::string_view text, std::string_view file) {
    const auto tree = parse_json_tree(text, file);
    Config config;
    read_top(Value(file, "", tree), config);
    check_together(config, file, tree.line);
    return config;
}

Config load_config(const std::string& path, bool may_be_missing) {
    std::ifstream in(path, std::ios::binary);
    if (!in) {
        if (errno == ENOENT && may_be_missing) return {};
        throw std::runtime_error("cannot read the configuration " + path + ": " + std::strerror(errno) +
                                 "; name another with --config");
    }
    std::string text(kMaxJsonTreeBytes + 1, '\0');
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (in.bad()) throw std::runtime_error("cannot read the configuration " + path + ": " + std::strerror(errno));
    text.resize(static_cast<std::size_t>(in.gcount()));
    return parse_config(text, path);
}

}  // namespace meshd
