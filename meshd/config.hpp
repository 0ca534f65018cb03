/// What a person configures, typed and checked: /etc/meshd/meshd.json. Everything has a default, so that an empty file
/// is a configuration.
#pragma once

#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "mesh/subnet_map.hpp"
#include "meshd/json_tree.hpp"
#include "net/address.hpp"
#include "net/traffic_class.hpp"
#include "voice/dial_plan.hpp"
#include "voice/proxy.hpp"

namespace meshd {

/// A DNS name, or an address in text, and a port: "hq.example:51820", "[2001:db8::1]:51820".
struct HostPort {
    std::string host;  ///< IPv6 without brackets
    std::uint16_t port = 0;
    auto operator<=>(const HostPort&) const = default;
};

/// The central SIP server, "sip:HOST[:PORT][;transport=udp|tcp|tls]" or "sips:HOST[:PORT]".
struct Centre {
    std::string uri;                    ///< as it was written
    std::string host;                   ///< a DNS name or an address; IPv6 without brackets
    std::optional<std::uint16_t> port;  ///< absent: 5060 for an address, else by RFC 3263
    std::optional<bool> tcp;            ///< absent: UDP for an address, else by RFC 3263; false for TLS
    bool tls = false;
    auto operator<=>(const Centre&) const = default;
};

enum class LogLevel { trace, debug, info, warn, error };

struct MdnsConfig {
    bool enabled = true;
    std::vector<std::string> interfaces;  ///< empty: all that are up
};

/// As RFC 8760 names them, and as voice::DigestAlgorithm counts them.
inline constexpr auto kDigests = std::to_array<std::string_view>({"MD5", "SHA-256", "SHA-512-256"});

/// As voice::OutsideUse counts them.
inline constexpr auto kEnumUses = std::to_array<std::string_view>({"never", "without-centre", "always"});

/// Numbers and addresses of others, found by DNS.
struct EnumConfig {
    voice::OutsideUse use = voice::OutsideUse::without_centre;
    std::vector<std::string> suffixes = {"e164.arpa"};  ///< tried in this order; none: numbers are not looked up
    std::vector<net::Endpoint> servers;                 ///< empty: those of /etc/resolv.conf
};

/// SIP over TLS for phones, and what the centre must show where it is spoken to by TLS.
struct SipTlsConfig {
    bool listens = false;                    ///< whether "voice.tls" stands there at all
    std::uint16_t port = 5061;
    std::optional<std::string> certificate;  ///< files; absent: one that meshd makes for itself
    std::optional<std::string> key;
    std::optional<std::string> authorities;  ///< file of those who may sign the centre's; absent: the machine's
    bool verify_centre = true;
};

struct TrunkConfig {
    voice::TrunkSettings settings;  ///< its password stands in a file
    std::string password_file;
};

struct VoiceConfig {
    bool enabled = true;
    std::uint16_t port = 5060;          ///< UDP and TCP, where phones and the centre reach meshd
    std::vector<net::Prefix> phones;    ///< who may be a phone; default: private networks, loopback and link-local
    std::optional<std::string> domain;  ///< lower case; absent: NAME-OF-MESH.internal
    std::optional<Centre> centre;       ///< absent: meshd itself is the registrar
    std::vector<std::size_t> digests{0};  ///< what challenges offer, the best first: indices into kDigests
    voice::DialPlanSettings dial_plan;
    EnumConfig enum_lookup;
    SipTlsConfig tls;
    std::vector<TrunkConfig> trunks;
    std::vector<std::string> emergency;  ///< numbers that call for help
    std::vector<net::Prefix> direct_media;  ///< between whose addresses media does not pass meshd; default: none
    std::chrono::seconds hold_down{60};
    std::chrono::seconds expires{120};
    std::chrono::seconds outage_expires{20};
    std::uint16_t first_media_port = 20000;
    std::uint16_t last_media_port = 29999;  ///< included
    std::optional<std::size_t> max_calls;   ///< absent: most_calls()

    VoiceConfig();
    /// As many streams of sound have ports here: an even one and the next, on both sides.
    std::size_t most_streams() const;
    /// `max_calls`; by default the usual number, or as many as have ports, where all sound passes by us.
    std::size_t most_calls() const;
};

/// How packets are carried between the TUN device and the underlay.
struct DataConfig {
    bool single_thread = false;  ///< one thread and small buffers, as on a machine with one processor
    std::optional<std::size_t> queues;  ///< of bulk, each way: 1 to mesh::kMaxQueues; absent: by the number of processors
    bool tun_offloads = true;    ///< superpackets and checksums by the kernel's TUN driver
    bool udp_offloads = true;    ///< UDP_SEGMENT and UDP_GRO
    bool aes = true;             ///< AES-256-GCM between nodes whose processors have it
    net::OuterDscp dscp = net::OuterDscp::voice;  ///< of the packets inside, what outer headers show
    std::uint64_t uplink_bit_per_s = 0;  ///< what leaves is kept to this rate; 0: it is not
    std::uint64_t relay_bit_per_s = 0;   ///< as the configuration says; see relay_total_bit_per_s()
    /// What members may have passed on here, all together; 0: any. Not said, half of the uplink.
    std::uint64_t relay_total_bit_per_s() const { return relay_bit_per_s != 0 ? relay_bit_per_s : uplink_bit_per_s / 2; }
};

/// The names that this node answers DNS questions for. On its overlay addresses always; on others where they are named.
struct DnsConfig {
    bool enabled = true;
    std::vector<net::IpAddress> listen;  ///< besides those of the overlay
    std::uint16_t port = 53;
    std::vector<std::string> suffixes;   ///< of the mesh's numbers, besides e164.NAME-OF-MESH.internal
    std::vector<net::Prefix> clients;    ///< who may ask at `listen`; default: as VoiceConfig::phones
    std::vector<net::Prefix> numbers;    ///< who may ask for numbers, besides this machine and members with phones
    std::vector<net::IpAddress> phones_reach;  ///< this machine, as its phones reach it; none: where they ask
    bool resolved = true;                ///< tell systemd-resolved, where it runs

    DnsConfig();
};

/// Datagrams on TLS over TCP, where UDP is blocked.
struct StreamsConfig {
    std::vector<net::Endpoint> listen;     ///< wildcard addresses included; empty: nowhere
    std::vector<net::Endpoint> advertise;  ///< where others reach us by it besides, as behind a port that is passed on
    bool dial = true;                      ///< others, where UDP does not reach them
    std::string proxy;                     ///< that dialled streams may go through, as parse_http_proxy() takes it; empty: none
    bool proxy_has_user = false;
    bool proxy_of_environment = true;      ///< instead: the one that https_proxy names, if it is set
    std::string proxy_password_file;
    std::string server_name;               ///< that dialled streams ask for; empty: none
};

struct Config {
    std::uint16_t listen_port = 51820;
    std::vector<HostPort> bootstrap;  ///< port 0: a domain, by its SRV records
    MdnsConfig mdns;
    std::string device = "mesh0";
    unsigned mtu_bytes = 1420;
    std::vector<net::Endpoint> advertise;
    std::optional<std::vector<mesh::MappedSubnet>> subnets;  ///< `lan` and `as` are equal where it is not mapped; absent: all of
                                                             ///< the member record
    bool port_mapping = true;
    std::string exit;  ///< the member through which this machine reaches the Internet; empty: none
    LogLevel log = LogLevel::info;
    DataConfig data;
    VoiceConfig voice;
    DnsConfig dns;
    StreamsConfig streams;
};

inline constexpr const char* kDefaultConfigPath = "/etc/meshd/meshd.json";
inline constexpr unsigned kMinMtuBytes = 1280;  ///< what IPv6 demands of a link (RFC 8200 section 5)
inline constexpr unsigned kMaxMtuBytes = 9000;
/// Where one meshd talks SIP to another inside the mesh; no other port may be set to it.
inline constexpr std::uint16_t kOverlaySipPort = 5080;

/// Throws ConfigError, which names `file` and the line, for an unknown key, a key that stands twice, or a bad value.
Config parse_config(std::string_view text, std::string_view file);

/// Reads `path`. Throws ConfigError, or std::runtime_error where it cannot be read. A file that does not exist is the
/// default configuration if `may_be_missing`.
Config load_config(const std::string& path, bool may_be_missing);

}  // namespace meshd
