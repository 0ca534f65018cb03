#include "discovery/mdns.hpp"

#include <avahi-common/error.h>
#include <avahi-common/malloc.h>
#include <avahi-core/core.h>
#include <avahi-core/log.h>
#include <avahi-core/lookup.h>
#include <avahi-core/publish.h>
#include <net/if.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <tuple>
#include <utility>

#include "net/text.hpp"

// Announcing:  PTR  _meshd._udp.local            -> INSTANCE._meshd._udp.local     (shared)
//              SRV  INSTANCE._meshd._udp.local   -> HOST.local, port               (ours alone)
//              TXT  INSTANCE._meshd._udp.local   =  who we are, sealed
//              A, AAAA  HOST.local               =  one address of each family, per interface
// INSTANCE and HOST are 80 random bits each: nobody else has them, so nothing is probed for (RFC 6762 section 8.1
// allows that for names known to be unique), and there are no reverse records that could collide with avahi-daemon's.
//
// Browsing:    each service that appears, per interface and address family, is resolved in that family. A seal that
//              opens gives the member; its endpoints are those of all its services together. On one interface and
//              family a member has one service, the newest: who lost its address had no way left to say goodbye.

namespace discovery {
namespace {

constexpr const char* kType = "_meshd._udp";
constexpr const char* kDomain = "local";
constexpr std::uint32_t kTtlSeconds = 120;        // RFC 6762 section 10 for records with a host name
constexpr std::size_t kRandomNameBytes = 10;
constexpr std::size_t kMostServices = 256;        // a link full of strangers must not fill our memory
constexpr unsigned kMostCachedRecords = 2048;
constexpr unsigned kResolveAttempts = 4;          // of 5 s each, avahi's time-out

std::string random_name(net::Random& random) {
    net::Bytes bytes(kRandomNameBytes);
    random.fill(bytes);
    return net::to_base32(bytes);
}

AvahiAddress to_avahi(const net::IpAddress& address) {
    AvahiAddress out{};
    out.proto = address.is_v6() ? AVAHI_PROTO_INET6 : AVAHI_PROTO_INET;
    const auto bytes = address.bytes();
    std::memcpy(&out.data, bytes.data(), bytes.size());
    return out;
}

net::IpAddress to_address(const AvahiAddress& address) {
    const auto all = std::as_bytes(std::span(&address.data, 1));
    if (address.proto == AVAHI_PROTO_INET) return net::IpAddress::from_bytes(all.first(4));
    if (address.proto == AVAHI_PROTO_INET6) return net::IpAddress::from_bytes(all.first(16));
    return {};
}

struct FreeStrings {
    void operator()(AvahiStringList* list) const { avahi_string_list_free(list); }
};
using Strings = std::unique_ptr<AvahiStringList, FreeStrings>;

Strings to_strings(const std::vector<std::string>& texts) {
    AvahiStringList* list = nullptr;
    for (auto text = texts.rbegin(); text != texts.rend(); ++text) list = avahi_string_list_add(list, text->c_str());
    return Strings(list);
}

std::vector<std::string> from_strings(const AvahiStringList* list) {
    std::vector<std::string> out;
    for (; list != nullptr; list = list->next) out.emplace_back(reinterpret_cast<const char*>(list->text), list->size);
    return out;
}

/// What is told of our addresses: per interface one IPv4 address and one IPv6 address, link-local if there is one, as
/// that works on the link whatever the routes are. Sorted; no loopback.
std::vector<LocalAddress> worth_announcing(std::vector<LocalAddress> addresses) {
    std::erase_if(addresses, [](const LocalAddress& entry) {
        return entry.interface == 0 || entry.address.is_none() || entry.address.is_loopback();
    });
    std::ranges::sort(addresses, {}, [](const LocalAddress& entry) {
        return std::tuple(entry.interface, entry.address.is_v6(),
                          entry.address.is_v6() != entry.address.is_link_local(), entry.address);
    });
    const auto same = [](const LocalAddress& a, const LocalAddress& b) {
        return a.interface == b.interface && a.address.is_v6() == b.address.is_v6();
    };
    addresses.erase(std::unique(addresses.begin(), addresses.end(), same), addresses.end());
    return addresses;
}

}  // namespace

struct Mdns::Inner {
    /// A service as it was seen on one interface by one address family.
    struct Place {
        AvahiIfIndex interface = AVAHI_IF_UNSPEC;
        AvahiProtocol protocol = AVAHI_PROTO_UNSPEC;
        std::string instance;
        auto operator<=>(const Place&) const = default;
    };
    struct Service {
        Inner* owner = nullptr;
        Place place;
        AvahiSServiceResolver* resolver = nullptr;
        unsigned attempts = 0;
        std::uint64_t appeared = 0;        ///< counts up with every service
        std::optional<net::NodeKey> node;  ///< set while its seal opens and it has an endpoint
        net::Endpoint endpoint;
        bool stranger = false;             ///< counted as such already
    };

    Inner(Settings with, Sightings tell, net::Random& source)
        : settings(std::move(with)), sightings(std::move(tell)), random(source) {}
    ~Inner();

    net::Result<void> start(const AvahiPoll& poll);
    void announce();
    bool add_records(const std::string& instance, const std::string& host);
    bool add_record(const std::string& name, std::uint16_t type, AvahiPublishFlags flags,
                    const std::function<void(AvahiRecord&)>& fill);
    void browsed(AvahiBrowserEvent event, const Place& place);
    void resolve(Service& service);
    void resolved(Service& service, AvahiResolverEvent event, const AvahiAddress* address, std::uint16_t port,
                  const AvahiStringList* txt);
    void take_away(Service& service);
    bool is_newest(const Service& service, const net::NodeKey& node);
    void tell(const net::NodeKey& node);

    Settings settings;
    Sightings sightings;
    net::Random& random;
    Counters counters;
    AvahiServer* server = nullptr;
    AvahiSServiceBrowser* browser = nullptr;
    AvahiSEntryGroup* group = nullptr;  ///< what we announce; null while nothing is
    std::vector<LocalAddress> announced;
    std::map<Place, Service> services;
    std::uint64_t appeared = 0;
    std::map<net::NodeKey, std::vector<net::Endpoint>> told;  ///< what `found` has last said, for those not lost
};

Mdns::Inner::~Inner() {
    for (auto& [place, service] : services) {
        if (service.resolver != nullptr) avahi_s_service_resolver_free(service.resolver);
    }
    if (browser != nullptr) avahi_s_service_browser_free(browser);
    if (group != nullptr) avahi_s_entry_group_free(group);  // says goodbye
    if (server != nullptr) avahi_server_free(server);
}

net::Result<void> Mdns::Inner::start(const AvahiPoll& poll) {
    avahi_set_log_function([](AvahiLogLevel, const char*) {});  // what matters comes back as errors
    AvahiServerConfig config;
    avahi_server_config_init(&config);
    avahi_free(config.host_name);
    config.host_name = avahi_strdup(random_name(random).c_str());  // or it would be the machine's own
    config.allow_interfaces = to_strings(settings.interfaces).release();
    config.deny_interfaces = to_strings(settings.denied_interfaces).release();
    config.publish_hinfo = 0;
    config.publish_addresses = 0;
    config.publish_workstation = 0;
    config.publish_domain = 0;
    config.add_service_cookie = 0;
    config.enable_wide_area = 0;
    config.enable_reflector = 0;
    config.disallow_other_stacks = 0;
    config.n_cache_entries_max = kMostCachedRecords;
    int error = 0;
    server = avahi_server_new(&poll, &config, [](AvahiServer*, AvahiServerState, void*) {}, this, &error);
    avahi_server_config_free(&config);
    if (server == nullptr) return net::fail(std::string("cannot start mDNS: ") + avahi_strerror(error));
    browser = avahi_s_service_browser_new(
        server, AVAHI_IF_UNSPEC, AVAHI_PROTO_UNSPEC, kType, kDomain, AvahiLookupFlags{},
        [](AvahiSServiceBrowser*, AvahiIfIndex interface, AvahiProtocol protocol, AvahiBrowserEvent event,
           const char* name, const char*, const char*, AvahiLookupResultFlags, void* self) {
            static_cast<Inner*>(self)->browsed(event, {interface, protocol, name == nullptr ? "" : name});
        },
        this);
    if (browser == nullptr) {
        return net::fail(std::string("cannot browse by mDNS: ") + avahi_strerror(avahi_server_errno(server)));
    }
    return {};
}

void Mdns::Inner::announce() {
    if (group != nullptr) avahi_s_entry_group_free(group);  // says goodbye to the old names
    group = nullptr;
    if (announced.empty()) return;
    group = avahi_s_entry_group_new(
        server,
        [](AvahiServer*, AvahiSEntryGroup* which, AvahiEntryGroupState state, void* self) {
            auto* const inner = static_cast<Inner*>(self);
            // Somebody else has our random names: they are being mocked. Take others.
            if (state == AVAHI_ENTRY_GROUP_COLLISION && which == inner->group) inner->announce();
        },
        this);
    if (group == nullptr) return;
    if (!add_records(random_name(random), random_name(random)) || avahi_s_entry_group_commit(group) < 0) {
        avahi_s_entry_group_free(group);
        group = nullptr;
    }
}

bool Mdns::Inner::add_record(const std::string& name, std::uint16_t type, AvahiPublishFlags flags,
                             const std::function<void(AvahiRecord&)>& fill) {
    auto* const record = avahi_record_new_full(name.c_str(), AVAHI_DNS_CLASS_IN, type, kTtlSeconds);
    if (record == nullptr) return false;
    fill(*record);
    const int code = avahi_server_add(server, group, AVAHI_IF_UNSPEC, AVAHI_PROTO_UNSPEC, flags, record);
    avahi_record_unref(record);
    return code >= 0;
}

bool Mdns::Inner::add_records(const std::string& instance, const std::string& host) {
    constexpr auto kOurs = static_cast<AvahiPublishFlags>(AVAHI_PUBLISH_UNIQUE | AVAHI_PUBLISH_NO_PROBE);
    const auto type = std::string(kType) + "." + kDomain;
    const auto service = instance + "." + type;
    const auto host_name = host + "." + kDomain;
    for (const auto& entry : announced) {
        const auto address = to_avahi(entry.address);
        const auto flags = static_cast<AvahiPublishFlags>(AVAHI_PUBLISH_NO_REVERSE | AVAHI_PUBLISH_NO_PROBE);
        auto copy = address;
        if (avahi_server_add_address(server, group, static_cast<AvahiIfIndex>(entry.interface), address.proto, flags,
                                     host_name.c_str(), &copy) < 0) {
            return false;
        }
    }
    const auto txt = seal(settings.key, settings.self, random);
    return add_record(service, AVAHI_DNS_TYPE_SRV, kOurs,
                      [&](AvahiRecord& record) {
                          record.data.srv.priority = record.data.srv.weight = 0;
                          record.data.srv.port = settings.port;
                          record.data.srv.name = avahi_strdup(host_name.c_str());
                      }) &&
           add_record(service, AVAHI_DNS_TYPE_TXT, kOurs,
                      [&](AvahiRecord& record) { record.data.txt.string_list = to_strings(txt).release(); }) &&
           add_record(type, AVAHI_DNS_TYPE_PTR, AvahiPublishFlags{},
                      [&](AvahiRecord& record) { record.data.ptr.name = avahi_strdup(service.c_str()); });
}

void Mdns::Inner::browsed(AvahiBrowserEvent event, const Place& place) {
    if (event == AVAHI_BROWSER_NEW) {
        if (services.contains(place)) return;
        if (services.size() >= kMostServices) {
            ++counters.over_limit;
            return;
        }
        auto& service = services[place];
        service.owner = this;
        service.place = place;
        service.appeared = ++appeared;
        resolve(service);
    } else if (event == AVAHI_BROWSER_REMOVE) {
        const auto found = services.find(place);
        if (found == services.end()) return;
        take_away(found->second);
        if (found->second.resolver != nullptr) avahi_s_service_resolver_free(found->second.resolver);
        services.erase(found);
    }
}

void Mdns::Inner::resolve(Service& service) {
    ++service.attempts;
    service.resolver = avahi_s_service_resolver_new(
        server, service.place.interface, service.place.protocol, service.place.instance.c_str(), kType, kDomain,
        service.place.protocol, AvahiLookupFlags{},
        [](AvahiSServiceResolver*, AvahiIfIndex, AvahiProtocol, AvahiResolverEvent event, const char*, const char*,
           const char*, const char*, const AvahiAddress* address, std::uint16_t port, AvahiStringList* txt,
           AvahiLookupResultFlags, void* argument) {
            auto* const asked = static_cast<Service*>(argument);
            asked->owner->resolved(*asked, event, address, port, txt);
        },
        &service);
}

void Mdns::Inner::resolved(Service& service, AvahiResolverEvent event, const AvahiAddress* address, std::uint16_t port,
                           const AvahiStringList* txt) {
    if (event == AVAHI_RESOLVER_FAILURE || address == nullptr) {
        take_away(service);
        if (service.resolver != nullptr) avahi_s_service_resolver_free(service.resolver);
        service.resolver = nullptr;
        if (service.attempts < kResolveAttempts) resolve(service);
        return;
    }
    const auto node = unseal(settings.key, from_strings(txt));
    if (!node) {
        if (!service.stranger) ++counters.strangers;
        service.stranger = true;
        return take_away(service);
    }
    net::Endpoint endpoint{to_address(*address), port, 0};
    if (endpoint.address.is_link_local() && endpoint.address.is_v6()) {
        endpoint.scope = static_cast<std::uint32_t>(service.place.interface);
    }
    if (*node == settings.self || port == 0 || endpoint.is_none() || !is_newest(service, *node)) {
        return take_away(service);
    }
    if (service.node != node) take_away(service);
    service.node = node;
    service.endpoint = endpoint;
    tell(*node);
}

/// If so, older services of the node in the same place no longer count.
bool Mdns::Inner::is_newest(const Service& service, const net::NodeKey& node) {
    for (auto& [place, other] : services) {
        if (other.node != node || place.interface != service.place.interface ||
            place.protocol != service.place.protocol) {
            continue;
        }
        if (other.appeared > service.appeared) return false;
        if (other.appeared < service.appeared) other.node.reset();
    }
    return true;
}

/// What the service said no longer holds.
void Mdns::Inner::take_away(Service& service) {
    const auto node = std::exchange(service.node, std::nullopt);
    if (node) tell(*node);
}

void Mdns::Inner::tell(const net::NodeKey& node) {
    Member member{.node = node, .endpoints = {}};
    for (const auto& [place, service] : services) {
        if (service.node == node && std::ranges::count(member.endpoints, service.endpoint) == 0) {
            member.endpoints.push_back(service.endpoint);
        }
    }
    auto& before = told[node];
    if (before == member.endpoints) return;
    before = member.endpoints;
    if (member.endpoints.empty()) {
        told.erase(node);
        if (sightings.lost) sightings.lost(node);
    } else if (sightings.found) {
        sightings.found(member);
    }
}

Mdns::Mdns(std::unique_ptr<Inner> inner) : inner_(std::move(inner)) {}

Mdns::~Mdns() = default;

net::Result<std::unique_ptr<Mdns>> Mdns::open(const AvahiPoll& poll, Settings settings, Sightings sightings,
                                              net::Random& random) {
    auto inner = std::make_unique<Inner>(std::move(settings), std::move(sightings), random);
    if (auto started = inner->start(poll); !started) return tl::unexpected(started.error());
    return std::unique_ptr<Mdns>(new Mdns(std::move(inner)));
}

void Mdns::set_addresses(std::vector<LocalAddress> addresses) {
    const auto named = [](const std::vector<std::string>& names, std::uint32_t index) {
        return std::ranges::any_of(names, [&](const auto& name) { return ::if_nametoindex(name.c_str()) == index; });
    };
    std::erase_if(addresses, [&](const LocalAddress& entry) {
        const auto& allowed = inner_->settings.interfaces;
        return (!allowed.empty() && !named(allowed, entry.interface)) ||
               named(inner_->settings.denied_interfaces, entry.interface);
    });
    auto chosen = worth_announcing(std::move(addresses));
    if (chosen == inner_->announced) return;
    inner_->announced = std::move(chosen);
    inner_->announce();
}

const Mdns::Counters& Mdns::counters() const { return inner_->counters; }

}  // namespace discovery
